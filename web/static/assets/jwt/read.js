// Finds out what was pasted: a token, something with tokens in it, or something else. Touches neither the page nor the network.
import { readObject } from "./json.js";

const compactToken = /[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){2,4}/;
const looksLikeJWT = /^ey[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\./;
const tokenName = /token|jwt|assertion|^code$|hint$|key$/i;

/** Begins of credentials that hold nothing to decode. */
const opaque = [
  ["rt_", "A refresh token of this broker", "It is a random text that only the broker can look up: use introspection (POST /introspect), or POST /refresh to get a new access token."],
  ["bk_", "An API key of this broker", "It is a random text that only the broker can look up: send it in X-API-Key; for a token there is introspection (POST /introspect)."],
  ["gh", "A token of GitHub", "GitHub alone knows what it opens."],
  ["ya29.", "An access token of Google", "Google alone knows what it opens."],
];

/**
 * Returns { kind, … }:
 * empty | choices {list: [{name, text}]} | keys {text} | other {title, text} | jwe {token, header} | jws {token, parts, header,
 * payload, signature, problems: [{title, text}]}.
 * `from` says where a token was found, if it did not stand alone: "Bearer", "access_token".
 */
export function read(input) {
  const text = input.trim();
  if (!text) return { kind: "empty" };
  return ofJSON(text) ?? ofAddress(text) ?? ofText(text);
}

function ofJSON(text) {
  if (!/^[{[]/.test(text)) return null;
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return /ey[\w-]+\./.test(text) ? null : { kind: "other", title: "JSON that does not parse", text: "It begins like JSON and breaks off or has a mistake in it." };
  }
  if (value.keys || value.kty) return { kind: "keys", text };
  const list = [];
  collect(value, "", list);
  return choose(list) ?? {
    kind: "other", title: "JSON without a token",
    text: value.alg || value.iss ? "This is the inside of a token, decoded already. A token is the text with dots in it." : "None of its members is a token.",
  };
}

function collect(value, name, list) {
  if (typeof value === "string") {
    if (looksLikeJWT.test(value) || (tokenName.test(name) && value.length > 15 && !/[\s:]/.test(value))) list.push({ name: name || "token", text: value });
  } else if (value && typeof value === "object") {
    for (const [key, inner] of Object.entries(value)) collect(inner, key, list);
  }
}

// Tokens in the query or the fragment of an address, or in what could be either.
function ofAddress(text) {
  if (/\s/.test(text) || !/^[a-z][a-z0-9+.-]*:|^[?#&/]|^[\w.-]+=/i.test(text)) return null;
  const list = [];
  for (const part of text.split(/[?#]/)) {
    for (const [name, value] of new URLSearchParams(part)) collect(value, name, list);
  }
  return choose(list);
}

function choose(list) {
  const [first, second] = list;
  if (!first) return null;
  return second ? { kind: "choices", list } : { ...ofText(first.text), from: first.name };
}

function ofText(text) {
  let token = text.replace(/^authorization\s*:\s*/i, "");
  let from;
  if (/^(bearer|dpop)\s/i.test(token)) {
    token = token.replace(/^\S+\s+/, "");
    from = "Bearer";
  }
  token = token.replaceAll(/["'`\s,;]/g, "");
  // A line of a log or a shell around it.
  if (!/^[A-Za-z0-9_.+/=-]*$/.test(token)) {
    const found = compactToken.exec(text.replaceAll(/\\?\r?\n/g, ""));
    if (!found) return { kind: "other", title: "Not a token", text: `There is a ${named(/[^A-Za-z0-9_.+/=-]/u.exec(token)[0])} in it, and no JWT around it.` };
    if (/bearer\s/i.test(text)) from = "Bearer";
    token = found[0];
  }
  return { ...classify(token), from };
}

function named(c) { return c > " " && c <= "~" ? `"${c}"` : `character U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`; }

function classify(token) {
  const kind = opaque.find(([prefix]) => token.startsWith(prefix) && !looksLikeJWT.test(token));
  if (kind) return { kind: "other", title: `${kind[1]}, not a JWT`, text: kind[2] };
  const paseto = /^(v[1-4])\.(local|public)\./.exec(token);
  if (paseto) {
    return {
      kind: "other", title: `A PASETO (${paseto[1]}.${paseto[2]}), not a JWT`,
      text: "PASETO is another format, with the algorithm in the version. This broker neither issues nor takes it.",
    };
  }
  const parts = token.split(".");
  if (parts.length === 1) return { kind: "other", title: "An opaque text, not a JWT", text: "A JWT has three parts with dots between them. If this is a token, only its issuer can say what it means: use introspection." };
  const offsets = parts.map((_, i) => parts.slice(0, i).join(".").length + (i > 0));
  const header = part("header", parts[0], offsets[0], parts.length === 1);
  if (parts.length === 5 && header.value) {
    return { kind: "jwe", token, header, title: "An encrypted token (JWE, 5 parts)", text: `Its claims can be read only with the key of whom it is for. It is encrypted by ${header.value.alg ?? "?"} and ${header.value.enc ?? "?"}.` };
  }
  if (!header.value && (parts.length !== 3 || !/^[[{]/.test(String.fromCharCode(header.bytes[0])))) {
    return { kind: "other", title: `Not a JWT: ${parts.length} parts, and the first is no JSON`, text: header.problem ?? "An authorization code of this broker has two parts: it is redeemed at /token, once." };
  }
  const payload = part("payload", parts[1], offsets[1], parts.length === 2);
  const signature = signed(parts[2], offsets[2]);
  const problems = [header.problem, payload.problem, signature.problem].filter(Boolean);
  if (parts.length !== 3) {
    problems.push(parts.length === 2
      ? `The token ends after ${token.length} characters, within or right behind the payload: the signature is missing.`
      : `The token has ${parts.length} parts, a JWT has 3.`);
  }
  return { kind: "jws", token, parts, header, payload, signature, problems };
}

/** Decodes one part. Positions count the characters of the whole token from 1. */
function part(name, text, offset, last) {
  const { bytes, problem, strict } = decode(text, offset, name);
  const { value, members, fault } = readObject(bytes);
  const out = { text, bytes, value, members, fault, strict, problem };
  if (fault && !problem) {
    const at = offset + Math.min(text.length, Math.floor((fault.at ?? 0) * 4 / 3) + 1);
    out.problem = fault.at >= bytes.length
      ? `The ${name} is cut off: it ends after character ${offset + text.length} of the token, and its JSON goes on.`
      : `The ${name} cannot be read: ${fault.message}${fault.at === undefined ? "" : `, near character ${at} of the token`}.`;
    if (last && fault.at >= bytes.length) out.problem += " The rest of the token is missing.";
  }
  return out;
}

function signed(text = "", offset = 0) {
  const { bytes, problem, strict } = decode(text, offset, "signature");
  return { text, bytes, problem, strict };
}

// strict: verify reads it too. Other spellings of base64 are read here, so that one can see what is inside.
function decode(text, offset, name) {
  const bad = /[^A-Za-z0-9_-]/.exec(text);
  const plain = text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const rest = plain.length % 4;
  let problem;
  if (bad) problem = `Character ${offset + bad.index + 1} of the token, in the ${name}, is "${bad[0]}": base64url has - and _ instead, and no padding.`;
  if (rest === 1) problem = `The ${name} is cut off: it ends after character ${offset + text.length} of the token, in the middle of a base64url group.`;
  const whole = rest === 1 ? plain.slice(0, -1) : plain;
  const bytes = Uint8Array.from(atob(whole.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  const strict = !bad && rest !== 1 && base64url(bytes) === text;
  if (!strict && !problem) problem = `The last character of the ${name} has bits that mean nothing: a second spelling of the same bytes, which verifiers refuse.`;
  return { bytes, problem, strict };
}

export function base64url(bytes) {
  return btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join("")).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
