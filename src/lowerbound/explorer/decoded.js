// The point decoded: a picture or a table, which row it is or is near to, and what can be done with it.

import { button, el, find, save } from "./dom.js";
import { nearest } from "./geometry.js";
import { enlarged, paint } from "./picture.js";
import { Cells } from "./cells.js";
import { address } from "./point.js";
import { table } from "./texts.js";

export class Decoded {
  constructor(world, point, pins) {
    Object.assign(this, { world, point, pins });
    find("views").hidden = !world.image;
    document.body.classList.toggle("table", !world.image);
    this.cells = world.image ? null : new Cells(find("cells"), world);
    this.buttons();
    point.watch(() => this.show());
    point.wait(() => this.tell());
  }

  show() {
    const { world, point } = this,
      numbers = world.numbers(point.z, point.given, point.row),
      mean = world.likelihood.mean(numbers, world.out);
    const own = point.row === null ? null : world.values(point.row);
    if (world.image) paint(find("picture"), world, mean);
    else this.cells.show(mean, numbers, own);
    find("original").hidden = !own;
    if (own && world.image) paint(find("source"), world, own);
    world.far?.soon(point.z)?.then(() => this.show());
  }

  // Said once the point rests: of which row it is, or how far from all.
  tell() {
    const { world, point } = this,
      { row, distance } = nearest(point.z, world.codes, world.spread);
    this.near = row;
    const far = distance > world.rows.reach;
    find("where").textContent =
      point.row === null ? `A point near ${world.name(row)}.` : `${capital(world.name(point.row))}${this.turned()}.`;
    find("off").hidden = !far;
    find("off").textContent = "Far from the data: no row has its code near here, so the model was hardly trained here.";
    find("link").href = address(world, point);
    this.cells?.choose();
  }

  // Said of a row that is decoded as what it is not.
  turned() {
    const { world, point } = this;
    if (point.row === null) return "";
    const own = world.told(point.row);
    return point.given.some((value, k) => value !== own[k]) ? ", its style with what is said above" : "";
  }

  buttons() {
    const { world, point } = this,
      go = (row) => point.go(world.code(row), row);
    const held = world.heldOut().rows;
    const make = (id, text, title, act, more = "") => {
      const made = Object.assign(button(text, act, title), { id });
      made.append(el("span", { className: "roomy" }, more));
      return made;
    };
    find("moves").append(
      make(
        "nearest",
        "Nearest",
        "Go to the row whose code is nearest",
        () => go(nearest(point.z, world.codes, world.spread).row),
        " row",
      ),
      make(
        "random",
        "Random",
        "Go to a row by chance",
        () => go(held[Math.floor(Math.random() * held.length)]),
        " row",
      ),
      make("centre", "Centre", "Go to the average of all codes", () => point.go(world.latents.map(({ mean }) => mean))),
    );
    for (const letter of Object.keys(this.pins.held))
      find("pins").append(
        make(`pin-${letter}`, letter, `Keep this point as ${letter}`, () => this.pins.put(letter, point)),
      );
    const files = [make("csv", "CSV", "Save the code and the decoded row as a table", () => this.saveNumbers())];
    if (world.image) files.unshift(make("png", "PNG", "Save the decoded picture", () => this.savePicture()));
    find("files").append(
      ...files,
      el("a", { id: "link", href: "#", title: "An address that opens this page here" }, "Link"),
    );
  }

  savePicture() {
    enlarged(find("picture")).toBlob((blob) => save("decoded.png", blob));
  }

  saveNumbers() {
    const { world, point } = this,
      line = world.fileLine(world.decode(point.z, point.given, point.row), point.given);
    const names = [...world.latents.map(({ name }) => name), ...world.fileNames()];
    save("decoded.csv", table([names, [...point.z.map(String), ...line]]));
  }
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);
