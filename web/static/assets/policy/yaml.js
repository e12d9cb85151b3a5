// The tests of a draft as a file for `broker policy test`: JSON within YAML, so that both sides read the same.

/** A number as it was written: one beyond 2^53 is another one in JavaScript. */
class Written { constructor(text) { this.text = text; } }

const asWritten = (_, value, context) => (typeof value === "number" && context?.source ? new Written(context.source) : value);

// YAML takes none of these characters as they are.
const quoted = (text) => JSON.stringify(text.toWellFormed?.() ?? text)
  .replace(/[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

function flow(value) {
  if (value instanceof Written) return value.text;
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  if (value && typeof value === "object") return `{${Object.entries(value).map(([name, inner]) => `${quoted(name)}: ${flow(inner)}`).join(", ")}}`;
  return typeof value === "string" ? quoted(value) : JSON.stringify(value);
}

/** The file. Throws where tests or entities are no JSON lists, and where there are no tests. */
export function fileOf({ tests, entities }) {
  const [cases, known] = [tests, entities].map((text) => JSON.parse(text || "[]", asWritten));
  if (!Array.isArray(known) || !cases.length) throw new TypeError("no list");
  const lines = ["# Tests of policies, from the playground. To run them: broker policy test FILE --policies DIR"];
  if (known.length) lines.push("entities:", ...known.map((one) => `  - ${flow(one)}`));
  lines.push("tests:");
  for (const one of cases) {
    const members = Object.entries(one).filter(([name, value]) => name !== "name" || value);
    lines.push(...members.map(([name, value], i) => `  ${i ? " " : "-"} ${name}: ${flow(value)}`));
  }
  return `${lines.join("\n")}\n`;
}
