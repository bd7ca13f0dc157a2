// Charts as inline SVG: lines over time, and values with intervals. What is written stands beside the drawing.

import { h, s } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 120;

/**
 * Lines over time.
 * title: what is shown, with its unit. lines: [{name, values}], as many values as moments; NaN leaves a gap.
 * moments: milliseconds, ascending. written, when: a value and a moment in words.
 */
export function lineChart({ title, lines, moments, written, when = clock }) {
  const values = lines.flatMap((line) => line.values).filter(Number.isFinite);
  const top = roundUp(Math.max(0, ...values));
  const place = (value, at) => {
    const [first, last] = [moments[0], moments.at(-1)];
    const x = last > first ? (WIDTH * (moments[at] - first)) / (last - first) : WIDTH;
    return `${x.toFixed(1)} ${(HEIGHT * (1 - value / top)).toFixed(1)}`;
  };
  const drawn = lines.map(({ values }, at) => s("path", { class: `line line-${at}`, d: path(values, place) }));
  const last = lines.map(({ name, values }) => `${name} ${written(values.findLast(Number.isFinite))}`);
  const label = `${title}: now ${last.join(", ")}; at most ${written(Math.max(0, ...values))}`;
  const grid = s("path", { class: "grid", d: `M0 0H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT}H${WIDTH}` });
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, title),
    legend(last),
    h(
      "div",
      { class: "plot" },
      h("p", { class: "scale soft", "aria-hidden": "true" }, h("span", {}, written(top)), h("span", {}, written(0))),
      s(
        "svg",
        { viewBox: `0 -2 ${WIDTH} ${HEIGHT + 4}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
        grid,
        drawn,
      ),
      h(
        "p",
        { class: "ends soft", "aria-hidden": "true" },
        [moments[0], moments.at(-1)].map((moment) => h("span", {}, when(moment))),
      ),
    ),
  );
}

/** Values with intervals, a row each. rows: [{name, value, low, high, isMain}]; low and high are null without one. */
export function intervalChart({ title, rows, written }) {
  const top = roundUp(Math.max(...rows.map(({ value, high }) => high ?? value)));
  const x = (value) => ((WIDTH * value) / top).toFixed(1);
  const lines = rows.map(({ name, value, low, high, isMain }) =>
    h(
      "div",
      { class: isMain ? "bar-row main" : "bar-row" },
      h("span", { class: "bar-name" }, name),
      s(
        "svg",
        { viewBox: `0 0 ${WIDTH} 20`, preserveAspectRatio: "none", "aria-hidden": "true" },
        s("path", { class: "rail", d: `M0 10H${WIDTH}` }),
        s("path", { class: "share", d: `M0 10H${x(value)}` }),
        low !== null && s("path", { class: "interval", d: `M${x(low)} 10H${x(high)}M${x(low)} 4V16M${x(high)} 4V16` }),
      ),
      h("span", { class: "number" }, written(value)),
    ),
  );
  return h("figure", { class: "chart" }, h("figcaption", {}, title), lines);
}

const legend = (texts) =>
  h(
    "p",
    { class: "legend" },
    texts.map((text, at) => h("span", {}, s("svg", { viewBox: "0 0 24 8", "aria-hidden": "true" }, key(at)), text)),
  );

const key = (at) => s("path", { class: `line line-${at}`, d: "M0 4H24" });

/** Pieces of a line; a value without neighbours is a dot. */
function path(values, place) {
  let isDrawing = false;
  let found = "";
  values.forEach((value, at) => {
    const isNumber = Number.isFinite(value);
    if (isNumber && isDrawing) found += `L${place(value, at)}`;
    else if (isNumber) found += `M${place(value, at)}h0.1`;
    isDrawing = isNumber;
  });
  return found;
}

/** The next of 1, 2, 5, 10, 20 … */
function roundUp(value) {
  if (value <= 0) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * size).find((step) => step >= value * (1 - 1e-9));
}

const clock = (moment) =>
  new Date(moment).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
