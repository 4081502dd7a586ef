// Rows on their way to the server and back: in the units of the data, categories by name, missing cells as null.

const CLOSE = 1e-6; // of the range of a cell: what single precision may put a value beyond its end

// What may stand in cell j, by the server's schema of a row.
function allowed({ schema, shape }, j) {
  if (schema.prefixItems) return schema.prefixItems[j];
  return shape.reduce((inner) => inner.items, schema);
}

export class Rows {
  // world: of a run; schema: of its rows.
  constructor(world, schema) {
    Object.assign(this, { world, schema, shape: world.shape, cells: world.cells });
  }

  about(j) {
    return allowed(this, j);
  }

  // One cell; in pictures what is out of range is put at its end, of a table only what rounding put there.
  cell(j, value) {
    if (!Number.isFinite(value)) return null;
    const one = this.about(j),
      names = this.world.schema?.[j].categories;
    if (names) return names[value];
    if (one.enum)
      return one.enum.reduce((best, each) => (Math.abs(each - value) < Math.abs(best - value) ? each : best));
    const low = one.minimum ?? one.exclusiveMinimum,
      slack = this.world.image ? Infinity : CLOSE * (one.maximum - low);
    const least = one.exclusiveMinimum === undefined ? low : low + CLOSE;
    const short = one.type === "integer" ? Math.round(value) : Number(value.toPrecision(7));
    if (short < least && short >= least - slack) return least;
    return short > one.maximum && short <= one.maximum + slack ? one.maximum : short;
  }

  // Cells in a line as lists in lists of the shape of a row.
  sent(values) {
    let at = 0;
    const pack = ([size, ...inner]) =>
      Array.from({ length: size }, () => (inner.length ? pack(inner) : this.cell(at, values[at++])));
    return pack(this.shape);
  }

  // A row of an answer as numbers, categories by their place, NaN for null.
  received(row) {
    return Float32Array.from(row.flat(this.shape.length), (value, j) => this.number(j, value));
  }

  number(j, value) {
    if (value === null) return NaN;
    return typeof value === "string" ? (this.world.schema?.[j].categories ?? []).indexOf(value) : value;
  }

  // What the server says of a cell, with its name in place of its number.
  plainly(message) {
    const named = message.replace(/body\.x\[\d+\]\[(\d+)\]/, (whole, j) =>
      this.shape.length > 1 ? whole : this.world.column(Number(j)),
    );
    return named.replace(/^body\.x\S*: /, "");
  }
}
