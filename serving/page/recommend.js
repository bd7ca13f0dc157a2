// The view of recommendations: asks, and shows one list or two.

import { Problem, ask } from "./api.js";
import { Controls } from "./controls.js";
import { byId, counted, h } from "./dom.js";
import { reasons } from "./graph.js";
import { body, nobody, wanted, whom } from "./question.js";
import { SOURCES, compare, list } from "./results.js";

const PARTS = 8;

/** failed: is given errors, succeeded is called after an answer, answered is given the bundle it came from. */
export class Recommend {
  #question = nobody();
  #running = new AbortController();

  constructor({ failed, succeeded, answered }) {
    Object.assign(this, { failed, succeeded, answered });
    this.controls = new Controls(this.#question, { changed: () => this.refresh(), failed });
    this.actions = { add: (one) => this.controls.add(one), why: (one) => this.#why(one) };
    byId("other").addEventListener("change", () => this.refresh());
  }

  /** Offer what this bundle has, and the others to compare it with. */
  async describe(model) {
    await Promise.all([this.controls.describe(model), this.#offerBundles(model.model_version)]);
  }

  /** Ask anew; an answer that is overtaken by a later question is never shown. */
  async refresh() {
    this.#running.abort();
    const { signal } = (this.#running = new AbortController());
    byId("results-area").setAttribute("aria-busy", "true");
    try {
      const other = byId("other").value;
      const asked = body(this.#question);
      const found = await Promise.all([
        ask("/v1/recommend", asked, signal),
        other && ask("/v1/admin/recommend", { ...asked, bundle: other }, signal),
      ]);
      if (signal.aborted) return;
      this.#show(...found);
      this.succeeded();
    } catch (error) {
      if (error.name !== "AbortError") this.failed(error);
    } finally {
      if (!signal.aborted) byId("results-area").setAttribute("aria-busy", "false");
    }
  }

  #show(live, other) {
    const [answer] = live.answers;
    const focused = focusedItem();
    byId("results").textContent = `Recommendations for ${whom(this.#question)}`;
    const differences = other && compare(answer, other.answers[0]);
    byId("status").textContent = [said(answer), differences?.words].filter(Boolean).join(" ");
    const one = () => list(answer, "Recommendations", { actions: this.actions });
    byId("lists").replaceChildren(other ? sideBySide(live, other, differences) : one());
    focusAgain(focused);
    this.answered(live.model_version);
  }

  async #why({ id }) {
    try {
      const { popularity } = this.#question;
      return reasons(await ask("/v1/explain", { ...wanted(this.#question), item: id, parts: PARTS, popularity }));
    } catch (error) {
      this.failed(error);
      return h("p", { class: "soft" }, "No reasons can be given.");
    }
  }

  /** The other bundles of the run; a service without a run, or a key without the scope, says why there are none. */
  async #offerBundles(live) {
    try {
      const { bundles } = await ask("/v1/admin/bundles");
      const others = bundles.filter((one) => one.name !== live);
      const chosen = byId("other").value;
      const options = others.map((one) =>
        h("option", { value: one.name, selected: one.name === chosen }, described(one)),
      );
      byId("other").replaceChildren(h("option", { value: "" }, "none"), ...options);
      byId("other-note").textContent = others.length ? "" : "This run has no other bundle yet.";
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      byId("other-note").textContent = `${error.message}. ${error.remedy}.`;
    }
  }
}

function sideBySide(live, other, { marks }) {
  const shown = [
    [`Live bundle ${live.model_version}`, live.answers[0], marks.live],
    [`Bundle ${other.model_version}`, other.answers[0], marks.other],
  ];
  return h(
    "div",
    { class: "pair" },
    shown.map(([label, answer, marked]) => side(label, answer, marked)),
  );
}

const side = (label, answer, marks) =>
  h("section", { "aria-label": label }, h("h4", {}, label), list(answer, label, { marks }));

function said({ items, source, unknown, note }) {
  const missing = unknown.length ? ` Unknown: ${unknown.join(", ")}.` : "";
  return `${counted(items.length, "item")}, ${SOURCES[source] ?? source}.${missing}${note ? ` ${note}.` : ""}`;
}

const described = ({ name, written, test, deciding }) =>
  `${name}, ${written.slice(0, 10)}${test === null ? "" : `, ${deciding.toUpperCase()} ${test.toFixed(4)}`}`;

/** Which button of which item has the focus; null where it is elsewhere. */
function focusedItem() {
  const button = document.activeElement?.closest("#lists button");
  return button && { item: button.closest("[data-item]").dataset.item, action: button.dataset.action };
}

/** After a list has replaced another: to the same button, or to the head of the list where the item has gone. */
function focusAgain(focused) {
  if (!focused) return;
  const rows = [...byId("lists").querySelectorAll("[data-item]")];
  const row = rows.find((one) => one.dataset.item === focused.item);
  (row?.querySelector(`[data-action="${focused.action}"]`) ?? byId("results")).focus();
}
