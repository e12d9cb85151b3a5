// Draws what the other modules found. Text goes in as text, never as markup.
import { inMilliseconds, times } from "./findings.js";
import { localTime, relative, stamp } from "./words.js";

export const byId = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

const icon = (level) => byId(`icon-${level}`).content.cloneNode(true);

/** Sets text only where it changes, so that nobody hears the same thing twice. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const meaning = (kind, name) => document.querySelector(`#known [data-member="${kind}"][data-name="${CSS.escape(name)}"] td`)?.textContent ?? "";

export function showVerdict({ level, title, text }) {
  const box = byId("verdict"), [strong, span] = byId("verdict-text").children;
  if (box.dataset.level !== level) {
    box.dataset.level = level;
    box.querySelector("svg")?.remove();
    if (level) box.prepend(icon(level));
  }
  write(strong, title);
  write(span, text ?? "");
}

const levelNames = { error: "Error", warn: "Warning", info: "Note", good: "Good" };

function item(level, title, text, ...more) {
  const words = element("div", {}, element("p", {}, element("span", { className: "level", textContent: `${levelNames[level]}: ` }), element("strong", { textContent: title })));
  if (text) words.append(element("p", { textContent: text }));
  const li = element("li", {}, icon(level), words, ...more);
  li.dataset.level = level;
  return li;
}

/** `acts` are the remedies by name: { refetch: function }. */
export function showFindings(list, acts) {
  byId("findings").replaceChildren(...list.map((f) => {
    const li = item(f.level, f.title, f.text);
    li.dataset.claim = f.claim;
    if (f.act) li.lastChild.append(element("button", { type: "button", className: "small", textContent: "Fetch the keys again", onclick: acts[f.act] }));
    return li;
  }));
  if (list.length === 0) byId("findings").append(item("good", "Nothing stands out", "The form, the times and the names are as they should be."));
}

export function showClaims(payload, found, issuer, now) {
  byId("claims").tBodies[0].replaceChildren(...Object.entries(payload).map(([name, value]) => {
    const row = element("tr", {},
      element("th", { scope: "row" }, element("code", { textContent: name })),
      element("td", {}, ...valueOf(name, value, now), element("small", { textContent: meaning("claim", name) || "Not a registered claim: only its issuer knows." })),
      element("td", {}, ...verdictOf(name, value, found, issuer)));
    row.dataset.claim = name;
    return row;
  }));
}

function verdictOf(name, value, found, issuer) {
  const own = found.find((f) => f.claim === name);
  const good = { iss: "This broker", aud: "This broker", exp: "Still good", nbf: "In force", iat: "In the past" }[name];
  if (own) return [tag(own.level, own.title)];
  if (!good || ((name === "iss" || name === "aud") && value !== issuer)) return [element("span", { className: "none", textContent: "–" })];
  return [tag("good", good)];
}

function tag(level, words) {
  const node = element("span", { className: "tag" }, icon(level), element("span", { textContent: words }));
  node.dataset.level = level;
  return node;
}

const lists = ["scope", "scp", "roles", "groups", "permissions", "amr", "aud", "entitlements", "cognito:groups"];

function valueOf(name, value, now) {
  if (times.includes(name) && typeof value === "number") return timeOf(inMilliseconds(value) ? value / 1000 : value, value, now);
  const words = typeof value === "string" && (name === "scope" || name === "scp") ? value.split(" ").filter(Boolean) : value;
  if (lists.includes(name) && Array.isArray(words)) return words.length ? [chips(words)] : [element("span", { className: "none", textContent: "none" })];
  // Keycloak keeps roles one level down.
  if (value && typeof value === "object" && Array.isArray(value.roles)) return [chips(value.roles, `${name}.roles`)];
  return [element("code", { className: "value", textContent: typeof value === "string" ? value : JSON.stringify(value, null, 1) })];
}

function chips(words, source) {
  const node = element("span", { className: "chips" }, ...words.map((word) => element("span", { className: "badge", textContent: typeof word === "string" ? word : JSON.stringify(word) })));
  if (source) node.append(element("small", { textContent: `from ${source}` }));
  return node;
}

function timeOf(seconds, written, now) {
  const away = element("span", { className: "away", textContent: relative(seconds, now) });
  away.dataset.at = seconds;
  return [
    element("span", { className: "when" }, element("time", { dateTime: stamp(seconds), textContent: localTime(seconds) }), away),
    element("span", { className: "utc" }, `${stamp(seconds)} · `, element("code", { textContent: written })),
  ];
}

/** Moves the words "in 14 minutes" on. */
export function tick(now) {
  for (const node of document.querySelectorAll("[data-at]")) write(node, relative(Number(node.dataset.at), now));
}

export function showHeader(part) {
  write(byId("header"), part.value ? JSON.stringify(part.value, null, 2) : rawText(part));
  byId("header-meanings").replaceChildren(...Object.keys(part.value ?? {}).filter((name) => meaning("header", name)).map((name) => element("div", {},
    element("dt", {}, element("code", { textContent: name })), element("dd", { textContent: meaning("header", name) }))));
}

export function showPayload(part) { write(byId("payload"), part.value ? JSON.stringify(part.value, null, 2) : rawText(part)); }

/** What could be read of a damaged part. */
const rawText = (part) => new TextDecoder().decode(part.bytes);

/** The choices among several tokens; `pick` is told the index. */
export function showChoices(list, picked, pick) {
  byId("choices").hidden = list.length < 2;
  byId("choices-list").replaceChildren(...list.map(({ name }, i) => element("label", {},
    element("input", { type: "radio", name: "choice", checked: i === picked, onchange: () => pick(i) }), element("code", { textContent: name }))));
}

export function showChecks(steps) {
  byId("checks").replaceChildren(...steps.map(({ name, state, code, words }) => {
    const level = { pass: "good", fail: "error", skip: "info" }[state];
    const li = element("li", {}, icon(level), element("div", {}, element("p", {},
      element("strong", { textContent: name }), ` ${{ pass: "passes", fail: "fails", skip: "not checked" }[state]}`)));
    if (words) li.lastChild.append(element("p", {}, ...(code ? [element("code", { textContent: code }), " "] : []), words));
    Object.assign(li.dataset, { level, step: name, state });
    return li;
  }));
}
