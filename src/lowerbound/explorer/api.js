// Asks the server that the page came from. The token stands in the address after the #, which no browser sends; it is
// taken from there and kept for this tab.

const KEPT = "lowerbound-token";
const TURNS = 4; // how often one asks again where too many wait
const WORDS = "The server does not answer. Is lowerbound explore still running?";

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export class Api {
  constructor() {
    const [, given] = /^#token=([\x21-\x7e]+)$/.exec(location.hash) ?? [];
    this.token = given ?? sessionStorage.getItem(KEPT);
    if (given) history.replaceState(null, "", location.pathname);
    if (given) this.keep(given);
  }

  keep(token) {
    this.token = token;
    sessionStorage.setItem(KEPT, token);
  }

  // What a GET, or with a body a POST, is answered, as plain values.
  async ask(path, body = null) {
    for (let turn = 0; ; turn++) {
      const answer = await this.once(path, body);
      if (answer.status !== 503 || turn === TURNS) return this.read(answer);
      await pause(400 * 2 ** turn);
    }
  }

  once(path, body) {
    const headers = { authorization: `Bearer ${this.token ?? ""}` };
    const more = body ? { method: "POST", body: JSON.stringify(body) } : {};
    if (body) headers["content-type"] = "application/json";
    const options = { ...more, headers, cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer" };
    return fetch(path, options).catch(() => {
      throw new Refused(WORDS, 0);
    });
  }

  async read(answer) {
    const found = await answer.json().catch(() => null);
    if (answer.ok && found) return found;
    throw new Refused(found?.error?.message ?? WORDS, answer.status);
  }
}
