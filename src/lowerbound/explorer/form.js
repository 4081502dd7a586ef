// A row of a table to write in: a field for every cell, and a tick for those that are to be left out and filled in.

import { el } from "./dom.js";

const MOST = 40; // fields shown at once
const DAY = 86400000; // milliseconds

// A text as the number that stands for it, NaN where it is none.
export function parsed(column, word) {
  const text = word.trim();
  if (!text || ["?", "na", "nan", "null"].includes(text.toLowerCase())) return NaN;
  if (column?.categories) return column.categories.includes(text) ? column.categories.indexOf(text) : NaN;
  if (!column?.origin) return Number(text.replace("−", "-"));
  const [moment, start] = [text, column.origin].map((each) =>
    Date.parse(`${each.replace(" ", "T")}${each.length > 10 ? "Z" : ""}`),
  );
  return (moment - start) / DAY;
}

export class Form {
  // changed: called when a cell is.
  constructor(home, world, changed) {
    const { cells } = world;
    Object.assign(this, {
      world,
      changed,
      values: new Float32Array(cells).fill(NaN),
      holes: new Array(cells).fill(false),
    });
    this.body = el("div", { className: "fields" });
    if (cells > MOST) home.append(this.search());
    home.append(this.body);
    this.choose("");
  }

  search() {
    const field = el("input", {
      type: "search",
      placeholder: "find a column",
      "aria-label": "find a column to write in",
    });
    field.addEventListener("input", () => this.choose(field.value.toLowerCase()));
    return field;
  }

  choose(wanted) {
    const all = Array.from({ length: this.world.cells }, (_, j) => j);
    const shown = all.filter((j) => this.world.column(j).toLowerCase().includes(wanted)).slice(0, MOST);
    this.fields = shown.map((j) => this.field(j));
    this.body.replaceChildren(...this.fields.flatMap(({ parts }) => parts));
    this.follow();
  }

  field(j) {
    const { world } = this,
      name = world.column(j),
      column = world.schema?.[j];
    const words = {
      id: `own-${j}`,
      "aria-label": name,
      placeholder: "missing",
      autocomplete: "off",
      spellcheck: false,
    };
    const field = column?.categories
      ? el(
          "select",
          { id: words.id, "aria-label": name },
          el("option", { value: "" }, "missing"),
          ...column.categories.map((each) => el("option", { value: each }, each)),
        )
      : el("input", { ...words, type: "text", inputMode: column?.origin ? "text" : "decimal" });
    field.addEventListener("change", () => this.write(j, field));
    const tick = el("input", { type: "checkbox", "aria-label": `leave out ${name}` });
    tick.addEventListener("change", () => {
      this.holes[j] = tick.checked;
      this.changed();
    });
    return {
      j,
      field,
      tick,
      parts: [el("label", { htmlFor: words.id }, name), field, el("label", { className: "tick" }, tick, "fill")],
    };
  }

  write(j, field) {
    const value = parsed(this.world.schema?.[j], field.value),
      wrong = field.value.trim() !== "" && !Number.isFinite(value);
    field.setAttribute("aria-invalid", String(wrong));
    this.values[j] = value;
    this.changed(wrong ? `${this.world.column(j)}: ${field.value} is not a value of this column.` : "");
  }

  put(values) {
    this.values = Float32Array.from(values);
    this.holes.fill(false);
    this.follow();
  }

  follow() {
    for (const { j, field, tick } of this.fields) {
      const value = this.values[j];
      field.value = Number.isFinite(value)
        ? this.world.schema
          ? this.world.text(j, value)
          : String(Number(value.toPrecision(6)))
        : "";
      field.removeAttribute("aria-invalid");
      tick.checked = this.holes[j];
    }
  }
}
