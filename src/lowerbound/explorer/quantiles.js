// Shares below a value and values below which a share lies, of the distributions of cells.

import { erf } from "./nets.js";

const MANY = 5000; // a mean up to which counts are gone through one by one
const LEAST = 700; // the exponent of the least probability of none to start from
const FARTHEST = 40 * MANY;
const FREE = 200; // degrees of freedom that are as good as infinite
const EDGE = 1e-9; // shares nearer to 0 and 1 are not told apart
const HALVES = 60;
const STEPS = 256; // of an integral

// Where a rising function reaches a share.
function reached(share, f, low, high) {
  const wanted = Math.min(1 - EDGE, Math.max(EDGE, share));
  for (let turn = 0; turn < HALVES; turn++) {
    const middle = (low + high) / 2;
    if (f(middle) < wanted) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

const normalShare = (t) => 0.5 * (1 + erf(t * Math.SQRT1_2));
export const normal = { share: normalShare, quantile: (share) => reached(share, normalShare, -8, 8) };

// Student's t: with t = sqrt(f) tan(a) its density is that of cos(a) ** (f - 1), up to a factor (Simpson's rule).
export function student(freedom) {
  if (freedom > FREE) return normal;
  const height = (angle) => Math.cos(angle) ** (freedom - 1),
    area = (angle) => {
      let sum = height(0) + height(angle);
      for (let k = 1; k < STEPS; k++) sum += (k % 2 ? 4 : 2) * height((angle * k) / STEPS);
      return (sum * angle) / (3 * STEPS);
    };
  const half = 2 * area(Math.PI / 2),
    share = (angle) => 0.5 + area(angle) / half;
  return {
    share: (t) => share(Math.atan(t / Math.sqrt(freedom))),
    quantile: (wanted) => Math.sqrt(freedom) * Math.tan(reached(wanted, share, -Math.PI / 2, Math.PI / 2)),
  };
}

// Counts of a mean m and variance m + m^2 / size; Poisson where the size is infinite.
export function counts(rate, size) {
  const nothing = size === Infinity ? rate : size * Math.log1p(rate / size); // minus the logarithm of P(0)
  if (nothing > LEAST) return broad(rate, rate / (1 + rate / size));
  if (rate <= MANY) return walked(Math.exp(-nothing), rate, size);
  const inner = counts(MANY, size), // so many are as good as a gamma distribution, whatever its scale
    share = (value) => inner.share((value * MANY) / rate);
  return { share, below: share, quantile: (wanted) => (inner.quantile(wanted) * rate) / MANY };
}

// One count after the other, from the probability of none.
function walked(first, rate, size) {
  const walk = (done) => {
    let p = first,
      sum = p,
      k = 0;
    for (; !done(k, sum) && k < FARTHEST; sum += p) {
      p *= size === Infinity ? rate / (k + 1) : ((k + size) / (k + 1)) * (rate / (rate + size));
      k++;
    }
    return [k, sum];
  };
  const share = (value) => (value < 0 ? 0 : walk((k) => k + 1 > value)[1]);
  return { share, below: (value) => share(value - 1), quantile: (wanted) => walk((_, sum) => sum >= wanted)[0] };
}

// The third root of a gamma distribution of this mean and shape is nearly normal (Wilson & Hilferty 1931).
function broad(mean, shape) {
  const shift = 1 - 1 / (9 * shape),
    deviation = 1 / (3 * Math.sqrt(shape)),
    share = (value) => normal.share((Math.cbrt(value / mean) - shift) / deviation);
  return {
    share,
    below: share,
    quantile: (wanted) => mean * Math.max(0, shift + deviation * normal.quantile(wanted)) ** 3,
  };
}

// Of a mixture of points, each with its probability, in rising order, and of a distribution beside them.
export function mixed(points, rest) {
  const left = 1 - points.reduce((sum, [, p]) => sum + p, 0);
  return (share) => {
    let under = 0;
    for (const [value, p] of points) {
      if (share <= left * rest.below(value) + under) break;
      if (share <= left * rest.share(value) + under + p) return value;
      under += p;
    }
    return rest.quantile(left > 0 ? (share - under) / left : 0.5);
  };
}
