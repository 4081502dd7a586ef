// How cells are written, for people and for files, by what the column is; without a schema they are numbers.

import { figures } from "./dom.js";

const DAY = 86400000; // milliseconds
const HALF = 0.5; // of a day: a date without a time of day is the nearest one
const MINUTES = 16; // characters of a moment up to its minutes
const DIGITS = 7; // that single precision tells apart

function moment(origin, days) {
  const timed = origin.length > 10,
    start = Date.parse(timed ? `${origin.replace(" ", "T")}Z` : `${origin}T00:00Z`);
  const when = new Date(start + DAY * (days + (timed ? 0 : HALF)));
  if (!Number.isFinite(when.getTime())) return "–";
  return when
    .toISOString()
    .slice(0, timed ? 19 : 10)
    .replace("T", " ");
}

export function text(column, value) {
  if (!Number.isFinite(value)) return "";
  if (column?.categories) return column.categories[value];
  return column?.origin ? moment(column.origin, value).slice(0, MINUTES) : figures(value);
}

export function written(column, value) {
  if (!Number.isFinite(value)) return "";
  if (column?.categories) return guarded(column.categories[value]);
  return column?.origin ? moment(column.origin, value) : String(Number(value.toPrecision(DIGITS)));
}

// The nearest value that could stand in the table: in its range, and in its steps.
export function legal({ categories, resolution: step = 0, low, high }, value) {
  if (categories) return value;
  const stepped = step ? low + Math.round((value - low) / step) * step : value;
  return Math.min(high, Math.max(low, stepped));
}

// A text that no spreadsheet takes for a formula.
export const guarded = (word) => (/^[=+\-@\t\r]/.test(word) ? `'${word}` : word);
const quoted = (word) => (/[",\n\r]/.test(word) ? `"${word.replaceAll('"', '""')}"` : word);

// Lines of texts as a file.
export function table(lines) {
  const whole = lines.map((line) => line.map(quoted).join(",")).join("\n");
  return new Blob([`${whole}\n`], { type: "text/csv" });
}
