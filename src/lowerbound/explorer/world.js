// What the page knows: the decoder, the rows, their names and colours.

import { net } from "./nets.js";
import { likelihood } from "./likelihoods.js";
import { row } from "./geometry.js";

// What takes a code to the numbers of the decoder, and these to p(x|z).
export const decoder = (facts, arrays, cells) => ({
  net: net(facts.layers, arrays),
  likelihood: likelihood(facts, arrays, cells),
});

export class World {
  constructor(facts, arrays) {
    Object.assign(this, facts);
    this.arrays = arrays;
    this.latent = facts.latents.length;
    this.cells = facts.shape.reduce((a, b) => a * b, 1);
    this.codes = arrays[facts.rows.codes];
    this.count = facts.rows.count;
    this.spread = facts.latents.map(({ spread }) => spread);
    this.order = facts.latents.map((_, i) => i).sort((i, j) => this.use(j) - this.use(i));
    Object.assign(this, decoder(facts.decoder, arrays, this.cells));
    this.out = new Float32Array(this.cells);
    this.colours = [
      ...facts.rows.colours.map((colour) => ({ ...colour, values: arrays[colour.at] })),
      ...this.columnColours(),
    ];
  }

  // How much the model uses a dimension: its KL, or without one how far codes spread along it.
  use(i) {
    return this.latents[i].kl ?? this.latents[i].spread;
  }

  // The mean of p(x|z), in an array that the next call writes over.
  decode(z) {
    return this.likelihood.mean(this.net(z), this.out);
  }

  code(i) {
    return row(this.codes, i, this.latent);
  }

  // The values of row i in the units of the data, NaN where one is missing.
  values(i) {
    const stored = this.arrays[this.rows.cells].subarray(i * this.cells, (i + 1) * this.cells);
    const [low, high] = this.rows.range;
    return this.image ? Float32Array.from(stored, (byte) => low + (byte / 255) * (high - low)) : stored;
  }

  column(j) {
    return this.columns[j] ?? `x${j + 1}`;
  }

  columnColours() {
    if (this.image) return [];
    const table = this.arrays[this.rows.cells];
    return Array.from({ length: Math.min(this.cells, 100) }, (_, j) => ({
      name: this.column(j),
      kind: "number",
      values: Float32Array.from({ length: this.count }, (_, i) => table[i * this.cells + j]),
    }));
  }

  // Number of a row in the data, its class, and what it was for.
  name(i) {
    const known = this.colours
      .filter(({ kind }) => kind === "classes")
      .map(({ name, names, values, made }) => [made ? "" : `${name} `, names[values[i]], made]);
    const words = [known.find(([, , made]) => !made), known.find(([, , made]) => made)].filter(
      (word) => word?.[1] !== undefined,
    );
    return [`row ${this.arrays[this.rows.numbers][i]}`, ...words.map(([what, is]) => what + is)].join(" · ");
  }

  // The rows that the model was not trained on, or all where there are none.
  heldOut() {
    const all = Array.from({ length: this.count }, (_, i) => i),
      flags = this.arrays[this.rows.held_out];
    const found = flags ? all.filter((i) => flags[i]) : [];
    return found.length ? { rows: found, held: true } : { rows: all, held: false };
  }
}
