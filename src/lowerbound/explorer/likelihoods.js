// From the decoder's numbers to p(x|z), in the units of the data: of every cell the mean, and either the ends of the
// interval that holds 90 % or the probability of each category. Number k of cell i stands at k * cells + i.

import { columns } from "./columns.js";
import { counts, mixed } from "./quantiles.js";

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const TAILS = [0.05, 0.95];

function bernoulli() {
  const share = (numbers, i) => sigmoid(numbers[i]);
  return { mean: share, shares: (numbers, i) => [1 - share(numbers, i), share(numbers, i)] };
}

function categorical({ categories }, arrays, cells) {
  const shares = (numbers, i) => {
    const logits = Array.from({ length: categories }, (_, k) => numbers[k * cells + i]),
      top = Math.max(...logits);
    const sizes = logits.map((logit) => Math.exp(logit - top)),
      sum = sizes.reduce((a, b) => a + b);
    return sizes.map((size) => size / sum);
  };
  return { shares, mean: (numbers, i) => shares(numbers, i).reduce((sum, share, k) => sum + k * share, 0) };
}

function continuousMean(eta) {
  if (Math.abs(eta) < 0.05) return 0.5 + eta / 12 - eta ** 3 / 720;
  return -1 / Math.expm1(-eta) - 1 / eta;
}

function continuousQuantile(eta, share) {
  const size = Math.abs(eta),
    u = eta > 0 ? 1 - share : share; // mirrored, so that no exponential overflows
  if (size < 1e-4) return share;
  const x = -Math.log1p(u * Math.expm1(-size)) / size;
  return eta > 0 ? 1 - x : x;
}

function continuousBernoulli() {
  return {
    mean: (numbers, i) => continuousMean(numbers[i]),
    interval: (numbers, i) => TAILS.map((share) => continuousQuantile(numbers[i], share)),
  };
}

// Normal, Laplace and Student-t.
function located(facts, arrays, cells) {
  const fixed = arrays[facts.scale],
    mean = (numbers, i) => (facts.squash ? sigmoid(numbers[i]) : numbers[i]);
  const scale = (numbers, i) =>
    fixed
      ? fixed[fixed.length > 1 ? i : 0]
      : Math.sqrt(facts.floor ** 2 + Math.exp(facts.log_variance + numbers[cells + i]));
  const interval = (numbers, i) => [-1, 1].map((sign) => mean(numbers, i) + sign * facts.tail * scale(numbers, i));
  return { mean, interval };
}

// Poisson and negative binomial, with further zeros or without: mean m, variance m + m^2 / r.
function counted(facts, arrays, cells) {
  const level = arrays[facts.level],
    sizes = arrays[facts.log_size];
  const rate = (numbers, i) => Math.exp(numbers[i] + level[i]);
  const kept = (numbers, i) => (facts.zeros ? sigmoid(-numbers[cells + i]) : 1);
  const size = (numbers, i) => (sizes ? Math.exp(sizes[i]) : facts.says_size ? Math.exp(numbers[cells + i]) : Infinity);
  return {
    mean: (numbers, i) => kept(numbers, i) * rate(numbers, i),
    interval: (numbers, i) =>
      TAILS.map(mixed([[0, 1 - kept(numbers, i)]], counts(rate(numbers, i), size(numbers, i)))),
  };
}

// Grey levels k/255: a mixture of logistics, gathered to the nearest level.
function discretisedLogistic({ components, predicted, log_scale }, arrays, cells) {
  const fixed = arrays[log_scale],
    kinds = 1 + predicted + (components > 1);
  const at = (numbers, kind, n, i) => numbers[(kind * components + n) * cells + i];
  const mean = (numbers, i) => {
    let sum = 0,
      all = 0;
    for (let n = 0; n < components; n++) {
      const weight = components > 1 ? Math.exp(at(numbers, kinds - 1, n, i)) : 1;
      const place = 0.5 + at(numbers, 0, n, i) + (components > 1 ? -0.4 + (0.8 * n) / (components - 1) : 0);
      const log = fixed[fixed.length > 1 ? i : 0] + (predicted ? at(numbers, 1, n, i) : 0);
      sum += weight * levelMean(place, 1e-4 + Math.exp(log));
      all += weight;
    }
    return sum / all;
  };
  return { mean };
}

// The sum over levels of the share above each is an integral, unless the logistic is narrower than a level.
function levelMean(place, scale) {
  if (scale > 0.003) return scale * (softplus(place / scale) - softplus((place - 1) / scale));
  const first = Math.max(1, Math.ceil(255 * (place - 20 * scale))),
    last = Math.min(255, Math.ceil(255 * (place + 20 * scale)) + 1);
  let sum = Math.min(255, first - 1);
  for (let k = first; k <= last; k++) sum += sigmoid((place - (k - 0.5) / 255) / scale);
  return sum / 255;
}

const families = {
  bernoulli,
  categorical,
  columns,
  continuous_bernoulli: continuousBernoulli,
  discretised_logistic: discretisedLogistic,
  gaussian: located,
  laplace: located,
  student_t: located,
  negative_binomial: counted,
  poisson: counted,
  zero_inflated: counted,
};

export function likelihood({ likelihood: facts, shift, scale }, arrays, cells) {
  const family = families[facts.name](facts, arrays, cells),
    at = (values, i) => values[values.length > 1 ? i : 0];
  const back = (value, i) => at(arrays[shift], i) + at(arrays[scale], i) * value;
  return {
    mean: (numbers, out) => {
      for (let i = 0; i < cells; i++) out[i] = back(family.mean(numbers, i), i);
      return out;
    },
    interval: (numbers, i) => family.interval?.(numbers, i)?.map((end) => back(end, i)),
    shares: (numbers, i) => family.shares?.(numbers, i),
    value: family.value,
  };
}
