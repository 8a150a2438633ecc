// JSON without ambiguity, and the one spelling of it that is hashed (RFC 8785).
//
// JSON.parse would let a duplicate key win silently and forget whether a number was written 1 or 1.0; both matter to a
// verifier that must agree with another one in every case.

import { decodeUtf8, utf8 } from "./bytes";
import { sameBytes, VerifyError } from "./errors";

/** A number that is not a plain integer: written with a point or an exponent, or beyond 2^53 - 1. */
export class Double {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

export type JsonObject = Map<string, Json>;
export type Json = null | boolean | number | string | Double | Json[] | JsonObject;

const MAX_DEPTH = 64;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const SPACE = /[ \t\n\r]*/y;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t",
};

/** Any JSON text without duplicate keys, numbers that no double holds, lone surrogates and deep nesting. */
export function readJson(data: Uint8Array | string): Json {
  return new Parser(typeof data === "string" ? data : decodeUtf8(data, "JSON")).document();
}

/** The value whose one spelling in the strict profile `data` is. */
export function readStrict(data: Uint8Array): Json {
  const value = readJson(data);
  checkProfile(value, MAX_DEPTH);
  if (!sameBytes(utf8(canonical(value)), data)) throw new VerifyError("JSON", "another spelling", "RFC 8785");
  return value;
}

/** RFC 8785. ECMAScript's own number and string forms are what it is defined by. */
export function canonical(value: Json): string {
  if (value instanceof Double) return JSON.stringify(value.value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value instanceof Map) {
    const names = [...value.keys()].sort(); // by UTF-16 code units, as the RFC has it
    return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value.get(name) ?? null)}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

export function strictBytes(value: Json): Uint8Array {
  checkProfile(value, MAX_DEPTH);
  return utf8(canonical(value));
}

function checkProfile(value: Json, depth: number): void {
  if (value instanceof Double) throw new VerifyError("strict profile", value.value, "integers to 2^53 - 1");
  if (typeof value === "string" && value.normalize("NFC") !== value) {
    throw new VerifyError("strict profile", value, "text in NFC");
  }
  if (depth === 0) throw new VerifyError("JSON", "deeper nesting", `at most ${MAX_DEPTH} levels`);
  if (value instanceof Map) {
    for (const [name, item] of value) {
      checkProfile(name, depth);
      checkProfile(item, depth - 1);
    }
  } else if (Array.isArray(value)) {
    for (const item of value) checkProfile(item, depth - 1);
  }
}

class Parser {
  private readonly text: string;
  private at = 0;

  constructor(text: string) {
    this.text = text;
  }

  document(): Json {
    const value = this.value(MAX_DEPTH);
    this.skip();
    if (this.at < this.text.length) this.fail("the end");
    return value;
  }

  private value(depth: number): Json {
    this.skip();
    switch (this.text[this.at]) {
      case "{":
        return this.object(depth);
      case "[":
        return this.array(depth);
      case '"':
        return this.string();
      case "t":
        return this.word("true", true);
      case "f":
        return this.word("false", false);
      case "n":
        return this.word("null", null);
      default:
        return this.number();
    }
  }

  private object(depth: number): JsonObject {
    const found: JsonObject = new Map();
    this.open(depth);
    if (this.takes("}")) return found;
    do {
      this.skip();
      const name = this.string();
      if (found.has(name)) throw new VerifyError("JSON", `the key ${name} twice`, "each key once");
      this.expect(":");
      found.set(name, this.value(depth - 1));
    } while (this.takes(","));
    this.expect("}");
    return found;
  }

  private array(depth: number): Json[] {
    const found: Json[] = [];
    this.open(depth);
    if (this.takes("]")) return found;
    do found.push(this.value(depth - 1));
    while (this.takes(","));
    this.expect("]");
    return found;
  }

  private open(depth: number): void {
    if (depth === 0) throw new VerifyError("JSON", "deeper nesting", `at most ${MAX_DEPTH} levels`);
    this.at += 1;
  }

  private string(): string {
    if (this.text[this.at] !== '"') this.fail('"');
    this.at += 1;
    let found = "";
    for (;;) {
      found += this.match(PLAIN)[0];
      const char = this.text[this.at];
      this.at += 1;
      if (char === '"') break;
      if (char !== "\\") this.fail("a string without control characters, closed");
      found += this.escape();
    }
    if (/[\ud800-\udfff]/u.test(found)) { // with u, the two halves of a pair are one character
      throw new VerifyError("JSON", "a lone surrogate", "Unicode text");
    }
    return found;
  }

  private escape(): string {
    const char = this.text[this.at] ?? "";
    this.at += 1;
    if (char === "u") {
      const digits = this.text.slice(this.at, this.at + 4);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.fail("four hexadecimal digits");
      this.at += 4;
      return String.fromCharCode(parseInt(digits, 16));
    }
    const meant = ESCAPES[char];
    return meant ?? this.fail("a known escape");
  }

  private number(): number | Double {
    const match = this.match(NUMBER, "a value");
    const [text, fraction, exponent] = match;
    const value = Number(text);
    if (!Number.isFinite(value)) throw new VerifyError("JSON", text, "a number that a double holds");
    if (fraction !== undefined || exponent !== undefined) return new Double(value);
    if (Number.isSafeInteger(value)) return value === 0 ? 0 : value; // the integer -0 is 0
    if (BigInt(text) !== BigInt(value)) throw new VerifyError("JSON", text, "an integer that a double holds exactly");
    return new Double(value);
  }

  private word<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) this.fail("a value");
    this.at += word.length;
    return value;
  }

  private takes(char: string): boolean {
    this.skip();
    const taken = this.text[this.at] === char;
    if (taken) this.at += 1;
    return taken;
  }

  private expect(char: string): void {
    if (!this.takes(char)) this.fail(char);
  }

  private skip(): void {
    this.match(SPACE);
  }

  private match(pattern: RegExp, want = "text"): RegExpExecArray {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found === null) return this.fail(want);
    this.at = pattern.lastIndex;
    return found;
  }

  private fail(want: string): never {
    throw new VerifyError(`JSON at character ${this.at}`, this.text.slice(this.at, this.at + 20) || "the end", want);
  }
}
