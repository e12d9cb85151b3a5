// Reads a JSON object as strictly as package verify does, and says what is wrong with it in the same words and at the same byte.

import { show } from "./words.js";

const maxDepth = 16, maxMembers = 256;
// One character of a string in UTF-8, seen byte by byte; quotes, escapes and control characters are not among them.
const plain = /[\x20-\x21\x23-\x5b\x5d-\x7f]|[\xc2-\xdf][\x80-\xbf]|(?:\xe0[\xa0-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]|\xed[\x80-\x9f]|(?:\xf0[\x90-\xbf]|[\xf1-\xf3][\x80-\xbf]|\xf4[\x80-\x8f])[\x80-\xbf])[\x80-\xbf]/y;
const escape = /\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})/y;

export class Fault extends Error {
  constructor(what, at) {
    super(at === undefined ? what : `${what} at byte ${at}`);
    this.at = at;
  }
}

/**
 * Takes bytes and returns { value, members, fault }: the object if it can be read at all, its members as they are written
 * (name → text of the value), and why verify refuses it, if it does.
 */
export function readObject(bytes) {
  const text = Array.from(bytes, (b) => String.fromCharCode(b)).join('');
  const scan = new Scanner(text);
  let fault = null, value = null;
  try {
    scan.document();
  } catch (problem) {
    if (!(problem instanceof Fault)) throw problem;
    fault = problem;
  }
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof value !== 'object' || Array.isArray(value)) value = null;
  } catch { /* the fault says why */ }
  return { value, members: scan.top, fault };
}

class Scanner {
  constructor(text) {
    Object.assign(this, { text, pos: 0, count: 0, top: new Map() });
  }

  get here() { return this.text[this.pos]; }

  fail(what) { throw new Fault(what, this.pos); }

  take(c) { return this.here === c && Boolean(++this.pos); }

  space() { while (' \t\n\r'.includes(this.here ?? 'x')) this.pos++; }

  document() {
    this.space();
    if (this.here !== '{') throw new Fault('it is not a JSON object');
    this.object(1, this.top);
    this.space();
    if (this.pos !== this.text.length) this.fail('more follows the object');
  }

  object(depth, members = new Map()) {
    this.pos++;
    this.space();
    if (this.take('}')) return;
    for (;;) {
      this.space();
      const name = this.string();
      if (++this.count > maxMembers) this.fail(`it has more than ${maxMembers} members`);
      if (members.has(name)) throw new Fault(`the member ${show(name)} appears twice`);
      this.space();
      if (!this.take(':')) this.fail('a colon is missing');
      this.space();
      const start = this.pos;
      this.value(depth);
      members.set(name, this.text.slice(start, this.pos));
      this.space();
      if (this.take('}')) return;
      if (!this.take(',')) this.fail('a comma or closing brace is missing');
    }
  }

  array(depth) {
    this.pos++;
    this.space();
    if (this.take(']')) return;
    for (;;) {
      this.space();
      this.value(depth);
      this.space();
      if (this.take(']')) return;
      if (!this.take(',')) this.fail('a comma or closing bracket is missing');
    }
  }

  value(depth) {
    const c = this.here;
    if ((c === '{' || c === '[') && depth === maxDepth) this.fail(`it nests deeper than ${maxDepth}`);
    if (c === '{') return this.object(depth + 1);
    if (c === '[') return this.array(depth + 1);
    if (c === '"') return this.string();
    const word = { t: 'true', f: 'false', n: 'null' }[c];
    if (!word) return this.number();
    if (!this.text.startsWith(word, this.pos)) this.fail('a value is missing');
    this.pos += word.length;
  }

  number() {
    this.take('-');
    if (!this.take('0') && !this.digits()) this.fail('a value is missing');
    if (this.take('.') && !this.digits()) this.fail('a number is incomplete');
    if (this.take('e') || this.take('E')) {
      if (!this.take('+')) this.take('-');
      if (!this.digits()) this.fail('a number is incomplete');
    }
  }

  digits() { return this.match(/\d+/y); }

  match(pattern) {
    pattern.lastIndex = this.pos;
    const found = pattern.exec(this.text);
    if (found) this.pos += found[0].length;
    return Boolean(found);
  }

  string() {
    const start = this.pos;
    if (!this.take('"')) this.fail('a string is missing');
    while (this.pos < this.text.length) {
      if (this.take('"')) return utf8(this.text.slice(start, this.pos));
      if (this.here < ' ') this.fail('a string holds a control character');
      if (this.here === '\\') this.escape();
      else if (!this.match(plain)) this.fail('a string is not UTF-8');
    }
    this.fail('a string does not end');
  }

  // One escape, or two where they make a pair; half a pair is none.
  escape() {
    const at = this.pos;
    if (!this.match(escape)) this.fail('a string holds a bad escape');
    const unit = parseInt(this.text.slice(at + 2, at + 6), 16);
    if (this.text[at + 1] !== 'u' || unit < 0xd800 || unit > 0xdfff) return;
    if (unit < 0xdc00 && this.match(/\\u[Dd][C-Fc-f][0-9A-Fa-f]{2}/y)) return;
    this.match(/\\u[0-9A-Fa-f]{4}/y); // verify stops behind what it could read of the pair
    this.fail('a string holds a bad escape');
  }
}

/** A string literal, seen byte by byte, as what it says. */
function utf8(literal) {
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(literal, (c) => c.charCodeAt(0))));
}
