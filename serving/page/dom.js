// Elements. Text is only ever set as text: titles and ids come from a log and may hold anything.

const SVG = "http://www.w3.org/2000/svg";

/** The element of the page with this id. */
export const byId = (id) => document.getElementById(id);

/** An element: h("button", {type: "button", onclick: add}, "Add"). False and null attributes are left out. */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function s(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** Text for screen readers alone. */
export const unseen = (text) => h("span", { class: "unseen" }, text);

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Calls that come within `milliseconds` of each other become the last of them. */
export function calmly(call, milliseconds) {
  let timer;
  const calm = (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...given), milliseconds);
  };
  calm.cancel = () => clearTimeout(timer);
  return calm;
}

/** A score or share: three digits after the point, with a true minus; sign: with a plus too. */
export function decimal(value, sign = false) {
  const digits = Math.abs(value).toFixed(3);
  if (value < 0 && Number(digits)) return `−${digits}`;
  return sign ? `+${digits}` : digits;
}

export const whole = (value) => value.toLocaleString("en");

/** "1 place", "3 places". */
export const counted = (count, noun, several = `${noun}s`) => `${whole(count)} ${count === 1 ? noun : several}`;

/** A dial's value: a plus or a true minus before it. */
export const signed = (value) => (value > 0 ? `+${value}` : `${value}`.replace("-", "−"));

/** What stands in a place until it is asked for. */
export const waiting = (words) => h("p", { class: "waiting", role: "status" }, words);

/** A calm box where there is nothing to show: what that means, and what to do. */
export const empty = (...words) => h("div", { class: "empty" }, words.filter(Boolean).map((text) => h("p", {}, text)));

/** Items of a list under terms: {term: what is shown}. */
export function facts(shown) {
  const pairs = Object.entries(shown).filter(([, value]) => value !== null && value !== undefined);
  return h(
    "dl",
    { class: "facts" },
    pairs.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))),
  );
}

/** A table that scrolls by itself. columns: its heads. rows: of cells, the first of each heads its row. */
export function table(caption, columns, rows) {
  const head = columns.map((name) => h("th", { scope: "col" }, name));
  return h(
    "div",
    { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" },
    h(
      "table",
      {},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, head)),
      h("tbody", {}, rows),
    ),
  );
}
