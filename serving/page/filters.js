// Values that items may be asked to have, a group a column: searched, counted, numbers in their order.

import { byId, counted, h, unseen, whole } from "./dom.js";

const SHOWN = 12; // values before "Show all"

export class Filters {
  #columns = [];

  /** question: its filters, a Map from column to a Set of values, are changed; changed is called afterwards. */
  constructor(question, changed) {
    Object.assign(this, { question, changed });
  }

  /** Offer these columns. */
  describe(columns) {
    byId("no-filters").hidden = columns.length > 0;
    this.#columns = columns.map((column) => new Column(column, this));
    byId("columns").replaceChildren(...this.#columns.map((column) => column.element));
    this.#forget();
  }

  /** Show what the question has chosen. */
  show() {
    this.#forget();
    for (const column of this.#columns) column.show();
  }

  /** Let go of columns that the items do not have. */
  #forget() {
    const { filters } = this.question;
    const offered = this.#columns.map(({ column }) => column);
    for (const column of [...filters.keys()]) if (!offered.includes(column)) filters.delete(column);
  }

  chosen(column) {
    return this.question.filters.get(column) ?? new Set();
  }

  choose(column, value, isWanted) {
    const values = this.chosen(column);
    if (isWanted) values.add(value);
    else values.delete(value);
    if (values.size) this.question.filters.set(column, values);
    else this.question.filters.delete(column);
    this.changed();
  }
}

class Column {
  #isWhole = false;

  constructor({ column, distinct, values }, filters) {
    Object.assign(this, { column, filters, values: inOrder(values) });
    const id = `search-${column}`;
    this.count = h("span", { class: "soft" });
    this.boxes = h("div", { class: "values", role: "group", "aria-label": column });
    this.rest = h("p", { class: "soft" });
    this.all = h("button", { class: "quiet", onclick: () => this.#showAll() });
    this.search = h("input", { id, type: "text", placeholder: "Search", oninput: () => this.#fill() });
    const isLong = values.length > SHOWN;
    this.missing = distinct > values.length ? `The ${whole(values.length)} most frequent of ${whole(distinct)}.` : "";
    const label = h("label", { for: id, class: "unseen" }, `Search the values of ${column}`);
    const head = h("summary", {}, column, " ", this.count);
    this.element = h("details", {}, head, isLong && [label, this.search], this.boxes, this.rest, isLong && this.all);
    this.show();
  }

  show() {
    this.#fill();
    this.#count();
  }

  #count() {
    const { size } = this.filters.chosen(this.column);
    this.count.textContent = size ? `${size} chosen` : "";
  }

  /** What is chosen, then what the search finds. */
  #fill() {
    const chosen = this.filters.chosen(this.column);
    const text = this.search.value.trim().toLowerCase();
    const found = this.values.filter(({ value }) => !chosen.has(value) && value.toLowerCase().includes(text));
    const named = new Map(this.values.map((one) => [one.value, one]));
    const first = [...chosen].map((value) => named.get(value) ?? { value, items: null });
    const shown = this.#isWhole ? found : found.slice(0, Math.max(0, SHOWN - first.length));
    const boxes = [...first, ...shown].map((one, place) => this.#box(one, place, chosen.has(one.value)));
    this.boxes.replaceChildren(...boxes);
    const hidden = found.length - shown.length;
    this.all.hidden = hidden === 0;
    this.all.replaceChildren(`Show ${counted(hidden, "more value")}`);
    this.rest.textContent = found.length || !text ? this.missing : `No value of ${this.column} holds “${text}”.`;
  }

  #showAll() {
    const place = this.boxes.children.length;
    this.#isWhole = true;
    this.#fill();
    this.boxes.children[place]?.querySelector("input").focus();
  }

  #box({ value, items }, place, isChosen) {
    const id = `filter-${this.column}-${place}`;
    const choose = ({ target }) => {
      this.filters.choose(this.column, value, target.checked);
      this.#count();
    };
    const input = h("input", { id, type: "checkbox", checked: isChosen, onchange: choose });
    const count = items !== null && h("span", { class: "soft" }, unseen(", "), counted(items, "item"));
    return h("div", { class: "check" }, input, h("label", { for: id }, value, count));
  }
}

/** Numbers from the largest down, so that the newest year is first; words as they come, the most frequent first. */
function inOrder(values) {
  const areNumbers = values.every(({ value }) => value.trim() !== "" && Number.isFinite(Number(value)));
  return areNumbers ? [...values].sort((a, b) => Number(b.value) - Number(a.value)) : values;
}
