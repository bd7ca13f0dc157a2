// Lists of recommendations, one or two side by side with marks of what moved.

import { counted, decimal, h, unseen } from "./dom.js";

const NO_REASONS = ["fallback", "segment"];

/** In words, where a list came from. */
export const SOURCES = {
  model: "from the trained vector of this user",
  fold_in: "encoded just now from the history",
  attributes: "from attributes",
  social: "from friends",
  segment: "popular among users alike",
  fallback: "the most popular items, as nothing is known of this visitor",
};

/** One list as an element. actions: {why, add}, where it has any. marks: by item id, where it stands in another list. */
export function list(answer, label, { actions = null, marks = new Map() }) {
  if (!answer.items.length) return h("p", { class: "empty" }, "No item may be recommended under these rules.");
  const top = Math.max(...answer.items.map((one) => Math.abs(one.score)), Number.MIN_VALUE);
  const why = NO_REASONS.includes(answer.source) ? null : actions?.why;
  const rows = answer.items.map((one) => item(one, one.score / top, marks.get(one.id), { ...actions, why }));
  return h("ol", { class: "items", "aria-label": label }, rows);
}

function item(one, share, mark, { why, add }) {
  const name = one.title ?? one.id;
  const reasons = why && h("div", { class: "why", id: `why-${one.rank}`, hidden: true });
  return h(
    "li",
    { class: mark?.kind, "data-item": one.id },
    h("span", { class: "rank" }, String(one.rank)),
    h("span", { class: "name" }, name, one.title && h("span", { class: "soft id" }, one.id)),
    mark && h("span", { class: "mark" }, h("span", { "aria-hidden": "true" }, mark.sign), unseen(mark.words)),
    score(one, share),
    add &&
      h(
        "span",
        { class: "actions" },
        why && whyButton(name, reasons, () => why(one)),
        addButton(name, () => add(one)),
      ),
    reasons,
  );
}

function score(one, share) {
  const bar = h("span", { class: "bar", "aria-hidden": "true" });
  bar.style.setProperty("--share", Math.max(0, share).toFixed(3));
  return h("span", { class: "score" }, unseen("score "), h("span", { class: "number" }, decimal(one.score)), bar);
}

/** Opens and closes `place`, which is filled with what `make` gives whenever it opens. */
function whyButton(name, place, make) {
  const open = async () => {
    const opening = place.hidden;
    if (opening) place.replaceChildren(await make());
    place.hidden = !opening;
    button.setAttribute("aria-expanded", String(opening));
  };
  const state = { "aria-expanded": "false", "aria-controls": place.id };
  const button = h(
    "button",
    { class: "quiet", "data-action": "why", ...state, onclick: open },
    "Why",
    unseen(` ${name}`),
  );
  return button;
}

const addButton = (name, add) =>
  h("button", { class: "quiet", "data-action": "add", onclick: add }, "Add", unseen(` ${name} to the history`));

/** Two answers to the same question: marks for the items of either, and how they differ in words. */
export function compare(live, other) {
  const [before, after] = [ranks(live), ranks(other)];
  const gone = [...before.keys()].filter((id) => !after.has(id));
  const marks = {
    live: new Map(gone.map((id) => [id, { kind: "removed", sign: "removed", words: "removed" }])),
    other: new Map([...after].map(([id, rank]) => [id, mark(before.get(id), rank)])),
  };
  const count = (...kinds) => [...marks.other.values()].filter(({ kind }) => kinds.includes(kind)).length;
  const [moved, added, removed] = [count("up", "down"), count("added"), gone.length];
  const common = counted(after.size - added, "item");
  const same = moved + added + removed === 0;
  return {
    marks,
    words: same
      ? "Both lists are the same."
      : `${common} in both lists, ${moved} moved, ${added} added, ${removed} removed.`,
  };
}

const ranks = (answer) => new Map(answer.items.map((one) => [one.id, one.rank]));

function mark(before, rank) {
  if (before === undefined) return { kind: "added", sign: "added", words: "added" };
  const up = before - rank;
  const places = counted(Math.abs(up), "place");
  if (up > 0) return { kind: "up", sign: `▲ ${up}`, words: `up ${places}` };
  if (up < 0) return { kind: "down", sign: `▼ ${-up}`, words: `down ${places}` };
  return { kind: "same", sign: "=", words: "same place" };
}
