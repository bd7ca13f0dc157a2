// The service's API. The key, where the service asks for one, stays in this tab.

const KEY = "recsys.key";
const NEEDED = "This service needs an API key.";
const ASK_FOR_ONE = "Give one that may read; whoever runs the service can make it.";

/** What the service refused. status: of HTTP, 0 where no answer came. remedy: what to do. */
export class Problem extends Error {
  constructor(status, detail, remedy = "") {
    super(detail);
    Object.assign(this, { status, detail, remedy });
  }

  /** Whether another key would help. */
  get isOfKey() {
    return this.status === 401 || (this.status === 403 && hasKey());
  }
}

export const hasKey = () => sessionStorage.getItem(KEY) !== null;
export const keepKey = (key) => sessionStorage.setItem(KEY, key);
export const forgetKey = () => sessionStorage.removeItem(KEY);

/** Where the service is: a proxy may serve it under a prefix. */
const ROOT = new URL("..", import.meta.url);

/** The address of a path of the service, which begins with a slash. */
export const addressOf = (path) => new URL(path.slice(1), ROOT).href;

let askForKey = async () => null;
let asking = null;
let isDeclined = false;

/** ask: (whether the last key was unknown) → a key, null when nobody gives one; then it is not asked again. */
export function onKeyWanted(ask) {
  askForKey = ask;
}

/** A document: a body makes it a POST. Throws Problem; after 401 a key is asked for once and the request repeated. */
export async function ask(path, body = undefined, signal = undefined) {
  return (await answer(path, body, signal)).json();
}

/** The same as text. */
export async function askText(path) {
  return (await answer(path)).text();
}

async function answer(path, body, signal) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    const response = await send(path, body, signal, key);
    if (response.ok) return response;
    if (response.status !== 401 || !(await newKey(key))) throw await problem(response);
  }
}

async function send(path, body, signal, key) {
  const headers = key === null ? {} : { Authorization: `Bearer ${key}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const method = body === undefined ? "GET" : "POST";
  try {
    return await fetch(addressOf(path), { method, headers, signal, body: body && JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The service does not answer.", "See whether recsys serve still runs.");
  }
}

/** Whether there is another key than the one that was refused; several requests share one question. */
async function newKey(refused) {
  if (sessionStorage.getItem(KEY) === refused) {
    if (isDeclined) return false;
    asking ??= askForKey(refused !== null).finally(() => (asking = null));
    const key = await asking;
    isDeclined = key === null;
    if (isDeclined) return false;
    keepKey(key);
  }
  return true;
}

async function problem(response) {
  const found = await response.json().catch(() => ({}));
  // What the service proposes is for programs.
  if (response.status === 401) return new Problem(401, hasKey() ? found.detail : NEEDED, ASK_FOR_ONE);
  return new Problem(response.status, found.detail ?? `The service answered ${response.status}.`, found.remedy);
}
