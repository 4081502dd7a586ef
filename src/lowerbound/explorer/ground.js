// Under the map: how dense the rows are, and hatching where there are none.

import { dark, ink } from "./palette.js";

const SIDE = 96; // cells of the density along each side
const BLUR = 2.2; // their standard deviation of a row, in cells
const EMPTY = 0.012; // of the largest density

export function ground(context, width, height, places) {
  const density = smooth(counts(places, width, height)),
    most = density.reduce((a, b) => Math.max(a, b), 0) || 1;
  context.drawImage(
    shadow(
      density.map((d) => Math.sqrt(d / most)),
      ink("accent"),
      dark() ? 130 : 90,
    ),
    0,
    0,
    width,
    height,
  );
  const stripes = hatched(width, height),
    pencil = stripes.getContext("2d");
  pencil.globalCompositeOperation = "destination-out";
  pencil.drawImage(
    shadow(
      density.map((d) => Number(d > EMPTY * most)),
      "#000",
      255,
    ),
    0,
    0,
    width,
    height,
  );
  context.drawImage(stripes, 0, 0, width, height);
}

function counts(places, width, height) {
  const grid = new Float32Array(SIDE * SIDE);
  for (const [x, y] of places) {
    const i = Math.floor((x / width) * SIDE),
      j = Math.floor((y / height) * SIDE);
    if (i >= 0 && j >= 0 && i < SIDE && j < SIDE) grid[j * SIDE + i]++;
  }
  return grid;
}

function smooth(grid) {
  const reach = Math.ceil(3 * BLUR),
    weights = Array.from({ length: 2 * reach + 1 }, (_, k) => Math.exp(-0.5 * ((k - reach) / BLUR) ** 2));
  const along = (from, step, at) => {
    const to = new Float32Array(from.length);
    for (let i = 0; i < from.length; i++)
      weights.forEach((weight, k) => {
        const place = at(i) + k - reach;
        if (place >= 0 && place < SIDE) to[i] += weight * from[i + (k - reach) * step];
      });
    return to;
  };
  return along(
    along(grid, 1, (i) => i % SIDE),
    SIDE,
    (i) => Math.floor(i / SIDE),
  );
}

// Shares of 0 to 1 as how strongly a colour covers.
function shadow(shares, colour, strength) {
  const canvas = new OffscreenCanvas(SIDE, SIDE),
    context = canvas.getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, SIDE, SIDE);
  const picture = context.getImageData(0, 0, SIDE, SIDE);
  shares.forEach((share, i) => {
    picture.data[4 * i + 3] = strength * share;
  });
  context.putImageData(picture, 0, 0);
  return canvas;
}

function hatched(width, height) {
  const canvas = new OffscreenCanvas(Math.ceil(width), Math.ceil(height)),
    context = canvas.getContext("2d");
  context.strokeStyle = ink("line");
  for (let x = -height; x < width; x += 9) {
    context.moveTo(x, height);
    context.lineTo(x + height, 0);
  }
  context.stroke();
  return canvas;
}
