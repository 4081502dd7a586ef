// A run that is still training: its curves and samples, asked for again and again, more rarely while nothing changes.

import { el, find, figures } from "./dom.js";
import { curves } from "./curves.js";
import { paint } from "./picture.js";

const [SOON, LATE] = [1000, 15000]; // milliseconds between two looks
const SLOWER = 1.5;
const QUIET = 600; // seconds without an epoch after which training may have stopped
const MADE = ["epoch", "step", "seconds"];
const KINDS = { elbo: "bound (ELBO), nats", kl: "KL, nats", log_likelihood: "reconstruction E log p(x|z), nats" };
const HIDDEN = ["target"]; // what early stopping looks at
const PARTS = ["train", "validation"];

export class Training {
  // done: called once the run is finished.
  constructor(api, done) {
    Object.assign(this, { api, done, wait: SOON, mark: "", plots: new Map() });
    document.body.classList.add("training");
    find("training").hidden = false;
    find("title").textContent = "A run in training";
    document.title = "in training · explorer";
    addEventListener("resize", () => this.told && this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.told && this.draw());
    find("look").addEventListener("click", () => {
      this.wait = SOON;
      this.look();
    });
  }

  async look() {
    clearTimeout(this.timer);
    try {
      this.told = await this.api.ask("/training");
      if (this.told.state === "finished") return this.done();
      const mark = `${this.told.epochs.length} ${this.told.samples?.step}`;
      this.wait = mark === this.mark ? Math.min(LATE, this.wait * SLOWER) : SOON;
      this.mark = mark;
      this.draw();
    } catch (error) {
      find("training-status").textContent = error.message;
      this.wait = Math.min(LATE, this.wait * SLOWER);
    }
    this.timer = setTimeout(() => this.look(), this.wait);
    return null;
  }

  status() {
    const { epochs, quiet } = this.told,
      last = epochs[epochs.length - 1];
    if (!last) return "Training has begun; no epoch is done yet. The weights are there once it is finished.";
    const since = quiet > QUIET ? ` Nothing new for ${Math.round(quiet / 60)} minutes: training may have stopped.` : "";
    const now = `Epoch ${last.epoch}, step ${last.step}, ${figures(last.seconds)} s of training.`;
    return `${now} The map and all else come when it is finished.${since}`;
  }

  draw() {
    find("training-status").textContent = this.status();
    const { epochs } = this.told,
      last = epochs[epochs.length - 1] ?? {};
    const names = [
      ...new Set(
        Object.keys(last)
          .filter((key) => !MADE.includes(key))
          .map((key) => key.replace(/^(train|validation)_/, "")),
      ),
    ];
    for (const name of names.filter((each) => !HIDDEN.includes(each))) this.plot(name, epochs, last);
    this.samples();
  }

  plot(name, epochs, last) {
    const lines = PARTS.map((part) => ({ part, key: `${part}_${name}` })).filter(({ key }) => key in last);
    if (!this.plots.has(name)) {
      const canvas = el("canvas", { className: "curve", role: "img" }),
        caption = el("figcaption");
      find("curves").append(el("figure", {}, canvas, caption));
      this.plots.set(name, { canvas, caption });
    }
    const { canvas, caption } = this.plots.get(name),
      words = lines.map(({ part, key }, k) => `${part} (${["line", "dashes"][k]}) ${figures(last[key])}`).join(", ");
    caption.textContent = `${KINDS[name] ?? name.replaceAll("_", " ")}: ${words}`;
    canvas.setAttribute("aria-label", caption.textContent);
    curves(
      canvas,
      epochs.map(({ epoch }) => epoch),
      lines.map(({ key }) => ({ values: epochs.map((line) => line[key] ?? NaN) })),
    );
  }

  samples() {
    const { samples } = this.told;
    find("training-about").textContent = samples
      ? `Means of p(x|z) for the same draws of z, by the weights after step ${samples.step}.`
      : "Samples of pictures come with the first checkpoint, 30 seconds or an epoch after the start.";
    if (!samples || this.shown === samples.step) return;
    this.shown = samples.step;
    const values = samples.x.flat(),
      range = [
        Math.min(0, ...values.filter((_, i) => i % 7 === 0)),
        Math.max(1, ...values.filter((_, i) => i % 7 === 0)),
      ];
    const world = { image: true, shape: samples.shape, rows: { range } };
    find("training-samples").replaceChildren(
      ...samples.x.map((row) => {
        const canvas = el("canvas");
        paint(canvas, world, row);
        return canvas;
      }),
    );
  }
}
