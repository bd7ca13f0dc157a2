// The page: views by the address, what the header says, what went wrong.

import { VIEWS, here } from "./address.js";
import { ask } from "./api.js";
import { bundles } from "./bundles.js";
import { byId, counted, h, waiting } from "./dom.js";
import { experiment } from "./experiment.js";
import { itemView } from "./item.js";
import { keyButton, watchKey } from "./key.js";
import { live } from "./live.js";
import { Recommend } from "./recommend.js";
import { report } from "./report.js";

const EVERY = 5000; // milliseconds between looks at which bundle answers

let model = null;

const recommend = new Recommend({
  failed,
  succeeded,
  answered: (version) => {
    linkToList();
    if (version !== model?.model_version) guarded(follow); // or an experiment lets another bundle answer
  },
});

const FILL = {
  recommend: (parameters) => recommend.show(parameters),
  item: async (parameters) => {
    const actions = { add: (item) => recommend.add(item), back: recommend.address };
    return fill("item", "Looking it up…", () => itemView(parameters.get("id") ?? "", model, actions));
  },
  bundles: () => fill("bundles", "Asking for the bundles…", () => bundles(follow)),
  experiment: () => fill("experiment", "Counting what was shown…", experiment),
  report: () => fill("report", "Reading the report…", () => report(model)),
  live: () => live(guarded),
};

function failed(error) {
  const said = error.detail ? [error.detail, error.remedy] : ["The page failed.", String(error)];
  const close = h("button", { class: "quiet", onclick: succeeded }, "Dismiss");
  const buttons = h("div", { class: "row" }, error.isOfKey && keyButton(), close);
  byId("problem").replaceChildren(
    h("div", { class: "problem" }, h("p", {}, h("strong", {}, said[0])), said[1] ? h("p", {}, said[1]) : null, buttons),
  );
}

function succeeded() {
  byId("problem").replaceChildren();
}

async function guarded(call) {
  try {
    await call();
  } catch (error) {
    failed(error);
  }
}

/** What the header says and the panel offers. */
async function describe() {
  model = await ask("/v1/model");
  const { model_version: name, users, items } = model;
  byId("bundle").textContent = `bundle ${name} · ${counted(users, "user")} · ${counted(items, "item")}`;
  await recommend.describe(model);
}

/** Look which bundle answers; where it is another, show all of it anew. */
async function follow() {
  const { model_version: version } = await ask("/readyz");
  if (model === null || version === model.model_version) return;
  await describe();
  await recommend.refresh();
  if (byId("view-recommend").hidden) await show(false);
}

async function fill(view, words, make) {
  const place = byId(`${view}-content`);
  if (!place.children.length || view === "item") place.replaceChildren(waiting(words));
  try {
    place.replaceChildren(...(await make()));
  } catch (error) {
    place.replaceChildren();
    throw error;
  }
}

const linkToList = () => document.querySelector('nav a[href^="#recommend"]').setAttribute("href", recommend.address);

/** Show what the address names. focus: to its heading, so that a screen reader begins there. */
async function show(focus) {
  const { view, parameters } = here();
  if (view === null) return;
  const wasHidden = byId(`view-${view}`).hidden;
  for (const one of VIEWS) byId(`view-${one}`).hidden = one !== view;
  for (const anchor of document.querySelectorAll("nav a")) {
    if (anchor.hash.slice(1).split("?")[0] === view) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  document.title = `${byId(`${view}-heading`).textContent} – recsys`;
  if (focus && (wasHidden || view === "item")) {
    scrollTo(0, 0);
    byId(`${view}-heading`).focus();
  }
  succeeded();
  await guarded(() => FILL[view](parameters));
}

function listen() {
  addEventListener("hashchange", () => show(true));
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId(byId("view-recommend").hidden ? "main" : "results").focus();
  });
  const look = () => document.hidden || follow().catch(() => {}); // what cannot be asked now is asked again
  setInterval(look, EVERY);
  document.addEventListener("visibilitychange", look);
}

async function start() {
  watchKey();
  listen();
  byId("lists").replaceChildren(waiting("Asking which bundle answers…"));
  await guarded(async () => {
    await describe();
    await show(false);
  });
  if (model === null) byId("lists").replaceChildren();
}

start();
