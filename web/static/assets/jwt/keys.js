// Reads keys as people have them (JWKS, JWK, PEM, a secret) and checks signatures by WebCrypto.
import { base64url } from "./read.js";

const hash = (bits) => `SHA-${bits}`;
const algorithms = new Map();
for (const bits of [256, 384, 512]) {
  const curve = bits === 512 ? "P-521" : `P-${bits}`;
  algorithms.set(`ES${bits}`, { kty: "EC", crv: curve, use: { name: "ECDSA", namedCurve: curve, hash: hash(bits) } });
  algorithms.set(`RS${bits}`, { kty: "RSA", use: { name: "RSASSA-PKCS1-v1_5", hash: hash(bits) } });
  algorithms.set(`PS${bits}`, { kty: "RSA", use: { name: "RSA-PSS", hash: hash(bits), saltLength: bits / 8 } });
  algorithms.set(`HS${bits}`, { kty: "oct", use: { name: "HMAC", hash: hash(bits) } });
}
for (const name of ["EdDSA", "Ed25519"]) algorithms.set(name, { kty: "OKP", crv: "Ed25519", use: { name: "Ed25519" } });

export function isKnown(alg) { return algorithms.has(alg); }

/** Whether this page may use WebCrypto: on https and on this computer. */
export function canVerify() { return window.isSecureContext && Boolean(globalThis.crypto?.subtle); }

/**
 * Reads what was pasted into { keys, note }; a key is { kid, alg, kty, crv, format, data }. Throws an Error with words for people.
 * `encoding` is how a secret is written.
 */
export function readKeys(text, encoding) {
  text = text.trim();
  if (!text) return { keys: [] };
  if (text.startsWith("{") || text.startsWith("[")) return fromJWK(text);
  if (text.includes("-----BEGIN")) return fromPEM(text);
  return { keys: [{ kty: "oct", format: "raw", data: secret(text, encoding) }] };
}

/** The keys of a JWKS that came over the network. */
export function keysOf(set) { return (set.keys ?? []).map(ofJWK).filter(Boolean); }

function fromJWK(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error("That begins like a JWK and does not parse as JSON.");
  }
  const all = Array.isArray(value) ? value : value.keys ?? [value];
  const keys = all.map(ofJWK).filter(Boolean);
  if (keys.length === 0) throw new Error("No key in that JSON has a kty that can check a signature.");
  const leaked = all.some((k) => k.d);
  return { keys, note: leaked ? "It holds a private key: only its public half is used here. Whoever sees the rest can make tokens." : "" };
}

function ofJWK(k) {
  if (!k || !["EC", "RSA", "OKP", "oct"].includes(k.kty)) return null;
  const { kty, crv, x, y, n, e } = k;
  if (kty === "oct") return { kid: k.kid, alg: k.alg, kty, format: "raw", data: bytes(k.k ?? "") };
  return { kid: k.kid, alg: k.alg, kty, crv, format: "jwk", data: { kty, crv, x, y, n, e } };
}

function fromPEM(text) {
  const blocks = [...text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END \1-----/g)];
  if (blocks.length === 0) throw new Error("The PEM text has no matching END line.");
  const keys = blocks.map(([, label, body]) => {
    const der = bytes(body.replaceAll(/\s/g, ""));
    if (label === "PUBLIC KEY") return spki(der);
    if (label === "CERTIFICATE") return spki(certified(der));
    if (label === "RSA PUBLIC KEY") return spki(wrapped(der));
    if (label.includes("PRIVATE")) throw new Error("That is a private key. A signature is checked with the public one; keep this one to its owner.");
    throw new Error(`A PEM block "${label}" holds no public key.`);
  });
  return { keys };
}

// The kind of key stands in the object identifier of its algorithm.
function spki(der) {
  const hex = Array.from(der.slice(0, 40), (b) => b.toString(16).padStart(2, "0")).join("");
  const kinds = [
    ["2a864886f70d0101", "RSA"], ["2a8648ce3d030107", "EC", "P-256"], ["2b81040022", "EC", "P-384"], ["2b81040023", "EC", "P-521"], ["2b6570", "OKP", "Ed25519"],
  ];
  const [, kty, crv] = kinds.find(([oid]) => hex.includes(oid)) ?? [];
  if (!kty) throw new Error("That public key is of a kind that signs no JWT.");
  return { kty, crv, format: "spki", data: der };
}

/** One element of DER: where its content begins, and where it ends. */
function element(der, at) {
  let length = der[at + 1], start = at + 2;
  if (length & 0x80) {
    const more = length & 0x7f;
    length = der.slice(start, start + more).reduce((n, b) => n * 256 + b, 0);
    start += more;
  }
  if (!(start + length <= der.length)) throw new Error("The certificate or key is cut off.");
  return { start, end: start + length };
}

// RFC 5280 section 4.1: version (tagged, may be missing), serial, algorithm, issuer, validity and subject stand before the key.
function certified(der) {
  let at = element(der, element(der, 0).start).start;
  for (let skip = der[at] === 0xa0 ? 6 : 5; skip > 0; skip--) at = element(der, at).end;
  return der.slice(at, element(der, at).end);
}

// RFC 8017 appendix A.1.1 into RFC 5280 section 4.1.2.7.
function wrapped(der) {
  const tagged = (tag, ...inner) => {
    const body = inner.flatMap((part) => [...part]);
    const length = body.length < 128 ? [body.length] : [0x82, body.length >> 8, body.length & 255];
    return [tag, ...length, ...body];
  };
  const rsa = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];
  return Uint8Array.from(tagged(0x30, rsa, tagged(3, [0], der)));
}

function bytes(text) {
  try {
    return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/").replaceAll("=", "")), (c) => c.charCodeAt(0));
  } catch {
    throw new Error("That is not base64.");
  }
}

function secret(text, encoding) {
  if (encoding === "text") return new TextEncoder().encode(text);
  if (encoding !== "hex") return bytes(text);
  if (!/^([0-9a-f]{2})+$/i.test(text)) throw new Error("That is not hexadecimal.");
  return Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
}

/**
 * Checks the signature of a token with the keys that could have made it: { state, kid }. States: good, bad, nokey (none has that
 * kid or is for that algorithm), unsupported (this browser or algorithm cannot).
 */
export async function verify(token, keys) {
  const { alg, kid } = token.header.value;
  const how = algorithms.get(alg);
  if (!how || !canVerify()) return { state: "unsupported" };
  const fitting = keys.filter((k) => k.kty === how.kty && (!how.crv || k.crv === how.crv) && (!k.alg || k.alg === alg)
    && (!kid || !k.kid || k.kid === kid));
  if (fitting.length === 0) return { state: "nokey" };
  const signed = new TextEncoder().encode(`${token.header.text}.${token.payload.text}`);
  for (const key of fitting) {
    try {
      const ready = await crypto.subtle.importKey(key.format, key.data, how.use, false, ["verify"]);
      if (await crypto.subtle.verify(how.use, ready, token.signature.bytes, signed)) return { state: "good", kid: key.kid };
    } catch (problem) {
      if (problem.name === "NotSupportedError") return { state: "unsupported" };
      return { state: "nokey", why: "The key cannot be used: it is damaged or of another size." };
    }
  }
  return { state: "bad" };
}

/** A pair of keys as { key, jwk }. The private half cannot be taken out of the browser, not by this page either. */
export async function makePair(alg, kid) {
  const { kty, use } = algorithms.get(alg);
  const size = kty === "RSA" ? { modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) } : {};
  const { privateKey, publicKey } = await crypto.subtle.generateKey({ ...use, ...size }, false, ["sign", "verify"]);
  const { crv, x, y, n, e } = await crypto.subtle.exportKey("jwk", publicKey);
  return { key: privateKey, jwk: { kty, crv, x, y, n, e, kid, alg, use: "sig" } };
}

/** The key of a shared secret, which is given as text. */
export function secretKey(alg, text) { return crypto.subtle.importKey("raw", new TextEncoder().encode(text), algorithms.get(alg).use, false, ["sign"]); }

export const encode = (value) => base64url(new TextEncoder().encode(JSON.stringify(value)));

/** A token. Header and claims are signed as they are, whatever they say; without a key the signature is empty. */
export async function sign(header, claims, alg, key) {
  const body = `${encode(header)}.${encode(claims)}`;
  return `${body}.${key ? base64url(new Uint8Array(await crypto.subtle.sign(algorithms.get(alg).use, key, new TextEncoder().encode(body)))) : ""}`;
}

export const setOf = (jwks) => JSON.stringify({ keys: jwks }, null, 2);

/** An example where the broker gives none: signed by a key that is made here and forgotten. */
export async function makeExample(claims) {
  const kid = "made-in-this-browser", header = { alg: "ES256", kid, typ: "at+jwt" };
  if (!canVerify()) return { token: `${await sign(header, claims)}${base64url(new Uint8Array(64))}` };
  const { key, jwk } = await makePair("ES256", kid);
  return { token: await sign(header, claims, "ES256", key), keys: setOf([jwk]) };
}
