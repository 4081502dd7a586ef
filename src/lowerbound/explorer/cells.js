// A decoded row of a table, cell by cell: a number with the interval that holds 90 %, or a bar for each category.

import { el, figures, number } from "./dom.js";
import { bounds } from "./picture.js";

const MOST = 40; // cells shown at once
const LISTED = 6; // categories of a cell

export class Cells {
  constructor(home, world) {
    Object.assign(this, { world, wanted: "", lines: [] });
    this.usual = Float32Array.from({ length: world.cells }, (_, j) => this.average(j));
    this.body = el("tbody");
    const search = el("input", {
      type: "search",
      placeholder: "find a column",
      "aria-label": "find a column",
      oninput: () => {
        this.wanted = search.value.toLowerCase();
        this.choose();
      },
    });
    this.note = el("p", { className: "note" });
    if (world.cells > MOST) home.append(search);
    home.append(el("table", { className: "cells" }, this.body), this.note);
    this.choose();
  }

  average(j) {
    const { arrays, rows, cells } = this.world,
      table = arrays[rows.cells];
    let sum = 0,
      seen = 0;
    for (let at = j; at < table.length; at += cells)
      if (table[at] === table[at]) [sum, seen] = [sum + table[at], seen + 1];
    return sum / Math.max(1, seen);
  }

  // The cells whose names are asked for; of many, those that lie furthest from their average.
  choose() {
    const { world, usual } = this,
      all = Array.from(usual, (_, j) => j);
    const found = all.filter((j) => world.column(j).toLowerCase().includes(this.wanted));
    const far = (j) =>
      Math.abs((this.mean?.[j] ?? usual[j]) - usual[j]) / (bounds(world, j).high - bounds(world, j).low || 1);
    const shown = found
      .sort((j, k) => far(k) - far(j))
      .slice(0, MOST)
      .sort((j, k) => j - k);
    this.lines = shown.map((j) => this.line(j));
    this.body.replaceChildren(...this.lines.map(({ root }) => root));
    const some =
      found.length > MOST ? `The ${MOST} of ${found.length} columns that lie furthest from their average. ` : "";
    this.note.textContent = some + (world.likelihood.shares ? "" : "Line: mean; shaded: 90 %; dotted: the row itself.");
    if (this.mean) this.show(this.mean, this.numbers, this.own);
  }

  line(j) {
    const { world } = this,
      name = el("th", { scope: "row" }, world.column(j)),
      value = el("td", { className: "value" }),
      track = el("td");
    const root = el("tr", {}, name, value, track);
    if (world.likelihood.shares) return { j, root, value, draw: this.bars(j, track) };
    const band = el("span", { className: "band" }),
      dot = el("span", { className: "dot" }),
      own = el("span", { className: "own", title: "in the row" });
    track.append(el("div", { className: "track" }, band, dot, own));
    const { low, high } = bounds(world, j),
      place = (x) => 100 * Math.min(1, Math.max(0, (x - low) / (high - low || 1)));
    return {
      j,
      root,
      value,
      draw: (mean, interval, original) => {
        const [from, to] = interval ?? [mean, mean];
        value.textContent = figures(mean);
        value.title = interval ? `90 % between ${figures(from)} and ${figures(to)}` : "";
        Object.assign(band.style, { left: `${place(from)}%`, width: `${place(to) - place(from)}%` });
        dot.style.left = `${place(mean)}%`;
        own.hidden = !Number.isFinite(original);
        own.style.left = `${place(original)}%`;
      },
    };
  }

  bars(j, track) {
    const bars = [];
    track.append(el("div", { className: "shares" }));
    return (mean, shares, original) => {
      const top = shares
        .map((share, k) => [share, k])
        .sort(([a], [b]) => b - a)
        .slice(0, LISTED)
        .sort(([, a], [, b]) => a - b);
      while (bars.length < top.length) {
        const name = el("span"),
          bar = el("i"),
          about = el("span");
        bars.push({ name, bar, about });
        track.firstChild.append(el("div", {}, name, el("b", {}, bar), about));
      }
      top.forEach(([share, k], n) => {
        bars[n].name.textContent = k === original ? `▸ ${k}` : `${k}`;
        bars[n].bar.style.width = `${100 * share}%`;
        bars[n].about.textContent = `${number(100 * share, 0)} %`;
      });
    };
  }

  // mean: of all cells; numbers: what the decoder gave; own: values of the row that is looked at, or null.
  show(mean, numbers, own) {
    Object.assign(this, { mean: mean.slice(), numbers: numbers.slice(), own }); // theirs are written over
    const { shares, interval } = this.world.likelihood;
    for (const { j, draw } of this.lines) draw(mean[j], shares ? shares(numbers, j) : interval(numbers, j), own?.[j]);
    if (shares)
      for (const { j, value } of this.lines) value.textContent = own && Number.isFinite(own[j]) ? `${own[j]}` : "";
  }
}
