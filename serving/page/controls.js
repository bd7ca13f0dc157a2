// The panel beside the list: for whom, and under which rules.

import { ask } from "./api.js";
import { Combobox } from "./combobox.js";
import { byId, calmly, counted, h, unseen } from "./dom.js";
import { Filters } from "./filters.js";
import { optionsAtRest } from "./question.js";

const FOUND = 8;
const VALUES = 50;
const PAUSE = 120; // milliseconds after the last move of a slider
const WIDE = "(min-width: 50rem)";

/** question: is changed in place; changed is called afterwards. failed: is given errors. */
export class Controls {
  behaviors = [];

  constructor(question, { changed, failed }) {
    Object.assign(this, { question, changed, failed });
    this.filters = new Filters(question.filters, changed);
    byId("rules").open = matchMedia(WIDE).matches;
    this.#searches();
    this.#sliders();
    byId("start-again").addEventListener("click", () => this.#startAgain());
    byId("reset").addEventListener("click", () => this.#reset());
  }

  /** What a bundle offers: its behaviours, and the values that filters may name; those chosen before are let go. */
  async describe(model) {
    const { columns } = await ask(`/v1/attributes?k=${VALUES}`);
    const chosen = this.question.filters.size > 0;
    this.behaviors = model.behaviors;
    byId("behavior").replaceChildren(
      ...model.behaviors.map((one) => h("option", { selected: one === model.target }, one)),
    );
    byId("behavior-field").hidden = model.behaviors.length < 2;
    this.filters.show(columns);
    if (chosen) this.changed();
  }

  /** Put an item into the history, as the behaviour that is chosen. */
  add({ id, title }) {
    const behavior = this.behaviors.length > 1 ? byId("behavior").value : null;
    if (this.question.history.some((one) => one.item === id && one.behavior === behavior)) return;
    this.question.history.push({ item: id, title: title ?? id, behavior });
    this.#show();
  }

  #remove(place) {
    this.question.history.splice(place, 1);
    this.#show();
    const buttons = byId("history").querySelectorAll("button");
    (buttons[Math.min(place, buttons.length - 1)] ?? byId("item")).focus();
  }

  #show() {
    const { user, history } = this.question;
    byId("history").replaceChildren(...history.map((one, place) => this.#chip(one, place)));
    byId("history-empty").hidden = history.length > 0;
    byId("start-again").hidden = user === null && history.length === 0;
    this.changed();
  }

  #chip({ title, behavior }, place) {
    const remove = h(
      "button",
      { class: "quiet", onclick: () => this.#remove(place) },
      h("span", { "aria-hidden": "true" }, "×"),
      unseen(`Remove ${title}`),
    );
    return h("li", {}, title, behavior && h("span", { class: "soft" }, behavior), remove);
  }

  #startAgain() {
    Object.assign(this.question, { user: null, history: [] });
    byId("user").value = "";
    this.#show();
    byId("user").focus();
  }

  #searches() {
    const { failed } = this;
    const user = byId("user");
    new Combobox(user, byId("user-options"), { find: findUsers, pick: ({ value }) => this.#forUser(value), failed });
    user.addEventListener("change", () => this.#forUser(user.value.trim() ? this.question.user : null));
    new Combobox(byId("item"), byId("item-options"), {
      find: findItems,
      pick: ({ item }) => {
        byId("item").value = "";
        this.add(item);
      },
      failed,
    });
  }

  #forUser(user) {
    byId("user").value = user ?? "";
    if (user === this.question.user) return;
    this.question.user = user;
    this.#show();
  }

  #sliders() {
    const calm = calmly(() => this.changed(), PAUSE);
    for (const name of ["popularity", "diversity"]) {
      byId(name).addEventListener("input", () => {
        this.question[name] = Number(byId(name).value);
        byId(`${name}-value`).value = signed(this.question[name]);
        calm();
      });
    }
    byId("exclude-seen").addEventListener("change", ({ target }) => this.#set("excludeSeen", target.checked));
    byId("k").addEventListener("change", ({ target }) => this.#set("k", Number(target.value)));
  }

  #set(name, value) {
    this.question[name] = value;
    this.changed();
  }

  #reset() {
    Object.assign(this.question, optionsAtRest());
    byId("exclude-seen").checked = true;
    byId("k").value = "10";
    for (const name of ["popularity", "diversity"]) {
      byId(name).value = "0";
      byId(`${name}-value`).value = "0";
    }
    this.filters.clear();
    this.changed();
  }
}

const signed = (value) => (value > 0 ? `+${value}` : `${value}`.replace("-", "−"));

async function findUsers(text, signal) {
  const { users } = await ask(`/v1/users?${new URLSearchParams({ text, k: FOUND })}`, undefined, signal);
  return users.map((user) => ({ value: user, label: user }));
}

async function findItems(text, signal) {
  const { items } = await ask(`/v1/items?${new URLSearchParams({ text, k: FOUND })}`, undefined, signal);
  return items.map((item) => ({ item, label: item.title ?? item.id, detail: counted(item.popularity.all, "user") }));
}
