// The arrays of the page: base64, gzip, little-endian numbers of 8, 16 and 32 bits.

async function inflate(text) {
  const letters = atob(text),
    packed = new Uint8Array(letters.length);
  for (let i = 0; i < packed.length; i++) packed[i] = letters.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

// Whole numbers whose low bytes all come before the high ones.
function shorts(bytes) {
  const values = new Int16Array(bytes.length / 2);
  for (let i = 0; i < values.length; i++) values[i] = bytes[i] | (bytes[values.length + i] << 8);
  return values;
}

// Whole numbers times the step of their row.
export function stretched(values, steps) {
  const wide = new Float32Array(values.length),
    row = values.length / steps.length;
  for (let i = 0; i < steps.length; i++) for (let j = i * row; j < (i + 1) * row; j++) wide[j] = values[j] * steps[i];
  return wide;
}

export async function arrays(text, index) {
  const buffer = await inflate(text);
  let at = 0;
  return index.map(([kind, count]) => {
    const start = at;
    at += Math.ceil((count * Number(kind[1])) / 4) * 4;
    if (kind === "i2") return shorts(new Uint8Array(buffer, start, 2 * count));
    return new { f4: Float32Array, u1: Uint8Array, i4: Int32Array }[kind](buffer, start, count);
  });
}
