// Layers as functions of a flat array; each keeps the array that it writes to.

import { stretched } from "./weights.js";

function linear({ weight, bias, inputs, outputs }) {
  const y = new Float32Array(outputs);
  return (x) => {
    for (let i = 0, at = 0; i < outputs; i++) {
      let a = bias[i],
        b = 0,
        c = 0,
        d = 0,
        j = 0;
      for (; j + 3 < inputs; j += 4, at += 4) {
        a += weight[at] * x[j];
        b += weight[at + 1] * x[j + 1];
        c += weight[at + 2] * x[j + 2];
        d += weight[at + 3] * x[j + 3];
      }
      for (; j < inputs; j++, at++) a += weight[at] * x[j];
      y[i] = a + b + c + d;
    }
    return y;
  };
}

// A 4x4 transposed convolution of stride 2. Outputs of one parity take the same 4 of the 16 taps, so each of the four
// parities is a sum of shifted copies of the input, which has a frame of zeros so that a shift is an offset.
function transposed({ weight, bias, inputs, outputs, padding }) {
  const [deep, high, wide] = inputs,
    [many, tall, broad] = outputs;
  const row = wide + 2,
    plane = (high + 2) * row,
    span = high * row;
  const framed = new Float32Array(deep * plane + 2 * row),
    sum = new Float32Array(span),
    y = new Float32Array(many * tall * broad);
  const parities = [0, 1].flatMap((down) =>
    [0, 1].map((right) => ({ down, right, taps: taps(down, right, padding, row) })),
  );
  return (x) => {
    for (let c = 0; c < deep; c++)
      for (let i = 0; i < high; i++)
        framed.set(x.subarray((c * high + i) * wide, (c * high + i + 1) * wide), c * plane + (i + 1) * row + 1);
    for (let k = 0; k < many; k++)
      for (const { down, right, taps } of parities) {
        sum.fill(bias[k]);
        for (let c = 0; c < deep; c++) gather(sum, framed, weight, (c * many + k) * 16, c * plane, taps);
        for (let i = 0, out = down; out < tall; i++, out += 2)
          for (let j = 0, to = (k * tall + out) * broad, side = right; side < broad; j++, side += 2)
            y[to + side] = sum[i * row + j];
      }
    return y;
  };
}

// Which taps [of the kernel, offset into the framed input] the outputs of one parity take.
function taps(down, right, [top, left], row) {
  const along = (parity, pad) =>
    [0, 1, 2, 3].filter((k) => (parity + pad - k) % 2 === 0).map((k) => [k, (parity + pad - k) / 2 + 1]);
  return along(down, top).flatMap(([k, dy]) => along(right, left).map(([l, dx]) => [4 * k + l, dy * row + dx]));
}

function gather(sum, framed, weight, at, from, [[k0, o0], [k1, o1], [k2, o2], [k3, o3]]) {
  const w0 = weight[at + k0],
    w1 = weight[at + k1],
    w2 = weight[at + k2],
    w3 = weight[at + k3];
  let p0 = from + o0,
    p1 = from + o1,
    p2 = from + o2,
    p3 = from + o3;
  for (let i = 0; i < sum.length; i++)
    sum[i] += w0 * framed[p0++] + w1 * framed[p1++] + w2 * framed[p2++] + w3 * framed[p3++];
}

// Abramowitz & Stegun 1964, 7.1.26: to 1.5e-7.
export function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - sum * Math.exp(-x * x));
}

const curves = {
  relu: (x) => (x > 0 ? x : 0),
  tanh: Math.tanh,
  softplus: (x) => (x > 20 ? x : Math.log1p(Math.exp(x))),
  gelu: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  silu: (x) => x / (1 + Math.exp(-x)),
  leaky_relu: (x) => (x > 0 ? x : 0.01 * x),
  elu: (x) => (x > 0 ? x : Math.expm1(x)),
};

function activation(curve) {
  let y = new Float32Array(0);
  return (x) => {
    if (y.length !== x.length) y = new Float32Array(x.length);
    for (let i = 0; i < x.length; i++) y[i] = curve(x[i]);
    return y;
  };
}

function residual(inner) {
  let y = new Float32Array(0);
  return (x) => {
    const added = inner(x);
    if (y.length !== x.length) y = new Float32Array(x.length);
    for (let i = 0; i < x.length; i++) y[i] = x[i] + added[i];
    return y;
  };
}

function layer(table, arrays) {
  const weight = table.step === undefined ? arrays[table.weight] : stretched(arrays[table.weight], arrays[table.step]);
  const held = { ...table, weight, bias: arrays[table.bias] };
  if (table.op === "linear") return linear(held);
  if (table.op === "transposed") return transposed(held);
  if (table.op === "residual") return residual(net(table.layers, arrays));
  return table.op === "same" ? (x) => x : activation(curves[table.op]);
}

export function net(tables, arrays) {
  const layers = tables.map((table) => layer(table, arrays));
  return (x) => layers.reduce((y, next) => next(y), x);
}
