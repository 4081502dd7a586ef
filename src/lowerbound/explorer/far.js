// The mean of p(x|z), computed by the server: for decoders that the page has no code for or that are too large for it.

const MOST = 600; // means that are kept
const ONCE = 32; // codes that are asked for together

const key = (z) => z.map((value) => Number(value).toPrecision(6)).join();

export class Far {
  constructor(api, at, cells) {
    Object.assign(this, { api, at, cells, known: new Map(), waiting: new Map(), last: null, busy: false });
  }

  // The mean, or until it is there the one that came last.
  mean(z, out) {
    out.set(this.known.get(key(z)) ?? this.last ?? new Float32Array(this.cells));
    return out;
  }

  interval() {
    return undefined;
  }

  // Once the mean at a code is there; nothing if it is there already.
  soon(z) {
    const name = key(z);
    if (this.known.has(name)) return undefined;
    if (!this.waiting.has(name)) {
      const made = { z: Array.from(z) };
      made.promise = new Promise((done) => Object.assign(made, { done }));
      this.waiting.set(name, made);
      setTimeout(() => this.send());
    }
    return this.waiting.get(name).promise;
  }

  // The codes that were asked for last come first.
  async send() {
    if (this.busy || !this.waiting.size) return;
    this.busy = true;
    const asked = Array.from(this.waiting).slice(-ONCE);
    for (const [name] of asked) this.waiting.delete(name);
    try {
      const { x } = await this.api.ask(`${this.at}/decode`, { z: asked.map(([, { z }]) => z) });
      asked.forEach(([name, { done }], i) => this.put(name, x[i], done));
    } catch {
      this.waiting.clear(); // whoever asks again is told again
    }
    this.busy = false;
    this.send();
  }

  put(name, row, done) {
    this.last = Float32Array.from(row.flat(Infinity));
    this.known.set(name, this.last);
    if (this.known.size > MOST) this.known.delete(this.known.keys().next().value);
    done();
  }
}
