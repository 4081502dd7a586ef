// The page as a server gives it: asks for the token if there is none, then for what is shown.

import { find } from "./dom.js";
import { Api } from "./api.js";
import { arrays } from "./weights.js";
import { World } from "./world.js";
import { Far } from "./far.js";
import { boot } from "./boot.js";
import { Own } from "./own.js";
import { Beside, sideOf } from "./beside.js";
import { Training } from "./training.js";

const api = new Api();

async function world({ facts, arrays: text, at }) {
  const cells = facts.shape.reduce((a, b) => a * b, 1);
  return new World(facts, await arrays(text, facts.arrays), facts.decoder.far ? new Far(api, at, cells) : null);
}

async function ready({ runs }) {
  const sides = [];
  for (const run of runs) sides.push(sideOf(run, await world(run)));
  const [first] = sides,
    { version } = first.world;
  const opened = await boot(
    first.world,
    `Served by lowerbound ${version} to this browser alone; nothing else is asked.`,
  );
  const beside = sides.length > 1 ? new Beside(sides, opened.point, api) : null;
  const moved = (values, z, name) => beside?.place(values, z, name);
  const own = new Own(first.world, opened.point, opened.pins, api, first, first.rows, moved);
  Object.assign(opened, { sides, beside, own, api });
  document.body.classList.add("live");
}

async function start() {
  find("locked").hidden = true;
  try {
    const page = await api.ask("/page");
    document.body.classList.remove("empty");
    if (page.state === "ready") return await ready(page);
    globalThis.explorer = { training: new Training(api, () => location.reload()) };
    await explorer.training.look();
    return document.body.classList.add("live");
  } catch (error) {
    return locked(error);
  }
}

// Without the token there is nothing to show but a field for it.
function locked(error) {
  find("title").textContent = "Explorer";
  find("locked").hidden = false;
  document.body.classList.add("empty");
  find("locked-error").textContent =
    error.status === 401 ? "This page needs the token that lowerbound explore said at its start." : error.message;
}

function unlock() {
  api.keep(
    find("token")
      .value.trim()
      .replace(/^.*#token=/, ""),
  );
  start();
}

find("key").addEventListener("submit", (event) => {
  event.preventDefault();
  unlock();
});
start();
