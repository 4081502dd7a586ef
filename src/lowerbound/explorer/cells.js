// A decoded row of a table, cell by cell: a number with the interval that holds 90 %, or a bar for each category.

import { el, number } from "./dom.js";
import { bounds } from "./picture.js";

const MOST = 40; // cells shown at once
const LISTED = 3; // categories of a cell, and that of the row itself

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
    const widths = ["name", "number"].map((className) => el("col", { className }));
    home.append(el("table", { className: "cells" }, el("colgroup", {}, ...widths, el("col")), this.body), this.note);
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
    this.lines = shown.map((j) => (world.coded(j) ? this.bars(j) : this.track(j)));
    this.body.replaceChildren(...this.lines.map(({ root }) => root));
    const some =
      found.length > MOST ? `The ${MOST} of ${found.length} columns that lie furthest from their average. ` : "";
    const measured = all.some((j) => !world.coded(j)) ? "Line: mean; shaded: 90 %; dotted: the row itself. " : "",
      listed = all.some((j) => world.coded(j)) ? "Bars: probabilities; ▸ what the row itself is." : "";
    this.note.textContent = some + measured + listed;
    if (this.mean) this.show(this.mean, this.numbers, this.own);
  }

  // Name of a column, and, where the row that is looked at has no value in it, that it has none.
  head(j) {
    const gone = el("span", { className: "note gone", hidden: true }, "missing in the row");
    return { name: el("th", { scope: "row" }, this.world.column(j), gone), gone };
  }

  track(j) {
    const { world } = this,
      { name, gone } = this.head(j),
      value = el("td", { className: "value" });
    const band = el("span", { className: "band" }),
      dot = el("span", { className: "dot" }),
      own = el("span", { className: "own", title: "in the row" }),
      ends = el("div", { className: "ends" });
    const track = el("td", {}, el("div", { className: "track" }, band, dot, own), ends);
    const { low, high } = bounds(world, j),
      place = (x) => 100 * Math.min(1, Math.max(0, (x - low) / (high - low || 1)));
    const draw = (mean, numbers, original) => {
      const [from, to] = world.likelihood.interval(numbers, j) ?? [mean, mean];
      value.textContent = world.text(j, mean);
      ends.textContent = from === to ? "" : `${world.text(j, from)} to ${world.text(j, to)}`;
      Object.assign(band.style, { left: `${place(from)}%`, width: `${place(to) - place(from)}%` });
      dot.style.left = `${place(mean)}%`;
      own.hidden = !Number.isFinite(original);
      own.style.left = `${place(original)}%`;
      own.title = `in the row: ${world.text(j, original)}`;
      gone.hidden = original === undefined || Number.isFinite(original);
    };
    return { j, root: el("tr", {}, name, value, track), draw };
  }

  bars(j) {
    const { world } = this,
      { name, gone } = this.head(j),
      home = el("div", { className: "shares" }),
      bars = [];
    const draw = (mean, numbers, original) => {
      const shares = world.likelihood.shares(numbers, j);
      const first = shares.map((share, k) => [share, k]).sort(([a], [b]) => b - a);
      const top = first.filter(([, k], n) => n < LISTED || k === original).sort(([, a], [, b]) => a - b);
      while (bars.length < top.length) bars.push(this.bar(home));
      bars.forEach(({ root }, n) => {
        root.hidden = n >= top.length;
      });
      top.forEach(([share, k], n) => {
        const { label, bar, about } = bars[n];
        label.textContent = (k === original ? "▸ " : "") + world.label(j, k);
        label.title = world.label(j, k);
        bar.style.width = `${100 * share}%`;
        about.textContent = `${number(100 * share, 0)} %`;
      });
      gone.hidden = original === undefined || Number.isFinite(original);
    };
    return { j, root: el("tr", {}, name, el("td", { colSpan: 2 }, home)), draw };
  }

  bar(home) {
    const label = el("span"),
      bar = el("i"),
      about = el("span"),
      root = el("div", {}, label, el("b", {}, bar), about);
    home.append(root);
    return { root, label, bar, about };
  }

  // mean: of all cells; numbers: what the decoder gave; own: values of the row that is looked at, or null.
  show(mean, numbers, own) {
    Object.assign(this, { mean: mean.slice(), numbers: numbers.slice(), own }); // theirs are written over
    for (const { j, draw } of this.lines) draw(mean[j], numbers, own?.[j]);
  }
}
