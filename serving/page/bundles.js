// The view of the run's bundles: which answers, how they differ, and making another the live one.

import { link } from "./address.js";
import { Problem, ask } from "./api.js";
import { empty, h, table, whole } from "./dom.js";
import { keyButton } from "./key.js";
import { switchTo } from "./switch.js";

/** The bundles as elements. changed: called once another bundle answers. */
export async function bundles(changed) {
  try {
    const { bundles: found } = await ask("/v1/admin/bundles");
    return shown(found, changed);
  } catch (error) {
    if (!(error instanceof Problem) || error.status === 0) throw error;
    const box = empty("The bundles of the run cannot be shown here.", `${error.message}. ${error.remedy}`);
    if (error.isOfKey) box.append(keyButton());
    return [box];
  }
}

function shown(found, changed) {
  const live = found.find((one) => one.live);
  const columns = ["Bundle", "State", "On its test", "Made", "Size", "Users", "Items"];
  const rows = found.map((one) => row(one, live, changed));
  return [
    h("p", { class: "soft" }, "A bundle is a finished model with all it needs to answer. One of them answers at a time."),
    table("Bundles of this run, the newest first", columns, rows),
    ...found.filter((one) => one !== live && live).map((one) => difference(live, one)),
  ];
}

function row(bundle, live, changed) {
  const { name, written, users, items, bytes } = bundle;
  const cells = [tested(bundle), day(written), `${(bytes / 1e6).toFixed(1)} MB`, whole(users), whole(items)];
  return h(
    "tr",
    { class: bundle.live ? "main" : null },
    h("th", { scope: "row" }, name),
    h("td", { class: "text" }, state(bundle), !bundle.live && switchButton(bundle, live, changed)),
    cells.map((text) => h("td", {}, text)),
  );
}

function switchButton(bundle, live, changed) {
  const isBack = bundle.rolls_back_to;
  const open = () => switchTo(bundle, live, isBack, changed);
  return h("button", { class: "quiet", onclick: open }, isBack ? "Go back to it…" : "Make it live…");
}

/** What the list of bundles tells of two: how they differ in words, and a way to hold their lists side by side. */
function difference(live, other) {
  const changes = [
    changed("users", live.users, other.users),
    changed("items", live.items, other.items),
    test(live, other),
  ].filter(Boolean);
  return h(
    "details",
    { class: "difference" },
    h("summary", {}, `How ${other.name} differs from the live one`),
    changes.length ? h("ul", {}, changes.map((text) => h("li", {}, text))) : h("p", {}, "Its figures are the same."),
    other.verdict && h("p", {}, `Its own report says: ${other.verdict}`),
    h(
      "p",
      {},
      h("a", { href: link("recommend", { against: "bundle", other: other.name }) }, "Hold its lists against the live ones"),
    ),
  );
}

function changed(noun, before, after) {
  if (before === after) return null;
  const more = after > before;
  return `${whole(Math.abs(after - before))} ${more ? "more" : "fewer"} ${noun}: ${whole(after)} instead of ${whole(before)}.`;
}

function test(live, other) {
  if (other.test === null) return "It was not tested.";
  if (live.test === null || live.deciding !== other.deciding)
    return `${other.deciding.toUpperCase()} ${other.test.toFixed(4)}; the live one has no such figure.`;
  const difference = other.test - live.test;
  const better = difference > 0 ? "higher" : "lower";
  const size = Math.abs(difference).toFixed(4);
  return `${other.deciding.toUpperCase()} is ${size} ${better}, each on its own test: ${other.test.toFixed(4)} and ${live.test.toFixed(4)}.`;
}

const day = (written) => written.slice(0, 16).replace("T", " ");

const tested = ({ deciding, test }) => (test === null ? "not tested" : `${deciding.toUpperCase()} ${test.toFixed(4)}`);

function state({ live, rolls_back_to: isBefore, held }) {
  if (live) return "answers now";
  if (isBefore) return "was live before";
  return held ? "never live" : "was live once";
}
