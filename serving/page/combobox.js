// A text field with a list of what was found, by mouse and keyboard (the combobox pattern of ARIA 1.2).

import { byId, calmly, counted, h } from "./dom.js";

const PAUSE = 150; // milliseconds without a key before anything is asked
const NOTHING = -1;

/**
 * find: (text, signal) → [{label, detail, …}]. pick: is given one of these. failed: is given what `find` threw.
 * enter: is given a text for which Enter was pressed while nothing was pointed at, and the first found, if any.
 */
export class Combobox {
  #found = [];
  #active = NOTHING;
  #running = new AbortController();
  #look;

  constructor(input, list, { find, pick, enter, failed }) {
    Object.assign(this, { input, list, find, pick, enter, failed });
    const fixed = { role: "combobox", "aria-autocomplete": "list", "aria-controls": list.id, autocomplete: "off" };
    for (const [name, value] of Object.entries(fixed)) input.setAttribute(name, value);
    this.close();
    this.#listen();
  }

  get #open() {
    return !this.list.hidden;
  }

  /** Show what the text finds; an answer that is overtaken by a later text is not shown. */
  async look() {
    this.#running.abort();
    const { signal } = (this.#running = new AbortController());
    try {
      const found = await this.find(this.input.value.trim(), signal);
      if (!signal.aborted) this.#show(found);
    } catch (error) {
      if (error.name !== "AbortError") this.failed(error);
    }
  }

  close() {
    this.#look?.cancel();
    this.#running.abort();
    this.list.hidden = true;
    this.#found = [];
    this.#activate(NOTHING);
  }

  #listen() {
    const { input } = this;
    this.#look = calmly(() => document.activeElement === input && this.look(), PAUSE);
    input.addEventListener("input", () => {
      this.close(); // what was found for an earlier text is not to be chosen any more
      this.#look();
    });
    input.addEventListener("click", () => this.#open || this.look());
    input.addEventListener("blur", () => this.close());
    input.addEventListener("keydown", (event) => this.#press(event));
  }

  #press(event) {
    const actions = {
      ArrowDown: () => this.#step(1),
      ArrowUp: () => this.#step(-1),
      Enter: () => this.#enter(),
      Escape: () => this.close(),
    };
    if (!(event.key in actions)) return;
    event.preventDefault();
    actions[event.key]();
  }

  #enter() {
    if (this.#active !== NOTHING) return this.#choose(this.#active);
    const [first] = this.#found;
    this.close();
    return this.enter(this.input.value.trim(), first);
  }

  #show(found) {
    this.#found = found;
    this.list.replaceChildren(...(found.length ? found.map((one, place) => this.#option(one, place)) : [nothing()]));
    this.list.hidden = false;
    byId("found").textContent = counted(found.length, "match", "matches");
    this.#activate(NOTHING);
  }

  #option({ label, detail }, place) {
    const attributes = {
      id: `${this.list.id}-${place}`,
      role: "option",
      onmousedown: (event) => event.preventDefault(), // else the field loses the focus, and the list closes
      onclick: () => this.#choose(place),
    };
    return h("li", attributes, label, detail && h("span", { class: "soft" }, detail));
  }

  #step(by) {
    if (!this.#open) return this.look();
    const count = this.#found.length;
    const from = this.#active === NOTHING && by < 0 ? 0 : this.#active;
    if (count) this.#activate((from + by + count) % count);
  }

  #activate(place) {
    this.#active = place;
    [...this.list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === place)));
    this.list.children[place]?.scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-expanded", String(this.#open));
    if (place === NOTHING) this.input.removeAttribute("aria-activedescendant");
    else this.input.setAttribute("aria-activedescendant", `${this.list.id}-${place}`);
  }

  #choose(place) {
    const chosen = this.#found[place];
    this.close();
    if (chosen) this.pick(chosen);
  }
}

const nothing = () => h("li", { class: "soft", role: "option", "aria-disabled": "true" }, "Nothing found");
