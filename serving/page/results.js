// Lists of recommendations, with what can be done with each item.

import { itemLink } from "./address.js";
import { counted, decimal, empty, h, unseen } from "./dom.js";

const NO_REASONS = ["fallback", "segment"];

/** In words, where a list came from. */
export const SOURCES = {
  model: "by what the model has learned of this user",
  fold_in: "worked out from the items in the history",
  attributes: "by the attributes given",
  social: "by what friends like",
  segment: "the most popular among similar users",
  fallback: "the most popular of all, since nothing is known of this visitor yet",
};

/** One list as an element. actions: {why, add}, where it has any. marks: by item id, where it stands in another list. */
export function list(answer, label, { actions = null, marks = new Map() } = {}) {
  if (!answer.items.length)
    return empty("No item is left under these rules.", "Take away a filter, or let in what was seen already.");
  const why = NO_REASONS.includes(answer.source) ? null : actions?.why;
  const scale = scaleOf(answer.items.map((one) => one.score));
  const rows = answer.items.map((one) => row(one, scale, marks.get(one.id), { ...actions, why }));
  return h("ol", { class: "items", "aria-label": label }, rows);
}

/** What a list is, in a sentence. */
export function said({ items, source, unknown, note }) {
  const missing = unknown.length ? ` Not known to the model: ${[...new Set(unknown)].join(", ")}.` : "";
  return `${counted(items.length, "item")}, ${SOURCES[source] ?? source}.${missing}${note ? ` ${note}.` : ""}`;
}

function row(one, scale, mark, { why, add }) {
  const name = one.title ?? one.id;
  const reasons = why && h("div", { class: "why", hidden: true });
  const buttons = [why && whyButton(name, reasons, () => why(one)), add && addButton(name, () => add(one))];
  return h(
    "li",
    { class: mark?.kind, "data-item": one.id },
    h("span", { class: "rank" }, String(one.rank)),
    h(
      "span",
      { class: "name" },
      h("a", { href: itemLink(one.id), "data-action": "open" }, name),
      h("span", { class: "soft" }, [...fieldTexts(one.fields), one.title && `id ${one.id}`].filter(Boolean).join(" · ")),
    ),
    mark && h("span", { class: "mark" }, h("span", { "aria-hidden": "true" }, mark.sign), unseen(mark.words)),
    score(one.score, scale),
    actions(buttons.filter(Boolean)),
    reasons,
  );
}

const actions = (buttons) => buttons.length > 0 && h("span", { class: "actions" }, buttons);

/** Values of the columns that came along, as people read them. */
function fieldTexts(fields = {}) {
  const values = Object.values(fields).filter((value) => value !== null && value !== "");
  return values.map((value) => (Array.isArray(value) ? value.join(", ") : `${value}`));
}

/** Bars begin at 0: to the right for scores above it, to the left for those below. */
function scaleOf(scores) {
  const low = Math.min(0, ...scores);
  const high = Math.max(0, ...scores);
  const span = high - low || 1;
  return (value) => (value - low) / span;
}

function score(value, scale) {
  const bar = h("span", { class: value < 0 ? "bar below" : "bar", "aria-hidden": "true" });
  const [from, to] = [scale(0), scale(value)].sort((a, b) => a - b);
  bar.style.setProperty("--from", from.toFixed(3));
  bar.style.setProperty("--to", to.toFixed(3));
  return h("span", { class: "score" }, unseen("score "), h("span", { class: "number" }, decimal(value)), bar);
}

/** Opens and closes `place`, which is filled with what `make` gives whenever it opens. */
function whyButton(name, place, make) {
  const open = async () => {
    const isOpening = place.hidden;
    if (isOpening) place.replaceChildren(await make());
    place.hidden = !isOpening;
    button.setAttribute("aria-expanded", String(isOpening));
  };
  const state = { class: "quiet", "data-action": "why", "aria-expanded": "false", onclick: open };
  const button = h("button", state, "Why", unseen(` ${name}`));
  return button;
}

const addButton = (name, add) =>
  h("button", { class: "quiet", "data-action": "add", onclick: add }, "Add", unseen(` ${name} to the history`));
