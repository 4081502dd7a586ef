// A row of a table: each column by its own family, from the places of its numbers among the decoder's.

import { counts, mixed, normal, student } from "./quantiles.js";

const MOST = 80; // the largest exponent whose power single precision holds
const FAR = 30; // a logit as good as infinite
const NARROW = 1e-7;

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

// From values to the line on which they are normal, back, and what a step around there is worth on it.
function line({ family, edges: [low, high], step }) {
  const wide = Math.max(high - low, NARROW);
  if (family === "log_normal")
    return {
      to: (x) => (x > 0 ? Math.log(x) : -Infinity),
      from: (y) => Math.exp(Math.min(y, MOST)),
      mean: (m, s) => Math.exp(Math.min(m + 0.5 * s * s, MOST)),
      least: (y) => Math.min(1, step * Math.exp(-y)),
    };
  if (family === "logit_normal")
    return {
      to: (x) => Math.log(Math.max(x - low, 0) / Math.max(high - x, 0)),
      from: (y) => low + wide * sigmoid(y),
      least: (y) => Math.min(1, step / (wide * sigmoid(y) * (1 - sigmoid(y)) + NARROW)),
    };
  return { to: (x) => x, from: (y) => y, mean: (m) => m, least: () => step };
}

// Numbers to what p(x|z) is of a measured column: mean, share below a value, quantile.
function measured(column, [nodes, weights]) {
  const { at, spread, freedom, log_variance, floor, shift, scale } = column,
    curve = line(column);
  const expected = (m, s) => nodes.reduce((sum, node, k) => sum + weights[k] * curve.from(m + s * node), 0);
  return (numbers) => {
    const middle = shift + scale * numbers[at],
      log = spread === null ? log_variance : numbers[spread];
    const s = scale * Math.hypot(floor, curve.least(middle) / scale, Math.exp(0.5 * log));
    const shape = freedom === null ? normal : student(1 + Math.log1p(Math.exp(numbers[freedom] + 1))),
      share = (x) => shape.share((curve.to(x) - middle) / s);
    return {
      mean: (curve.mean ?? expected)(middle, s),
      share,
      below: share,
      quantile: (wanted) => curve.from(middle + s * shape.quantile(wanted)),
    };
  };
}

function counted({ at, level, log_size }) {
  const size = log_size === null ? Infinity : Math.exp(log_size);
  return (numbers) => {
    const rate = Math.exp(numbers[at] + level);
    return { mean: rate, ...counts(rate, size) };
  };
}

// Probabilities from logits, of which the first is 0 and not among the numbers.
function softmax(numbers, at, count) {
  const logits = Array.from({ length: count }, (_, k) => (k ? numbers[at + k - 1] : 0)),
    top = Math.max(...logits);
  const sizes = logits.map((logit) => Math.exp(logit - top)),
    sum = sizes.reduce((a, b) => a + b);
  return sizes.map((size) => size / sum);
}

// Probabilities of categories between rising cuts: that a logistic around the number lies between two of them.
function ordered(numbers, at, cuts) {
  const place = numbers[at],
    ends = [-FAR, ...cuts, FAR].map((cut) => cut - place);
  const sizes = ends.slice(1).map((end, k) => {
    const turn = end + ends[k] > 0 ? -1 : 1; // to the side where shares are small: their difference is exact
    return Math.abs(sigmoid(turn * end) - sigmoid(turn * ends[k]));
  });
  const sum = sizes.reduce((a, b) => a + b);
  return sizes.map((size) => size / sum);
}

function coded({ at, cuts, categories }) {
  return { shares: (numbers) => (cuts ? ordered(numbers, at, cuts) : softmax(numbers, at, categories.length)) };
}

// Values that have a probability of their own, in rising order, and what is beside them.
function spiked(column, inner) {
  const { gate, spikes = [] } = column,
    order = spikes.map((_, k) => k).sort((k, n) => spikes[k] - spikes[n]);
  return (numbers) => {
    const p = softmax(numbers, gate ?? 0, 1 + spikes.length),
      rest = inner(numbers);
    const mean = spikes.reduce((sum, value, k) => sum + value * p[k + 1], p[0] * rest.mean);
    const points = order.map((k) => [spikes[k], p[k + 1]]);
    return { mean, quantile: points.length ? mixed(points, rest) : rest.quantile };
  };
}

function family(column, nodes) {
  if (column.categories) return coded(column);
  return { of: spiked(column, column.level === undefined ? measured(column, nodes) : counted(column)) };
}

const likeliest = (shares) => shares.reduce((best, share, k) => (share > shares[best] ? k : best), 0);

// Where a running sum of shares passes one of 0 to 1.
function chosen(shares, share) {
  let k = 0;
  for (let sum = shares[0]; sum < share && k < shares.length - 1; sum += shares[++k]);
  return k;
}

export function columns({ columns: list, nodes }) {
  const each = list.map((column) => family(column, nodes));
  const value = (numbers, i, share) =>
    each[i].of ? each[i].of(numbers).quantile(share) : chosen(each[i].shares(numbers), share);
  return {
    mean: (numbers, i) => (each[i].of ? each[i].of(numbers).mean : likeliest(each[i].shares(numbers))),
    interval: (numbers, i) => (each[i].of ? [0.05, 0.95].map((share) => value(numbers, i, share)) : undefined),
    shares: (numbers, i) => each[i].shares?.(numbers),
    value,
  };
}
