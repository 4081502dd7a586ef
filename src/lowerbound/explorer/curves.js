// Numbers that change with the epochs, as lines.

import { figures, fit } from "./dom.js";
import { ink, shade } from "./palette.js";

const ROOM = { left: 56, right: 10, top: 8, bottom: 24 };
const EARLY = 0.1; // share of the epochs that may lie beyond the frame, where the rest would be flat
const DASHES = [[], [6, 4]]; // so that lines are told apart without their colour

function limits(lines) {
  const counted = lines.flatMap((values) => {
    const from = values.length > 20 ? Math.floor(EARLY * values.length) : 0;
    return values.slice(from).filter(Number.isFinite);
  });
  const [low, high] = [Math.min(...counted), Math.max(...counted)];
  const room = 0.06 * (high - low || Math.abs(high) || 1);
  return { low: low - room, high: high + room };
}

// epochs: their numbers; lines: of each a name and values.
export function curves(canvas, epochs, lines) {
  const { context, width, height } = fit(canvas);
  if (!width || !epochs.length) return;
  const { low, high } = limits(lines.map(({ values }) => values)),
    [first, last] = [epochs[0], Math.max(epochs[epochs.length - 1], epochs[0] + 1)];
  const x = (epoch) => ROOM.left + ((epoch - first) / (last - first)) * (width - ROOM.left - ROOM.right),
    y = (value) => ROOM.top + ((high - value) / (high - low)) * (height - ROOM.top - ROOM.bottom);
  context.clearRect(0, 0, width, height);
  Object.assign(context, {
    font: "12px system-ui, sans-serif",
    fillStyle: ink("quiet"),
    strokeStyle: ink("line"),
    lineWidth: 1,
  });
  frame(context, width, height, { low, high, first, last: epochs[epochs.length - 1] }, y);
  context.save();
  context.beginPath();
  context.rect(ROOM.left, ROOM.top, width - ROOM.left - ROOM.right, height - ROOM.top - ROOM.bottom);
  context.clip();
  lines.forEach(({ values }, k) =>
    stroke(
      context,
      values.map((value, i) => [x(epochs[i]), y(value)]),
      k,
    ),
  );
  context.restore();
}

function frame(context, width, height, { low, high, first, last }, y) {
  Object.assign(context, { textAlign: "right", textBaseline: "middle" });
  for (const share of [0.05, 0.5, 0.95]) {
    const value = low + share * (high - low);
    context.fillText(figures(value), ROOM.left - 6, y(value));
    context.beginPath();
    context.moveTo(ROOM.left, y(value));
    context.lineTo(width - ROOM.right, y(value));
    context.stroke();
  }
  Object.assign(context, { textBaseline: "bottom", textAlign: "left" });
  context.fillText(`epoch ${first}`, ROOM.left, height - 2);
  context.textAlign = "right";
  if (last > first) context.fillText(String(last), width - ROOM.right, height - 2);
}

function stroke(context, places, k) {
  Object.assign(context, { strokeStyle: shade(k), fillStyle: shade(k), lineWidth: 2, lineJoin: "round" });
  context.setLineDash(DASHES[k % 2]);
  context.beginPath();
  const known = places.filter(([, y]) => Number.isFinite(y));
  for (const [px, py] of known) context.lineTo(px, py);
  context.stroke();
  context.setLineDash([]);
  if (known.length) context.fillRect(known[known.length - 1][0] - 3, known[known.length - 1][1] - 3, 6, 6);
}
