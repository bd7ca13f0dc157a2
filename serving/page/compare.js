// Two lists side by side, with marks of what moved.

import { counted, h } from "./dom.js";
import { list, said } from "./results.js";

/**
 * Two sides as an element. Each side: {label, answer, actions, person}. marks: of `compare`.
 */
export function sideBySide(sides, marks) {
  const shown = sides.map((side, place) => one(side, place ? marks.other : marks.first));
  return h("div", { class: "pair" }, shown);
}

function one({ label, answer, actions, person }, marks) {
  return h(
    "section",
    { class: "side", "aria-label": label },
    h("h4", {}, label),
    h("p", { class: "soft" }, said(answer)),
    list(answer, label, { actions, marks }),
    person,
  );
}

/** Marks for the items of two lists, and how the lists differ in words. */
export function compare(first, other) {
  const [before, after] = [ranks(first), ranks(other)];
  const gone = [...before.keys()].filter((id) => !after.has(id));
  const marks = {
    first: new Map(gone.map((id) => [id, { kind: "removed", sign: "only here", words: "removed" }])),
    other: new Map([...after].map(([id, rank]) => [id, mark(before.get(id), rank)])),
  };
  const count = (...kinds) => [...marks.other.values()].filter(({ kind }) => kinds.includes(kind)).length;
  const [moved, added, removed] = [count("up", "down"), count("added"), gone.length];
  const common = counted(after.size - added, "item");
  const apart = `${added} only in the second, ${removed} only in the first`;
  let words = `${common} in both lists, ${moved} at another place; ${apart}.`;
  if (moved + added + removed === 0) words = "Both lists are the same.";
  else if (after.size === added) words = "The lists have no item in common.";
  return { marks, words };
}

const ranks = (answer) => new Map(answer.items.map((one) => [one.id, one.rank]));

function mark(before, rank) {
  if (before === undefined) return { kind: "added", sign: "only here", words: "added" };
  const up = before - rank;
  const places = counted(Math.abs(up), "place");
  if (up > 0) return { kind: "up", sign: `▲ ${up}`, words: `up ${places}` };
  if (up < 0) return { kind: "down", sign: `▼ ${-up}`, words: `down ${places}` };
  return { kind: "same", sign: "=", words: "same place" };
}
