// A plain text area with line numbers beside it, and a list of what is wrong below it.
import { byId, element } from "./dom.js";

export const texts = ["policies", "schema", "entities", "context", "tests"];
const fields = { principal: "principal", action: "verb", resource: "resource" };
const mostLines = 3000;

export const fieldOf = (pane) => byId(fields[pane] ?? pane);

function gutterOf(id) { return document.querySelector(`.gutter[data-for="${id}"]`); }

/** Draws as many numbers as there are lines. */
export function number(id) {
  const gutter = gutterOf(id), lines = Math.min(mostLines, byId(id).value.split("\n").length);
  if (gutter.childElementCount !== lines) gutter.replaceChildren(...Array.from({ length: lines }, (_, i) => element("span", { textContent: i + 1 })));
  gutter.scrollTop = byId(id).scrollTop;
}

/** Marks lines, first to last: "bad", "decides", "refuses" or "skipped". */
export function mark(id, ranges) {
  const lines = gutterOf(id).children;
  for (const line of lines) delete line.dataset.mark;
  for (const { first, last, kind } of ranges) {
    for (let i = first; i <= last && i <= lines.length; i++) if (i > 0) lines[i - 1].dataset.mark = kind;
  }
}

/** Puts the caret at a place and shows it. */
export function goTo(pane, line, column = 1) {
  const box = fieldOf(pane);
  for (let fold = box.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  box.focus();
  if (!line || box.tagName !== "TEXTAREA") return;
  const rows = box.value.split("\n");
  const before = rows.slice(0, line - 1).reduce((sum, row) => sum + row.length + 1, 0);
  const at = Math.min(before + [...(rows[line - 1] ?? "")].slice(0, column - 1).join("").length, box.value.length);
  box.setSelectionRange(at, at);
  const height = parseFloat(getComputedStyle(box).lineHeight);
  box.scrollTop = Math.max(0, (line - 4) * height);
}

/** Lists what is wrong with each text, with the place as a way there. */
export function showProblems(problems) {
  for (const pane of [...texts, ...Object.keys(fields)]) {
    const own = problems.filter((p) => p.pane === pane), box = fieldOf(pane);
    byId(`${pane}-problems`).replaceChildren(...own.map((p) => {
      const words = element("li", {});
      if (p.line) words.append(element("button", { type: "button", className: "small", textContent: `${p.line}:${p.column}`, title: `Line ${p.line}, column ${p.column}`, onclick: () => goTo(pane, p.line, p.column) }), " ");
      words.append(p.text);
      return words;
    }));
    if (own.length) box.setAttribute("aria-invalid", "true");
    else box.removeAttribute("aria-invalid");
    if (!texts.includes(pane)) continue;
    if (own.length) mark(pane, own.map((p) => ({ first: p.line, last: p.line, kind: "bad" })));
    else if (pane !== "policies") mark(pane, []);
  }
}

export function watch(id, changed) {
  const box = byId(id);
  box.addEventListener("input", () => { number(id); changed(); });
  box.addEventListener("scroll", () => { gutterOf(id).scrollTop = box.scrollTop; });
}
