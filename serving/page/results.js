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

/** One list as an element. marks: by item id, where it stands in the other list. actions: why and add, if any. */
export function list(answer, label, actions = null, marks = null) {
  const top = Math.max(...answer.items.map((one) => Math.abs(one.score)), Number.MIN_VALUE);
  if (!answer.items.length) return h("p", { class: "empty" }, "No item may be recommended under these rules.");
  const explained = actions && !NO_REASONS.includes(answer.source);
  return h(
    "ol",
    { class: "items", "aria-label": label },
    answer.items.map((one) => item(one, top, marks?.get(one.id), actions, explained)),
  );
}

function item(one, top, mark, actions, explained) {
  const name = one.title ?? one.id;
  const place = explained ? h("div", { class: "why", id: `why-${one.rank}`, hidden: true }) : null;
  const bar = h("span", { class: "bar", "aria-hidden": "true" });
  bar.style.setProperty("--share", Math.max(0, one.score / top).toFixed(3));
  return h(
    "li",
    { class: mark?.kind ?? null, "data-item": one.id },
    h("span", { class: "rank" }, String(one.rank)),
    h("span", { class: "name" }, name, one.title ? h("span", { class: "soft id" }, one.id) : null),
    mark
      ? h(
          "span",
          { class: "mark" },
          mark.sign ? h("span", { "aria-hidden": "true" }, mark.sign) : null,
          mark.sign ? unseen(mark.words) : mark.words,
        )
      : null,
    h("span", { class: "score" }, unseen("score "), h("span", { class: "number" }, decimal(one.score)), bar),
    actions ? h("span", { class: "actions" }, place && why(one, name, place, actions), add(one, name, actions)) : null,
    place,
  );
}

function why(one, name, place, actions) {
  const button = h(
    "button",
    {
      class: "quiet",
      "data-action": "why",
      "aria-expanded": "false",
      "aria-controls": place.id,
      onclick: async () => {
        const opening = place.hidden;
        if (opening) place.replaceChildren(await actions.why(one));
        place.hidden = !opening;
        button.setAttribute("aria-expanded", String(opening));
      },
    },
    "Why",
    unseen(` ${name}`),
  );
  return button;
}

function add(one, name, actions) {
  return h(
    "button",
    { class: "quiet", "data-action": "add", onclick: () => actions.add(one) },
    "Add",
    unseen(` ${name} to the history`),
  );
}

/** Two answers to the same question: marks for either list, and how they differ in words. */
export function compare(live, other) {
  const before = ranks(live);
  const after = ranks(other);
  const common = [...after.keys()].filter((id) => before.has(id));
  const moved = common.filter((id) => before.get(id) !== after.get(id)).length;
  return {
    live: new Map(
      [...before.keys()].filter((id) => !after.has(id)).map((id) => [id, { kind: "removed", words: "removed" }]),
    ),
    other: new Map([...after].map(([id, rank]) => [id, mark(before.get(id), rank)])),
    words:
      common.length === before.size && !moved && before.size === after.size
        ? "Both lists are the same."
        : `${counted(common.length, "item")} in both lists, ${moved} moved, ${after.size - common.length} added, ${before.size - common.length} removed.`,
  };
}

const ranks = (answer) => new Map(answer.items.map((one) => [one.id, one.rank]));

function mark(before, rank) {
  if (before === undefined) return { kind: "added", words: "added" };
  const up = before - rank;
  if (up === 0) return { kind: "same", sign: "=", words: "same place" };
  const places = counted(Math.abs(up), "place");
  return up > 0
    ? { kind: "up", sign: `▲ ${up}`, words: `up ${places}` }
    : { kind: "down", sign: `▼ ${-up}`, words: `down ${places}` };
}
