// A draft as a part of an address, behind the #: no server sees it there.
const parts = ["policies", "schema", "entities", "principal", "action", "resource", "context", "tests"];
const token = /eyJ[\w-]{8,}\.[\w-]*\.?|\bbk_\w{8,}/;

/** The fragment of a draft; null where it holds what looks like a token or an API key. */
export function pack(draft) {
  const own = Object.fromEntries(parts.map((name) => [name, draft[name]]));
  if (parts.some((name) => token.test(own[name]))) return null;
  const bytes = new TextEncoder().encode(JSON.stringify(own));
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return `#draft=${btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")}`;
}

/** The draft that a preset of the page begins with. */
export function textsOf(preset) { return Object.fromEntries(parts.map((name) => [name, preset.content.querySelector(`[data-part=${name}]`).textContent])); }

/** The draft in a fragment, or null. */
export function unpack(fragment) {
  if (!fragment.startsWith("#draft=")) return null;
  try {
    const text = atob(fragment.slice("#draft=".length).replaceAll("-", "+").replaceAll("_", "/"));
    const own = JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (c) => c.charCodeAt(0))));
    return parts.every((name) => typeof own[name] === "string") ? own : null;
  } catch {
    return null;
  }
}
