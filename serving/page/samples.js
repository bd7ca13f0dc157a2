// The text that the service tells Prometheus, read.

const REQUESTS = "recsys_request_seconds";
const FILES = "Files of the page";
const PROBES = "Probes and figures";
const OTHER = "Unknown paths and methods";
const NOT_FOUND_ROUTE = "none";
const NOT_ALLOWED = "405";
const LAST = [PROBES, FILES, OTHER];

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

/** The sum of a name's samples whose labels are wanted. */
export function total(samples, name, isWanted = () => true) {
  const found = samples.filter((one) => one.name === name && isWanted(one.labels));
  return found.reduce((sum, one) => sum + one.value, 0);
}

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

/** What a request asked for, as people read it: files, probes and what has no route are one row each. */
export function routeName({ route, method, status }) {
  if (route === NOT_FOUND_ROUTE || status === NOT_ALLOWED) return OTHER;
  if (route === "/" || route.startsWith("/page")) return FILES;
  if (["/healthz", "/readyz", "/metrics", "/openapi.json"].includes(route)) return PROBES;
  return `${method} ${route.replace(/:path\}/g, "}")}`;
}

/** Whether a row is one of the API's, and not of what looks at the service. */
export const isOfApi = (name) => !LAST.includes(name);

/** By row: requests, refused (4xx), failed (5xx) and buckets; the most asked first, what is no part of the API last. */
export function routes(samples) {
  const found = new Map();
  for (const { name, labels: of, value } of samples) {
    if (name !== `${REQUESTS}_bucket`) continue;
    const key = routeName(of);
    const route = found.get(key) ?? { name: key, requests: 0, refused: 0, failed: 0, counts: new Map() };
    const bound = number(of.le);
    route.counts.set(bound, (route.counts.get(bound) ?? 0) + value);
    if (bound === Infinity) {
      route.requests += value;
      if (of.status >= "500") route.failed += value;
      else if (of.status >= "400") route.refused += value;
    }
    found.set(key, route);
  }
  return [...found.values()]
    .map((route) => ({ ...route, buckets: [...route.counts].sort(([a], [b]) => a - b) }))
    .sort((a, b) => LAST.indexOf(a.name) - LAST.indexOf(b.name) || b.requests - a.requests);
}
