// What the page knows: the decoder, the rows, their names and colours.

import { net } from "./nets.js";
import { likelihood } from "./likelihoods.js";
import { row } from "./geometry.js";
import { guarded, legal, text, written } from "./texts.js";

const KINDS = 39; // classes of a colour; further ones are one, called other

// What takes a code to the numbers of the decoder, and these to p(x|z).
export const decoder = (facts, arrays, cells) => ({
  net: net(facts.layers, arrays),
  likelihood: likelihood(facts, arrays, cells),
});

export class World {
  // far: decodes elsewhere what the page has no code for.
  constructor(facts, arrays, far = null) {
    Object.assign(this, facts, { arrays, far });
    this.latent = facts.latents.length;
    this.cells = facts.shape.reduce((a, b) => a * b, 1);
    this.family = facts.decoder.likelihood?.name;
    this.codes = arrays[facts.rows.codes];
    this.count = facts.rows.count;
    this.spread = facts.latents.map(({ spread }) => spread);
    this.order = facts.latents.map((_, i) => i).sort((i, j) => this.use(j) - this.use(i));
    Object.assign(this, far ? { net: (z) => z, likelihood: far } : decoder(facts.decoder, arrays, this.cells));
    this.schema = facts.decoder.likelihood?.columns ?? null;
    this.carry = facts.prior && net(facts.prior, arrays);
    this.out = new Float32Array(this.cells);
    this.colours = [
      ...facts.rows.colours.map((colour) => ({ ...colour, values: arrays[colour.at] })),
      ...this.toldColours(),
      ...this.columnColours(),
    ];
  }

  // How much the model uses a dimension: its KL, or without one how far codes spread along it.
  use(i) {
    return this.latents[i].kl ?? this.latents[i].spread;
  }

  // What the decoder gives for a code and what it is told, as raw values, in an array that the next call writes over.
  // Of a row whose counts are told from its total they are those at this total.
  numbers(z, given, row = null) {
    const found = this.net(this.conditions.length ? [...z, ...this.context(given)] : z),
      exposure = row === null ? 0 : (this.arrays[this.rows.exposure]?.[row] ?? 0);
    if (exposure) for (let j = 0; j < this.cells; j++) found[j] += exposure;
    return found;
  }

  // The mean of p(x|z), or the likeliest category, in an array that the next call writes over.
  decode(z, given, row = null) {
    return this.likelihood.mean(this.numbers(z, given, row), this.out);
  }

  // A row that p(x|z) gives, the same every time for a seed; of a table with a schema.
  drawn(z, given, seed) {
    const numbers = this.numbers(z, given),
      chance = dice(seed);
    return this.schema.map((column, j) => legal(column, this.likelihood.value(numbers, j, chance())));
  }

  // Numbers that stand for what the model is told: one a class, or a scaled one.
  context(given) {
    return this.conditions.flatMap(({ values, shift, scale }, k) =>
      values ? values.map((_, i) => Number(i === given[k])) : [(given[k] - shift) / scale],
    );
  }

  // What the model is told of row i.
  told(i) {
    return this.conditions.length ? row(this.arrays[this.rows.given], i, this.conditions.length) : [];
  }

  // Draw k from the prior.
  draw(k, given) {
    const z = row(this.arrays[this.draws], k, this.latent);
    if (!this.carry) return z;
    const found = this.carry(this.context(given));
    return z.map((noise, j) => found[j] + noise * Math.exp(found[this.latent + j]));
  }

  // Whether cells of a column are categories, and what they are called.
  coded(j) {
    return this.schema ? Boolean(this.schema[j].categories) : ["bernoulli", "categorical"].includes(this.family);
  }

  label(j, k) {
    return this.schema ? this.schema[j].categories[k] : String(k);
  }

  text(j, value) {
    return text(this.schema?.[j], value);
  }

  // Names of what a file has of a row, and a row in it, with what the model was told.
  fileNames() {
    const cells = Array.from({ length: this.cells }, (_, j) => this.column(j));
    return [...this.conditions.map(({ name }) => name), ...cells].map(guarded);
  }

  fileLine(values, given) {
    const told = this.conditions.map(({ values: categories }, k) => written(categories && { categories }, given[k]));
    return [...told, ...Array.from(values, (value, j) => written(this.schema?.[j], value))];
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

  // What the model is told of the rows, labels apart, which have a colour already.
  toldColours() {
    const has = new Set(this.rows.colours.map(({ name }) => name)),
      given = this.arrays[this.rows.given];
    const raw = (k) => Float32Array.from({ length: this.count }, (_, i) => given[i * this.conditions.length + k]);
    return this.conditions
      .map((one, k) => ({ one, k }))
      .filter(({ one }) => !has.has(one.name))
      .map(({ one: { name, values: categories }, k }) => ({ ...colour(name, raw(k), { categories }), column: true }));
  }

  columnColours() {
    if (this.image) return [];
    const table = this.arrays[this.rows.cells];
    return Array.from({ length: Math.min(this.cells, 100) }, (_, j) => {
      const values = Float32Array.from({ length: this.count }, (_, i) => table[i * this.cells + j]);
      return { ...colour(this.column(j), values, this.schema?.[j] ?? {}), column: true };
    });
  }

  // Number of a row in the data, its class, and what it was for.
  name(i) {
    const known = this.colours
      .filter(({ kind, column }) => kind === "classes" && !column)
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

// What the map may be coloured by: a number, or the classes that a column's codes stand for, the rarest as one.
function colour(name, values, column) {
  const { categories } = column;
  if (!categories) return { name, kind: "number", values, text: (value) => text(column, value) };
  const counts = categories.map(() => 0);
  for (const value of values) if (value >= 0) counts[value]++;
  const kept = categories.map((_, k) => k).sort((a, b) => counts[b] - counts[a]);
  const shown = (categories.length > KINDS ? kept.slice(0, KINDS) : kept).sort((a, b) => a - b),
    place = categories.map((_, k) => (shown.includes(k) ? shown.indexOf(k) : KINDS));
  return {
    name,
    kind: "classes",
    names: [...shown.map((k) => categories[k]), ...(shown.length < categories.length ? ["other"] : [])],
    values: Int32Array.from(values, (value) => (value >= 0 ? place[value] : -1)),
  };
}

// Numbers between 0 and 1 as by chance, the same for a seed (Marsaglia 2003, xorshift).
function dice(seed) {
  let state = (0x9e3779b9 ^ Math.imul(seed + 1, 0x85ebca6b)) | 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return ((state >>> 0) + 0.5) / 2 ** 32;
  };
  for (let k = 0; k < 8; k++) next();
  return next;
}
