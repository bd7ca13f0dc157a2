// The part of the panel that says for whom: a user, and items added to what they had.

import { ask } from "./api.js";
import { byId, h, unseen } from "./dom.js";
import { itemBox } from "./itembox.js";
import { userBox } from "./userbox.js";

export class Whom {
  #behaviors = [];

  /** question: is changed in place; changed is called afterwards. failed: is given errors. */
  constructor(question, { changed, failed }) {
    Object.assign(this, { question, changed });
    userBox("user", { chosen: (user) => this.#choose(user), failed });
    itemBox("item", { chosen: (item) => this.add(item), failed });
    byId("start-again").addEventListener("click", () => this.#startAgain());
  }

  describe({ behaviors, target }) {
    this.#behaviors = behaviors;
    byId("behavior").replaceChildren(...behaviors.map((one) => h("option", { selected: one === target }, one)));
    byId("behavior-field").hidden = behaviors.length < 2;
  }

  /** Put an item into the history, as the behaviour that is chosen. */
  add({ id, title }) {
    const behavior = this.#behaviors.length > 1 ? byId("behavior").value : null;
    if (this.question.history.some((one) => one.item === id && one.behavior === behavior)) return;
    this.question.history.push({ item: id, title: title ?? id, behavior });
    this.#change();
  }

  /** Show what the question says; titles of an address's items are asked for. */
  async show() {
    const { user, history } = this.question;
    byId("user").value = user ?? "";
    const nameless = history.filter(({ item, title }) => item === title);
    if (nameless.length) {
      const { items } = await ask("/v1/items", { items: nameless.map(({ item }) => item) });
      const titles = new Map(items.map(({ id, title }) => [id, title]));
      for (const one of nameless) one.title = titles.get(one.item) ?? one.item;
    }
    byId("history").replaceChildren(...history.map((one, place) => this.#chip(one, place)));
    byId("history-empty").hidden = history.length > 0;
    byId("start-again").hidden = user === null && history.length === 0;
  }

  #change() {
    this.show();
    this.changed();
  }

  #choose(user) {
    if (user === this.question.user) return;
    this.question.user = user;
    this.#change();
  }

  #remove(place) {
    this.question.history.splice(place, 1);
    this.#change();
    const buttons = byId("history").querySelectorAll("button");
    (buttons[Math.min(place, buttons.length - 1)] ?? byId("item")).focus();
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
    this.#change();
    byId("user").focus();
  }
}
