// Where one is: a code, and the row it is of, if any. Watchers are told at once, others when it has come to rest.

const REST = 160; // milliseconds
const FAR = 1e3; // no code is further out

export class Point {
  // told: what the model is told of a row; start: what it is told at first.
  constructor(z, told = () => [], start = []) {
    Object.assign(this, { z, told, given: start, row: null });
    this.watchers = [];
    this.waiting = [];
  }

  watch(told) {
    this.watchers.push(told);
  }

  wait(told) {
    this.waiting.push(told);
  }

  // given: what the model is told; without it, what it is told of the row, or what it was told before.
  go(z, row = null, from = null, given = null) {
    this.given = given ?? (row === null ? this.given : this.told(row));
    this.z = Array.from(z, (value) => Math.min(FAR, Math.max(-FAR, value)));
    this.row = row;
    for (const told of this.watchers) told(this, from);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.waiting.forEach((told) => told(this, from)), REST);
  }
}

const ADDRESS = /^#(z|row)=([-+.,\deE]+)(?:&given=([-+.,\deE]+))?$/;

// The address of a point: the number of a row, or the code to four digits, and what the model is told.
export function address(world, point) {
  const given = world.conditions.length ? `&given=${point.given.map((value) => Number(value.toPrecision(7)))}` : "";
  if (point.row !== null) return `#row=${world.arrays[world.rows.numbers][point.row]}${given}`;
  return `#z=${point.z.map((value) => Number(value.toPrecision(4))).join(",")}${given}`;
}

// The place of an address in this page, or null if it has none.
export function place(world, hash) {
  const [, kind, text, told] = ADDRESS.exec(hash) ?? [];
  const values = text?.split(",").map(Number) ?? [],
    given = told?.split(",").map(Number) ?? null;
  if (!values.every(Number.isFinite) || !(given === null || fits(world, given))) return null;
  if (kind === "z") return values.length === world.latent ? { z: values, row: null, given } : null;
  const row = world.arrays[world.rows.numbers].indexOf(values[0]);
  return kind === "row" && row >= 0 ? { z: world.code(row), row, given } : null;
}

// Whether the model can be told so: classes that there are, numbers not far beyond those of the rows.
function fits({ conditions }, given) {
  if (given.length !== conditions.length) return false;
  return conditions.every(({ values, shift, scale }, k) =>
    values ? Number.isInteger(given[k]) && values[given[k]] !== undefined : Math.abs(given[k] - shift) <= FAR * scale,
  );
}
