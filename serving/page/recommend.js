// The view of recommendations: asks, and shows one list with the person behind it, or two lists.

import { link, remember } from "./address.js";
import { Against } from "./against.js";
import { ask } from "./api.js";
import { compare, sideBySide } from "./compare.js";
import { byId, h, waiting } from "./dom.js";
import { reasons } from "./graph.js";
import { person } from "./person.js";
import { webAddress } from "./picture.js";
import { body, fromParameters, nobody, otherSide, toParameters, wanted, whom } from "./question.js";
import { list, said } from "./results.js";
import { Rules } from "./rules.js";
import { Whom } from "./whom.js";

const PARTS = 8;
const COLUMNS = 3; // of the items that stand under a title
const VALUES = 1000; // of a column that filters may name

export class Recommend {
  #question = nobody();
  #running = new AbortController();
  #columns = [];
  #behaviors = [];
  #live = null;
  #hasList = false;

  /** failed: is given errors, succeeded is called after an answer, answered is given the bundle it came from. */
  constructor({ failed, succeeded, answered }) {
    Object.assign(this, { failed, succeeded, answered });
    const changed = (isDial) => this.#changed(isDial);
    this.whom = new Whom(this.#question, { changed, failed });
    this.rules = new Rules(this.#question, changed);
    this.against = new Against(this.#question, { changed, failed });
    byId("to-list").addEventListener("click", () => byId("results").focus());
  }

  /** The address of what is shown. */
  get address() {
    return link("recommend", toParameters(this.#question));
  }

  /** Put an item into the history, and show the list that comes of it. */
  add(item) {
    this.whom.add(item);
    location.hash = this.address;
  }

  /** Offer what this bundle has, and the others to compare it with. */
  async describe(model) {
    const { columns: found } = await ask(`/v1/attributes?k=${VALUES}`);
    // Nobody chooses by an address; columns of fractions, which are asked by range, name no values.
    const columns = found.filter(({ values }) => values.length > 0 && !webAddress(values[0].value));
    this.#columns = columns.slice(0, COLUMNS).map(({ column }) => column);
    this.#behaviors = model.behaviors;
    this.#live = model.model_version;
    this.whom.describe(model);
    this.rules.describe(columns);
    await this.against.offerBundles(model.model_version);
  }

  /** Show what an address asks for. */
  async show(parameters) {
    const isShown = this.#hasList && toParameters(this.#question).toString() === parameters.toString();
    if (isShown) return;
    Object.assign(this.#question, fromParameters(parameters));
    this.rules.show();
    this.against.show();
    await Promise.all([this.whom.show(), this.refresh()]);
  }

  /** Ask anew; an answer that is overtaken by a later question is never shown. */
  async refresh() {
    this.#running.abort();
    const { signal } = (this.#running = new AbortController());
    byId("results-area").setAttribute("aria-busy", "true");
    if (!this.#hasList) byId("lists").replaceChildren(waiting("Asking for the list…"));
    try {
      const sides = await this.#sides(signal);
      if (signal.aborted) return;
      this.#show(sides);
      this.succeeded();
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!this.#hasList) byId("lists").replaceChildren();
      this.failed(error);
    } finally {
      if (!signal.aborted) byId("results-area").setAttribute("aria-busy", "false");
    }
  }

  #changed(isDial) {
    if (!byId("view-recommend").hidden) remember(this.address, isDial);
    this.refresh();
  }

  /** What stands on either side: one where nothing is compared. */
  async #sides(signal) {
    const question = { ...this.#question, history: [...this.#question.history] };
    const { against } = question;
    const isWhole = against && (against.kind === "dials" || against[against.kind]);
    const asked = [this.#side(question, null, signal)];
    if (isWhole) asked.push(this.#side(otherSide(question), against.bundle ?? null, signal));
    const sides = await Promise.all(asked);
    if (isWhole) labelled(sides, against, question);
    return sides;
  }

  /** A question's answer and the person behind it. bundle: null for the one that answers. */
  async #side(question, bundle, signal) {
    // Another bundle need not have these columns.
    const asked = bundle ? { ...body(question), bundle } : body(question, this.#columns);
    const [found, somebody] = await Promise.all([
      ask(bundle ? "/v1/admin/recommend" : "/v1/recommend", asked, signal),
      question.user !== null && !bundle && person(question.user, this.#behaviors, signal),
    ]);
    const why = ({ id }) => this.#why(question, bundle, id);
    const add = (item) => this.whom.add(item);
    return { answer: found.answers[0], version: found.model_version, person: somebody, actions: { why, add } };
  }

  #show(sides) {
    const focused = focusedItem();
    const [{ answer, actions, person: somebody, version }, other] = sides;
    byId("results").textContent = `Recommendations for ${whom(this.#question)}`;
    const differences = other && compare(answer, other.answer);
    const isOnTrial = !other && version !== this.#live;
    const words = differences?.words ?? said(answer);
    byId("status").textContent = isOnTrial ? `${words} Bundle ${version} answers here: the experiment has it so.` : words;
    byId("to-list").textContent = answer.items.length ? "Show the list" : "The list is empty";
    const area = byId("lists");
    if (other) area.replaceChildren(sideBySide(sides.map(quieter), differences.marks));
    else area.replaceChildren(...alone(list(answer, "Recommendations", { actions }), somebody));
    area.classList.toggle("with-person", Boolean(somebody && !other));
    this.#hasList = true;
    focusAgain(focused);
    this.answered(version);
  }

  async #why(question, bundle, item) {
    const { popularity } = question;
    const asked = { ...wanted(question), item, parts: PARTS, popularity };
    try {
      if (bundle) return reasons(await ask("/v1/admin/explain", { ...asked, bundle }));
      return reasons(await ask("/v1/explain", asked));
    } catch (error) {
      this.failed(error);
      return h("p", { class: "soft" }, "No reasons can be given.");
    }
  }
}

const alone = (items, somebody) => (somebody ? [items, somebody] : [items]);

/** A side of two offers reasons alone: there is no room for more, and adding would change both. */
const quieter = (side) => ({ ...side, actions: { why: side.actions.why } });

/** Give either side the name of what sets it apart. */
function labelled([first, second], { kind, bundle, user, dials }, question) {
  const names = {
    bundle: () => [`Bundle ${first.version}, which answers`, `Bundle ${bundle}`],
    user: () => [`For ${whom(question)}`, `For user ${user}`],
    dials: () => [question, dials].map(dialled),
  };
  [first.label, second.label] = names[kind]();
  if (kind !== "user") first.person = second.person = null; // the same on both sides
}

const dialled = ({ popularity, diversity }) => `Popularity ${popularity}, diversity ${diversity}`.replace("-", "−");

/** Which link or button of which item has the focus; null where it is elsewhere. */
function focusedItem() {
  const focused = document.activeElement?.closest("#lists [data-action]");
  return focused && { item: focused.closest("[data-item]").dataset.item, action: focused.dataset.action };
}

/** After a list has replaced another: to the same button, or to the head of the list where the item has gone. */
function focusAgain(focused) {
  if (!focused) return;
  const rows = [...byId("lists").querySelectorAll("[data-item]")];
  const row = rows.find((one) => one.dataset.item === focused.item);
  (row?.querySelector(`[data-action="${focused.action}"]`) ?? byId("results")).focus();
}
