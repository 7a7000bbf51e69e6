// A strict reader of JSON (RFC 8259), because JSON.parse hides what this protocol forbids: members that come twice, how a number
// was written, and half of a surrogate pair. It does not recurse beyond MAX_DEPTH.
//
// A value is { type, ... }: object (members: Map, twice: [names]), array (items), string (text), number (value, isInteger),
// notANumber (NaN and the infinities, which are no JSON, but deserve their own answer where a number is read), boolean, null.

export class MalformedError extends Error {}

const MAX_DEPTH = 128;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const SPACE = /[ \t\n\r]*/y;
const WORDS = [
  ["true", { type: "boolean", value: true }],
  ["false", { type: "boolean", value: false }],
  ["null", { type: "null" }],
  ["NaN", { type: "notANumber" }],
  ["Infinity", { type: "notANumber" }],
  ["-Infinity", { type: "notANumber" }],
];
const ESCAPES = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

/** Reads a whole payload. Throws MalformedError, and nothing else. */
export function parse(bytes) {
  let text;
  try {
    // A byte order mark is kept, and then is no JSON.
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new MalformedError("not UTF-8");
  }
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.skipSpace();
  if (reader.at !== text.length) throw new MalformedError(`something follows at ${reader.at}`);
  return value;
}

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found) this.at = pattern.lastIndex;
    return found;
  }

  skipSpace() {
    this.match(SPACE);
  }

  /** Takes a character if it is next. */
  takes(character) {
    this.skipSpace();
    if (this.text[this.at] !== character) return false;
    this.at += 1;
    return true;
  }

  needs(character) {
    if (!this.takes(character)) throw new MalformedError(`${character} is missing at ${this.at}`);
  }

  value(depth) {
    if (depth > MAX_DEPTH) throw new MalformedError("nested too deeply");
    if (this.takes("{")) return this.object(depth);
    if (this.takes("[")) return this.array(depth);
    if (this.takes('"')) return { type: "string", text: this.string() };
    for (const [word, value] of WORDS) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    const number = this.match(NUMBER);
    if (!number) throw new MalformedError(`no value at ${this.at}`);
    return { type: "number", value: Number(number[0]), isInteger: !number[1] && !number[2] };
  }

  object(depth) {
    const found = { type: "object", members: new Map(), twice: [] };
    if (this.takes("}")) return found;
    do {
      this.needs('"');
      const name = this.string();
      this.needs(":");
      if (found.members.has(name)) found.twice.push(name);
      found.members.set(name, this.value(depth + 1));
    } while (this.takes(","));
    this.needs("}");
    return found;
  }

  array(depth) {
    const found = { type: "array", items: [] };
    if (this.takes("]")) return found;
    do found.items.push(this.value(depth + 1));
    while (this.takes(","));
    this.needs("]");
    return found;
  }

  /** The rest of a string, behind its first quote. */
  string() {
    let made = "";
    for (;;) {
      made += this.match(PLAIN)[0];
      const next = this.text[this.at++];
      if (next === '"') break;
      if (next !== "\\") throw new MalformedError(`a string is not ended or has a control character at ${this.at}`);
      const escape = this.text[this.at++];
      if (escape === "u") {
        const digits = this.match(/[0-9A-Fa-f]{4}/y);
        if (!digits) throw new MalformedError(`four hex digits are missing at ${this.at}`);
        made += String.fromCharCode(Number.parseInt(digits[0], 16));
      } else if (escape in ESCAPES) {
        made += ESCAPES[escape];
      } else {
        throw new MalformedError(`no escape at ${this.at}`);
      }
    }
    if (!made.isWellFormed()) throw new MalformedError("half of a surrogate pair");
    return made;
  }
}
