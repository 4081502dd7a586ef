// Codes as vectors: principal directions, planes, neighbours.

export const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
export const blend = (...terms) =>
  terms[0][1].map((_, i) => terms.reduce((sum, [weight, z]) => sum + weight * z[i], 0));

export const row = (codes, i, latent) => Array.from(codes.subarray(i * latent, (i + 1) * latent));

export function mean(codes, latent, rows) {
  const sum = new Array(latent).fill(0);
  for (const i of rows) for (let j = 0; j < latent; j++) sum[j] += codes[i * latent + j];
  return sum.map((value) => value / Math.max(1, rows.length));
}

// The directions in which codes vary most, by turning a vector towards the largest one left (power iteration).
export function principal(codes, latent, count) {
  const rows = Array.from({ length: codes.length / latent }, (_, i) => i),
    centre = mean(codes, latent, rows),
    found = [];
  const covariance = Array.from({ length: latent }, () => new Array(latent).fill(0));
  for (const i of rows)
    for (let j = 0; j < latent; j++)
      for (let k = 0; k < latent; k++)
        covariance[j][k] += (codes[i * latent + j] - centre[j]) * (codes[i * latent + k] - centre[k]);
  for (let n = 0; n < Math.min(count, latent); n++) {
    let v = covariance[0].map((_, j) => 1 + (j === n ? 1 : 0) / (j + 1));
    for (let turn = 0; turn < 300; turn++) {
      for (const u of found) v = blend([1, v], [-dot(u, v), u]);
      v = unit(
        covariance.map((line) => dot(line, v)),
        v,
      );
    }
    found.push(v[largest(v)] < 0 ? v.map((x) => -x) : v);
  }
  return found;
}

function unit(v, otherwise) {
  const length = Math.sqrt(dot(v, v)),
    kept = length > 1e-12 ? v : otherwise;
  const size = Math.sqrt(dot(kept, kept)) || 1;
  return kept.map((x) => x / size);
}

const largest = (v) => v.reduce((best, x, i) => (Math.abs(x) > Math.abs(v[best]) ? i : best), 0);

// z moved so that it lies at (x, y) on the plane of two directions, by the shortest way: all else about it stays.
export function moved(z, across, up, x, y) {
  const a = dot(across, across),
    b = dot(across, up),
    d = dot(up, up),
    p = x - dot(across, z),
    q = y - dot(up, z);
  const determinant = a * d - b * b;
  if (determinant < 1e-9 * (a * d || 1)) return blend([1, z], [p / a, across]);
  return blend([1, z], [(p * d - q * b) / determinant, across], [(q * a - p * b) / determinant, up]);
}

// The row whose code is nearest, in units of the spread of every dimension, and how far it is.
export function nearest(z, codes, spread) {
  let row = -1,
    least = Infinity;
  for (let i = 0, at = 0; at < codes.length; i++) {
    let sum = 0;
    for (let j = 0; j < z.length; j++, at++) sum += ((z[j] - codes[at]) / spread[j]) ** 2;
    if (sum < least) [row, least] = [i, sum];
  }
  return { row, distance: Math.sqrt(least) };
}
