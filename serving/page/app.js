// The page: views, the key, what went wrong.

import { ask, forgetKey, hasKey, onKeyWanted } from "./api.js";
import { byId, counted, h } from "./dom.js";
import { live } from "./live.js";
import { Recommend } from "./recommend.js";
import { report } from "./report.js";

const VIEWS = ["recommend", "report", "live"];
const EVERY = 5000; // milliseconds between live figures

let model = null;

function failed(error) {
  const said = error.detail ? [error.detail, error.remedy] : ["The page failed.", String(error)];
  const close = h("button", { class: "quiet", onclick: succeeded }, "Dismiss");
  byId("problem").replaceChildren(
    h("div", { class: "problem" }, h("p", {}, h("strong", {}, said[0])), said[1] ? h("p", {}, said[1]) : null, close),
  );
}

function succeeded() {
  byId("problem").replaceChildren();
}

const recommend = new Recommend({ failed, succeeded, answered: (version) => guarded(() => describeBundle(version)) });

/** What the header says and the panel offers; asked again when another bundle answers. */
async function describeBundle(version) {
  if (model?.model_version === version) return;
  model = await ask("/v1/model");
  const { model_version: name, users, items } = model;
  byId("bundle").textContent = `bundle ${name} · ${counted(users, "user")} · ${counted(items, "item")}`;
  byId("forget-key").hidden = !hasKey();
  await recommend.describe(model);
}

async function fill(view) {
  if (view === "report") byId("report-content").replaceChildren(...(await report(await ask("/v1/model"))));
  if (view === "live") byId("live-content").replaceChildren(...(await live()));
}

/** Show the view that the address names. focus: to its heading, so that a screen reader begins there. */
async function showView(focus) {
  const named = location.hash.slice(1);
  if (focus && !VIEWS.includes(named)) return;
  const view = VIEWS.includes(named) ? named : VIEWS[0];
  for (const one of VIEWS) {
    byId(`view-${one}`).hidden = one !== view;
    const link = document.querySelector(`nav a[href="#${one}"]`);
    if (one === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (focus) byId(`${view}-heading`).focus();
  succeeded();
  await guarded(() => fill(view));
}

async function guarded(call) {
  try {
    await call();
  } catch (error) {
    failed(error);
  }
}

function giveKey(wasUnknown) {
  const dialog = byId("key-dialog");
  if (wasUnknown) byId("key-note").textContent = "The service does not know that key. Try another.";
  byId("key").value = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => resolve(dialog.returnValue === "use" && byId("key").value ? byId("key").value : null),
      { once: true },
    );
  });
}

async function start() {
  onKeyWanted(giveKey);
  byId("forget-key").addEventListener("click", () => {
    forgetKey();
    location.reload();
  });
  addEventListener("hashchange", () => showView(true));
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId(byId("view-recommend").hidden ? "main" : "results").focus();
  });
  setInterval(() => {
    const watched = !byId("view-live").hidden && byId("live-follow").checked && !document.hidden;
    if (watched) guarded(() => fill("live"));
  }, EVERY);
  await Promise.all([showView(false), recommend.refresh()]);
}

start();
