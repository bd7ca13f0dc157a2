// A field for a user: any id may be typed, those in the log are offered.

import { ask } from "./api.js";
import { Combobox } from "./combobox.js";
import { byId } from "./dom.js";

const OFFERED = 8;

/** id: of the field; its list is ID-options. chosen: is given an id, null for an empty field. */
export function userBox(id, { chosen, failed }) {
  const input = byId(id);
  const choose = (text) => {
    input.value = text;
    chosen(text || null);
  };
  const box = new Combobox(input, byId(`${id}-options`), {
    find: findUsers,
    pick: ({ value }) => choose(value),
    enter: choose,
    failed,
  });
  input.addEventListener("change", () => {
    box.close();
    choose(input.value.trim());
  });
}

/** Users whose id holds the text, and the text itself: it may be an id that is new. */
async function findUsers(text, signal) {
  const { users } = await ask(`/v1/users?${new URLSearchParams({ text, k: OFFERED })}`, undefined, signal);
  const found = users.map((user) => ({ value: user, label: user }));
  if (text && !users.includes(text)) found.push({ value: text, label: text, detail: "not in the log" });
  return found;
}
