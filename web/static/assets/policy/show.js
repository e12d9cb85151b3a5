// Draws what the engine said.
import { byId, element, icon, write } from "./dom.js";
import { goTo, mark } from "./editor.js";

const words = { decides: "decides", skipped: "skipped", outvoted: "outvoted", silent: "does not apply" };

export function showVerdict(level, word, sentence, more = "") {
  const box = byId("verdict"), [strong, span] = byId("verdict-text").children;
  box.dataset.level = level;
  write(strong, word);
  write(span, sentence);
  write(byId("verdict-more"), more);
}

function levelOf(part) {
  if (part.state === "skipped") return "warn";
  if (part.state !== "decides") return "info";
  return part.effect === "permit" ? "good" : "error";
}

export function showDecision(decision) {
  write(byId("why"), decision.why);
  byId("statements").replaceChildren(...decision.statements.map((part) => {
    const name = part.line
      ? element("button", { type: "button", className: "small", textContent: part.id, title: `Line ${part.line}`, onclick: () => goTo("policies", part.line) })
      : element("code", { textContent: part.id });
    const li = element("li", {}, icon(levelOf(part)), element("div", {},
      element("p", {}, name, " ", element("span", { className: "badge", textContent: part.effect }), " ", element("span", { className: "state", textContent: words[part.state] })),
      ...(part.description ? [element("p", { textContent: part.description })] : []),
      ...(part.state === "silent" ? [] : [element("p", { className: "hint", textContent: part.reason })])));
    Object.assign(li.dataset, { level: levelOf(part), state: part.state, id: part.id });
    return li;
  }));
  if (decision.statements.length === 0) byId("statements").append(element("li", { textContent: "There is no policy." }));
  mark("policies", decision.statements.filter((p) => p.state === "decides" || p.state === "skipped").map((p) => ({ first: p.line, last: p.until, kind: p.state === "decides" && p.effect === "forbid" ? "refuses" : p.state })));
}

const said = (cell) => (cell.failed ? "deny, with an error" : cell.allow ? "allow" : "deny");

function answerOf(cell) {
  const level = cell.failed ? "warn" : cell.allow ? "good" : "error";
  const node = element("span", { className: "answer-cell" }, icon(level), element("span", { textContent: said(cell) }));
  node.dataset.level = level;
  return node;
}

function header(actions) {
  return element("tr", {}, element("th", { scope: "col", textContent: "Who" }), ...actions.map((name) => element("th", { scope: "col" }, element("code", { textContent: name }))));
}

const rowName = (row) => element("th", { scope: "row" }, element("code", { textContent: row.name }), " ", element("span", { className: "badge", textContent: row.kind }));

function fill(table, grid, cellOf) {
  table.tHead.replaceChildren(header(grid.actions));
  table.tBodies[0].replaceChildren(...grid.rows.map((row) => {
    const tr = element("tr", {}, rowName(row), ...row.cells.map((cell) => element("td", {}, ...cellOf(cell))));
    Object.assign(tr.dataset, { kind: row.kind, name: row.name });
    return tr;
  }));
  if (grid.rows.length === 0) table.tBodies[0].append(element("tr", {}, element("td", { colSpan: 1 + grid.actions.length, textContent: "There are no roles and nobody of the principal's type among the entities." })));
}

const by = (cell) => (cell.deciding.length ? [element("small", { textContent: cell.deciding.join(", ") })] : []);

export function showMatrix(matrix, resource) {
  write(byId("matrix-resource"), resource);
  fill(byId("matrix"), matrix, (cell) => [answerOf(cell), ...by(cell)]);
}

export function showTests(list) {
  const good = list.filter((t) => t.pass).length;
  write(byId("tests-sum"), list.length === 0 ? "There are no tests." : good === list.length ? `All ${good} pass.` : `${list.length - good} of ${list.length} fail.`);
  byId("outcomes").replaceChildren(...list.map((t) => {
    const li = element("li", {}, icon(t.pass ? "good" : "error"), element("div", {},
      element("p", {}, element("strong", { textContent: t.name }), " ", element("span", { className: "state", textContent: t.pass ? "passes" : "fails" })),
      element("p", { className: "hint", textContent: `${t.pass ? "" : `Expected ${t.want ? "allow" : "deny"}, got ${t.got ? "allow" : "deny"}. `}${t.why}` })));
    li.dataset.level = t.pass ? "good" : "error";
    return li;
  }));
}

export function showLive(live) {
  byId("live-grid").hidden = byId("live-hint").hidden = !live.governed;
  if (!live.governed) return write(byId("live-sum"), `The policies in force do not speak of ${live.type}: there is nothing to compare. Begin with “Owner only” for what they speak of.`);
  const all = live.grid.rows.length * live.grid.actions.length;
  write(byId("live-sum"), live.differences === 0 ? `No difference in ${all} decisions.` : `${live.differences} of ${all} decisions differ.`);
  fill(byId("live-grid"), live.grid, (cell) => {
    if (cell.allow === cell.live.allow) return [answerOf(cell)];
    const change = element("span", { className: "change" }, element("span", { textContent: `live: ${said(cell.live)}` }), element("strong", { textContent: `draft: ${said(cell)}` }));
    return [change, ...by(cell)];
  });
}
