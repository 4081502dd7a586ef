// Puts everything of a page in its place; the first picture comes before the small ones.

import { el, find, save } from "./dom.js";
import { arrays } from "./weights.js";
import { decoder } from "./world.js";
import { Point, address, place } from "./point.js";
import { ink } from "./palette.js";
import { Chart } from "./map.js";
import { Decoded } from "./decoded.js";
import { Given } from "./given.js";
import { Sliders } from "./sliders.js";
import { Blends, Pins } from "./blends.js";
import { Directions } from "./directions.js";
import { galleries } from "./galleries.js";

function describe(world, made) {
  document.title = `${world.title} · explorer`;
  find("title").textContent = world.title;
  find("audit").textContent = world.audit;
  find("facts").append(
    ...world.about.map(([name, text]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, text))),
  );
  find("made").textContent = made;
}

function saveMap(chart) {
  const { canvas } = chart,
    copy = el("canvas", { width: canvas.width, height: canvas.height }),
    context = copy.getContext("2d");
  context.fillStyle = ink("card");
  context.fillRect(0, 0, copy.width, copy.height);
  context.drawImage(canvas, 0, 0);
  copy.toBlob((blob) => save("map.png", blob));
}

export async function boot(world, made) {
  const first = world.heldOut().rows[0],
    point = new Point(world.code(first), (row) => world.told(row), world.given ?? world.told(first)),
    pins = new Pins(world);
  describe(world, made);
  const decoded = new Decoded(world, point, pins);
  const here = place(world, location.hash) ?? { z: world.code(first), row: first, given: world.given };
  point.go(here.z, here.row, null, here.given);
  globalThis.explorer = {
    world,
    point,
    decode: (z, given = point.given) => Array.from(world.decode(z, given)),
    arrays,
    decoder,
    pins,
    first: performance.now(),
  };
  decoded.tell();
  await new Promise((painted) => setTimeout(painted));
  const chart = new Chart(world, point, pins);
  Object.assign(explorer, { chart });
  find("save-map").addEventListener("click", () => saveMap(chart));
  if (world.conditions.length) new Given(world, point);
  new Sliders(world, point).follow();
  new Blends(world, point, pins);
  pins.told.push(() => chart.draw());
  new Directions(world, point);
  galleries(world, point);
  point.wait(() => history.replaceState(null, "", address(world, point)));
  addEventListener("hashchange", () => {
    const found = place(world, location.hash);
    if (found) point.go(found.z, found.row, null, found.given);
  });
  document.body.classList.add("ready");
  return globalThis.explorer;
}
