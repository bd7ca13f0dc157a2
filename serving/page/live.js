// The view of live figures: how far a run is, the course since the view was opened, and totals since the start.

import { ask, askText } from "./api.js";
import { lineChart } from "./chart.js";
import { Course } from "./course.js";
import { byId, decimal, facts, h, table, waiting, whole } from "./dom.js";
import { parse, quantile, routes, total } from "./samples.js";

const EVERY = 5000; // milliseconds between readings
const FROM_HISTORY = ["fold_in", "attributes", "social"];

const course = new Course();
let samples = null;
let follower = null;

/** Read the figures, and go on reading while the page is looked at. */
export async function live(guarded) {
  if (samples === null) byId("live-content").replaceChildren(waiting("Reading the figures…"));
  await read();
  follower ??= setInterval(() => document.hidden || !byId("live-follow").checked || guarded(read), EVERY);
}

async function read() {
  samples = parse(await askText("/metrics"));
  course.add(Date.now(), samples);
  if (byId("view-live").hidden) return;
  byId("live-content").replaceChildren(...(await run()), ...charts(course.points()), tiles(samples), byRoute(samples));
}

/** How far the run is, while it is at work; nothing beside a bundle without a run. */
async function run() {
  try {
    const { at_work: stage } = await ask("/v1/run");
    if (!stage) return [];
    const { label, stage: name, seconds, forecast_seconds: forecast } = stage;
    const outlook = forecast >= 1 ? `, forecast to take ${whole(Math.round(forecast))} s` : "";
    return [h("p", { role: "status" }, `A run is at work: ${label} ${name} for ${whole(seconds)} s${outlook}`)];
  } catch {
    return [];
  }
}

export function charts(points) {
  if (!points.length)
    return [h("p", { class: "empty" }, "The course of these figures is drawn as soon as there are two readings.")];
  const moments = points.map(({ moment }) => moment);
  const line = (name, key) => ({ name, values: points.map((point) => point[key]) });
  const latencies = [line("half below", "p50"), line("95 % below", "p95")];
  const failures = [line("refused", "refused"), line("failed", "failed")];
  const drawn = [
    lineChart({ title: "Requests a second", lines: [line("all", "rate")], moments, written: rate }),
    lineChart({ title: "Time to answer", lines: latencies, moments, written: milliseconds }),
    lineChart({ title: "Refused and failed a second", lines: failures, moments, written: rate }),
  ];
  return [h("div", { class: "charts" }, drawn)];
}

function tiles(samples) {
  const sum = (name, isWanted) => total(samples, name, isWanted);
  const lists = sum("recsys_answers_total");
  const fromHistory = sum("recsys_answers_total", ({ source }) => FROM_HISTORY.includes(source));
  const popular = sum("recsys_answers_total", ({ source }) => source === "fallback");
  const shown = {
    "Lists given": whole(lists),
    "Worked out from a history": share(fromHistory, lists),
    "Nothing known, so most popular": share(popular, lists),
    "Ids the model does not know, per list": share(sum("recsys_unknown_ids_total"), sum("recsys_asked_total")),
    "Events taken": whole(sum("recsys_events_total")),
    "Shift of scores since the bundle was made": `${decimal(sum("recsys_score_drift"))} deviations`,
    "Age of the bundle": age(sum("recsys_bundle_age_seconds")),
  };
  return h("section", {}, h("h3", {}, "Since the service started"), facts(shown));
}

function byRoute(samples) {
  const rows = routes(samples).map(({ name, requests, refused, failed, buckets }) => {
    const cells = [
      whole(requests),
      milliseconds(quantile(buckets, 0.5)),
      milliseconds(quantile(buckets, 0.95)),
      whole(refused),
      whole(failed),
    ];
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      cells.map((text) => h("td", {}, text)),
    );
  });
  const columns = ["Asked for", "Requests", "Half below", "95 % below", "Refused", "Failed"];
  return table("Requests since the service started; times are estimates between bounds that are counted", columns, rows);
}

const share = (count, of) => (of ? `${((100 * count) / of).toFixed(1)} %` : "–");

function age(seconds) {
  const units = [
    ["days", 86400],
    ["hours", 3600],
    ["minutes", 60],
  ];
  const [unit, size] = units.find(([, one]) => seconds >= 2 * one) ?? ["seconds", 1];
  return `${Math.round(seconds / size)} ${unit}`;
}

const rate = (value) => (value === undefined ? "–" : value.toFixed(value < 10 ? 1 : 0));

function milliseconds(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  return `${(1000 * seconds).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
}
