// The view of the run's experiment: the verdict first, then rates by arm, and their course by day.

import { Problem, ask } from "./api.js";
import { intervalChart, lineChart } from "./chart.js";
import { empty, facts, h, table, whole } from "./dom.js";
import { keyButton } from "./key.js";

const RATES = {
  click_through: "the share of lists of which something was clicked",
  clicks_per_list: "clicked items per list, 100 % for one each",
  conversion: "the share of lists of which something was taken",
  clickers: "the share of users who clicked",
  converters: "the share of users who took something",
};
const ROLES = { control: "control", treatment: "on trial", holdout: "gets what is popular" };
const VERDICTS = { better: "is better", worse: "is worse", undecided: "is not told apart yet" };

/** The newest experiment as elements; calm words where there is none, or the key may not see it. */
export async function experiment() {
  try {
    return shown(await ask("/v1/admin/experiment"));
  } catch (error) {
    if (!(error instanceof Problem) || ![401, 403, 404].includes(error.status)) throw error;
    if (error.status === 404)
      return [empty("No experiment was started.", "recsys experiment start shares users out among bundles.")];
    const box = empty("The experiment cannot be shown here.", error.message);
    box.append(keyButton());
    return [box];
  }
}

function shown(report) {
  const { arms, comparisons, rate, notes, split } = report;
  return [
    h("p", { class: "headline" }, headline(report)),
    ...comparisons.map((one) => verdict(one, report.alpha)),
    split.alarm && h("p", { class: "verdict bad" }, "Users were not shared out as planned: do not trust these figures."),
    ...notes.map((text) => h("p", { class: "soft" }, text)),
    rateChart(arms, rate),
    ...courses(report),
    table("Every arm", ["Arm", "Bundle", "Part", "Users", "Lists", ...Object.keys(arms[0].rates).map(named)], arms.map(row)),
    details(report),
  ].filter(Boolean);
}

function headline({ experiment: name, state, days, rate }) {
  const length = days < 1 ? "less than a day" : `${Math.round(days)} ${Math.round(days) === 1 ? "day" : "days"}`;
  const time = state === "running" ? `has run for ${length}` : `ran for ${length} and is over`;
  return `Experiment ${name} ${time}; what decides is ${RATES[rate] ?? named(rate)}.`;
}

/** Of one arm against the control, by the test that may be looked at every day. */
function verdict({ arm, control, sequential: { value, low, high }, verdict: found }, alpha) {
  const sure = `${Math.round(100 * (1 - alpha))} % confidence, however often it is looked at`;
  const known = value === null ? "" : ` Difference ${percent(value)}, between ${percent(low)} and ${percent(high)} (${sure}).`;
  const kind = found === "undecided" ? "verdict open" : found === "better" ? "verdict good" : "verdict bad";
  return h("p", { class: kind }, `${arm} ${VERDICTS[found]}, held against ${control}.${known}`);
}

function rateChart(arms, rate) {
  const known = arms.filter(({ rates }) => rates[rate]?.value !== null && rates[rate] !== undefined);
  const rows = known.map(({ name, role, rates }) => ({ name, ...rates[rate], isMain: role === "control" }));
  return rows.length ? intervalChart({ title: `${named(rate)} by arm, with its interval`, rows, written: percent }) : null;
}

/** The deciding rate, day by day, a line an arm. */
function courses({ by_day: days, arms, rate }) {
  const dates = [...new Set(days.map(({ date }) => date))].sort();
  if (dates.length < 2 || !(rate in days[0].rates)) return [];
  const at = new Map(days.map((day) => [`${day.date} ${day.arm}`, day.rates[rate] ?? NaN]));
  const lines = arms.map(({ name }) => ({ name, values: dates.map((date) => at.get(`${date} ${name}`) ?? NaN) }));
  const moments = dates.map((date) => Date.parse(date));
  const day = (moment) => new Date(moment).toISOString().slice(0, 10);
  return [lineChart({ title: `${named(rate)} by day`, lines, moments, written: percent, when: day })];
}

function row({ name, role, bundle, share, users, lists, rates }) {
  const cells = [bundle ?? "none", percent(share), whole(users), whole(lists)];
  return h(
    "tr",
    { class: role === "control" ? "main" : null },
    h("th", { scope: "row" }, name, h("small", {}, ` ${ROLES[role]}`)),
    cells.map((text) => h("td", {}, text)),
    Object.values(rates).map(({ value, low, high }) =>
      h("td", {}, percent(value), low !== null && h("small", {}, `${percent(low)} to ${percent(high)}`)),
    ),
  );
}

function details({ began, ended, explore, comparisons }) {
  const [power] = comparisons.map((one) => one.power).filter(Boolean);
  return facts({
    Began: began.slice(0, 16).replace("T", " "),
    Ended: ended ? ended.slice(0, 16).replace("T", " ") : null,
    "Share of lists drawn by chance": percent(explore),
    "Days until it can tell": power?.needed_days ? whole(Math.ceil(power.needed_days)) : null,
  });
}

const named = (rate) => rate.replace(/_/g, " ").replace(/^./, (letter) => letter.toUpperCase());

function percent(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return `${(100 * value).toFixed(2)} %`.replace("-", "−");
}
