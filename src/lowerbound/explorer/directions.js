// Directions that an attribute gives: from all other rows to those of a class, or along which a number rises.

import { el, find, number } from "./dom.js";
import { blend, mean } from "./geometry.js";
import { panel } from "./sheet.js";

const STRENGTHS = [-2, -1, 0, 1, 2];
const ENOUGH = 3; // rows on either side

export class Directions {
  constructor(world, point) {
    Object.assign(this, { world, point, base: point.z });
    this.found = world.colours.filter(({ made }) => !made).flatMap((colour) => this.attributes(colour));
    find("attributes").hidden = !this.found.length;
    if (!this.found.length) return;
    this.slider = find("strength");
    this.strip = panel(find("directed"), world, point);
    const choice = find("attribute");
    choice.append(...this.found.map(({ name }, k) => el("option", { value: String(k) }, name)));
    choice.addEventListener("change", () => {
      this.chosen = this.found[choice.value];
      this.rest();
    });
    this.chosen = this.found[0];
    this.slider.addEventListener("input", () => point.go(this.at(Number(this.slider.value)), null, "direction"));
    point.watch((_, from) => {
      find("strength-value").textContent = from === "direction" ? number(Number(this.slider.value)) : "";
    });
    point.wait((_, from) => {
      if (from !== "direction") this.rest();
    });
  }

  attributes(colour) {
    const values = Array.from(colour.values),
      all = values.map((_, i) => i).filter((i) => Number.isFinite(values[i]));
    if (colour.kind === "number") return this.slope(colour, all);
    const known = all.filter((i) => values[i] >= 0),
      of = (k) => known.filter((i) => values[i] === k);
    const kinds = colour.names
      .map((name, k) => ({ name, k, own: of(k) }))
      .filter(({ own }) => own.length >= ENOUGH && known.length - own.length >= ENOUGH);
    return (kinds.length === 2 ? kinds.slice(1) : kinds).map(({ name, k, own }) => {
      const others = known.filter((i) => values[i] !== k);
      return { name: `${colour.name}: ${name}`, v: () => this.difference(own, others) };
    });
  }

  difference(own, others) {
    const { codes, latent } = this.world;
    return blend([1, mean(codes, latent, own)], [-1, mean(codes, latent, others)]);
  }

  // How codes change with a number, by one standard deviation of it (least squares).
  slope(colour, rows) {
    const middle = rows.reduce((sum, i) => sum + colour.values[i], 0) / Math.max(1, rows.length);
    const spread = Math.sqrt(
      rows.reduce((sum, i) => sum + (colour.values[i] - middle) ** 2, 0) / Math.max(1, rows.length),
    );
    if (rows.length < 2 * ENOUGH || !(spread > 0)) return [];
    const v = () => {
      const { codes, latent } = this.world,
        sum = new Array(latent).fill(0);
      for (const i of rows)
        for (let j = 0; j < latent; j++) sum[j] += (codes[i * latent + j] * (colour.values[i] - middle)) / spread;
      return sum.map((value) => value / rows.length);
    };
    return [{ name: `${colour.name}, rising`, v }];
  }

  at(strength) {
    return blend([1, this.base], [strength, this.chosen.v()]);
  }

  rest() {
    this.base = this.point.z;
    this.slider.value = 0;
    find("strength-value").textContent = "";
    this.strip.show(
      STRENGTHS.map((s) => ({
        z: this.at(s),
        caption: s ? `${s > 0 ? "+" : "−"}${Math.abs(s)}` : "here",
        about: `${this.chosen.name}, ${s} times`,
      })),
    );
  }
}
