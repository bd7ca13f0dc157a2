// How the run's models did on its test, from report.json.

import { ask, askText, hasKey } from "./api.js";
import { h, whole } from "./dom.js";

const SHOWN = 4; // metrics in the table
const FULL = "/v1/report.html";

export async function report(model) {
  const found = await ask("/v1/report");
  return [
    h("p", { class: "headline" }, found.headline),
    h("p", { class: found.verdict.never_worse ? "verdict good" : "verdict bad" }, found.verdict.line),
    ...found.warnings.map((text) => h("p", { class: "verdict bad" }, text)),
    facts(found, model),
    table(found),
    h("p", { class: "soft" }, found.worst_slice),
    h("p", {}, full()),
  ];
}

function facts({ facts: run }, model) {
  const shown = {
    "Bundle that answers": model.model_version,
    Data: run.data,
    Split: run.time_safe ? `${run.split}, no look into the future` : run.split,
    Users: whole(run.users),
    Items: whole(run.items),
    "Test users": whole(run.warm_users),
    Index: model.index_card.kind,
  };
  return h(
    "dl",
    { class: "facts" },
    Object.entries(shown).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value || "not said"))),
  );
}

function table(found) {
  const metrics = [
    found.deciding,
    ...Object.keys(found.models[0].metrics).filter((name) => name !== found.deciding),
  ].slice(0, SHOWN);
  const findings = new Map(
    found.comparisons.filter((one) => one.metric === found.deciding).map((one) => [one.other, one.finding]),
  );
  const head = h(
    "tr",
    {},
    ["Model", "On validation", ...metrics.map(title), "The model against it"].map((name) =>
      h("th", { scope: "col" }, name),
    ),
  );
  return h(
    "div",
    { class: "scroll", role: "region", "aria-label": "Models on the test", tabindex: "0" },
    h(
      "table",
      {},
      h("caption", {}, "Models on the test"),
      h("thead", {}, head),
      h(
        "tbody",
        {},
        found.models.map((row) => line(row, metrics, found, findings)),
      ),
    ),
  );
}

function line(row, metrics, found, findings) {
  const cells = row.skipped
    ? [h("td", { colspan: String(metrics.length), class: "text" }, row.skipped)]
    : metrics.map((name) => cell(row.metrics[name]));
  const finding = row.name === found.main ? "" : (findings.get(row.name) ?? "");
  return h(
    "tr",
    { class: row.name === found.main ? "main" : null },
    h("th", { scope: "row" }, row.title),
    h("td", {}, row.validation === null ? "–" : row.validation.toFixed(4)),
    cells,
    h("td", { class: finding }, finding),
  );
}

function cell(value) {
  if (!value) return h("td", {}, "–");
  const interval = value.low === null ? null : h("small", {}, `${value.low.toFixed(4)} to ${value.high.toFixed(4)}`);
  return h("td", {}, value.value.toFixed(4), interval);
}

const title = (metric) =>
  metric.replace(/^[a-z]+/, (name) => (name.length < 5 ? name.toUpperCase() : name[0].toUpperCase() + name.slice(1)));

/** The whole report: a link, or where a key is needed, which links cannot send, a file to keep. */
function full() {
  if (!hasKey())
    return h("a", { href: FULL, target: "_blank", rel: "noopener" }, "Read the full report (opens in a new tab)");
  return h("button", { onclick: download }, "Download the full report");
}

async function download() {
  const address = URL.createObjectURL(new Blob([await askText(FULL)], { type: "text/html" }));
  h("a", { href: address, download: "report.html" }).click();
  URL.revokeObjectURL(address);
}
