// Three points that one keeps, A, B and C: the way from A to B, and A - B + C.

import { find, number } from "./dom.js";
import { blend } from "./geometry.js";
import { panel } from "./sheet.js";

const STEPS = 9;

export class Pins {
  constructor(world) {
    const { rows } = world.heldOut(),
      spread = [0.1, 0.5, 0.9].map((share) => rows[Math.floor(share * (rows.length - 1))]);
    this.held = Object.fromEntries(
      ["A", "B", "C"].map((letter, k) => [letter, { z: world.code(spread[k]), row: spread[k] }]),
    );
    this.told = [];
  }

  put(letter, { z, row }) {
    this.held[letter] = { z: z.slice(), row };
    for (const told of this.told) told();
  }
}

export class Blends {
  constructor(world, point, pins) {
    Object.assign(this, { world, point, pins });
    this.way = panel(find("way"), world, point);
    this.sum = panel(find("sum"), world, point);
    find("between").addEventListener("input", () =>
      this.point.go(this.at(Number(find("between").value)), null, "between"),
    );
    pins.told.push(() => this.show());
    if (world.conditions.length) point.wait(() => this.show());
    this.show();
  }

  at(share) {
    const { A, B } = this.pins.held;
    return blend([1 - share, A.z], [share, B.z]);
  }

  show() {
    const { A, B, C } = this.pins.held,
      { world } = this;
    const named = (letter, { z, row }) => ({
      z,
      row,
      caption: letter,
      about: `${letter}: ${row === null ? "a point" : world.name(row)}`,
    });
    const inner = Array.from({ length: STEPS - 2 }, (_, k) => (k + 1) / (STEPS - 1));
    const steps = inner.map((share) => ({ z: this.at(share), caption: `${number(100 * share, 0)} %` }));
    this.way.show([named("A", A), ...steps, named("B", B)]);
    const result = { z: blend([1, A.z], [-1, B.z], [1, C.z]), caption: "there", about: "A minus B plus C" };
    this.sum.show(
      [named("A", A), named("B", B), named("C", C), result].map((item, k) => ({
        ...item,
        caption: `${["", "− ", "+ ", "= "][k]}${item.caption}`,
      })),
    );
  }
}
