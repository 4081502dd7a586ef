// Where one is: a code, and the row it is of, if any. Watchers are told at once, others when it has come to rest.

const REST = 160; // milliseconds
const FAR = 1e3; // no code is further out

export class Point {
  constructor(z) {
    this.z = z;
    this.row = null;
    this.watchers = [];
    this.waiting = [];
  }

  watch(told) {
    this.watchers.push(told);
  }

  wait(told) {
    this.waiting.push(told);
  }

  go(z, row = null, from = null) {
    this.z = Array.from(z, (value) => Math.min(FAR, Math.max(-FAR, value)));
    this.row = row;
    for (const told of this.watchers) told(this, from);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.waiting.forEach((told) => told(this, from)), REST);
  }
}

const ADDRESS = /^#(z|row)=([-+.,\deE]+)$/;

// The address of a point: the number of a row, or the code to four digits.
export function address(world, point) {
  if (point.row !== null) return `#row=${world.arrays[world.rows.numbers][point.row]}`;
  return `#z=${point.z.map((value) => Number(value.toPrecision(4))).join(",")}`;
}

// The place of an address in this page, or null if it has none.
export function place(world, hash) {
  const [, kind, text] = ADDRESS.exec(hash) ?? [];
  const values = text?.split(",").map(Number) ?? [];
  if (!values.every(Number.isFinite)) return null;
  if (kind === "z") return values.length === world.latent ? { z: values, row: null } : null;
  const row = world.arrays[world.rows.numbers].indexOf(values[0]);
  return kind === "row" && row >= 0 ? { z: world.code(row), row } : null;
}
