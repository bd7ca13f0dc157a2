// Checkboxes for the values that items may be asked to have, a group a column.

import { byId, counted, h, unseen } from "./dom.js";

export class Filters {
  /** chosen: Map from column to a Set of its values, changed in place; changed is called afterwards. */
  constructor(chosen, changed) {
    Object.assign(this, { chosen, changed });
  }

  /** Offer these columns, as /v1/attributes has them, with nothing chosen. */
  show(columns) {
    this.chosen.clear();
    byId("no-filters").hidden = columns.length > 0;
    byId("columns").replaceChildren(...columns.map((one) => this.#column(one)));
  }

  clear() {
    this.chosen.clear();
    for (const box of byId("columns").querySelectorAll("input:checked")) box.checked = false;
    for (const count of byId("columns").querySelectorAll("summary span")) count.textContent = "";
  }

  #column({ column, distinct, values }) {
    const count = h("span", { class: "soft" });
    const choose = (value, wanted) => {
      count.textContent = this.#choose(column, value, wanted);
      this.changed();
    };
    const boxes = values.map((one, place) => box(one, `filter-${column}-${place}`, choose));
    const rest = `The ${values.length} most frequent of ${counted(distinct, "value")}`;
    return h(
      "details",
      {},
      h("summary", {}, column, " ", count),
      h("div", { class: "values", role: "group", "aria-label": column }, boxes),
      distinct > values.length && h("p", { class: "soft" }, rest),
    );
  }

  /** Say how many values of the column are chosen now. */
  #choose(column, value, wanted) {
    const values = this.chosen.get(column) ?? new Set();
    if (wanted) values.add(value);
    else values.delete(value);
    if (values.size) this.chosen.set(column, values);
    else this.chosen.delete(column);
    return values.size ? `${values.size} chosen` : "";
  }
}

function box({ value, items }, id, choose) {
  const count = h("span", { class: "soft" }, unseen(", "), counted(items, "item"));
  const input = h("input", { id, type: "checkbox", onchange: ({ target }) => choose(value, target.checked) });
  return h("div", { class: "check" }, input, h("label", { for: id }, value, count));
}
