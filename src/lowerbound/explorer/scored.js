// How likely a row is, with its error, and what each cell adds to that.

import { el, number } from "./dom.js";
import { graded } from "./palette.js";

const LISTED = 14; // columns
const SHARE = 0.99; // of cells within the scale of colours

// log p(x) with two standard errors in front of what it is worth.
export function told({ log_likelihood: [value], se: [error], ess: [ess], reliable: [reliable] }) {
  const trust = reliable ? "" : " The error is larger than it says: too few of the draws matter.";
  const sure = `(standard error; effective draws ${number(ess, 0)})`;
  return `log p(x) = ${number(value)} ± ${number(error)} nats ${sure}.${trust}`;
}

const beside = (usual) => (usual === null ? "" : `, usually ${number(usual, 1)}`);

// What it is worth as a picture of the nats that each pixel adds, or a list of the columns that add more than usual.
export function explained(world, values, { nats: [nats], usual: [usual], code: [code], usual_code: [rest] }) {
  const flat = nats.flat(Infinity),
    known = usual.flat(Infinity);
  const line = el("p", { className: "note" }, `The code adds ${number(code, 1)} nats to −log p(x)${beside(rest)}.`);
  return world.image ? [heat(world, flat), line] : [list(world, values, flat, known), line];
}

function heat({ shape: [deep, high, wide] }, nats) {
  const canvas = el("canvas", { width: wide, height: high, role: "img", "aria-label": "what each pixel adds" }),
    context = canvas.getContext("2d"),
    plane = high * wide;
  const sums = Array.from({ length: plane }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < deep; k++) sum += nats[k * plane + i];
    return sum;
  });
  const sorted = sums.slice().sort((a, b) => a - b),
    [low, top] = [sorted[0], sorted[Math.floor(SHARE * (plane - 1))]];
  sums.forEach((sum, i) => {
    context.fillStyle = graded((sum - low) / (top - low || 1));
    context.fillRect(i % wide, Math.floor(i / wide), 1, 1);
  });
  const words = `What each pixel adds to −log p(x): dark ${number(low)}, bright ${number(top)} nats and more.`;
  return el("figure", {}, canvas, el("figcaption", {}, words));
}

function list(world, values, nats, usual) {
  const beyond = (j) => nats[j] - (usual[j] ?? 0),
    known = nats.map((_, j) => j).filter((j) => Number.isFinite(values[j])),
    order = known.sort((j, k) => beyond(k) - beyond(j));
  const shown = order.slice(0, LISTED),
    most = Math.max(...shown.map((j) => Math.max(Math.abs(nats[j]), Math.abs(usual[j] ?? 0))), 1e-9);
  const rows = shown.map((j) => {
    const bar = el("i"),
      name = el("th", { scope: "row" }, world.column(j));
    bar.style.width = `${(100 * Math.max(0, nats[j])) / most}%`;
    const track = el("td", {}, el("b", { className: "bar" }, bar));
    return el("tr", {}, name, el("td", {}, number(nats[j])), el("td", {}, number(usual[j] ?? NaN)), track);
  });
  const head = ["column", "nats", "usually", ""].map((word) => el("th", { scope: "col" }, word));
  const some = known.length > LISTED ? ` (${LISTED} of ${known.length})` : "",
    words = `What columns add to −log p(x), those first that add most beyond what is usual${some}.`;
  return el(
    "div",
    { className: "wide" },
    el("p", { className: "note" }, words),
    el("table", { className: "nats" }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)),
  );
}
