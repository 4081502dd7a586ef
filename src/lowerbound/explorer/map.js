// The map: rows on a plane through the latent space, and the point that one drags over it.

import { el, figures, find, fit, select } from "./dom.js";
import { blend, dot, mean, moved, nearest, principal } from "./geometry.js";
import { graded, ink, mark, shade } from "./palette.js";
import { ground } from "./ground.js";

const MARGIN = 1.12; // of the view beyond the rows
const STEP = 0.02; // of the view, by an arrow key
const NEAR = { mouse: 7, pen: 12, touch: 16 }; // pixels to a row that is picked
const RING = 8; // pixels around the point
const NAMED = 10; // classes whose names stand on the map

export class Chart {
  // after: what the names of its canvas and of what is around it end with.
  constructor(world, point, pins, after = "") {
    Object.assign(this, { world, point, pins, after, canvas: find(`map${after}`), bold: null });
    this.axes = this.choices();
    const [across, up] = world.latent > 2 ? ["p1", "p2"] : [world.latents[0].name, world.latents[1]?.name];
    this.chosen = { across, up };
    this.colour = world.colours.find(({ made }) => !made) ?? world.colours.find(({ kind }) => kind === "number");
    this.listen();
    this.pick();
    point.watch(() => this.draw());
  }

  // Directions to look along: the principal ones of the codes, then the dimensions, most used first.
  choices() {
    const { world } = this,
      unit = (i) => world.latents.map((_, j) => Number(i === j)),
      centre = this.centre();
    const main = world.latent > 2 ? principal(world.codes, world.latent, 4) : [];
    const found = main.map((v, i) => [`p${i + 1}`, { name: `principal ${i + 1}`, v, start: dot(v, centre) }]);
    for (const i of world.order)
      found.push([world.latents[i].name, { name: world.latents[i].name, v: unit(i), start: 0 }]);
    return Object.fromEntries(found);
  }

  centre() {
    const { codes, latent, count } = this.world;
    return mean(
      codes,
      latent,
      Array.from({ length: count }, (_, i) => i),
    );
  }

  // The controls above the map; the same direction cannot be taken twice, and of two they change places.
  pick() {
    const { world, axes, chosen } = this,
      colours = world.colours.map(({ name }, i) => [String(i), name]);
    const picker = (which, other) => {
      const options = Object.entries(axes)
        .filter(([key]) => key !== chosen[other] || world.latent === 2)
        .map(([key, { name }]) => [key, name]);
      return el(
        "label",
        {},
        which,
        select(options, chosen[which], (key) => {
          if (key === chosen[other]) chosen[other] = chosen[which];
          chosen[which] = key;
          this.pick();
        }),
      );
    };
    const pickers = world.latent > 1 ? [picker("across", "up"), picker("up", "across")] : [];
    const now = String(world.colours.indexOf(this.colour));
    pickers.push(
      el(
        "label",
        {},
        "colour",
        select(colours, now, (i) => {
          this.colour = world.colours[i];
          this.bold = null;
          this.restyle();
        }),
      ),
    );
    find(`pickers${this.after}`).replaceChildren(...pickers);
    this.place();
    this.restyle();
  }

  // Where every row lies, and how much of the plane is shown.
  place() {
    const { world, axes, chosen } = this,
      flat = { v: world.latents.map(() => 0), start: 0 };
    this.plane = [axes[chosen.across], axes[chosen.up] ?? flat];
    this.spots = Array.from({ length: world.count }, (_, i) => this.spot(world.code(i), i));
    const range = (k) => {
      const values = this.spots.map((spot) => spot[k]),
        low = Math.min(...values),
        high = Math.max(...values);
      return { middle: (low + high) / 2, half: Math.max(1e-6, (MARGIN * (high - low)) / 2) };
    };
    this.view = [range(0), range(1)];
  }

  // With one dimension there is no other to show: rows lie at heights by chance.
  spot(z, i = null) {
    const [across, up] = this.plane;
    const height = this.world.latent > 1 ? dot(up.v, z) - up.start : i === null ? 0 : ((i * 0.618) % 1) - 0.5;
    return [dot(across.v, z) - across.start, height];
  }

  scale() {
    const { width, height } = this.size,
      [x, y] = this.view;
    return Math.min(width / (2 * x.half), this.world.latent > 1 ? height / (2 * y.half) : Infinity);
  }

  toPixel([x, y]) {
    const { width, height } = this.size,
      one = this.scale(),
      tall = this.world.latent > 1 ? one : height / (2 * this.view[1].half);
    return [width / 2 + (x - this.view[0].middle) * one, height / 2 - (y - this.view[1].middle) * tall];
  }

  // The code under a pixel; what the plane does not show stays as it is.
  under(px, py) {
    const { width, height } = this.size,
      one = this.scale(),
      [across, up] = this.plane;
    const x = this.view[0].middle + (px - width / 2) / one + across.start,
      y = this.view[1].middle - (py - height / 2) / one + up.start;
    return moved(this.point.z, across.v, up.v, x, this.world.latent > 1 ? y : 0);
  }

  restyle() {
    this.base = null;
    this.legend();
    this.draw();
  }

  legend() {
    const { colour } = this,
      home = find(`legend${this.after}`);
    home.replaceChildren();
    if (colour?.kind === "classes") home.append(...colour.names.map((name, k) => this.entry(name, k)));
    else if (colour) {
      const [low, high] = this.limits(),
        bar = el("canvas", { width: 120, height: 10, className: "ramp", "aria-hidden": "true" });
      const context = bar.getContext("2d");
      for (let x = 0; x < 120; x++) {
        context.fillStyle = graded(x / 119);
        context.fillRect(x, 0, 1, 10);
      }
      const words = [low, high].map(colour.text ?? figures);
      home.append(el("span", {}, words[0]), bar, el("span", {}, words[1]));
    }
  }

  entry(name, k) {
    const sign = el("canvas", { width: 24, height: 24, "aria-hidden": "true" }),
      context = sign.getContext("2d");
    context.fillStyle = shade(k);
    mark(context, 12, 12, 7, k);
    const pressed = () => {
      this.bold = this.bold === k ? null : k;
      this.restyle();
    };
    return el(
      "button",
      { type: "button", className: "entry", "aria-pressed": String(this.bold === k), onclick: pressed },
      sign,
      name,
    );
  }

  limits() {
    const values = Array.from(this.colour.values)
      .filter(Number.isFinite)
      .sort((a, b) => a - b);
    const at = (share) => values[Math.round(share * (values.length - 1))] ?? 0;
    return [at(0.01), at(0.99)];
  }

  // The rows, drawn once and kept until the view or the colours change.
  rows() {
    const { width, height } = this.size,
      canvas = new OffscreenCanvas(this.canvas.width, this.canvas.height);
    const context = canvas.getContext("2d"),
      ratio = this.canvas.width / width,
      places = this.spots.map((spot) => this.toPixel(spot));
    context.scale(ratio, ratio);
    ground(context, width, height, places);
    const size = Math.min(4.5, Math.max(2.4, 70 / Math.sqrt(places.length))) * Math.min(1, width / 600 + 0.3);
    const paint = this.painter();
    places.forEach(([x, y], i) => {
      const [fill, kind, opacity] = paint(i);
      context.globalAlpha = opacity;
      context.fillStyle = fill;
      mark(context, x, y, size, kind);
    });
    context.globalAlpha = 1;
    this.names(context, places);
    return canvas;
  }

  painter() {
    const { colour, bold } = this,
      quiet = ink("quiet");
    if (!colour) return () => [quiet, 0, 0.8];
    if (colour.kind === "classes")
      return (i) => {
        const k = colour.values[i];
        return k < 0 ? [quiet, 0, 0.5] : [shade(k), k, bold === null ? 0.8 : bold === k ? 1 : 0.08];
      };
    const [low, high] = this.limits();
    return (i) => {
      const value = colour.values[i];
      return Number.isFinite(value) ? [graded((value - low) / (high - low || 1)), 0, 0.85] : [quiet, 0, 0.4];
    };
  }

  // Each class by name at its middle, so that the map can be read without matching colours.
  names(context, places) {
    const { colour } = this;
    if (colour?.kind !== "classes" || colour.names.length > NAMED || colour.made) return;
    Object.assign(context, {
      font: "600 14px system-ui, sans-serif",
      textAlign: "center",
      textBaseline: "middle",
      lineWidth: 4,
      lineJoin: "round",
    });
    const taken = [];
    colour.names.forEach((name, k) => {
      const own = places.filter((_, i) => colour.values[i] === k);
      if (!own.length) return;
      const [x, y] = [0, 1].map((axis) => own.map((spot) => spot[axis]).sort((a, b) => a - b)[own.length >> 1]);
      const half = context.measureText(name).width / 2;
      if (half > 60 || taken.some((at) => Math.abs(at.x - x) < at.half + half + 4 && Math.abs(at.y - y) < 16)) return;
      taken.push({ x, y, half });
      this.write(context, name, x, y);
    });
  }

  write(context, text, x, y) {
    context.strokeStyle = ink("card");
    context.fillStyle = ink("ink");
    context.strokeText(text, x, y);
    context.fillText(text, x, y);
  }

  draw() {
    const { context, width, height } = fit(this.canvas);
    if (!width) return;
    if (this.size?.width !== width || this.size.height !== height) this.base = null;
    this.size = { width, height };
    this.base ??= this.rows();
    context.clearRect(0, 0, width, height);
    context.drawImage(this.base, 0, 0, width, height);
    Object.assign(context, {
      font: "700 15px system-ui, sans-serif",
      textAlign: "center",
      textBaseline: "middle",
      lineWidth: 4,
      lineJoin: "round",
    });
    for (const [letter, { z, row }] of Object.entries(this.pins.held)) {
      const [x, y] = this.toPixel(this.spot(z, row));
      this.write(context, letter, x, letter.length > 1 ? y - 2 * RING : y); // a word stands above its place
    }
    this.cross(context, ...this.inside(this.toPixel(this.spot(this.point.z, this.point.row))));
  }

  inside([x, y]) {
    const { width, height } = this.size;
    return [Math.min(width - 2, Math.max(2, x)), Math.min(height - 2, Math.max(2, y))];
  }

  cross(context, x, y) {
    for (const [colour, wide] of [
      [ink("card"), 5],
      [ink("ink"), 2],
    ]) {
      Object.assign(context, { strokeStyle: colour, lineWidth: wide });
      context.beginPath();
      context.arc(x, y, RING, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  listen() {
    const { canvas } = this,
      at = (event) => [event.offsetX, event.offsetY];
    let start = null;
    canvas.addEventListener("pointerdown", (event) => {
      start = at(event);
      canvas.setPointerCapture(event.pointerId);
      const row = this.rowNear(...start, NEAR[event.pointerType] ?? NEAR.mouse);
      if (row === null) this.point.go(this.under(...start), null, "map");
      else this.point.go(this.world.code(row), row, "map");
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!start) return;
      const [x, y] = at(event);
      if (Math.hypot(x - start[0], y - start[1]) < 3) return;
      start = [-99, -99]; // it is a drag from now on
      this.point.go(this.under(x, y), null, "map");
    });
    for (const end of ["pointerup", "pointercancel"])
      canvas.addEventListener(end, () => {
        start = null;
      });
    canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.restyle());
  }

  toRow() {
    const { world, point } = this,
      { row } = nearest(point.z, world.codes, world.spread);
    point.go(world.code(row), row, "map");
  }

  rowNear(x, y, most) {
    let found = null;
    this.spots.forEach((spot, i) => {
      const [px, py] = this.toPixel(spot),
        distance = Math.hypot(px - x, py - y);
      if (distance < most) [found, most] = [i, distance];
    });
    return found;
  }

  key(event) {
    const turns = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] },
      turn = turns[event.key];
    if (!turn && !["Enter", "Home"].includes(event.key)) return;
    event.preventDefault();
    if (event.key === "Home") return this.point.go(this.centre(), null, "map");
    if (event.key === "Enter") return this.toRow();
    const step = (event.shiftKey ? 5 : 1) * STEP * 2 * this.view[0].half,
      [across, up] = this.plane;
    const long = (v) => dot(v, v) || 1;
    this.point.go(
      blend([1, this.point.z], [(turn[0] * step) / long(across.v), across.v], [(turn[1] * step) / long(up.v), up.v]),
      null,
      "map",
    );
  }
}
