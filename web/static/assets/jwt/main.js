// The decoder. Everything happens in this browser; the one request by itself is for this broker's public keys.
import { say } from "../live.js";
import { draftFor, personOf } from "../policy/principal.js";
import { pack, textsOf } from "../policy/share.js";
import { check } from "./check.js";
import { findings, kindOf } from "./findings.js";
import { canVerify, keysOf, makeExample, readKeys, verify } from "./keys.js";
import { read } from "./read.js";
import { byId, showChecks, showChoices, showClaims, showFindings, showHeader, showPayload, showVerdict, tick, write } from "./show.js";
import { snippet } from "./snippets.js";
import { localTime, span } from "./words.js";

const { issuer, jwks, verify: verifyURL, sample } = byId("decoder").dataset;
const maxInput = 256 * 1024;
const now = () => Math.floor(Date.now() / 1000);

let token = read(""); // as read.js gives it, or the one chosen of several
let picked = 0;
let own = null; // this broker's keys once they were fetched
let signature = { state: "none" };
let latest = Promise.resolve(); // only the latest check of a signature counts
let shownTitles = "";

/** What the page shows at the moment, as read.js gives it. */
export const current = () => token;

const isMine = () => token.kind === "jws" && token.payload.value?.iss === issuer;

/** Reads the box and shows everything again. */
function decode() {
  const text = byId("token").value;
  const reading = text.length > maxInput ? { kind: "other", title: "Too long for a token", text: `${text.length} characters were pasted.` } : read(text);
  const list = reading.list ?? [];
  picked = Math.min(picked, Math.max(0, list.length - 1));
  showChoices(list, picked, (i) => { picked = i; decode(); });
  const chosen = list[picked];
  token = chosen ? { ...read(chosen.text), from: chosen.name } : reading;
  signature = { state: token.kind === "jws" && token.header.value && token.payload.text ? "waiting" : "none" };
  byId("ask-answer").textContent = "";
  suggestAudience();
  show();
  checkSignature();
}

function checkSignature({ fresh = false } = {}) {
  const mine = signatureOf(fresh).catch((problem) => ({ state: "broken", why: problem.message })).then((result) => {
    if (mine !== latest) return;
    signature = result;
    show();
  });
  latest = mine;
}

/** Says the verdict once no check is under way: typing that has just ended may have begun another one in the meantime. */
export async function sayVerdict() {
  for (let seen; seen !== latest;) await (seen = latest);
  say(byId("verdict-text").textContent);
}

async function signatureOf(fresh) {
  if (token.kind !== "jws" || !token.header.value || !token.payload.text) return { state: "none" };
  if (/^none$/i.test(token.header.value.alg ?? "")) return { state: "unsigned" };
  if (isMine()) {
    if (!own || fresh) await fetchKeys(fresh);
    return { ...await verify(token, own), by: "broker" };
  }
  const { keys, note } = readKeys(byId("keys").value, byId("encoding").value);
  if (keys.length === 0) return { state: "nokeys" };
  return { ...await verify(token, keys), note, by: "you" };
}

async function fetchKeys(fresh) {
  try {
    const answer = await fetch(jwks, { cache: fresh ? "reload" : "default", credentials: "omit" });
    if (!answer.ok) throw new Error(String(answer.status));
    own = keysOf(await answer.json());
  } catch {
    throw new Error("The keys of this broker cannot be had at the moment.");
  }
}

/** Says first what matters most: a title, and what to do. */
function verdict(found) {
  const level = (l, title, text) => ({ level: l, title, text });
  switch (token.kind) {
    case "empty": return level("", "Nothing to decode yet", "Paste a token below.");
    case "keys": return level("info", "A key set, not a token", "Paste it under Verify, and a token here.");
    case "other": return level("warn", token.title, token.text);
    case "jwe": return level("info", token.title, token.text);
  }
  const damaged = token.problems[0];
  if (damaged) return level("error", "Damaged or cut off", damaged);
  switch (signature.state) {
    case "unsigned": return level("error", "Not signed: worth nothing", "alg is none. Anybody can write such a token.");
    case "bad": return level("error", "The signature does not match", `Somebody changed the token, or ${signature.by === "broker" ? "this broker" : "the given key"} never signed it. Trust nothing in it.`);
    case "broken": return level("warn", "Decoded, not verified", signature.why);
    case "waiting": return level("info", "Checking the signature…", "");
    case "nokey":
      if (signature.by === "broker") return level("error", "No key of this broker fits", `It publishes none for ${token.header.value.alg} under the id ${token.header.value.kid ?? "(none)"}.`);
      return level("warn", "Decoded, not verified", signature.why ?? "None of the given keys is for its algorithm and key id.");
    case "unsupported": return level("warn", "Decoded, not verified", canVerify() ? `This browser cannot check ${token.header.value.alg}.`
      : "Browsers check signatures on https and on localhost only, and this page is on neither.");
    case "good": return signature.refused ? level("error", "Signed, and refused by this broker", signature.refused) : goodVerdict(found, level);
  }
  const wrong = found.find((f) => f.level === "error");
  if (wrong) return level("warn", `Decoded, not verified: ${within(wrong.title)}`, wrong.text);
  const from = token.payload.value?.iss;
  return level("info", "Decoded, not verified", from === undefined ? "It names no issuer. Give a key under Verify." : `The issuer is ${from}. Give its keys under Verify.`);
}

function goodVerdict(found, level) {
  const who = signature.by === "broker" ? "this broker" : "the given key";
  const late = found.find((f) => f.level === "error" && ["exp", "nbf", "iat"].includes(f.claim));
  if (late) return level("error", `Signed by ${who}, but: ${within(late.title)}`, late.text);
  if (found.some((f) => f.level === "error")) return level("warn", `Signed by ${who}, with errors`, "The signature is good. See the findings.");
  const kind = { access: "access token", id: "ID token", logout: "logout token" }[kindOf(token)] ?? "token";
  return level("good", signature.by === "broker" ? "Valid: signed by this broker" : "Valid: the signature matches", `An unchanged ${kind}${signature.note ? `. ${signature.note}` : "."}`);
}

/** A title within a sentence; names of algorithms keep their capitals. */
function within(title) { return /^[A-Z]([a-z ]|$)/.test(title) ? title[0].toLowerCase() + title.slice(1) : title; }

function show() {
  const isJWS = token.kind === "jws", claims = isJWS ? token.payload.value : null;
  const kids = own ? own.map((k) => k.kid) : null;
  const found = isJWS ? findings(token, { issuer, now: now(), kids, from: token.from }) : [];
  shownTitles = titles(found);
  showVerdict(verdict(found));
  showLife(claims);
  byId("empty").hidden = token.kind !== "empty";
  byId("findings-panel").hidden = byId("payload-panel").hidden = !isJWS;
  byId("claims-panel").hidden = !claims;
  byId("header-panel").hidden = !isJWS && token.kind !== "jwe";
  if (isJWS) {
    if (signature.state === "bad") found.unshift({ level: "error", title: "The signature does not match", text: "What the token says was not signed so." });
    showFindings(found, { refetch });
    showPayload(token.payload);
    if (claims) showClaims(claims, found, issuer, now());
  }
  if (token.header) showHeader(token.header);
  showVerify();
  showCheck();
  showWay(claims);
}

const titles = (found) => found.map((f) => f.title).join("\n");

function showLife(claims) {
  const left = claims?.exp - now();
  write(byId("verdict-more"), !(left > 0) || left > 1e10 ? "" : `Expires in ${span(left)}, at ${localTime(claims.exp)}`);
}

/** The way to the playground, where the claims are the principal. The token stays here: pack refuses whatever looks like one. */
function showWay(claims) {
  const link = byId("playground-link");
  if (!link) return;
  const person = personOf(claims), fragment = person && pack(draftFor(textsOf(byId("playground-preset")), person));
  link.hidden = !fragment;
  link.hash = fragment ?? "";
  byId("playground-hint").hidden = !claims;
  write(byId("playground-hint"), fragment ? "In a new tab, for whoever is signed in. It takes the claims along, not the token."
    : person ? "The playground does not take these claims: there is something like a token in them." : "The playground needs a subject (sub), and this token names none.");
}

function showVerify() {
  const mine = isMine();
  write(byId("keys-used"), mine ? `The issuer is this broker: checked with its own keys${own ? `, ${own.length} published` : ""}.`
    : token.kind === "jws" ? "The issuer is another one: give its key here." : `Tokens of ${new URL(issuer).host} are checked with the keys of this broker. For any other, give the key.`);
  byId("refetch").hidden = !mine;
  byId("keys-panel").hidden = mine;
  byId("encoding-panel").hidden = !/^(?![{[]|-----)\S/.test(byId("keys").value.trim());
  byId("ask-panel").hidden = !mine;
  write(byId("ask-why"), canVerify() ? "Only the broker knows whether its token was revoked." : "Browsers check signatures on https and on localhost only. The broker can do it instead.");
}

/** The API that a token is for, where that is a known one and nobody has named another. */
function suggestAudience() {
  const field = byId("api-audience"), aud = token.kind === "jws" ? token.payload.value?.aud : undefined;
  if (!field.dataset.given && [...byId("audiences").options].some((o) => o.value === aud)) field.value = aud;
}

function wanted() {
  const words = (id) => byId(id).value.split(/[\s,]+/).filter(Boolean);
  return {
    issuer: byId("api-issuer").value.trim(), audience: byId("api-audience").value.trim(), types: byId("api-type").value.split(","),
    scopes: words("api-scopes"), roles: words("api-roles"),
  };
}

function showCheck() {
  const want = wanted();
  write(byId("snippet"), snippet(byId("language").value, want, want.issuer === issuer));
  if (token.kind !== "jws" && token.kind !== "jwe") {
    write(byId("check-verdict"), "Paste a token first.");
    return showChecks([]);
  }
  const steps = check(token, want, signature, now());
  const failed = steps.find((s) => s.state === "fail") ?? (signature.refused && { code: "invalid_token", words: signature.refused });
  const open = steps.some((s) => s.state === "skip");
  const status = { invalid_token: 401, insufficient_scope: 403 }[failed?.code];
  byId("check-verdict").dataset.level = failed ? "error" : open ? "info" : "good";
  write(byId("check-verdict"), failed ? `${status} ${failed.code}: ${failed.words}` : open ? "Everything but the signature passes." : "The API takes it.");
  showChecks(steps);
}

function refetch() {
  checkSignature({ fresh: true });
  return sayVerdict();
}

function verifyNow() {
  decode(); // what was typed a moment ago may not have been read yet
  byId("verdict").scrollIntoView({ block: "nearest" });
  return sayVerdict();
}

/** The production verifier, which knows what was revoked. It gets the token only by this button. */
async function ask() {
  const answer = byId("ask-answer"), asked = token.token;
  answer.textContent = "Asking…";
  try {
    const response = await fetch(verifyURL, {
      method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify({ token: token.token }), credentials: "omit",
    });
    const said = await response.json();
    if (!response.ok) throw new Error(said.detail);
    if (asked !== token.token) return; // another token meanwhile
    signature.refused = said.valid ? "" : said.description;
    show();
    answer.dataset.level = said.valid ? "good" : "error";
    answer.textContent = said.valid ? "The broker takes it: signed by it, in force, and not revoked." : `The broker refuses it. ${said.code}: ${said.description}`;
  } catch (problem) {
    answer.dataset.level = "warn";
    answer.textContent = `The broker gave no answer. ${problem.message}`;
  }
}

async function example() {
  let made;
  if (sample) made = await fetch(sample, { credentials: "omit" }).then((answer) => answer.json());
  else {
    const iat = now();
    made = await makeExample({
      iss: "urn:example:issuer", sub: "usr_example", aud: "urn:example:orders", iat, nbf: iat - 30, exp: iat + 900, jti: "example-1", client_id: "web",
      scope: "orders:read orders:write", roles: ["editor"], email: "jo@example.org",
    });
  }
  take(made.token, made.keys);
}

/** Shows a token, to be verified with the keys or the secret given. */
export function take(text, keys = "") {
  byId("keys").value = keys;
  byId("encoding").value = "text";
  set(text);
}

function set(text) {
  byId("token").value = text;
  picked = 0;
  decode();
}

/** A token in the fragment is taken once and wiped, so that neither the history nor a copied address keeps it. */
function takeFragment() {
  if (!location.hash.startsWith("#token=")) return;
  let text = location.hash.slice("#token=".length);
  history.replaceState(null, "", location.pathname + location.search);
  try {
    text = decodeURIComponent(text);
  } catch { /* it was not encoded */ }
  set(text);
}

/** Runs at most once in a while, so that typing stays smooth. */
function calmly(run) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(run, 120);
  };
}

byId("token").addEventListener("input", calmly(decode));
byId("keys").addEventListener("input", calmly(() => checkSignature()));
byId("encoding").addEventListener("change", () => checkSignature());
for (const id of ["api-issuer", "api-audience", "api-scopes", "api-roles", "api-type", "language"]) byId(id).addEventListener("input", calmly(showCheck));
byId("api-audience").addEventListener("input", (event) => { event.target.dataset.given = "yes"; });
byId("token-example").addEventListener("click", example);
byId("token-clear").addEventListener("click", () => {
  byId("keys").value = "";
  set("");
  byId("token").focus();
});
byId("verify").addEventListener("click", verifyNow);
byId("refetch").addEventListener("click", refetch);
byId("ask").addEventListener("click", ask);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  verifyNow();
});
window.addEventListener("hashchange", takeFragment);

setInterval(() => {
  if (token.kind !== "jws") return;
  if (titles(findings(token, { issuer, now: now(), kids: own?.map((k) => k.kid) ?? null, from: token.from })) !== shownTitles) return show();
  tick(now());
  showLife(token.payload.value);
}, 1000);

byId("decoder").hidden = false;
decode();
takeFragment();
