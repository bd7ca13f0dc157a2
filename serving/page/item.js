// The view of one item: what is known of it, who had it, and what is like it.

import { link } from "./address.js";
import { ask } from "./api.js";
import { counted, empty, facts, h, whole } from "./dom.js";
import { pictureOrLink, webAddress } from "./picture.js";
import { list } from "./results.js";

const SIMILAR = 10;
const PEOPLE = 12;

/** In words, what makes items similar. */
const LIKENESS = {
  model: "Those the model finds closest; 1 would be the same.",
  fold_in: "What somebody who had this one alone would be recommended.",
};

/** An item's page as elements. actions: {add, back}: put it into the history; the address of the list. */
export async function itemView(id, model, { add, back }) {
  const {
    items: [item],
  } = await ask("/v1/items", { items: [id] });
  const returning = h("p", {}, h("a", { href: back }, "Back to the recommendations"));
  if (!item) return [empty(`The bundle knows no item “${id}”.`), returning];
  const [similar, people] = await Promise.all([
    ask("/v1/similar", { item: id, k: SIMILAR }),
    ask("/v1/item-users", { item: id, k: PEOPLE }),
  ]);
  const title = item.title ?? item.id;
  const plain = { ...similar, source: "model" };
  return [
    h(
      "div",
      { class: "item-head" },
      await pictureOrLink(item.attributes, title),
      h(
        "div",
        {},
        h("h3", { class: "item-title" }, title),
        h("p", { class: "soft" }, item.title ? `id ${item.id}` : "This item has no title"),
        h("p", {}, availability(item)),
        attributes(item.attributes),
        h("p", { class: "row" }, h("button", { class: "quiet", onclick: () => add(item) }, "Add to the history")),
      ),
    ),
    h(
      "div",
      { class: "item-columns" },
      h(
        "section",
        { "aria-labelledby": "similar-heading" },
        h("h3", { id: "similar-heading" }, "Similar items"),
        h("p", { class: "soft" }, LIKENESS[similar.source] ?? LIKENESS.model),
        similar.items.length ? list(plain, "Similar items") : empty("The model finds nothing like it."),
      ),
      h(
        "section",
        { "aria-labelledby": "people-heading" },
        h("h3", { id: "people-heading" }, "Who had it"),
        popularity(item, model),
        persons(people),
      ),
    ),
    returning,
  ];
}

const availability = ({ available }) =>
  available
    ? h("span", { class: "badge good" }, "Can be recommended")
    : h("span", { class: "badge bad" }, "Not available: never recommended");

/** Every value leads to the list of items that have it, where filters know the column; addresses lead to their page. */
function attributes(found) {
  const shown = Object.entries(found).map(([column, value]) => [column, valuesOf(column, value)]);
  return shown.length ? facts(Object.fromEntries(shown)) : h("p", { class: "soft" }, "It has no attributes.");
}

function valuesOf(column, value) {
  const values = Array.isArray(value) ? value : [value];
  return h(
    "ul",
    { class: "chips" },
    values.map((one) => h("li", {}, valueOf(column, `${one}`))),
  );
}

function valueOf(column, value) {
  const address = webAddress(value);
  if (address) return h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, value);
  return h("a", { href: link("recommend", { [`only.${column}`]: value }) }, value);
}

/** How many users had it, under each behaviour, of all. */
function popularity({ popularity: counts }, { users, behaviors }) {
  const names = behaviors.length > 1 ? ["all", ...behaviors] : ["all"];
  const rows = names.map((name) => {
    const count = counts[name] ?? 0;
    const bar = h("span", { class: "bar", "aria-hidden": "true" });
    bar.style.setProperty("--from", "0");
    bar.style.setProperty("--to", Math.min(1, count / Math.max(1, users)).toFixed(3));
    const share = ((100 * count) / Math.max(1, users)).toFixed(1);
    return h(
      "li",
      {},
      h("span", {}, name === "all" ? "Users in all" : name),
      h("span", { class: "number" }, `${whole(count)} of ${whole(users)} (${share} %)`),
      bar,
    );
  });
  return h("ul", { class: "shares", "aria-label": "Users who had it" }, rows);
}

function persons({ users, total }) {
  if (!users.length) return null;
  const shown = users.map((user) => h("li", {}, h("a", { href: link("recommend", { user }) }, user)));
  const left = total - users.length;
  return [
    h("p", { class: "soft" }, "Some of them; each leads to their own list."),
    h("ul", { class: "chips", "aria-label": "Some users who had it" }, shown),
    left > 0 && h("p", { class: "soft" }, `and ${counted(left, "more", "more")}`),
  ];
}
