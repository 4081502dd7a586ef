// A picture to draw holes on, by mouse, pen, finger or keys.

import { el, find } from "./dom.js";
import { ink } from "./palette.js";
import { paint } from "./picture.js";

const LARGE = 480; // pixels across
const STRIPE = 10;
const TURNS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Holes {
  // changed: called when there are more or fewer of them.
  constructor(home, world, changed) {
    const [, high, wide] = world.shape;
    Object.assign(this, {
      world,
      changed,
      high,
      wide,
      values: new Float32Array(world.cells).fill(NaN),
      at: [wide >> 1, high >> 1],
    });
    this.open = new Array(high * wide).fill(false);
    this.small = el("canvas");
    this.canvas = el("canvas", {
      id: "own-canvas",
      tabIndex: 0,
      role: "application",
      "aria-label": "Your picture. Draw on it to make holes; arrow keys move the brush, Space draws or closes.",
    });
    home.append(this.canvas);
    this.listen();
  }

  get holes() {
    return Array.from(this.values, (_, i) => this.open[i % (this.high * this.wide)]);
  }

  put(values) {
    this.values = Float32Array.from(values);
    this.close();
  }

  close() {
    this.open.fill(false);
    this.draw();
  }

  radius() {
    return (Number(find("own-brush").value) * Math.min(this.high, this.wide)) / 2;
  }

  cell({ offsetX, offsetY }) {
    return [(offsetX / this.canvas.clientWidth) * this.wide, (offsetY / this.canvas.clientHeight) * this.high];
  }

  // Everything under the brush; at least the cell in its middle.
  brush([x, y], value) {
    const reach = this.radius();
    for (let i = 0; i < this.high; i++)
      for (let j = 0; j < this.wide; j++)
        if (Math.hypot(j + 0.5 - x, i + 0.5 - y) <= reach || (j === Math.floor(x) && i === Math.floor(y)))
          this.open[i * this.wide + j] = value;
    this.draw();
  }

  is([x, y]) {
    return this.open[Math.floor(Math.min(y, this.high - 0.5)) * this.wide + Math.floor(Math.min(x, this.wide - 0.5))];
  }

  listen() {
    const { canvas } = this;
    let value = null; // what the brush leaves: a hole, or none where it began on one
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      value = !this.is(this.cell(event));
      this.brush(this.cell(event), value);
    });
    canvas.addEventListener("pointermove", (event) => value !== null && this.brush(this.cell(event), value));
    for (const end of ["pointerup", "pointercancel"])
      canvas.addEventListener(end, () => {
        if (value !== null) this.changed();
        value = null;
      });
    canvas.addEventListener("keydown", (event) => this.key(event));
    for (const kind of ["focus", "blur"]) canvas.addEventListener(kind, () => this.draw());
  }

  key(event) {
    const turn = TURNS[event.key];
    if (!turn && event.key !== " ") return;
    event.preventDefault();
    const middle = this.at.map((k) => k + 0.5);
    if (turn) {
      this.at = [
        Math.min(this.wide - 1, Math.max(0, this.at[0] + turn[0])),
        Math.min(this.high - 1, Math.max(0, this.at[1] + turn[1])),
      ];
      this.draw();
      return;
    }
    this.brush(middle, !this.is(middle));
    this.changed();
  }

  // Holes are striped, so that they are no colour of the picture.
  draw() {
    paint(this.small, this.world, this.values);
    const { canvas, small } = this,
      one = Math.max(2, Math.ceil(LARGE / this.wide)),
      context = canvas.getContext("2d");
    if (canvas.width !== one * this.wide) Object.assign(canvas, { width: one * this.wide, height: one * this.high });
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, canvas.width, canvas.height);
    context.fillStyle = this.stripes(context);
    this.open.forEach((hole, k) => {
      if (hole) context.fillRect((k % this.wide) * one, Math.floor(k / this.wide) * one, one, one);
    });
    if (document.activeElement !== canvas) return;
    Object.assign(context, { strokeStyle: ink("bad"), lineWidth: 2 });
    context.strokeRect(this.at[0] * one, this.at[1] * one, one, one);
  }

  stripes(context) {
    const tile = new OffscreenCanvas(STRIPE, STRIPE),
      on = tile.getContext("2d");
    on.fillStyle = ink("card");
    on.fillRect(0, 0, STRIPE, STRIPE);
    on.fillStyle = ink("accent");
    for (let i = 0; i < STRIPE; i++) for (let k = 0; k < 3; k++) on.fillRect((i + k) % STRIPE, i, 1, 1);
    return context.createPattern(tile, "repeat");
  }
}
