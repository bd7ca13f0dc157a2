// The picture of an item, where one of its attributes is the address of one.

import { addressOf } from "./api.js";
import { h } from "./dom.js";

const PICTURE = /\.(avif|gif|jpe?g|png|webp)$/i;
const POLICY = "content-security-policy";

let allowed = null;

/**
 * A picture that the page may load: the service's policy names the hosts, of which it names none unless told
 * (`recsys serve --images`), since a picture tells its host who looks. Null where there is none; the address then
 * stands among the attributes.
 */
export async function pictureOrLink(attributes, title) {
  const addresses = Object.values(attributes).flat().map(webAddress);
  const pictures = addresses.filter((address) => address && PICTURE.test(address.pathname));
  if (!pictures.length) return null;
  const origins = await (allowed ??= allowedOrigins());
  const [shown] = pictures.filter((address) => origins.includes(address.origin));
  if (!shown) return null;
  const picture = h("img", { src: shown.href, alt: `Picture of ${title}`, class: "picture", referrerpolicy: "no-referrer" });
  picture.addEventListener("error", () => picture.remove());
  return picture;
}

/** A value as an address of the web; null for any other. */
export function webAddress(value) {
  if (typeof value !== "string" || !/^https?:\/\//i.test(value) || !URL.canParse(value)) return null;
  return new URL(value);
}

/** Hosts from which the page's own policy lets pictures come. */
async function allowedOrigins() {
  const policy = (await fetch(addressOf("/"), { method: "HEAD" })).headers.get(POLICY) ?? "";
  const sources = policy.split(";").find((part) => part.trim().startsWith("img-src")) ?? "";
  return sources.split(" ").filter((source) => source.startsWith("http"));
}
