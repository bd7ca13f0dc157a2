// A field that finds an item by a part of its title or id.

import { ask } from "./api.js";
import { Combobox } from "./combobox.js";
import { byId, counted } from "./dom.js";

const OFFERED = 8;

/** id: of the field; its list is ID-options. chosen: is given an item as the catalogue has it. */
export function itemBox(id, { chosen, failed }) {
  const input = byId(id);
  const choose = (item) => {
    input.value = "";
    chosen(item);
  };
  const box = new Combobox(input, byId(`${id}-options`), {
    find: async (text, signal) => (await findItems(text, signal)).map(option),
    pick: ({ item }) => choose(item),
    enter: async (text, first) => {
      if (!text) return;
      try {
        const items = await findItems(text);
        const named = items.find((item) => isNamed(item, text)) ?? first?.item;
        if (named) choose(named);
        else box.look();
      } catch (error) {
        failed(error);
      }
    },
    failed,
  });
}

async function findItems(text, signal) {
  return (await ask(`/v1/items?${new URLSearchParams({ text, k: OFFERED })}`, undefined, signal)).items;
}

const option = (item) => ({ item, label: item.title ?? item.id, detail: counted(item.popularity.all, "user") });

const isNamed = ({ id, title }, text) => id === text || title?.toLowerCase() === text.toLowerCase();
