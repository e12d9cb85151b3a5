// Checks a token as package verify does at an API: the same order, the same codes, the same words. A test compares them with what
// the broker answers.
import { clean, show, stamp } from "./words.js";

const algorithms = ["ES256", "RS256", "EdDSA"];
const leeway = 30; // seconds, the default of verify
const maxBytes = 16384, maxName = 255, maxDate = 253402300799;
const headerNames = ["alg", "typ", "kid", "crit", "b64", "zip", "enc", "cty"];
const claimNames = ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope", "roles", "email", "sid", "gid", "ver", "cnf"];

/**
 * Takes a token as read.js gives it, what the API expects ({ issuer, audience, types, scopes, roles }), and the state of the signature
 * (keys.js, or waiting, unknown). Returns a list of { name, state: pass | fail | skip, code, words }; the first that fails is what
 * the API answers with.
 */
export function check(token, want, signature, now) {
  const steps = [];
  let readable = true;
  const step = (name, words, code = "invalid_token") => {
    if (!readable) return steps.push({ name, state: "skip", words: "" });
    steps.push(words ? { name, state: "fail", code, words: clean(words) } : { name, state: "pass" });
    return !words;
  };
  // What stands on it cannot be told without it.
  const gate = (name, words) => { readable = step(name, words) && readable; };

  gate("Form", form(token));
  gate("Header", readable ? header(token.header) : "");
  const h = token.header?.value ?? {}, c = token.payload?.value ?? {};
  step("Algorithm", algorithms.includes(h.alg) ? "" : `the algorithm is ${show(h.alg ?? "")}, one of ${algorithms.join(", ")} is expected`);
  step("Type", want.types.includes(mediaType(h.typ ?? "")) ? "" : `the token type is ${show(h.typ ?? "")}, ${want.types.join(" or ")} is expected`);
  step("Key id", named(h.kid ?? "") ? "" : `the header names its key in ${length(h.kid ?? "")} bytes, 1 to ${maxName} are expected in 'kid'`);
  gate("Payload", readable ? payload(token.payload) : "");
  const aud = [c.aud ?? []].flat();
  step("Issuer", c.iss === want.issuer ? "" : `the issuer is ${show(c.iss ?? "")}, ${show(want.issuer)} is expected`);
  step("Audience", aud.length === 0 ? `the token names no audience, ${show(want.audience)} is expected`
    : aud.includes(want.audience) ? "" : `the audience is ${show(aud.join(" "))}, ${show(want.audience)} is expected`);
  step("Subject", named(c.sub ?? "") && /^[ -~]+$/.test(c.sub) ? "" : `the subject has ${length(c.sub ?? "")} bytes, 1 to ${maxName} printable ASCII characters are expected`);
  const exp = Math.floor(c.exp), nbf = Math.ceil(c.nbf ?? 0), iat = Math.ceil(c.iat ?? 0);
  step("Expiry", c.exp === undefined ? "the token never expires, 'exp' is expected"
    : now < exp + leeway ? "" : `the token expired at ${stamp(exp)}, it is ${stamp(now)}`);
  step("Not before", nbf <= now + leeway ? "" : `the token is not good before ${stamp(nbf)}, it is ${stamp(now)}`);
  step("Issued at", iat <= now + leeway ? "" : `the token was issued in the future, at ${stamp(iat)}, it is ${stamp(now)}`);
  if (["good", "bad", "nokey"].includes(signature.state)) {
    step("Signature", signature.state === "nokey" ? `the issuer has no key ${show(h.kid ?? "")} for ${h.alg}`
      : (token.signature.strict ? "" : "the signature is not base64url") || (signature.state === "bad" ? `the signature was not made by the key ${show(h.kid ?? "")}` : ""));
  } else {
    steps.push({ name: "Signature", state: "skip", words: "Not checked: see Verify." });
  }
  reach(c, want, step);
  return steps;
}

function reach(c, want, step) {
  const scopes = typeof c.scope === "string" ? c.scope.split(/\s+/).filter(Boolean) : [];
  const roles = Array.isArray(c.roles) ? c.roles : [];
  const list = (none, some, names) => (names.length === 0 ? none : some + names.join(", "));
  if (want.scopes.length > 0) {
    step("Scope", want.scopes.every((s) => scopes.includes(s)) ? ""
      : `the token has ${list("no scope", "the scopes ", scopes)}, all of ${want.scopes.join(", ")} are expected`, "insufficient_scope");
  }
  if (want.roles.length > 0) {
    step("Role", want.roles.some((r) => roles.includes(r)) ? ""
      : `the caller has ${list("no role", "the roles ", roles)}, one of ${want.roles.join(", ")} is expected`, "insufficient_scope");
  }
}

function form(token) {
  const parts = token.token.split(".");
  if (token.token.length > maxBytes) return `the token has ${token.token.length} bytes, at most ${maxBytes} are accepted`;
  if (parts.length === 5) return "the token is encrypted (5 parts), a signed token (3 parts) is expected";
  if (parts.length !== 3) return `the token has ${parts.length} parts, 3 are expected`;
  if (parts[2].length > 1366) return `the signature has ${parts[2].length} characters, at most 1366 are accepted`;
  return /^[\w.-]*$/.test(token.token) ? "" : "the token holds a character outside base64url";
}

function header(part) {
  if (!part.strict) return "the header is not base64url without padding";
  if (part.fault) return `the header cannot be read: ${part.fault.message}`;
  for (const [name, raw] of part.members) {
    let wrong = "";
    if (["alg", "typ", "kid"].includes(name)) wrong = raw[0] === '"' ? "" : `'${name}' is not a string`;
    else if (name === "crit" || name === "b64") wrong = `the member '${name}' is not supported`;
    else if (name === "zip" || name === "enc") wrong = `the member '${name}' belongs to encrypted tokens`;
    else wrong = misspelt(name, headerNames, "member");
    if (wrong) return `the header cannot be used: ${wrong}`;
  }
  return "";
}

function payload(part) {
  if (!part.strict) return "the payload is not base64url without padding";
  if (part.fault) return `the payload cannot be read: ${part.fault.message}`;
  for (const [name, raw] of part.members) {
    const wrong = claim(name, part.value[name], raw);
    if (wrong) return `the payload cannot be used: ${wrong}`;
  }
  return "";
}

function claim(name, value, raw) {
  const strings = Array.isArray(value) && value.every((item) => typeof item === "string");
  switch (name) {
    case "iss": case "sub": case "jti": case "client_id": case "email": case "sid": case "gid":
      return typeof value === "string" ? "" : `'${name}' is not a string`;
    case "aud":
      return typeof value === "string" || strings ? "" : "'aud' is neither a string nor an array of strings";
    case "exp": case "iat": case "nbf":
      return /^\d+(\.\d*)?$/.test(raw) && Math.floor(value) <= maxDate ? "" : `'${name}' is not a number of seconds from 0 to ${maxDate}, without exponent`;
    case "scope":
      if (typeof value !== "string") return "'scope' is not a string";
      return clean(value, Infinity) === value ? "" : "'scope' holds characters that no scope has";
    case "roles":
      return strings && !value.includes("") ? "" : "'roles' is not an array of names";
    case "ver":
      return /^\d+$/.test(raw) && Number.isSafeInteger(value) ? "" : "'ver' is not a whole number from 0 on";
    case "cnf":
      return "the token is bound to a key ('cnf') and is no bearer token";
  }
  return misspelt(name, claimNames, "claim");
}

function misspelt(name, names, kind) {
  const twin = names.find((known) => known !== name && [name.toLowerCase(), name.toUpperCase().toLowerCase()].includes(known));
  return twin ? `the ${kind} ${show(name)} is a misspelt '${twin}'` : "";
}

function mediaType(typ) {
  typ = String(typ).toLowerCase();
  const short = typ.replace(/^application\//, "");
  return short.includes("/") ? typ : short;
}

const length = (text) => new TextEncoder().encode(text).length;
const named = (text) => text !== "" && length(text) <= maxName;
