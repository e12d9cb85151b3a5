// The playground. What is typed is sent to the engine that decides in production, and stays nowhere.
import { read } from "../jwt/read.js";
import { say } from "../live.js";
import { byId, calmly, element, write } from "./dom.js";
import { fieldOf, number, showProblems, texts, watch } from "./editor.js";
import { draftFor, nameOf, personOf, withPrincipal } from "./principal.js";
import { pack, textsOf, unpack } from "./share.js";
import { showDecision, showLive, showMatrix, showTests, showVerdict } from "./show.js";
import { fileOf } from "./yaml.js";

const { ask: askURL, evaluate: evaluateURL, me, meName, meRoles } = byId("playground").dataset;
const parts = [...texts, "principal", "action", "resource"];
const mostBytes = 64 * 1024;
const tabs = ["one", "matrix", "tests", "live"];
let tab = "one";
let turn = 0; // only the latest answer counts
let had = false; // there was a good result

const draft = () => ({ ...Object.fromEntries(parts.map((name) => [name, fieldOf(name).value])), show: tab });

function busy(on) { byId("result").ariaBusy = String(on); }

async function post(body) {
  const answer = await fetch(evaluateURL, { method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body });
  if (answer.status === 401) throw new SignedOut();
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.detail ?? `The broker answered ${answer.status}.`);
  return said;
}

/** The session ended while somebody was typing. */
class SignedOut extends Error {}

/** Says why there is no answer. Who has to sign in does so in another tab: the text is in this one. */
function trouble(problem) {
  const out = problem instanceof SignedOut;
  const title = out ? "You are signed out" : "No answer from the engine";
  write(byId("trouble-title"), title);
  write(byId("verdict-more"), `${title}, so this is the last result.`); // the verdict stays in sight on a phone
  write(byId("trouble-text"), out
    ? "Your text is still here. Sign in in another tab, then press Evaluate."
    : `${problem instanceof TypeError ? "It cannot be reached at the moment." : problem.message} Your text is still here.`);
  byId("trouble-sign-in").hidden = !out;
  byId("trouble").hidden = false;
}

/** Asks the engine and shows what it says. The text stays, whatever happens. */
async function evaluate() {
  soon.drop();
  const mine = ++turn, asked = draft(), body = JSON.stringify(asked);
  busy(true);
  try {
    if (new TextEncoder().encode(body).length > mostBytes) throw new Error("All texts together are larger than 64 KB. Take something out.");
    const said = await post(body);
    if (mine !== turn) return;
    byId("trouble").hidden = true;
    show(said, asked);
  } catch (problem) {
    if (mine !== turn) return;
    trouble(problem);
    stale(true);
  } finally {
    if (mine === turn) busy(false);
  }
}

function stale(on) {
  byId("result").dataset.stale = on ? "yes" : "";
  byId("stale").hidden = !on || !had;
}

function show(said, asked) {
  showProblems(said.problems);
  stale(!said.valid);
  if (!said.valid) {
    const [first] = said.problems, n = said.problems.length;
    showVerdict("warn", "NOT VALID", `${first.pane}${first.line ? `, line ${first.line}` : ""}: ${first.text}`, n > 1 ? `and ${n - 1} more` : "");
    return;
  }
  had = true;
  const { decision } = said;
  byId("cut").hidden = !said.cut;
  showVerdict(decision.allow ? "good" : "error", decision.allow ? "ALLOW" : "DENY", `${asked.principal} ${decision.allow ? "may" : "may not"} ${asked.action} on ${asked.resource}.`, decision.why);
  showDecision(decision);
  if (said.matrix) showMatrix(said.matrix, asked.resource);
  if (said.tests) showTests(said.tests);
  if (said.live) showLive(said.live);
  suggest(asked);
}

/** Offers the names that stand in the texts. */
function suggest({ entities, schema }) {
  const fill = (id, list) => byId(id).replaceChildren(...list.map((value) => element("option", { value })));
  let names = [];
  try {
    names = JSON.parse(entities).map(({ uid }) => uid.__entity ?? uid).map(({ type, id }) => `${type}::${JSON.stringify(id)}`);
  } catch { /* the engine says what is wrong */ }
  fill("principals", names);
  fill("resources", names);
  fill("verbs", [...schema.matchAll(/^\s*action\s+([^{;]*?)\s+appliesTo/gm)].flatMap((m) => m[1].split(",")).map((name) => `Action::${name.trim().startsWith("\"") ? name.trim() : JSON.stringify(name.trim())}`));
}

function set(own) {
  for (const name of parts) fieldOf(name).value = own[name];
  texts.forEach(number);
}

function preset(id) {
  const from = document.querySelector(`template.preset[data-id="${CSS.escape(id)}"]`);
  write(byId("preset-text"), from.content.querySelector("[data-part=text]").textContent);
  return textsOf(from);
}

function begin() {
  set(preset(byId("preset").value));
  byId("broken").hidden = true;
  if (location.hash.startsWith("#draft=")) history.replaceState(null, "", location.pathname + location.search);
  return evaluate();
}

/** Somebody who shared an address shared a draft: it is only evaluated. Returns whether there is one. */
function takeFragment() {
  const own = unpack(location.hash), broken = !own && location.hash.startsWith("#draft=");
  if (own) set(own);
  byId("broken").hidden = !broken;
  return own !== null;
}

async function share() {
  const fragment = pack(draft());
  if (!fragment) return note("There is something like a token in it: take it out first.");
  history.replaceState(null, "", location.pathname + location.search + fragment);
  try {
    await navigator.clipboard.writeText(location.href);
    note("Copied. The draft stands behind the #, where no server sees it.");
  } catch {
    note("The address of this page is now the link.");
  }
}

function note(text) {
  write(byId("verdict-more"), text);
  say(text);
}

/** Adds somebody to the entities and makes them the principal. */
function takeOver(whom) {
  const sample = { alice: ["editor"], bob: ["viewer"], root: ["admin"] };
  const [id, roles] = whom === "me" ? [me, meRoles.split(" ").filter(Boolean)] : [whom, sample[whom]];
  try {
    byId("entities").value = withPrincipal(byId("entities").value, { id, roles });
  } catch {
    return note("Mend the entities first: they are no JSON.");
  }
  byId("principal").value = nameOf(id);
  number("entities");
  note(`The principal is now ${whom === "me" ? meName || "you" : whom}.`);
  evaluate();
}

/** Puts whom a token is about into the draft. The token leaves the field at once and goes nowhere. */
function takeToken(field) {
  const found = read(field.value);
  field.value = "";
  if (found.kind === "empty") return;
  const person = found.kind === "jws" && personOf(found.payload.value);
  if (!person) return note(found.kind === "choices" ? "There are several tokens in it: paste one." : found.text ?? "Its claims name nobody: there is no sub that can be read.");
  try {
    set(draftFor(draft(), person));
  } catch {
    return note("Mend the entities first: they are no JSON.");
  }
  note(`The principal is now ${person.id}. The token is gone.`);
  evaluate();
}

/** Hands out the tests as a file, made here. */
function exportTests() {
  const name = "playground.test.yaml";
  let text;
  try {
    text = fileOf(draft());
  } catch {
    return note("Mend the tests and the entities first: there is no list of tests, or no JSON.");
  }
  const href = URL.createObjectURL(new Blob([text], { type: "application/yaml" }));
  element("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
  note(`Saved as ${name}. To run it: broker policy test ${name} --policies DIR`);
}

function choose(name, focus) {
  tab = name;
  for (const one of tabs) {
    const button = byId(`tab-${one}`), on = one === name;
    button.ariaSelected = String(on);
    button.tabIndex = on ? 0 : -1;
    if (on && focus) button.focus();
    byId(`panel-${one}`).hidden = !on;
  }
  number("tests");
  evaluate();
}

/** The question on top, without loading the page anew. */
async function ask() {
  const query = new URLSearchParams(new FormData(byId("ask-form")));
  try {
    const answer = await fetch(`${askURL}?${query}`, { headers: { Accept: "application/json" } });
    if (answer.status === 401) throw new SignedOut();
    if (!answer.ok) throw new Error(String(answer.status));
    showAnswer(await answer.json());
  } catch (problem) {
    if (!(problem instanceof SignedOut)) return byId("ask-form").submit();
    trouble(problem); // a page that leads to the sign-in would take the draft with it
    byId("trouble-sign-in").focus();
  }
}

function showAnswer({ allow, sentence, roles_allow: rolesAllow, roles, policies_allow: policiesAllow, policies }) {
  byId("notes")?.remove();
  byId("answer").dataset.level = allow ? "good" : "error";
  write(byId("answer-word"), allow ? "ALLOW" : "DENY");
  write(byId("answer-sentence"), sentence);
  write(byId("answer-roles-word"), rolesAllow ? "allow" : "deny");
  write(byId("answer-roles"), roles);
  write(byId("answer-policies-word"), policiesAllow ? "allow" : "deny");
  write(byId("answer-policies"), policies);
}

const soon = calmly(300, evaluate);
for (const id of texts) watch(id, soon);
for (const name of ["principal", "action", "resource"]) fieldOf(name).addEventListener("input", soon);
byId("preset").addEventListener("change", begin);
byId("reset").addEventListener("click", begin);
byId("evaluate").addEventListener("click", evaluate);
byId("run-tests").addEventListener("click", evaluate);
byId("share").addEventListener("click", share);
byId("export").addEventListener("click", exportTests);
byId("from-token").addEventListener("input", ({ target }) => takeToken(target));
byId("from").addEventListener("change", ({ target }) => {
  if (target.value) takeOver(target.value);
  target.value = "";
});
for (const name of tabs) byId(`tab-${name}`).addEventListener("click", () => choose(name));
document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key], at = tabs.indexOf(tab);
  const next = event.key === "Home" ? 0 : event.key === "End" ? tabs.length - 1 : step ? (at + step + tabs.length) % tabs.length : -1;
  if (next < 0) return;
  event.preventDefault();
  choose(tabs[next], true);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  evaluate();
});
byId("ask-form").addEventListener("change", ask);
byId("ask-form").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
window.addEventListener("hashchange", () => { if (takeFragment()) evaluate(); });

byId("playground").hidden = false;
// Wide tables scroll, also by the keyboard.
for (const [id, label] of [["matrix", "Matrix"], ["live-grid", "Compared with live"]]) Object.assign(byId(id).parentElement, { tabIndex: 0, role: "region", ariaLabel: label });
if (matchMedia("(max-width: 60rem)").matches) for (const fold of document.querySelectorAll("[data-folds]")) fold.open = false;
set(preset(byId("preset").value));
takeFragment();
const wanted = new URLSearchParams(location.search).get("show");
choose(tabs.includes(wanted) ? wanted : tab);
