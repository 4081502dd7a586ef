// Draws from the prior, and held-out rows above what comes back through the code.

import { find } from "./dom.js";
import { row } from "./geometry.js";
import { Strip } from "./strip.js";

const SHOWN = 24;

// A strip that shows so many of a number of things, and goes on to the next when asked.
function pages(home, next, count, world, point, item) {
  const strip = new Strip(home, world, point);
  let first = 0;
  const show = () => strip.show(Array.from({ length: Math.min(SHOWN, count) }, (_, k) => item((first + k) % count)));
  if (count > SHOWN)
    next.addEventListener("click", () => {
      first = (first + SHOWN) % count;
      show();
    });
  else next.hidden = true;
  show();
}

export function galleries(world, point) {
  const draws = world.arrays[world.draws];
  find("samples").hidden = !draws;
  const drawn = (k) => ({ z: row(draws, k, world.latent), about: `draw ${k + 1} from the prior` });
  if (draws) pages(find("drawn"), find("next-draws"), draws.length / world.latent, world, point, drawn);
  const { rows, held } = world.heldOut();
  find("about-rows").textContent =
    `${held ? "Rows that the model was not trained on" : "Rows"}, and below each what comes back through its code.`;
  const back = (k) => ({ z: world.code(rows[k]), row: rows[k], source: true, about: world.name(rows[k]) });
  pages(find("reconstructed"), find("next-rows"), rows.length, world, point, back);
}
