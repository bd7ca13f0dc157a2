// What the page's address says after its "#": a view, and what it shows. Reload, back and links work by it.
// It holds ids and options, never a key.

export const VIEWS = ["recommend", "item", "bundles", "experiment", "report", "live"];

/** The view that the address names, null for another one, and its parameters. */
export function here() {
  const [view, query = ""] = split(location.hash.slice(1));
  return { view: VIEWS.includes(view) ? view : view ? null : VIEWS[0], parameters: new URLSearchParams(query) };
}

/** The address of a view. */
export function link(view, parameters = new URLSearchParams()) {
  const query = new URLSearchParams(parameters).toString();
  return query ? `#${view}?${query}` : `#${view}`;
}

export const itemLink = (id) => link("item", { id });

/** Name what is shown now, without a step for "back" where again is true: of a slider only its rest counts. */
export function remember(address, again = false) {
  if (address === location.hash) return;
  if (again) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
}

function split(text) {
  const at = text.indexOf("?");
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
