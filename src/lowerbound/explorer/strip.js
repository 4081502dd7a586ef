// A line of small decoded pictures, each of which is a place to go to.

import { el, queue } from "./dom.js";
import { paint } from "./picture.js";

export class Strip {
  constructor(home, world, point) {
    Object.assign(this, { home, world, point, later: queue(), shown: [] });
    home.classList.add("strip");
  }

  // items: z, row, given, caption; source: also the row as it is, above.
  show(items) {
    while (this.shown.length < items.length) this.shown.push(this.thumb());
    this.home.replaceChildren(...this.shown.slice(0, items.length).map(({ root }) => root));
    items.forEach((item, i) => {
      this.shown[i].item = item; // one may go there before it is painted
    });
    this.later(items.map((item, i) => () => this.fill(this.shown[i], item)));
  }

  thumb() {
    const made = { source: el("canvas", { hidden: true }), decoded: el("canvas"), caption: el("span"), item: null };
    made.root = el(
      "button",
      {
        type: "button",
        className: "thumb",
        onclick: () => made.item && this.point.go(made.item.z, made.item.row ?? null, null, made.item.given ?? null),
      },
      made.source,
      made.decoded,
      made.caption,
    );
    return made;
  }

  fill(made, item) {
    made.caption.textContent = item.caption ?? "";
    made.root.setAttribute("aria-label", item.about ?? item.caption ?? "a decoded point");
    made.source.hidden = !item.source;
    if (item.source) paint(made.source, this.world, this.world.values(item.row));
    const given = item.given ?? this.point.given;
    paint(made.decoded, this.world, this.world.decode(item.z, given, item.source ? item.row : null));
    this.world.far?.soon(item.z)?.then(() => made.item === item && this.fill(made, item));
  }
}
