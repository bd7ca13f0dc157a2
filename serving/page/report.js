// How the bundle's models did on its test: the deciding figure first, in words.

import { Problem, addressOf, ask, askText, hasKey } from "./api.js";
import { intervalChart } from "./chart.js";
import { empty, facts, h, table, whole } from "./dom.js";

const SHOWN = 4; // metrics in the table
const FULL = "/v1/report.html";
const FINDINGS = { better: "yes", worse: "no, it is worse", undecided: "cannot be told" };

/** What a metric says, after its name; k stands for the length of the list. */
const METRICS = {
  ndcg: "how much of what users took next stands in their first k places; the higher a place, the more it counts. 1 is perfect, 0 is none.",
  recall: "the share of what users took next that was in their first k places.",
  precision: "the share of the first k places that users took next.",
  hr: "the share of users who took at least one of their first k places next.",
  mrr: "how high the first right item stood within the first k places: 1 for the first, 1/2 for the second, and so on.",
  map: "the precision at every right item within the first k places, averaged.",
};

const SPLITS = {
  global_time: "all events after one moment",
  last_share: "the latest part of each user’s events",
  leave_last: "the latest events of each user",
  rolling_time: "what followed several moments",
  given: "events set aside beforehand",
  random: "events drawn at random",
};

export async function report(model) {
  try {
    const found = await ask("/v1/report");
    return shown(found, model);
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 404) throw error;
    return [empty("The bundle that answers has no report: it was not tested.", "Its lists can be looked at all the same.")];
  }
}

/** Whether a metric is one of those explained, over as many places as the deciding one. */
function isSimple(metric, deciding) {
  const [name, k] = metric.split("@");
  return metric !== deciding && name in METRICS && k === deciding.split("@")[1];
}

function shown(found, model) {
  const main = found.models.find(({ name }) => name === found.main);
  const metrics = [found.deciding, ...Object.keys(main.metrics).filter((name) => isSimple(name, found.deciding))];
  return [
    h("p", { class: "headline" }, found.headline),
    h("p", { class: found.verdict.never_worse ? "verdict good" : "verdict bad" }, found.verdict.line),
    ...found.warnings.map((text) => h("p", { class: "verdict bad" }, text)),
    explained(found.deciding),
    chart(found),
    runFacts(found, model),
    models(found, main, metrics.slice(0, SHOWN)),
    notRun(found),
    h("p", { class: "soft" }, found.worst_slice),
    h("p", {}, full()),
  ].filter(Boolean);
}

/** One line on the metric that decides. */
function explained(metric) {
  const [name, k] = metric.split("@");
  const words = METRICS[name];
  if (!words) return null;
  const counted = k ? words.replace(/\bk\b/g, k) : words;
  return h("p", { class: "explained" }, h("strong", {}, `${title(metric)}: `), counted);
}

function chart(found) {
  const tested = found.models.filter(({ metrics }) => metrics[found.deciding]);
  const rows = tested.map(({ name, title, metrics }) => ({
    name: title,
    ...metrics[found.deciding],
    isMain: name === found.main,
  }));
  rows.sort((a, b) => b.value - a.value);
  const words = `${title(found.deciding)} on the test; the thin line is where the true value lies, with 95 % confidence`;
  return rows.length ? intervalChart({ title: words, rows, written: (value) => value.toFixed(3) }) : null;
}

function runFacts({ facts: run, model_version: version }, model) {
  return facts({
    "The report of bundle": version,
    Data: run.data ? run.data.split(/[\\/]/).at(-1) : null, // the name alone: the folder says nothing to readers
    "Tested on": SPLITS[run.split] ?? (run.split || null),
    "All it learned is older than the test": run.time_safe ? "yes" : "not for every user",
    Users: whole(run.users),
    Items: whole(run.items),
    "Users in the test": whole(run.warm_users),
    Search: model.index_card.kind,
  });
}

function models(found, main, metrics) {
  const comparisons = found.comparisons.filter((one) => one.metric === found.deciding);
  const findings = new Map(comparisons.map((one) => [one.other, one.finding]));
  const columns = ["Model", "On validation", ...metrics.map(title), `Is ${main.title} better?`];
  const tested = found.models.filter(({ skipped }) => !skipped);
  const rows = tested.map((row) => line(row, metrics, row.name === main.name ? null : findings.get(row.name), row === main));
  return table("All models on the test", columns, rows);
}

function line(row, metrics, finding, isMain) {
  return h(
    "tr",
    { class: isMain ? "main" : null },
    h("th", { scope: "row" }, row.title),
    h("td", {}, row.validation === null ? "–" : row.validation.toFixed(4)),
    metrics.map((name) => cell(row.metrics[name])),
    h("td", { class: finding ?? null }, FINDINGS[finding] ?? ""),
  );
}

function cell(value) {
  if (!value) return h("td", {}, "–");
  const interval = value.low === null ? null : h("small", {}, `${value.low.toFixed(4)} to ${value.high.toFixed(4)}`);
  return h("td", {}, value.value.toFixed(4), interval);
}

/** Models without figures; why is for those who look. */
function notRun({ models }) {
  const skipped = models.filter((row) => row.skipped);
  if (!skipped.length) return null;
  const reasons = skipped.map((row) => h("li", {}, `${row.title}: ${row.skipped}`));
  return h("details", {}, h("summary", {}, `Not tested: ${skipped.map(({ title }) => title).join(", ")}`), h("ul", {}, reasons));
}

const title = (metric) =>
  metric.replace(/^[a-z]+/, (name) => (name.length < 5 ? name.toUpperCase() : name[0].toUpperCase() + name.slice(1)));

/** The whole report: a link, or where a key is needed, which links cannot send, a file to keep. */
function full() {
  if (!hasKey())
    return h("a", { href: addressOf(FULL), target: "_blank", rel: "noopener" }, "Read the full report (opens in a new tab)");
  return h("button", { onclick: download }, "Download the full report");
}

async function download() {
  const address = URL.createObjectURL(new Blob([await askText(FULL)], { type: "text/html" }));
  h("a", { href: address, download: "report.html" }).click();
  URL.revokeObjectURL(address);
}
