// Live figures, read off what the service tells Prometheus.

import { ask, askText } from "./api.js";
import { decimal, h, whole } from "./dom.js";

const REQUESTS = "recsys_request_seconds";
const OTHER = "Files of the page, other paths";
const FOLDED = ["fold_in", "attributes", "social"];

/** The figures as elements. */
export async function live() {
  const samples = parse(await askText("/metrics"));
  return [...(await run()), tiles(samples), table(routes(samples))];
}

/** How far the run is, while it is at work; nothing beside a bundle without a run. */
async function run() {
  try {
    const { at_work: stage } = await ask("/v1/run");
    if (!stage) return [];
    const { label, stage: name, seconds, forecast_seconds: forecast } = stage;
    const outlook = forecast >= 1 ? `, forecast to take ${whole(Math.round(forecast))} s` : "";
    return [h("p", { role: "status" }, `The run is at work: ${label} ${name} for ${whole(seconds)} s${outlook}`)];
  } catch {
    return [];
  }
}

/** Samples of the text format: [{name, labels, value}]. */
export function parse(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const found = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (found) samples.push({ name: found[1], labels: labels(found[2] ?? ""), value: number(found[3]) });
  }
  return samples;
}

const labels = (text) =>
  Object.fromEntries([...text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name, value]));
const number = (text) => ({ "+Inf": Infinity, "-Inf": -Infinity })[text] ?? Number(text);

/**
 * A quantile of a histogram, linear within a bucket, as Prometheus' histogram_quantile has it.
 * buckets: ascending [upper bound, requests up to it]; the last bound is infinite. NaN where nothing was asked.
 */
export function quantile(buckets, share) {
  const total = buckets.at(-1)?.[1] ?? 0;
  if (!total) return NaN;
  const wanted = share * total;
  const place = buckets.findIndex(([, count]) => count >= wanted);
  const [low, before] = place ? buckets[place - 1] : [0, 0];
  const [high, count] = buckets[place];
  return high === Infinity ? low : low + ((high - low) * (wanted - before)) / (count - before);
}

/** By route and method: requests, errors and buckets; the most asked first, what has no route last. */
export function routes(samples) {
  const found = new Map();
  for (const { name, labels: of, value } of samples) {
    if (name !== `${REQUESTS}_bucket`) continue;
    const key = of.route === "none" ? OTHER : `${of.method} ${of.route}`;
    const route = found.get(key) ?? { name: key, requests: 0, errors: 0, counts: new Map() };
    const bound = number(of.le);
    route.counts.set(bound, (route.counts.get(bound) ?? 0) + value);
    if (bound === Infinity) {
      route.requests += value;
      if (of.status >= "400") route.errors += value;
    }
    found.set(key, route);
  }
  return [...found.values()]
    .map((route) => ({ ...route, buckets: [...route.counts].sort(([a], [b]) => a - b) }))
    .sort((a, b) => (a.name === OTHER) - (b.name === OTHER) || b.requests - a.requests);
}

function tiles(samples) {
  const sum = (name, wanted = () => true) =>
    samples.filter((one) => one.name === name && wanted(one.labels)).reduce((total, one) => total + one.value, 0);
  const lists = sum("recsys_answers_total");
  const rate = (count, of) => (of ? `${((100 * count) / of).toFixed(1)} %` : "–");
  const shown = {
    Requests: whole(sum(`${REQUESTS}_count`)),
    Lists: whole(lists),
    "Folded in just now": rate(
      sum("recsys_answers_total", ({ source }) => FOLDED.includes(source)),
      lists,
    ),
    "Fallback to popularity": rate(
      sum("recsys_answers_total", ({ source }) => source === "fallback"),
      lists,
    ),
    "Unknown ids per list": rate(sum("recsys_unknown_ids_total"), sum("recsys_asked_total")),
    "Events taken": whole(sum("recsys_events_total")),
    "Score drift": `${decimal(sum("recsys_score_drift"))} σ`,
    "Age of the bundle": age(sum("recsys_bundle_age_seconds")),
  };
  return h(
    "dl",
    { class: "facts" },
    Object.entries(shown).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

function age(seconds) {
  const [unit, size] = [
    ["days", 86400],
    ["hours", 3600],
    ["minutes", 60],
  ].find(([, one]) => seconds >= 2 * one) ?? ["seconds", 1];
  return `${Math.round(seconds / size)} ${unit}`;
}

function table(found) {
  const head = h(
    "tr",
    {},
    ["Route", "Requests", "p50", "p95", "Refused or failed"].map((name) => h("th", { scope: "col" }, name)),
  );
  const rows = found.map(({ name, requests, errors, buckets }) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      [whole(requests), milliseconds(quantile(buckets, 0.5)), milliseconds(quantile(buckets, 0.95)), whole(errors)].map(
        (text) => h("td", {}, text),
      ),
    ),
  );
  return h(
    "div",
    { class: "scroll", role: "region", "aria-label": "Latency by route", tabindex: "0" },
    h(
      "table",
      {},
      h("caption", {}, "Latency by route since the service started, as exact as the histogram’s buckets"),
      h("thead", {}, head),
      h("tbody", {}, rows),
    ),
  );
}

const milliseconds = (seconds) => `${(1000 * seconds).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
