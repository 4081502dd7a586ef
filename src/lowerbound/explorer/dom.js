// Elements by hand. Texts only ever become text nodes, so that no name in the data is taken for markup.

export const find = (id) => document.getElementById(id);

export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

export const button = (text, onclick, title = "") => el("button", { type: "button", onclick, title }, text);

export function select(options, chosen, onchange) {
  const made = el("select", { onchange: () => onchange(made.value) });
  for (const [value, text] of options) made.append(el("option", { value, selected: value === chosen }, text));
  return made;
}

// A number for people, with a real minus sign: to so many decimals, or to three figures.
export function number(value, digits = 2) {
  const text = Number.isFinite(value) ? value.toFixed(digits) : "–";
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

export function figures(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value),
    short = String(Number(value.toPrecision(size >= 1000 ? 4 : 3)));
  return (size >= 1000 && size < 1e7 ? value.toFixed(0) : short).replaceAll("-", "−");
}

// Jobs one after the other between which the page stays quick; new jobs take the place of old ones.
export function queue() {
  let latest = 0;
  return (jobs) => {
    const mine = ++latest;
    const step = () => {
      if (mine !== latest || !jobs.length) return;
      jobs.shift()();
      setTimeout(step);
    };
    setTimeout(step);
  };
}

// The size of a canvas in the page, and its context scaled so that lines are sharp on every screen.
export function fit(canvas) {
  const { width, height } = canvas.getBoundingClientRect(),
    ratio = window.devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { context, width, height };
}

export function save(name, blob) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
