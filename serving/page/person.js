// The person behind a list: what the model has learned from, and what happened since.

import { Problem, ask } from "./api.js";
import { itemLink } from "./address.js";
import { counted, h } from "./dom.js";

const ASKED = 100;
const SHOWN = 8; // events before "Show more"
const EARLIEST = 1e8; // unix seconds; smaller numbers are places in a log without times

/** What is known of a user, as an element. behaviors: of the bundle; a single one is not named. */
export async function person(user, behaviors, signal) {
  const head = h("h4", {}, `What is known of user ${user}`);
  try {
    const known = await ask("/v1/users", { user, k: ASKED }, signal);
    return h("section", { class: "person", "aria-label": `User ${user}` }, head, ...told(known, behaviors));
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 404) throw error;
    const words = "Nothing: this id is neither in the log nor among the events since. It gets what new visitors get.";
    return h("section", { class: "person", "aria-label": `User ${user}` }, head, h("p", {}, words));
  }
}

function told({ known, events, learnt, live }, behaviors) {
  const words = [
    known ? `The model has learned from ${counted(learnt, "event")}` : "The model has not learned from this user yet",
    live ? `${counted(live, "event")} came in since.` : "nothing came in since.",
  ];
  const list = h("ol", { class: "events", "aria-label": "Events, the latest first" });
  const fill = (count) => list.replaceChildren(...events.slice(0, count).map((one) => line(one, behaviors)));
  fill(SHOWN);
  const hidden = events.length - SHOWN;
  const more = h(
    "button",
    {
      class: "quiet",
      onclick: () => {
        fill(events.length);
        more.remove();
        list.children[SHOWN].querySelector("a").focus();
      },
    },
    `Show ${hidden} more`,
  );
  const left = learnt + live - events.length;
  return [
    h("p", { class: "soft" }, words.join("; ")),
    list,
    hidden > 0 && more,
    left > 0 && h("p", { class: "soft" }, `These are the latest; ${counted(left, "earlier one")} left out.`),
  ].filter(Boolean);
}

function line({ item, title, behavior, time, live }, behaviors) {
  const said = [behaviors.length > 1 && behavior, time >= EARLIEST && moment(time)].filter(Boolean).join(", ");
  return h(
    "li",
    {},
    h("a", { href: itemLink(item) }, title ?? item),
    h("span", { class: "soft" }, said),
    live && h("span", { class: "badge" }, "new"),
  );
}

/** Unix seconds as a day, with the time for what happened within the last days. */
function moment(seconds) {
  const date = new Date(1000 * seconds);
  const day = date.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
  const isRecent = Date.now() - date < 7 * 86400e3;
  return isRecent ? `${day}, ${date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}` : day;
}
