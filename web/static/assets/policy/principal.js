// Somebody as the principal of a draft: a user, or whom the claims of a token are about.

// Claims about the token, not about whom it is about.
const ofToken = ["sub", "roles", "iat", "nbf", "exp", "jti", "nonce", "at_hash", "c_hash", "s_hash", "sid", "gid", "ver", "auth_time", "updated_at"];
const longest = 256, most = 64;

/** The entities of a text with { id, roles, attrs } as the first, in place of whoever had that id. Throws where the text is no JSON list. */
export function withPrincipal(text, { id, roles, attrs }) {
  const list = JSON.parse(text || "[]");
  const isThem = ({ uid }) => uid?.type === "User" && uid?.id === id;
  const own = attrs ?? list.find(isThem)?.attrs ?? {};
  const them = { uid: { type: "User", id }, attrs: own, parents: roles.map((role) => ({ type: "Role", id: role })) };
  return `[\n${[them, ...list.filter((one) => !isThem(one))].map((one) => `  ${JSON.stringify(one)}`).join(",\n")}\n]\n`;
}

export const nameOf = (id) => `User::${JSON.stringify(id)}`;

/** Whom claims are about, as { id, roles, attrs }; null where they do not say. Attributes are what Cedar has a type for: texts, whole numbers, yes or no, lists of texts. */
export function personOf(claims) {
  const { sub, roles, realm_access: realm } = claims ?? {};
  if (typeof sub !== "string" || sub === "" || sub.length > longest) return null;
  const attrs = {};
  for (const [name, value] of Object.entries(claims)) {
    const words = ["scope", "scp"].includes(name) && typeof value === "string" ? value.split(" ").filter(Boolean) : value;
    if (!ofToken.includes(name) && /^[A-Za-z_][\w:./-]*$/.test(name) && typeOf(words)) attrs[name] = words;
  }
  const list = [roles ?? realm?.roles ?? []].flat(); // Keycloak keeps roles one level down
  return { id: sub, roles: list.filter((role) => role && typeOf(role) === "String").slice(0, most), attrs };
}

function typeOf(value) {
  if (typeof value === "string") return value.length <= longest ? "String" : "";
  if (typeof value === "boolean") return "Bool";
  if (Number.isSafeInteger(value)) return "Long";
  return Array.isArray(value) && value.length <= most && value.every((one) => typeof one === "string" && typeOf(one)) ? "Set<String>" : "";
}

/** A draft in which somebody asks, and whose schema knows their attributes, so that policies may speak of them. The others in it lack them. */
export function draftFor(draft, person) {
  const attrs = Object.entries(person.attrs).map(([name, value]) => `  ${JSON.stringify(name)}?: ${typeOf(value)},\n`).join("");
  return {
    ...draft, entities: withPrincipal(draft.entities, person), principal: nameOf(person.id),
    schema: draft.schema.replace("entity User in [Role];", () => (attrs ? `entity User in [Role] {\n${attrs}};` : "entity User in [Role];")),
  };
}
