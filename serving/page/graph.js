// Why an item: what each neighbour adds to its score, as words, as a list, and as edges drawn between them.

import { itemLink } from "./address.js";
import { counted, decimal, h, s, unseen } from "./dom.js";

const WIDEST = 12; // pixels, of the edge with the largest share
const ROW = 2.25; // rem, one line of the list, as in style.css

/** The reasons of a /v1/explain document as an element. */
export function reasons(explained) {
  const causes = causesOf(explained);
  const hasKinds = new Set(explained.parts.map(({ relation }) => relation)).size > 1;
  const largest = Math.max(...causes.map((one) => Math.abs(one.share)), Number.MIN_VALUE);
  return h(
    "div",
    { class: "reasons" },
    explained.reasons?.length
      ? h(
          "ul",
          { class: "because" },
          explained.reasons.map((one) => h("li", {}, emphasised(one.text))),
        )
      : null,
    h(
      "div",
      { class: "graph" },
      h(
        "ul",
        { "aria-label": "What adds to the score" },
        causes.map((one) => cause(one, hasKinds)),
      ),
      edges(causes, largest),
      h(
        "p",
        { class: "target" },
        explained.title ?? explained.item,
        h("span", { class: "number" }, unseen("score "), decimal(explained.score)),
      ),
    ),
    h(
      "p",
      { class: "soft note" },
      "The numbers add up to the score. Each is what one line adds, not what would be lost without it.",
    ),
  );
}

/** Text whose names stand between asterisks; a backslash makes an asterisk of a name one of its letters. */
const emphasised = (text) =>
  text
    .split(/(?<!\\)\*((?:\\.|[^*\\])+)\*/)
    .map((part) => part.replace(/\\(.)/g, "$1"))
    .map((part, place) => (place % 2 ? h("em", {}, part) : part));

/** Neighbours, what is left of them, the trend, the popularity boost, and the rest: lines whose shares add up to the score. */
function causesOf({ parts, others, rest, trend = 0, popularity = 0 }) {
  const causes = parts.map((part) => ({
    name: part.title ?? part.id,
    item: part.type === "item" ? part.id : null,
    kind: part.relation,
    share: part.share,
  }));
  if (Math.abs(others) >= 5e-4)
    causes.push({ name: "the rest of the history", kind: "", share: others, quiet: true });
  if (trend) causes.push({ name: "popular recently", kind: "", share: trend, quiet: true });
  if (popularity) causes.push({ name: "its popularity", kind: "", share: popularity, quiet: true });
  if (Math.abs(rest) >= 5e-4) causes.push({ name: "not tied to one event", kind: "", share: rest, quiet: true });
  return causes;
}

function cause({ name, item, kind, share, quiet }, hasKinds) {
  return h(
    "li",
    { class: quiet ? "quiet-cause" : null },
    h("span", { class: "cause", title: name }, item === null || quiet ? name : h("a", { href: itemLink(item) }, name)),
    h("span", { class: "soft kind" }, hasKinds ? kind : ""),
    h("span", { class: share < 0 ? "number against" : "number" }, decimal(share, true)),
  );
}

function edges(causes, largest) {
  const height = causes.length * ROW;
  const drawn = causes.map(({ share, quiet }, place) =>
    s("path", {
      d: `M0 ${(place + 0.5) * ROW} C50 ${(place + 0.5) * ROW} 50 ${height / 2} 100 ${height / 2}`,
      "stroke-width": Math.max(1, (WIDEST * Math.abs(share)) / largest).toFixed(2),
      class: [share < 0 ? "against" : "for", quiet ? "quiet-edge" : ""].join(" ").trim(),
    }),
  );
  const label = `${counted(causes.length, "edge")} to the item, as wide as the shares in the list`;
  return s(
    "svg",
    {
      viewBox: `0 0 100 ${height}`,
      height: `${height}rem`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": label,
    },
    drawn,
  );
}
