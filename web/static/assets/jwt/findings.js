// What stands out in a token. Each finding is { level: error | warn | info, claim, title, text, act }; `claim` is the member it is about,
// and `act` a remedy that the page offers.
import { localTime, relative, span, stamp } from "./words.js";
import { isKnown } from "./keys.js";

const skew = 60; // seconds that clocks may differ
const cookieLimit = 4096, day = 86400;
const ours = ["ES256", "RS256", "EdDSA"];
export const times = ["exp", "nbf", "iat", "auth_time", "updated_at"];

/** A time in milliseconds, which no time in seconds reaches before the year 5138. */
export const inMilliseconds = (value) => typeof value === "number" && value > 1e11;

/** What a token probably is: access, id, logout or unknown. */
export function kindOf({ header, payload }) {
  const typ = String(header.value?.typ ?? "").toLowerCase().replace(/^application\//, ""), c = payload.value ?? {};
  if (typ === "at+jwt" || c.client_id || c.scope || c.scp) return "access";
  if (typ === "logout+jwt" || c.events) return "logout";
  return c.nonce || c.at_hash || c.auth_time || c.azp || (c.aud && !c.jti) ? "id" : "unknown";
}

/** `context` is { issuer, now, kids: the key ids of this broker or null, from: where the token was found }. */
export function findings(token, context) {
  const found = [];
  const add = (level, claim, title, text = "", act = "") => found.push({ level, claim, title, text, act });
  for (const problem of token.problems) add("error", "", "Damaged or cut off", problem);
  ofHeader(token, context, add);
  if (token.payload.value) {
    ofIssuer(token.payload.value, context, add);
    ofTimes(token.payload.value, context, add);
    ofKind(token, context, add);
  }
  if (/appears twice/.test(token.payload.fault?.message)) add("error", "", "A name appears twice", "Parsers disagree about which value counts, so verifiers refuse it.");
  if (token.token.length > cookieLimit) add("warn", "", `Large: ${token.token.length} bytes`, "A cookie holds 4096 at most, and some proxies cap all headers at 8192.");
  const order = ["error", "warn", "info"];
  return found.sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
}

function ofHeader({ header, payload, signature }, { issuer, kids }, add) {
  const h = header.value;
  if (!h) return;
  const mine = payload.value?.iss === issuer, alg = String(h.alg ?? "");
  if (/^none$/i.test(alg)) add("error", "alg", "Not signed at all", "alg is none: anybody can write such a token. No verifier may take it.");
  else if (alg.startsWith("HS") && mine) add("error", "alg", `${alg} under this broker's name`, "This broker never signs with a shared secret. Whoever made this wanted a public key to be taken for one.");
  else if (alg.startsWith("HS")) add("info", "alg", `${alg}: a shared secret`, "Whoever can check this token can make one too.");
  else if (!isKnown(alg)) add("error", "alg", alg ? `Unknown algorithm ${alg}` : "No algorithm", "A JWT names a registered one: ES256, RS256, EdDSA.");
  else if (mine && !ours.includes(alg)) add("error", "alg", `${alg} under this broker's name`, `This broker signs with ${ours.join(", ")}.`);
  if (mine && !h.kid) add("error", "kid", "No key id", "Every token of this broker names its key in kid.");
  if (mine && h.kid && kids && !kids.includes(h.kid)) {
    add("error", "kid", "Unknown key", `This broker publishes no key ${h.kid}. It was retired, is newer than the keys held here, or never was one of ours.`, "refetch");
  }
  for (const name of ["jku", "jwk", "x5u", "x5c"]) {
    if (name in h) add("warn", name, `The token brings its own key (${name})`, "A verifier must never take the key from the token it checks.");
  }
  for (const name of ["crit", "b64"]) {
    if (name in h) add("warn", name, `Asks for an extension (${name})`, "A verifier that does not know it must refuse the token.");
  }
  if (signature.bytes.length === 0 && !/^none$/i.test(alg)) add("error", "", "No signature", "The third part is empty.");
}

function ofIssuer(c, { issuer }, add) {
  if (c.iss === undefined) add("warn", "iss", "No issuer", "Nobody can know whose keys to check it with.");
  else if (c.iss !== issuer) {
    const difference = almost(String(c.iss), issuer);
    if (difference) add("error", "iss", "Almost this broker's issuer", `${c.iss} and ${issuer} differ by ${difference}. Issuers are compared byte for byte.`);
  }
  if (c.sub === undefined) add("error", "sub", "No subject", "It does not say whom it is about.");
  if (c.aud === undefined) add("error", "aud", "No audience", "A token without aud can be replayed at every API that trusts the issuer.");
  else if (Array.isArray(c.aud)) {
    if (c.aud.length === 1) add("info", "aud", "aud is an array of one", "Allowed; some libraries compare with a plain string and refuse it.");
    else add("warn", "aud", `${c.aud.length} audiences`, "Each of these APIs could use the token at the others.");
  }
  if (c.cnf) add("info", "cnf", "Bound to a key", "It is good only together with a proof of that key, never as a plain bearer token.");
}

/** How two issuers differ where a person would read them as one, "" where they are plainly two. */
function almost(a, b) {
  const apart = [
    ["a slash at the end", (s) => s.replace(/\/+$/, "")], ["http and https", (s) => s.replace(/^https?:/i, "")], ["upper and lower case", (s) => s.toLowerCase()],
  ];
  const all = (s) => apart.reduce((text, [, fold]) => fold(text), s);
  if (all(a) !== all(b)) return "";
  return apart.filter((_, i) => {
    const rest = (s) => apart.reduce((text, [, fold], j) => (i === j ? text : fold(text)), s);
    return rest(a) !== rest(b);
  }).map(([words]) => words).join(", ") || "slash, scheme and case";
}

function ofTimes(c, { now }, add) {
  for (const name of times) {
    if (inMilliseconds(c[name])) add("error", name, `${name} is in milliseconds`, `Read as seconds it is far in the future. ${Math.floor(c[name] / 1000)} was meant: ${localTime(c[name] / 1000)}.`);
    else if (name in c && typeof c[name] !== "number") add("error", name, `${name} is not a number`, "A time is a number of seconds since 1970 (NumericDate).");
  }
  const at = (name) => (typeof c[name] === "number" && !inMilliseconds(c[name]) ? c[name] : undefined);
  const exp = at("exp"), nbf = at("nbf"), iat = at("iat");
  if (c.exp === undefined) add("error", "exp", "Never expires", "There is no exp. If it leaks, it is good for ever.");
  if (exp <= now) {
    const forgiven = now - exp < skew ? " Some APIs still take it: clocks may differ by up to a minute." : "";
    add("error", "exp", "Expired", `It was good until ${localTime(exp)}, ${relative(exp, now)}.${forgiven}`);
  }
  if (nbf > now + skew) add("error", "nbf", "Not good yet", `It begins at ${localTime(nbf)}, ${relative(nbf, now)}.`);
  if (iat > now + skew) add("error", "iat", "Issued in the future", `${stamp(iat)}: the clock of the issuer, or of this computer, is wrong by ${span(iat - now)}.`);
  if (exp - (iat ?? nbf ?? now) > day) add("warn", "exp", `Good for ${span(exp - (iat ?? nbf ?? now))}`, "An access token that lives longer than a day is a password that cannot be changed. Use a refresh token.");
}

function ofKind(token, { from, issuer }, add) {
  const kind = kindOf(token), typ = token.header.value?.typ, mine = token.payload.value.iss === issuer;
  const asAccess = from === "Bearer" || /access/i.test(from ?? "");
  if (kind === "id") {
    add(asAccess ? "error" : "info", "typ", asAccess ? "An ID token, used as an access token" : "An ID token",
      "It tells an app who signed in, and is for that app alone. An API must refuse it: send the access token there.");
  } else if (kind === "access" && String(typ).toLowerCase().replace(/^application\//, "") !== "at+jwt") {
    add(mine ? "warn" : "info", "typ", typ ? `typ is ${typ}` : "No typ", "An access token has the type at+jwt (RFC 9068). With another one, an ID token could be taken for it.");
  } else if (kind === "logout") add("info", "typ", "A logout token", "It tells an app that a session has ended. It opens nothing.");
}
