// Mints tokens to try an API with, in `broker dev` alone. The keys are made in this browser, cannot be taken out of it, and are gone with
// the page: nobody takes such a token but an API that was given the public half.
import { readObject } from "../jwt/json.js";
import { canVerify, makePair, secretKey, setOf, sign } from "../jwt/keys.js";
import { current, sayVerdict, take } from "../jwt/main.js";
import { byId, write } from "../jwt/show.js";
import { span } from "../jwt/words.js";
import { say } from "../live.js";

const hour = 3600, day = 24 * hour, lifetime = 900, slack = 30; // seconds; clocks may be apart by the slack
const boxes = ["mint-header", "mint-claims", "mint-secret"];
const now = () => Math.floor(Date.now() / 1000);
const page = random(4, (b) => b.toString(16).padStart(2, "0")); // no two pages name different keys alike
const pairs = new Map(); // algorithm → promise of a pair
let minted = null; // { token, keys }
let turn = 0; // only the latest token counts

// What is wrong with a token, in words, and how a good one becomes such. `after` changes the claims under the signature.
const faults = {
  expired: { words: "it expired an hour ago", claims: (c) => ({ ...c, iat: now() - 2 * hour, ...("nbf" in c ? { nbf: now() - 2 * hour } : {}), exp: now() - hour }) },
  early: { words: "it is good only in an hour", claims: (c) => ({ ...c, nbf: now() + hour, exp: now() + 2 * hour }) },
  audience: { words: "it is for another audience", claims: (c) => ({ ...c, aud: "urn:example:another-api" }) },
  subject: { words: "it has no subject", claims: (c) => ({ ...c, sub: undefined }) },
  none: { words: "alg is none, and there is no signature", header: (h) => ({ ...h, alg: "none", kid: undefined }) },
  changed: { words: "its subject was changed after it was signed", after: (c) => ({ ...c, sub: `${c.sub ?? ""}-changed` }) },
};

function random(length, write) { return Array.from(crypto.getRandomValues(new Uint8Array(length)), write).join(""); }

const algorithm = () => byId("mint-alg").value;
const kidOf = (alg) => (alg === "HS256" ? undefined : `throw-away-${alg.toLowerCase()}-${page}`);
const json = (value) => JSON.stringify(value, null, 2);

function pairFor(alg) {
  if (!pairs.has(alg)) pairs.set(alg, makePair(alg, kidOf(alg)));
  return pairs.get(alg);
}

/** Claims as of now: a token that is taken over has often expired. */
function fresh(claims) {
  const at = now(), life = claims.exp - (claims.iat ?? claims.nbf);
  return { ...claims, iat: at, ...("nbf" in claims ? { nbf: at - slack } : {}), exp: at + (life > 0 && life <= day ? life : lifetime) };
}

function fill({ header, claims }) {
  if ([...byId("mint-alg").options].some((o) => o.value === header.alg)) byId("mint-alg").value = header.alg;
  byId("mint-header").value = json(header);
  byId("mint-claims").value = json(fresh(claims));
  nameKey();
  complain();
}

const sample = () => fill({
  header: { alg: "ES256", typ: "at+jwt" },
  claims: {
    iss: "urn:example:issuer", sub: "usr_example", aud: "urn:example:orders", iat: 0, nbf: 0, exp: 0, jti: "example-1", client_id: "web",
    scope: "orders:read orders:write", roles: ["editor"],
  },
});

/** Takes over what the decoder shows; false where that has no claims. */
function takeOver() {
  const { kind, header, payload } = current();
  if (kind !== "jws" || !payload.value) return false;
  fill({ header: header.value ?? {}, claims: payload.value });
  return true;
}

/** Names the chosen algorithm and its key in the header, as far as that is one. */
function nameKey() {
  const alg = algorithm(), header = parse("mint-header").value;
  byId("mint-secret-field").hidden = alg !== "HS256";
  if (alg === "HS256" && !byId("mint-secret").value) byId("mint-secret").value = random(32, (b) => "0123456789abcdefghijklmnopqrstuv"[b % 32]);
  if (header) byId("mint-header").value = json({ ...header, alg, kid: kidOf(alg) });
}

const parse = (id) => readObject(new TextEncoder().encode(byId(id).value));

/** The object in a box; throws an Error with the box where there is none. */
function objectIn(id) {
  const { value, fault } = parse(id);
  if (!fault && value) return value;
  const before = new TextDecoder().decode(new TextEncoder().encode(byId(id).value).slice(0, fault?.at ?? 0));
  throw wrong(id, fault?.at === undefined ? `It cannot be signed: ${fault?.message ?? "it is not a JSON object"}.` : `Line ${before.split("\n").length}: ${fault.message}.`);
}

const wrong = (box, words) => Object.assign(new Error(words), { box });

/** Says what is wrong with a box, and nothing of the others. */
function complain(problem) {
  for (const id of boxes) {
    write(byId(`${id}-problem`), problem?.box === id ? problem.message : "");
    if (problem?.box === id) byId(id).setAttribute("aria-invalid", "true");
    else byId(id).removeAttribute("aria-invalid");
  }
  if (problem?.box) byId(problem.box).focus();
}

async function make(fault) {
  const alg = algorithm(), good = objectIn("mint-header"), claims = objectIn("mint-claims");
  const header = fault.header?.(good) ?? good, body = fault.claims?.(claims) ?? claims;
  if (/^none$/i.test(header.alg ?? "")) return { token: await sign(header, body), keys: "", body };
  if (!canVerify()) throw new Error("Browsers sign on https and on localhost only, and this page is on neither.");
  const secret = byId("mint-secret").value;
  if (alg === "HS256" && !secret) throw wrong("mint-secret", "Give a secret to sign with.");
  const key = alg === "HS256" ? await secretKey(alg, secret) : (await pairFor(alg)).key;
  let token = await sign(header, body, alg, key);
  if (fault.after) token = `${await sign(header, fault.after(body))}${token.slice(token.lastIndexOf(".") + 1)}`;
  const jwks = await Promise.all([...pairs.values()]);
  return { token, keys: alg === "HS256" ? secret : setOf(jwks.map((pair) => pair.jwk)), body };
}

async function mint(fault = {}) {
  const mine = ++turn;
  byId("mint-sign").ariaBusy = "true";
  try {
    const made = await make(fault);
    if (mine !== turn) return;
    complain();
    show(made, fault);
  } catch (problem) {
    if (mine !== turn) return;
    complain(problem);
    answer("error", problem.box ? `Nothing was minted. ${problem.message}` : problem.message);
    byId("mint-output").hidden = true;
  } finally {
    if (mine === turn) byId("mint-sign").ariaBusy = "false";
  }
}

function answer(level, words) {
  byId("mint-answer").dataset.level = level;
  write(byId("mint-answer"), words);
}

function show(made, fault) {
  minted = made;
  const alg = algorithm(), isSecret = alg === "HS256";
  byId("mint-output").hidden = false;
  byId("minted").textContent = made.token;
  byId("mint-jwks").textContent = made.keys;
  byId("mint-keys").hidden = isSecret || !made.keys;
  if (fault.words) answer("warn", `One thing is wrong with it: ${fault.words}. An API must answer 401.`);
  else answer("good", `${made.keys ? `Signed with ${alg}` : "Not signed"}, ${lifeOf(made.body)}.`);
}

function lifeOf(claims) {
  const left = claims?.exp - now();
  if (left > 0) return `good for ${span(left)}`;
  return left <= 0 ? "and expired already" : "with no time at which it expires";
}

function decode() {
  take(minted.token, minted.keys);
  byId("token").focus({ preventScroll: true });
  byId("verdict").scrollIntoView({ block: "start" });
  return sayVerdict();
}

byId("mint").addEventListener("toggle", async () => {
  if (!takeOver()) sample();
  if (!canVerify()) return answer("warn", "Browsers sign on https and on localhost only, and this page is on neither. A token with alg none can be had.");
  // Not every browser signs with Ed25519.
  await makePair("EdDSA").catch(() => {
    byId("mint-alg").querySelector("[value=EdDSA]").remove();
    nameKey();
  });
}, { once: true });
byId("mint-alg").addEventListener("change", nameKey);
byId("mint-sign").addEventListener("click", () => mint());
for (const button of document.querySelectorAll("[data-fault]")) button.addEventListener("click", () => mint(faults[button.dataset.fault]));
byId("mint-take").addEventListener("click", () => say(takeOver() ? "Taken over, with the times of now." : "There is no decoded token."));
byId("mint-sample").addEventListener("click", () => {
  sample();
  say("This is the sample again.");
});
byId("mint-decode").addEventListener("click", decode);
byId("mint").hidden = false;
