// What is asked: for whom, under which rules, and against what; as a body for the API, and as an address.

import { counted } from "./dom.js";

const DIALS = ["popularity", "diversity"];
const ONLY = "only."; // before the column of a filter

/** A question without anybody, under the rules that hold unless changed. */
export function nobody() {
  return { user: null, history: [], filters: new Map(), ...optionsAtRest(), against: null };
}

export function optionsAtRest() {
  return { excludeSeen: true, popularity: 0, diversity: 0, k: 10 };
}

/** The part of a body that says for whom. */
export function wanted({ user, history }) {
  return {
    ...(user === null ? {} : { user }),
    history: history.map(({ item, behavior }) => ({ item, ...(behavior ? { behavior } : {}) })),
  };
}

/** A body of /v1/recommend. include: columns that each item comes with. */
export function body(question, include = []) {
  const { filters, excludeSeen, popularity, diversity, k } = question;
  const chosen = Object.fromEntries([...filters].map(([column, values]) => [column, [...values]]));
  const rules = { k, exclude_seen: excludeSeen, filters: chosen, popularity, diversity };
  return { requests: [wanted(question)], ...rules, include };
}

/** For whom, in words. */
export function whom({ user, history }) {
  const events = counted(history.length, "item");
  if (user === null) return history.length ? `a visitor with ${events}` : "a new visitor";
  return history.length ? `user ${user} with ${events} more` : `user ${user}`;
}

/** The question that stands on the other side: of another user, or at other dials; of another bundle it is the same. */
export function otherSide(question) {
  const { against } = question;
  if (against.kind === "user") return { ...question, user: against.user, history: [] };
  if (against.kind === "dials") return { ...question, ...against.dials };
  return question;
}

/** The question as parameters of an address; what is at rest is left out. */
export function toParameters({ user, history, filters, against, ...options }) {
  const parameters = new URLSearchParams();
  if (user !== null) parameters.set("user", user);
  for (const { item, behavior } of history) {
    parameters.append("add", item);
    parameters.append("as", behavior ?? "");
  }
  for (const [column, values] of filters) for (const value of values) parameters.append(ONLY + column, value);
  const rest = optionsAtRest();
  for (const name of DIALS) if (options[name] !== rest[name]) parameters.set(name, options[name]);
  if (options.k !== rest.k) parameters.set("k", options.k);
  if (!options.excludeSeen) parameters.set("seen", "in");
  if (against) {
    parameters.set("against", against.kind);
    if (against.kind === "dials") for (const name of DIALS) parameters.set(`other-${name}`, against.dials[name]);
    else parameters.set("other", against[against.kind] ?? "");
  }
  return parameters;
}

/** The question that an address asks; what cannot be read is at rest. Items are without titles. */
export function fromParameters(parameters) {
  const question = nobody();
  question.user = parameters.get("user") || null;
  const behaviors = parameters.getAll("as");
  question.history = parameters
    .getAll("add")
    .map((item, place) => ({ item, title: item, behavior: behaviors[place] || null }));
  for (const name of new Set(parameters.keys()))
    if (name.startsWith(ONLY)) question.filters.set(name.slice(ONLY.length), new Set(parameters.getAll(name)));
  question.popularity = dial(parameters.get("popularity"), -1);
  question.diversity = dial(parameters.get("diversity"), 0);
  const k = Number(parameters.get("k"));
  if (Number.isInteger(k) && k > 0 && k <= 50) question.k = k;
  question.excludeSeen = parameters.get("seen") !== "in";
  question.against = against(parameters);
  return question;
}

function against(parameters) {
  const kind = parameters.get("against");
  const other = parameters.get("other") || null;
  if (kind === "dials") {
    const dials = {
      popularity: dial(parameters.get("other-popularity"), -1),
      diversity: dial(parameters.get("other-diversity"), 0),
    };
    return { kind, dials };
  }
  return ["bundle", "user"].includes(kind) ? { kind, [kind]: other } : null;
}

/** A number between `lowest` and 1; 0 for anything else. */
function dial(text, lowest) {
  const value = Number(text ?? 0);
  return value >= lowest && value <= 1 ? value : 0;
}
