// A row of one's own: where it lies on the map, what comes back, how likely it is, and what stands in its holes.

import { el, find } from "./dom.js";
import { paint } from "./picture.js";
import { cells, places } from "./csv.js";
import { Form, parsed } from "./form.js";
import { Holes } from "./holes.js";
import { explained, told } from "./scored.js";

const DRAWS = 6; // of what stands in holes
const SAMPLES = { score: 1000, explain: 300, impute: 500 };
const LARGEST = 20e6; // bytes of a file
const ROWS = 200; // of a file that one may choose from

export class Own {
  // side: the run with its endpoint; rows: the way there and back; moved: called with values and code of a new row.
  constructor(world, point, pins, api, side, rows, moved) {
    Object.assign(this, { world, point, pins, api, side, rows, moved, turn: 0, lines: [] });
    find("own").hidden = false;
    const Editor = world.image ? Holes : Form;
    this.editor = new Editor(find("own-editor"), world, (words) => this.changed(words));
    for (const part of document.querySelectorAll("#own .pictures, #own .texts"))
      part.hidden = part.classList.contains("pictures") !== world.image;
    for (const id of ["own-fill", "own-score"]) find(id).hidden = !side.density;
    find("own-file").accept = world.image ? "image/*" : ".csv,.tsv,.txt,text/csv";
    this.listen();
    this.take();
  }

  listen() {
    const on = (id, kind, act) => find(id).addEventListener(kind, act);
    on("own-take", "click", () => this.take());
    on("own-encode", "click", () => this.place());
    on("own-fill", "click", () => this.fill());
    on("own-score", "click", () => this.score());
    on("own-close", "click", () => this.close());
    on("own-invert", "click", () => this.invert());
    on("own-read", "click", () => this.read(find("own-text").value, "the text"));
    on("own-line", "change", () => this.choose(Number(find("own-line").value)));
    on("own-file", "change", () => this.file(find("own-file").files[0]));
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
      event.preventDefault();
      this.file(event.dataTransfer.files[0]);
    });
    addEventListener("paste", (event) => {
      const picture = Array.from(event.clipboardData?.files ?? []).find(({ type }) => type.startsWith("image/"));
      if (picture && this.world.image) this.file(picture);
    });
  }

  // The row that is shown, or what the point decodes to.
  take() {
    const { world, point } = this;
    const values = point.row === null ? Float32Array.from(world.decode(point.z, point.given)) : world.values(point.row);
    this.put(values, point.row === null ? "the decoded point" : world.name(point.row));
  }

  // A new row: shown to be changed, and what was found of the last is gone.
  put(values, name) {
    this.editor.put(values);
    this.name = name;
    this.forget();
    this.say(`Now: ${name}.`);
    if (this.world.image) paint(find("own-source"), this.world, values);
  }

  forget() {
    this.turn++;
    for (const id of ["own-filled", "own-scored"]) find(id).replaceChildren();
    find("own-views").hidden = true;
    this.blame("");
  }

  changed(words = "") {
    this.forget();
    this.blame(words);
    const count = this.editor.holes.filter(Boolean).length;
    this.say(count ? `${this.name}, with holes in ${count} cells.` : `${this.name}, changed by you.`);
  }

  close() {
    if (this.world.image) this.editor.close();
    else this.editor.put(this.editor.values);
    this.changed();
  }

  invert() {
    const [low, high] = this.world.rows.range;
    this.put(
      this.editor.values.map((value) => low + high - value),
      `${this.name}, inverted`,
    );
    this.place();
  }

  say(words) {
    find("own-status").textContent = words;
  }

  blame(words) {
    find("own-error").hidden = !words;
    find("own-error").textContent = words;
  }

  // Work at the server: what it refuses is said; what comes too late, for a row that is gone, is dropped.
  async work(words, act) {
    this.blame("");
    const turn = ++this.turn,
      before = find("own-status").textContent;
    this.say(words);
    find("own").setAttribute("aria-busy", "true");
    try {
      const show = await act();
      if (turn === this.turn) {
        this.say(before);
        show();
      }
    } catch (error) {
      if (turn === this.turn) {
        this.say(before);
        this.blame(this.rows.plainly(error.message));
      }
    } finally {
      if (turn === this.turn) find("own").removeAttribute("aria-busy");
    }
  }

  // The values with NaN in the holes.
  open() {
    const { values, holes } = this.editor;
    return values.map((value, j) => (holes[j] ? NaN : value));
  }

  ask(what, values, more = {}) {
    const samples = SAMPLES[what] ? { samples: SAMPLES[what] } : {};
    return this.api.ask(`${this.side.at}/${what}`, { x: [this.rows.sent(values)], ...samples, ...more });
  }

  // Of models that were trained without missing cells the row goes whole where its holes hide values.
  whole() {
    return this.side.holes ? this.open() : this.editor.values;
  }

  place(values = this.whole()) {
    return this.work("Finding its code …", async () => {
      const { z } = await this.ask("encode", values);
      return () => this.go(values, z[0]);
    });
  }

  go(values, z) {
    const { world, point } = this;
    this.pins.held.you = { z, row: null };
    point.go(z, null, "own");
    for (const told of this.pins.told) told();
    find("own-views").hidden = !world.image;
    if (world.image) {
      paint(find("own-source"), world, values);
      paint(find("own-back"), world, world.decode(z, point.given));
      world.far?.soon(z)?.then(() => paint(find("own-back"), world, world.decode(z, point.given)));
    }
    this.say(`${this.name} is on the map as “you”, and decoded ${world.image ? "here" : "beside it"}.`);
    this.moved(values, z, this.name);
  }

  score() {
    const values = this.whole();
    return this.work("Scoring …", async () => {
      const [score, parts] = await Promise.all([this.ask("score", values), this.ask("explain", values)]);
      return () =>
        find("own-scored").replaceChildren(
          el("p", { id: "own-value" }, told(score)),
          ...explained(this.world, values, parts),
        );
    });
  }

  fill() {
    const open = this.open();
    if (!open.some(Number.isNaN)) {
      this.blame(
        this.world.image
          ? "There are no holes: draw on the picture first."
          : "No cell is missing: tick “fill” beside one, or clear it.",
      );
      return null;
    }
    return this.work("Filling the holes …", async () => {
      const found = await this.ask("impute", open, { draws: DRAWS });
      return () => this.filled(open, found);
    });
  }

  filled(open, { values: [mean], lower: [lower], upper: [upper], draws: [draws], doubtful: [doubtful] }) {
    const read = (row) => this.rows.received(row);
    const shown = { open, mean: read(mean), lower: read(lower), upper: read(upper), draws: draws.map(read) };
    const note = `The mean, and ${DRAWS} draws from p(missing | observed): how they differ is how little is known.`;
    const doubt = doubtful ? " The draws are few or alike: take them with care." : "";
    find("own-filled").replaceChildren(
      this.world.image ? this.pictures(shown) : this.table(shown),
      el("p", { className: "note" }, note + doubt),
    );
  }

  pictures({ open, mean, draws }) {
    const one = (values, caption) => {
      const canvas = el("canvas", { role: "img", "aria-label": caption });
      paint(canvas, this.world, values);
      return el("figure", {}, canvas, el("figcaption", {}, caption));
    };
    const all = [
      one(
        open.map((value) => (Number.isNaN(value) ? this.world.rows.range[0] : value)),
        "with holes",
      ),
      one(mean, "mean"),
    ];
    return el("div", { className: "plates" }, ...all, ...draws.map((values, k) => one(values, `draw ${k + 1}`)));
  }

  table({ open, mean, lower, upper, draws }) {
    const { world } = this,
      text = (j, value) => (world.schema ? world.text(j, value) : String(Number(value.toPrecision(4))));
    const lines = Array.from(open.keys()).filter((j) => Number.isNaN(open[j]));
    const between = (j) =>
      Number.isFinite(lower[j]) && !world.schema?.[j].categories ? `${text(j, lower[j])} to ${text(j, upper[j])}` : "";
    const head = ["column", "filled in", "90 % between", ...draws.map((_, k) => `draw ${k + 1}`)];
    const rows = lines.map((j) => [
      world.column(j),
      text(j, mean[j]),
      between(j),
      ...draws.map((values) => text(j, values[j])),
    ]);
    const line = (words, tag) =>
      el("tr", {}, ...words.map((word, k) => el(k ? tag : "th", { scope: k ? "col" : "row" }, word)));
    return el(
      "div",
      { className: "wide" },
      el("table", {}, el("thead", {}, line(head, "th")), el("tbody", {}, ...rows.map((row) => line(row, "td")))),
    );
  }

  async file(file) {
    if (!file) return;
    find("own-file").value = "";
    if (file.size > LARGEST) return this.blame(`${file.name} is larger than ${LARGEST / 1e6} MB.`);
    if (!this.world.image) return this.read(await file.text(), file.name);
    const picture = await createImageBitmap(file).catch(() => null);
    if (!picture) return this.blame(`${file.name} is no picture that this browser can read.`);
    this.put(this.pixels(picture), file.name);
    return this.place();
  }

  // The middle of a picture in the size of a row; grey where a row is.
  pixels(picture) {
    const [deep, high, wide] = this.world.shape,
      [low, top] = this.world.rows.range,
      canvas = el("canvas", { width: wide, height: high });
    const context = canvas.getContext("2d"),
      one = Math.min(picture.width / wide, picture.height / high),
      [w, h] = [wide * one, high * one];
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, (picture.width - w) / 2, (picture.height - h) / 2, w, h, 0, 0, wide, high);
    const { data } = context.getImageData(0, 0, wide, high),
      plane = wide * high;
    const grey = (i) => 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2];
    return Float32Array.from({ length: deep * plane }, (_, at) => {
      const i = at % plane;
      const byte = deep === 3 ? data[4 * i + Math.floor(at / plane)] : grey(i);
      return low + (byte / 255) * (top - low);
    });
  }

  // Rows as text: the first is taken, the others can be chosen.
  read(text, name) {
    const lines = cells(text),
      names = Array.from({ length: this.world.cells }, (_, j) => this.world.column(j));
    if (!lines.length) return this.blame(`${name} holds no row.`);
    const { first, at } = places(lines, names);
    this.lines = lines.slice(first, first + ROWS).map((line) => ({ line, at, name }));
    find("own-lines").hidden = this.lines.length < 2;
    find("own-line").replaceChildren(...this.lines.map((_, k) => el("option", { value: String(k) }, `row ${k + 1}`)));
    if (!this.lines.length) return this.blame(`${name} holds names of columns and no row.`);
    return this.choose(0);
  }

  choose(k) {
    const { line, at, name } = this.lines[k],
      { world } = this;
    const widest = Math.max(...at);
    if (widest >= line.length)
      return this.blame(`Row ${k + 1} of ${name} has ${line.length} cells, and the data have ${world.cells} columns.`);
    const words = at.map((place) => (place < 0 ? "" : line[place]));
    const values = words.map((word, j) => parsed(world.schema?.[j], word));
    const wrong = values.findIndex(
      (value, j) => !Number.isFinite(value) && words[j] && !["?", "na", "nan", "null"].includes(words[j].toLowerCase()),
    );
    this.put(Float32Array.from(values), `row ${k + 1} of ${name}`);
    if (wrong >= 0)
      return this.blame(
        `${world.column(wrong)}: ${words[wrong]} is not a value of this column; it is taken as missing.`,
      );
    return this.place();
  }
}
