// The dialog that asks for an API key, and the button that opens it again.

import { forgetKey, hasKey, keepKey, onKeyWanted } from "./api.js";
import { byId, h } from "./dom.js";

const ASKED = "This service asks for a key. It is kept until this tab is closed.";
const UNKNOWN = "The service does not know that key, or it has expired. Try another.";
const CHANGE = "Give another key, or forget the one in use. It is kept until this tab is closed.";

/** Ask for a key whenever the service wants one, and when somebody wants to give another. */
export function watchKey() {
  onKeyWanted(async (wasUnknown) => {
    const key = await opened(wasUnknown ? UNKNOWN : ASKED);
    showButton(true);
    return key;
  });
  byId("change-key").addEventListener("click", changeKey);
  showButton(hasKey());
}

/** For a problem that another key would mend. */
export const keyButton = () => h("button", { onclick: changeKey }, "Give another key");

const showButton = (isShown) => (byId("change-key").hidden = !isShown);

async function changeKey() {
  const key = await opened(CHANGE);
  if (key !== null) keepKey(key);
  else if (byId("key-dialog").returnValue === "forget") forgetKey();
  else return;
  location.reload(); // everything that the page shows was asked for by the old one
}

/** What is typed, null where the dialog is left otherwise. */
function opened(note) {
  const dialog = byId("key-dialog");
  byId("key-note").textContent = note;
  byId("key").value = "";
  byId("forget-key").hidden = !hasKey();
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const left = () => resolve(dialog.returnValue === "use" && byId("key").value ? byId("key").value : null);
    dialog.addEventListener("close", left, { once: true });
  });
}
