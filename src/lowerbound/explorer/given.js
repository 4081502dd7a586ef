// What a conditional model is told: a control for each condition, and the point at every value of it, its style kept.

import { el, figures, find, select } from "./dom.js";
import { panel } from "./sheet.js";

const FEW = 12; // classes that get a button each
const STEPS = 5; // of a number

export class Given {
  constructor(world, point) {
    Object.assign(this, { world, point });
    find("given").hidden = find("alike").hidden = !world.conditions.length;
    this.controls = world.conditions.map((one, k) => this.control(one, k));
    find("given").append(...this.controls.map(({ root }) => root));
    this.panels = world.conditions.map((one, k) => this.panel(one, k));
    point.watch(() => this.follow());
    point.wait(() => this.show());
    this.follow();
    this.show();
  }

  tell(k, value) {
    const { point } = this,
      given = point.given.slice();
    given[k] = value;
    point.go(point.z, point.row, "given", given);
  }

  control(one, k) {
    if (!one.values) return this.slider(one, k);
    if (one.values.length > FEW) {
      const box = select(one.values.map((name, i) => [String(i), name]), "0", (i) => this.tell(k, Number(i)));
      return { root: el("label", {}, `${one.name} `, box), follow: (value) => Object.assign(box, { value }) };
    }
    const buttons = one.values.map((name, i) =>
      el("button", { type: "button", className: "entry", onclick: () => this.tell(k, i) }, name),
    );
    const follow = (value) => buttons.forEach((each, i) => each.setAttribute("aria-pressed", String(i === value)));
    const root = el("div", { className: "buttons", role: "group", "aria-label": one.name }, `${one.name} `, ...buttons);
    return { root, follow };
  }

  slider(one, k) {
    const [min, max] = one.range,
      shown = el("output");
    const bar = el("input", {
      type: "range",
      min,
      max,
      step: (max - min) / 200 || 1,
      "aria-label": one.name,
      oninput: () => this.tell(k, Number(bar.value)),
    });
    const follow = (value) => {
      bar.value = value;
      shown.textContent = figures(value);
    };
    return { root: el("label", { className: "wide-slider" }, `${one.name} `, bar, shown), follow };
  }

  panel(one, k) {
    const home = el("div");
    find("everywhere").append(el("h3", {}, one.name), home);
    return { one, k, strip: panel(home, this.world, this.point) };
  }

  follow() {
    this.controls.forEach(({ follow }, k) => follow(this.point.given[k]));
  }

  // The same code, told every class or some values of a number.
  show() {
    for (const { one, k, strip } of this.panels) strip.show(this.values(one).map((value) => this.item(one, k, value)));
  }

  values({ values, range }) {
    if (values) return values.slice(0, 2 * FEW).map((_, i) => i);
    return Array.from({ length: STEPS }, (_, i) => range[0] + (i / (STEPS - 1)) * (range[1] - range[0]));
  }

  item(one, k, value) {
    const { z, row, given } = this.point,
      told = given.slice(),
      caption = one.values?.[value] ?? figures(value);
    told[k] = value;
    return { z, row, given: told, caption, about: `the same point with ${one.name} ${caption}` };
  }
}
