// A slider for every latent dimension, the most used first, over the range in which the codes of rows lie.

import { button, el, find, number } from "./dom.js";
import { panel } from "./sheet.js";

const FIRST = 10; // shown before one asks for more
const WIDE = 3; // standard deviations to each side
const STEPS = 7; // of the strip of pictures

export class Sliders {
  constructor(world, point) {
    Object.assign(this, { world, point, current: world.order[0] });
    this.strip = panel(find("traverse"), world, point);
    this.lines = world.order.map((i) => this.line(i));
    const more = this.lines.slice(FIRST).map(({ root }) => root);
    find("sliders").append(...this.lines.map(({ root }) => root));
    for (const root of more) root.hidden = true;
    if (more.length) {
      const all = button(`All ${world.latent} dimensions`, () => {
        more.forEach((root) => {
          root.hidden = false;
        });
        all.remove();
      });
      all.id = "all-sliders";
      find("sliders").after(all);
    }
    point.watch(() => this.follow());
    point.wait(() => this.traverse());
  }

  line(i) {
    const { name, mean, spread, kl } = this.world.latents[i],
      [min, max] = [mean - WIDE * spread, mean + WIDE * spread];
    const range = el("input", { type: "range", id: name, min, max, step: (max - min) / 200 || 1 }),
      shown = el("output", { for: name });
    range.addEventListener("input", () => {
      const z = this.point.z.slice();
      z[i] = Number(range.value);
      this.point.go(z, null, "slider");
    });
    range.addEventListener("focus", () => {
      this.current = i;
      this.traverse();
    });
    const about = el("span", { className: "note" }, kl === null ? `spread ${number(spread)}` : `${number(kl)} nats`);
    return {
      i,
      range,
      shown,
      root: el("div", { className: "slider" }, el("label", { for: name }, name, " ", about), range, shown),
    };
  }

  follow() {
    for (const { i, range, shown } of this.lines) {
      range.value = this.point.z[i];
      shown.textContent = number(this.point.z[i]);
    }
  }

  // What the dimension that was touched last does to the point.
  traverse() {
    const { mean, spread, name } = this.world.latents[this.current];
    const bars = !find("traverse").classList.contains("strip") || this.world.image
      ? ""
      : " Each bar is a column, as high as its value lies between the least and the largest.";
    find("traversed").textContent = `${name} from low to high, the others as they are:${bars}`;
    this.strip.show(
      Array.from({ length: STEPS }, (_, k) => {
        const z = this.point.z.slice();
        z[this.current] = mean + spread * WIDE * ((2 * k) / (STEPS - 1) - 1);
        return { z, caption: number(z[this.current], 1), about: `${name} at ${number(z[this.current], 1)}` };
      }),
    );
  }
}
