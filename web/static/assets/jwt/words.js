// Words that several modules need: received values as package verify quotes them, and times as people read them.

/** Maps text to the characters of error_description and cuts it (RFC 6749 section 5.2). */
export function clean(text, limit = 400) {
  const bytes = new TextEncoder().encode(text);
  const cut = bytes.length > limit;
  return (cut ? new TextDecoder().decode(bytes.slice(0, limit)) : String(text)).replaceAll('"', "'").replaceAll("\\", "/").replaceAll(/[\n\t\r]/g, " ").replaceAll(/[^\x20-\x7e]/gu, "?") + (cut ? '...' : '');
}

/** A received value within a description. */
export function show(value) { return `'${clean(value, 100)}'`; }

/** Seconds since 1970 as the machine writes them: 2026-11-24T06:03:00Z. */
export function stamp(seconds) {
  const date = new Date(Math.floor(seconds) * 1000);
  return Number.isNaN(date.getTime()) ? String(seconds) : date.toISOString().replace('.000', '');
}

const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

export function localTime(seconds) {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? "beyond every calendar" : local.format(date);
}

const units = [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** A span in its largest unit, and a second one below five: "2 hours 5 minutes", "14 minutes", "12 seconds". */
export function span(seconds) {
  let left = Math.floor(Math.abs(seconds));
  const first = units.findIndex(([, size]) => left >= size);
  if (first < 0) return "0 seconds";
  const parts = [];
  for (const [name, size] of units.slice(first, first + 2)) {
    const n = Math.floor(left / size);
    left -= n * size;
    if (n > 0) parts.push(`${n} ${name}${n === 1 ? "" : "s"}`);
    if (n >= 5) break;
  }
  return parts.join(" ");
}

export function relative(seconds, now) {
  const away = seconds - now;
  return Math.abs(away) < 1 ? "now" : away > 0 ? `in ${span(away)}` : `${span(away)} ago`;
}
