// The part of the panel that says what the list is held against: another bundle, another user, other dials.

import { Problem, ask } from "./api.js";
import { Dial } from "./dial.js";
import { byId, h } from "./dom.js";
import { userBox } from "./userbox.js";

const KINDS = ["bundle", "user", "dials"];

export class Against {
  #dials;

  /** question: its `against` is changed; changed is called afterwards, with true where a dial is being moved. */
  constructor(question, { changed, failed }) {
    Object.assign(this, { question, changed });
    byId("against").addEventListener("change", ({ target }) => this.#choose(target.value));
    byId("other-bundle").addEventListener("change", ({ target }) => this.#set({ bundle: target.value || null }));
    userBox("other-user", { chosen: (user) => this.#set({ user }), failed });
    this.#dials = ["popularity", "diversity"].map(
      (name) => new Dial(`other-${name}`, (value) => this.#turn(name, value)),
    );
  }

  /** Show what the question says. */
  show() {
    const { against } = this.question;
    byId("against").value = against?.kind ?? "";
    for (const kind of KINDS) byId(`against-${kind}`).hidden = against?.kind !== kind;
    byId("other-bundle").value = against?.bundle ?? "";
    byId("other-user").value = against?.user ?? "";
    for (const dial of this.#dials) dial.show(against?.dials?.[dial.id.replace("other-", "")] ?? 0);
  }

  /** Offer the other bundles of the run; without a run, or the scope for it, say why there are none. */
  async offerBundles(live) {
    let note = "";
    let others = [];
    try {
      const { bundles } = await ask("/v1/admin/bundles");
      others = bundles.filter((one) => one.name !== live);
      if (!others.length) note = "This run has no other bundle yet.";
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      note = `${error.message}. ${error.remedy}.`;
    }
    const options = others.map((one) => h("option", { value: one.name }, described(one)));
    byId("other-bundle").replaceChildren(h("option", { value: "" }, "choose one"), ...options);
    byId("other-note").textContent = note;
    this.show();
  }

  #choose(kind) {
    const { popularity, diversity } = this.question;
    const fresh = { bundle: { bundle: null }, user: { user: null }, dials: { dials: { popularity, diversity } } };
    this.question.against = kind ? { kind, ...fresh[kind] } : null;
    this.show();
    this.changed(false);
  }

  #set(other) {
    const { kind } = this.question.against;
    if (this.question.against[kind] === other[kind]) return;
    this.question.against = { kind, ...other };
    this.changed(false);
  }

  #turn(name, value) {
    const { dials } = this.question.against;
    this.question.against = { kind: "dials", dials: { ...dials, [name]: value } };
    this.changed(true);
  }
}

const described = ({ name, written, test, deciding }) =>
  `${name}, ${written.slice(0, 10)}${test === null ? "" : `, ${deciding.toUpperCase()} ${test.toFixed(4)}`}`;
