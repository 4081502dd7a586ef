// Decoded points as a table of texts: of few columns this says more than bars do.

import { el, queue } from "./dom.js";
import { Strip } from "./strip.js";

const WIDE = 40; // columns that are too many for a table

// A line of points as pictures, or, where rows have few columns, as a table: a column a point, or a line a point.
export function panel(home, world, point, down = false) {
  return world.image || world.cells > WIDE ? new Strip(home, world, point) : new Sheet(home, world, point, down);
}

class Sheet {
  constructor(home, world, point, down) {
    Object.assign(this, { home, world, point, down, later: queue() });
    home.classList.add("wide");
  }

  // items: z, row, given, caption, about; source: also the row as it is; drawn: a draw from p(x|z), of that seed.
  show(items) {
    this.later([() => this.fill(items)]);
  }

  fill(items) {
    const lines = items.flatMap((item) => this.lines(item)),
      names = Array.from({ length: this.world.cells }, (_, j) => this.world.column(j));
    const table = this.down ? this.downward(lines, names) : this.across(lines, names);
    this.home.replaceChildren(el("table", { className: `sheet ${this.down ? "down" : "across"}` }, ...table));
    const coming = items.map(({ z }) => this.world.far?.soon(z)).filter(Boolean);
    if (coming.length) Promise.all(coming).then(() => this.show(items));
  }

  lines(item) {
    const { world, point } = this,
      given = item.given ?? point.given,
      decode = () => world.decode(item.z, given, item.source ? item.row : null),
      made = item.drawn === undefined ? decode() : world.drawn(item.z, given, item.drawn);
    const decoded = Array.from(made, (value, j) => world.text(j, value));
    if (!item.source) return [{ item, texts: decoded, name: item.caption }];
    const own = Array.from(world.values(item.row), (value, j) => world.text(j, value));
    return [
      { item, texts: own, name: item.caption ?? "row" },
      { item, texts: decoded, name: "decoded", beside: own },
    ];
  }

  head({ item, name, beside }) {
    if (beside) return el("th", { scope: this.down ? "row" : "col", className: "note" }, name);
    const go = () => this.point.go(item.z, item.row ?? null, null, item.given ?? null);
    const about = item.about ?? name ?? "a decoded point";
    return el(
      "th",
      { scope: this.down ? "row" : "col" },
      el("button", { type: "button", onclick: go, title: about, "aria-label": about }, name ?? ""),
    );
  }

  // What is another category than the line before, or than the row itself, stands out.
  cell({ texts, beside }, j, before) {
    const other = this.world.coded(j) && (beside ?? before?.texts)?.[j],
      missing = !beside && texts[j] === "";
    const className = missing ? "note" : other && other !== texts[j] ? "other" : "";
    return el("td", { className, title: texts[j] }, missing ? "missing" : texts[j]);
  }

  downward(lines, names) {
    const top = el("tr", {}, el("td"), ...names.map((name) => el("th", { scope: "col", title: name }, name)));
    const rest = lines.map((line) =>
      el("tr", { className: line.beside ? "pair" : "" }, this.head(line), ...names.map((_, j) => this.cell(line, j))),
    );
    return [el("thead", {}, top), el("tbody", {}, ...rest)];
  }

  across(lines, names) {
    const top = el("tr", {}, el("td"), ...lines.map((line) => this.head(line)));
    const rest = names.map((name, j) => {
      const cells = lines.map((line, n) => this.cell(line, j, lines[n - 1]));
      return el("tr", {}, el("th", { scope: "row", title: name }, name), ...cells);
    });
    return [el("thead", {}, top), el("tbody", {}, ...rest)];
  }
}
