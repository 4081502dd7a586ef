// A row as a small drawing: an image as it is, a table as one bar a column.

import { ink } from "./palette.js";

export function paint(canvas, world, values) {
  if (world.image) paintImage(canvas, world, values);
  else paintBars(canvas, world, values);
}

function paintImage(
  canvas,
  {
    shape: [deep, high, wide],
    rows: {
      range: [black, white],
    },
  },
  values,
) {
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const context = canvas.getContext("2d"),
    picture = context.createImageData(wide, high),
    plane = wide * high;
  const level = (i) => (255 * (values[i] - black)) / (white - black); // a clamped array rounds and clips
  for (let i = 0; i < plane; i++) {
    for (let k = 0; k < 3; k++) picture.data[4 * i + k] = level(deep === 3 ? k * plane + i : i);
    picture.data[4 * i + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

const [WIDE, HIGH] = [120, 80];

function paintBars(canvas, world, values) {
  Object.assign(canvas, { width: WIDE, height: HIGH });
  const context = canvas.getContext("2d"),
    step = WIDE / world.cells;
  context.fillStyle = ink("accent");
  for (let j = 0; j < world.cells; j++) {
    const { low, high } = bounds(world, j),
      share = Math.min(1, Math.max(0, (values[j] - low) / (high - low || 1)));
    if (share === share) context.fillRect(j * step, HIGH * (1 - share) - 1, Math.max(1, step * 0.8), HIGH * share + 1);
  }
}

// The least and the largest value of a column among the rows shown.
export function bounds(world, j) {
  world.bounds ??= [];
  world.bounds[j] ??= measure(world, j);
  return world.bounds[j];
}

function measure(world, j) {
  const table = world.arrays[world.rows.cells];
  let low = Infinity,
    high = -Infinity;
  for (let at = j; at < table.length; at += world.cells)
    if (table[at] === table[at]) [low, high] = [Math.min(low, table[at]), Math.max(high, table[at])];
  return low <= high ? { low, high } : { low: 0, high: 1 };
}

// The same picture in pixels large enough for a slide, for saving.
export function enlarged(canvas, least = 512) {
  const times = Math.max(1, Math.ceil(least / canvas.width)),
    made = document.createElement("canvas");
  Object.assign(made, { width: canvas.width * times, height: canvas.height * times });
  const context = made.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, 0, 0, made.width, made.height);
  return made;
}
