// A text field with a list of what was found, by mouse and keyboard (the combobox pattern of ARIA 1.2).

import { calmly, h } from "./dom.js";

const PAUSE = 150; // milliseconds without a key before anything is asked

/**
 * input, list: elements. find: (text, signal) → [{value, label, detail}]. pick: is given one of these.
 * failed: is given what `find` threw.
 */
export function combobox(input, list, { find, pick, failed }) {
  let found = [];
  let active = -1;
  let running = new AbortController();

  const open = () => !list.hidden;
  const setAttributes = () => {
    input.setAttribute("aria-expanded", String(open()));
    if (open() && active >= 0) input.setAttribute("aria-activedescendant", `${list.id}-${active}`);
    else input.removeAttribute("aria-activedescendant");
  };
  const close = () => {
    running.abort();
    list.hidden = true;
    active = -1;
    setAttributes();
  };
  const activate = (place) => {
    active = place;
    [...list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === place)));
    list.children[place]?.scrollIntoView({ block: "nearest" });
    setAttributes();
  };
  const choose = (place) => {
    const chosen = found[place];
    close();
    if (chosen) pick(chosen);
  };
  const option = (one, place) =>
    h(
      "li",
      {
        id: `${list.id}-${place}`,
        role: "option",
        "aria-selected": "false",
        onmousedown: (event) => event.preventDefault(),
        onclick: () => choose(place),
      },
      one.label,
      one.detail && h("span", { class: "soft" }, one.detail),
    );
  const show = () => {
    list.replaceChildren(
      ...(found.length
        ? found.map(option)
        : [
            h(
              "li",
              { class: "soft", role: "option", "aria-disabled": "true", "aria-selected": "false" },
              "Nothing found",
            ),
          ]),
    );
    list.hidden = false;
    activate(-1);
  };
  const look = async () => {
    running.abort();
    running = new AbortController();
    const { signal } = running;
    try {
      const answer = await find(input.value.trim(), signal);
      if (signal.aborted) return;
      found = answer;
      show();
    } catch (error) {
      if (error.name !== "AbortError") failed(error);
    }
  };
  const lookCalmly = calmly(() => document.activeElement === input && look(), PAUSE);
  const step = (by) => {
    if (!open()) return look();
    if (found.length) activate((active + by + found.length + (active < 0 && by < 0 ? 1 : 0)) % found.length);
  };
  const keys = {
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    Enter: () => open() && choose(Math.max(active, 0)),
    Escape: () => (open() ? close() : (input.value = "")),
  };

  for (const [name, value] of Object.entries({
    role: "combobox",
    "aria-autocomplete": "list",
    "aria-controls": list.id,
    autocomplete: "off",
    spellcheck: "false",
  })) {
    input.setAttribute(name, value);
  }
  setAttributes();
  input.addEventListener("input", lookCalmly);
  input.addEventListener("click", () => open() || look());
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
}
