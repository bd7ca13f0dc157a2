// Uses the generated TypeScript client against a running service: ADDRESS KEY. Prints what it was given.

import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

declare const process: { argv: string[] };

function require(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

const [, , baseUrl, key] = process.argv;
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });
const genres: components["schemas"]["FilterBody"] = { none: ["drama"] };

const byGet = await client.GET("/v1/recommend/{user}", {
  params: { path: { user: "u04" }, query: { k: 5, filters: ["genres.none:drama"] } },
});
require(byGet.data !== undefined, "no list by GET");
const lists = await client.POST("/v1/recommend", {
  body: {
    requests: [{ user: "u04" }, { history: [{ item: "i01" }, { item: "i02" }] }],
    k: 5,
    filters: { genres },
  },
});
require(lists.data !== undefined, "no lists by POST");
const [byPost, visitor] = lists.data.answers;
require(byPost !== undefined && visitor !== undefined, "not two lists");
const ids = byGet.data.items.map((one) => one.id);
require(ids.join() === byPost.items.map((one) => one.id).join(), "GET and POST differ");

const similar = await client.GET("/v1/similar/{item}", { params: { path: { item: "i01" }, query: { k: 3 } } });
require(similar.data?.items.length === 3, "not three similar items");
const first = byGet.data.items[0];
require(first !== undefined, "the list is empty");
const why = await client.POST("/v1/explain", { body: { user: "u04", item: first.id } });
require(why.data?.reasons[0]?.code !== undefined, "no reason");
const taken = await client.POST("/v1/events", { body: { events: [{ user: "u04", item: "i01", id: "order-2" }] } });
require(taken.data !== undefined, "no event taken");
const known = await client.GET("/v1/users/{user}", { params: { path: { user: "u04" } } });
require(known.data?.known === true, "the user is not known");

const unknown = await client.GET("/v1/items/{item}", { params: { path: { item: "nothing" } } });
const code: components["schemas"]["Problem"]["code"] | undefined = unknown.error?.code;
require(unknown.response.status === 404 && code === "unknown_item", "another error");
const nobody = await createClient<paths>({ baseUrl }).GET("/v1/model");
require(nobody.error?.code === "unknown_key", "no key was asked for");

console.log(
  JSON.stringify({
    items: ids,
    source: visitor.source,
    accepted: taken.data.accepted,
  }),
);
