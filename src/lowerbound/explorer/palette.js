// Colours that colour-blind readers can tell apart, doubled by shapes where ten do not do; and the colours of the page.

const LIGHT = [
  "#332288",
  "#cc6677",
  "#44aa99",
  "#b89f2e",
  "#5fb0d8",
  "#117733",
  "#aa4499",
  "#7d7d22",
  "#882255",
  "#8a8f98",
];
const DARK = [
  "#9c90f2",
  "#e8899a",
  "#5cc7b5",
  "#e2d287",
  "#88ccee",
  "#4fae6f",
  "#d68acb",
  "#b9b94c",
  "#c9668f",
  "#a9aeb7",
];
// Viridis: van der Walt & Smith 2015.
const SCALE = [
  [68, 1, 84],
  [59, 82, 139],
  [33, 145, 140],
  [94, 201, 98],
  [253, 231, 37],
];

export const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;
export const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
export const shade = (i) => (dark() ? DARK : LIGHT)[i % LIGHT.length];

// The ends that would vanish on the ground of the page are left out.
export function graded(share) {
  const [first, last] = dark() ? [0.2, 1] : [0, 0.92];
  const at = (first + (last - first) * Math.min(1, Math.max(0, share))) * (SCALE.length - 1);
  const i = Math.min(SCALE.length - 2, Math.floor(at));
  return `rgb(${SCALE[i].map((from, k) => Math.round(from + (at - i) * (SCALE[i + 1][k] - from))).join(" ")})`;
}

// A filled dot, triangle, square or diamond, by how often the colours have been used up.
export function mark(context, x, y, size, i) {
  const kind = Math.floor(i / LIGHT.length);
  context.beginPath();
  if (kind === 0) context.arc(x, y, size, 0, 2 * Math.PI);
  else if (kind === 2) context.rect(x - size, y - size, 2 * size, 2 * size);
  else {
    const corners =
      kind === 1
        ? [
            [0, -1.3],
            [1.2, 0.9],
            [-1.2, 0.9],
          ]
        : [
            [0, -1.4],
            [1.4, 0],
            [0, 1.4],
            [-1.4, 0],
          ];
    for (const [dx, dy] of corners) context.lineTo(x + dx * size, y + dy * size);
  }
  context.fill();
}
