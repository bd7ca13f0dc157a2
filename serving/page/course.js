// Figures over time: counters read every few seconds, and what happened between two readings.

import { isOfApi, quantile, routes } from "./samples.js";

const KEPT = 720; // readings: an hour of one every five seconds

export class Course {
  #readings = [];

  /** moment: in milliseconds. samples: as `parse` gives them. */
  add(moment, samples) {
    this.#readings.push({ moment, ...sums(routes(samples).filter(({ name }) => isOfApi(name))) });
    if (this.#readings.length > KEPT) this.#readings.shift();
  }

  /**
   * Between readings: [{moment, rate, refused, failed (each a second), p50, p95 (seconds; NaN where nothing was
   * asked)}]. A counter that fell was begun anew with its process, and counts from 0.
   */
  points() {
    return this.#readings.slice(1).map((now, place) => between(this.#readings[place], now));
  }
}

function sums(found) {
  const counts = new Map();
  for (const { buckets } of found)
    for (const [bound, count] of buckets) counts.set(bound, (counts.get(bound) ?? 0) + count);
  const sum = (name) => found.reduce((total, route) => total + route[name], 0);
  return { requests: sum("requests"), refused: sum("refused"), failed: sum("failed"), counts };
}

function between(before, now) {
  const seconds = (now.moment - before.moment) / 1000;
  const isFresh = now.requests < before.requests;
  const grown = (name) => (now[name] - (isFresh ? 0 : before[name])) / seconds;
  const buckets = [...now.counts]
    .map(([bound, count]) => [bound, count - (isFresh ? 0 : (before.counts.get(bound) ?? 0))])
    .sort(([a], [b]) => a - b);
  return {
    moment: now.moment,
    rate: grown("requests"),
    refused: grown("refused"),
    failed: grown("failed"),
    p50: quantile(buckets, 0.5),
    p95: quantile(buckets, 0.95),
  };
}
