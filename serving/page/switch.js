// Making another bundle answer: a question first, then how far it is.

import { Problem, ask } from "./api.js";
import { byId, h } from "./dom.js";

const EVERY = 500; // milliseconds between looks at a job

/** bundle, live: of the list of bundles. isBack: whether it was live before. changed: called once it answers. */
export function switchTo(bundle, live, isBack, changed) {
  const dialog = byId("switch-dialog");
  const words = [
    `Bundle ${bundle.name} will answer all who ask this service, and all others that follow the run.`,
    live && `Bundle ${live.name}, which answers now, is kept: you can go back to it here.`,
    bundle.verdict && `Its own report says: ${bundle.verdict}`,
  ];
  const start = () => work(bundle, isBack, changed);
  show([
    ...words.filter(Boolean).map((text) => h("p", {}, text)),
    buttons(h("button", { onclick: start }, isBack ? "Go back to it" : "Make it live"), leave("Cancel")),
  ]);
  dialog.showModal();
}

/** Promote or roll back, and follow the job to its end. */
async function work(bundle, isBack, changed, force = false) {
  const progress = h("progress", { max: "1", "aria-label": "Loading the bundle" });
  const said = h("p", { role: "status" }, `Loading and checking bundle ${bundle.name}…`);
  show([said, progress]);
  try {
    const began = isBack
      ? await ask("/v1/admin/rollback?wait=0", {})
      : await ask("/v1/admin/promote?wait=0", { bundle: bundle.name, force });
    const job = await ended(began, (share) => (progress.value = share));
    if (job.state !== "done") throw new Problem(409, job.detail ?? `The job is ${job.state}.`, job.remedy);
    show([h("p", { role: "status" }, `Bundle ${job.model_version} answers now.`), buttons(leave("Close"))]);
    await changed();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const again = () => work(bundle, isBack, changed, true);
    const isByGate = error.status === 409 && !isBack && !force;
    show([
      h("p", { role: "alert" }, h("strong", {}, "It was not done: "), error.message),
      error.remedy && h("p", {}, error.remedy),
      buttons(isByGate && h("button", { onclick: again }, "Make it live all the same"), leave("Close")),
    ]);
  }
}

async function ended(job, tell) {
  let now = job;
  while (["waiting", "running"].includes(now.state)) {
    tell(now.share);
    await new Promise((resolve) => setTimeout(resolve, EVERY));
    now = await ask(`/v1/admin/jobs/${now.job}`);
  }
  return now;
}

function show(content) {
  byId("switch-content").replaceChildren(...content.filter(Boolean));
  byId("switch-content").querySelector("button")?.focus();
}

const buttons = (...shown) => h("div", { class: "row" }, shown);

const leave = (word) => h("button", { class: "quiet", onclick: () => byId("switch-dialog").close() }, word);
