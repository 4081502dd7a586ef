// Draws from the prior, and held-out rows beside what comes back through the code.

import { find, save } from "./dom.js";
import { panel } from "./sheet.js";
import { table } from "./texts.js";

const SHOWN = 24;

// A panel that shows so many of a number of things, and goes on to the next when asked; what it gives shows them anew.
function pages(home, next, count, world, point, item) {
  const strip = panel(home, world, point, true),
    most = strip.down ? SHOWN / 2 : SHOWN;
  let first = 0;
  const show = () => strip.show(Array.from({ length: Math.min(most, count) }, (_, k) => item((first + k) % count)));
  if (count > most)
    next.addEventListener("click", () => {
      first = (first + most) % count;
      show();
    });
  else next.hidden = true;
  show();
  return show;
}

function samples(world, point) {
  const draws = world.arrays[world.draws],
    count = draws ? draws.length / world.latent : 0;
  find("samples").hidden = !count;
  find("save-draws").hidden = world.image;
  if (!count) return;
  const drawn = world.schema ? (k) => k : () => undefined,
    item = (k) => ({ z: world.draw(k, point.given), drawn: drawn(k) });
  find("about-draws").textContent = world.schema
    ? "Rows drawn from p(x|z) for draws of z from the prior."
    : "Means of p(x|z) for draws of z from the prior.";
  const word = (k) => `draw ${k + 1}`,
    named = (k) => ({ ...item(k), caption: world.image ? "" : word(k), about: `${word(k)} from the prior` });
  const show = pages(find("drawn"), find("next-draws"), count, world, point, named);
  if (world.conditions.length) point.wait((_, from) => from === "given" && show());
  find("save-draws").addEventListener("click", () => saveDraws(world, point, count, item));
}

// All draws as rows of a table, with the names, categories and dates of the data.
function saveDraws(world, point, count, item) {
  const rows = Array.from({ length: count }, (_, k) => item(k)).map(({ z, drawn }) => {
    const values = drawn === undefined ? world.decode(z, point.given) : world.drawn(z, point.given, drawn);
    return world.fileLine(values, point.given);
  });
  save("samples.csv", table([world.fileNames(), ...rows]));
}

export function galleries(world, point) {
  samples(world, point);
  const { rows, held } = world.heldOut();
  const words = held ? "Rows that the model was not trained on" : "Rows";
  find("about-rows").textContent = `${words}, and below each what comes back through its code.`;
  const name = (k) => (world.image ? "" : `row ${world.arrays[world.rows.numbers][rows[k]]}`);
  const back = (k) => ({
    z: world.code(rows[k]),
    row: rows[k],
    given: world.told(rows[k]),
    source: true,
    caption: name(k),
    about: world.name(rows[k]),
  });
  pages(find("reconstructed"), find("next-rows"), rows.length, world, point, back);
}
