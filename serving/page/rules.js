// The part of the panel with the rules of a list: filters, dials, its length.

import { Dial } from "./dial.js";
import { byId } from "./dom.js";
import { Filters } from "./filters.js";
import { optionsAtRest } from "./question.js";

const WIDE = "(min-width: 56rem)";

export class Rules {
  #dials;

  /** question: is changed in place; changed is called afterwards, with true where a dial is still being moved. */
  constructor(question, changed) {
    Object.assign(this, { question, changed });
    this.filters = new Filters(question, () => this.#change());
    this.#dials = ["popularity", "diversity"].map(
      (name) => new Dial(name, (value) => this.#set(name, value, true)),
    );
    byId("rules").open = matchMedia(WIDE).matches;
    byId("exclude-seen").addEventListener("change", ({ target }) => this.#set("excludeSeen", target.checked));
    byId("k").addEventListener("change", ({ target }) => this.#set("k", Number(target.value)));
    byId("reset").addEventListener("click", () => this.#reset());
  }

  /** columns: as /v1/attributes has them. */
  describe(columns) {
    this.filters.describe(columns);
    this.#count();
  }

  /** Show what the question says. */
  show() {
    byId("exclude-seen").checked = this.question.excludeSeen;
    const lengths = [...byId("k").options].map((option) => option.value);
    if (!lengths.includes(`${this.question.k}`)) byId("k").add(new Option(this.question.k));
    byId("k").value = this.question.k;
    for (const dial of this.#dials) dial.show(this.question[dial.id]);
    this.filters.show();
    this.#count();
  }

  #set(name, value, isDial = false) {
    this.question[name] = value;
    this.#change(isDial);
  }

  #change(isDial = false) {
    this.#count();
    this.changed(isDial);
  }

  #reset() {
    Object.assign(this.question, optionsAtRest());
    this.question.filters.clear();
    this.show();
    this.changed(false);
  }

  /** How many rules are not at rest, so that a closed panel hides none. */
  #count() {
    const rest = Object.entries(optionsAtRest());
    const changed = rest.filter(([name, value]) => this.question[name] !== value).length;
    const count = changed + this.question.filters.size;
    byId("rules-count").textContent = count ? `${count} in use` : "";
    byId("reset").disabled = count === 0;
  }
}
