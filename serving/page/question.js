// What is asked: for whom, and under which rules.

import { counted } from "./dom.js";

/** A question without anybody, under the rules that hold unless changed. */
export function nobody() {
  return { user: null, history: [], filters: new Map(), ...optionsAtRest() };
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

/** A body of /v1/recommend. */
export function body(question) {
  const { filters, excludeSeen, popularity, diversity, k } = question;
  const chosen = Object.fromEntries([...filters].map(([column, values]) => [column, [...values]]));
  return { requests: [wanted(question)], k, exclude_seen: excludeSeen, filters: chosen, popularity, diversity };
}

/** For whom, in words. */
export function whom({ user, history }) {
  const events = counted(history.length, "item");
  if (user === null) return history.length ? `a visitor with ${events}` : "anybody";
  return history.length ? `user ${user} with ${events} more` : `user ${user}`;
}
