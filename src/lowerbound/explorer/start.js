// Reads the page's own data.

import { find } from "./dom.js";
import { arrays } from "./weights.js";
import { World } from "./world.js";
import { boot } from "./boot.js";

async function start() {
  const facts = JSON.parse(find("payload").textContent);
  const world = new World(facts, await arrays(find("arrays").textContent, facts.arrays));
  await boot(world, `Written by lowerbound ${world.version}. The page stands alone and fetches nothing.`);
}

start().catch((error) => {
  find("where").textContent = `This page cannot be shown: ${error.message}. It needs a browser of 2023 or later.`;
});
