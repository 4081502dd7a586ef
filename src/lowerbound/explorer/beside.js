// Two runs beside each other: the same row on both maps, what comes back from both, and their numbers.

import { button, el, find, number } from "./dom.js";
import { Chart } from "./map.js";
import { paint } from "./picture.js";
import { Point } from "./point.js";
import { Rows } from "./rows.js";

const NUMBERS = 60000; // in one request
const MOST = 64; // rows that are scored together
const SAMPLES = 200;

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

// Mean and its standard error, of how values differ and of the error of each.
export function summed(values, errors) {
  const middle = mean(values),
    spread = values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / Math.max(1, values.length - 1);
  const own = mean(errors.map((error) => error ** 2));
  return { middle, error: Math.sqrt(Math.max(spread, own) / values.length) };
}

const withError = ({ middle, error }, digits = 2) => `${number(middle, digits)} ± ${number(error, digits)}`;

export class Beside {
  // sides: of both runs at, name, world and rows; point: of the first.
  constructor(sides, point, api) {
    Object.assign(this, { sides, point, api, own: null, turn: 0, busy: false });
    const [, { world }] = sides;
    find("beside").hidden = false;
    this.other = new Point(world.code(0), (row) => world.told(row), world.given ?? world.told(0));
    this.pins = { held: {}, told: [] };
    this.chart = new Chart(world, this.other, this.pins, "-b");
    this.known = sides.map((side) => new Map(Array.from(this.numbers(side), (row, i) => [row, i])));
    this.same = sides[0].fingerprint !== "" && sides[0].fingerprint === sides[1].fingerprint;
    this.head();
    this.other.watch(() => this.show());
    this.other.wait((at, from) => this.back(at, from));
    point.wait((at, from) => this.follow(at, from));
    this.follow(point, null);
  }

  numbers({ world }) {
    return world.arrays[world.rows.numbers];
  }

  head() {
    const names = this.sides.map(({ name }) => name);
    find("beside-title").textContent = `${names[0]} and ${names[1]}`;
    find("beside-map").textContent = names[1];
    find("beside-names").replaceChildren(
      el("td"),
      ...names.map((name) => el("th", { scope: "col" }, name)),
      el("th", { scope: "col" }, "difference"),
    );
    names.forEach((name, k) => (find(`beside-name-${k}`).textContent = `by ${name}`));
    find("beside-one").append(
      button("Score this row", () => this.scoreOne(), "log p(x) of the row that is shown, by both runs"),
    );
    find("beside-many").append(
      button("Score held-out rows", () => this.scoreMany(), "Mean log p(x) of rows that neither run was trained on"),
    );
    for (const id of ["beside-one", "beside-many"]) find(id).hidden = !this.sides.every(({ density }) => density);
  }

  // The first point has moved: the second goes to the same row, if it is there, else to the code of its values.
  async follow({ row, z }, from) {
    if (from === "beside") return;
    const [a, b] = this.sides;
    if (from === "own") return; // told by place
    if (row === null) return this.say("A point of the first map: choose a row to see it by both runs.");
    const same = this.same ? this.known[1].get(this.numbers(a)[row]) : undefined;
    this.own = { values: a.world.values(row), z: [z, null], name: a.world.name(row) };
    if (same !== undefined) return this.other.go(b.world.code(same), same, "beside");
    return this.encode();
  }

  // A row of one's own, whose code the first run has said.
  place(values, z, name) {
    this.own = { values, z: [z, null], name };
    this.pins.held = {};
    return this.encode();
  }

  async encode() {
    const [, b] = this.sides,
      { values } = this.own,
      turn = ++this.turn;
    try {
      const { z } = await this.api.ask(`${b.at}/encode`, { x: [b.rows.sent(values)] });
      if (turn !== this.turn) return;
      this.pins.held = { you: { z: z[0], row: null } };
      this.other.go(z[0], null, "beside");
    } catch (error) {
      this.say(b.rows.plainly(error.message));
    }
  }

  // The second point has moved: the first goes to the same row.
  back({ row }, from) {
    if (from === "beside" || row === null || !this.same) return;
    const [a, b] = this.sides,
      same = this.known[0].get(this.numbers(b)[row]);
    if (same !== undefined) this.point.go(a.world.code(same), same);
  }

  say(words) {
    find("beside-status").textContent = words;
  }

  show() {
    const [a, b] = this.sides,
      both = [
        [a.world, this.point],
        [b.world, this.other],
      ];
    const own = this.other.row === null ? this.own?.values : b.world.values(this.other.row);
    const means = both.map(([world, { z, given }]) => Float32Array.from(world.decode(z, given)));
    this.say(this.other.row === null ? (this.own?.name ?? "") : b.world.name(this.other.row));
    find("beside-one-line").replaceChildren();
    find("beside-views").hidden = !a.world.image;
    if (a.world.image) {
      if (own) paint(find("beside-row"), a.world, own);
      means.forEach((values, k) => paint(find(`beside-${k}`), both[k][0], values));
      both.forEach(([world, { z }], k) =>
        world.far?.soon(z)?.then(() => paint(find(`beside-${k}`), world, world.decode(z))),
      );
    }
    this.lines(own, means);
  }

  // Squared errors of pictures; of tables what both decode, cell by cell.
  lines(own, means) {
    const { world } = this.sides[0];
    if (!world.schema && own) {
      const errors = means.map((values) =>
        mean(Array.from(values, (value, j) => (Number.isFinite(own[j]) ? (value - own[j]) ** 2 : 0))),
      );
      find("beside-error").replaceChildren(
        el("th", { scope: "row" }, "squared error of the row"),
        ...errors.map((error) => el("td", {}, error.toPrecision(3))),
        el("td", {}, (errors[1] - errors[0]).toPrecision(2).replace("-", "−")),
      );
    }
    if (world.image) return;
    const lines = Array.from({ length: Math.min(40, world.cells) }, (_, j) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, world.column(j)),
        ...means.map((values) => el("td", {}, world.text(j, values[j]))),
        el("td", {}, own ? world.text(j, own[j]) : ""),
      ),
    );
    const head = ["column", ...this.sides.map(({ name }) => name), "the row"].map((word) =>
      el("th", { scope: "col" }, word),
    );
    find("beside-cells").replaceChildren(
      el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...lines)),
    );
  }

  async scored(values) {
    const found = [];
    for (const { at, rows } of this.sides)
      found.push(await this.api.ask(`${at}/score`, { x: values.map((row) => rows.sent(row)), samples: SAMPLES }));
    return found;
  }

  async work(words, act) {
    if (this.busy) return;
    this.busy = true;
    find("beside-error-line").textContent = words;
    try {
      await act();
      find("beside-error-line").textContent = "";
    } catch (error) {
      find("beside-error-line").textContent = this.sides[0].rows.plainly(error.message);
    }
    this.busy = false;
  }

  line(id, name, sums, difference) {
    find(id).replaceChildren(
      el("th", { scope: "row" }, name),
      ...[...sums, difference].map((sum) => el("td", {}, withError(sum))),
    );
  }

  scoreOne() {
    const values = this.other.row === null ? this.own?.values : this.sides[1].world.values(this.other.row);
    if (!values) return null;
    return this.work("Scoring …", async () => {
      const sums = (await this.scored([values])).map(({ log_likelihood: [middle], se: [error] }) => ({
        middle,
        error,
      }));
      const [a, b] = sums;
      this.line("beside-one-line", "log p(x) of the row, nats", sums, {
        middle: b.middle - a.middle,
        error: Math.hypot(a.error, b.error),
      });
    });
  }

  // Rows that neither run was trained on, of the first page; without a common split those that the first did not see.
  heldOut() {
    const [a, b] = this.sides,
      flags = b.world.arrays[b.world.rows.held_out];
    const found = a.world.heldOut().rows.filter((i) => {
      const other = this.known[1].get(this.numbers(a)[i]);
      return !this.same || !flags || other === undefined || flags[other];
    });
    return found.slice(0, Math.max(2, Math.min(MOST, Math.floor(NUMBERS / a.world.cells))));
  }

  scoreMany() {
    return this.work("Scoring …", async () => {
      const rows = this.heldOut(),
        found = await this.scored(rows.map((i) => this.sides[0].world.values(i)));
      const sums = found.map(({ log_likelihood: values, se: errors }) => summed(values, errors));
      const apart = found[1].log_likelihood.map((value, i) => value - found[0].log_likelihood[i]),
        errors = found[1].se.map((error, i) => Math.hypot(error, found[0].se[i]));
      this.line("beside-many-line", `mean log p(x) of ${rows.length} held-out rows, nats`, sums, summed(apart, errors));
    });
  }
}

export const sideOf = ({ at, name, row, holes, density, fingerprint }, world) => ({
  at,
  name,
  holes,
  density,
  fingerprint,
  world,
  rows: new Rows(world, row),
});
