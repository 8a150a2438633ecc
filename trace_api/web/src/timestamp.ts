// RFC 3161 tokens, as far as they can be read without knowing the authority: over which bytes, and when.
//
// Contract: DER in (a TimeStampResp or the token alone), imprint and time out, or VerifyError. The authority's signature is
// not looked at: without its certificate there is nothing to hold it against, and the report says so.

import { sameBytes, VerifyError, wantSame } from "./errors";

/** `imprint`: SHA-256 of what was stamped; `time`: UTC ms by the authority's clock. */
export interface Token {
  readonly imprint: Uint8Array;
  readonly time: number;
}

interface Element {
  readonly tag: number;
  readonly content: Uint8Array;
}

const MAX_SIZE = 2 ** 16;
const SEQUENCE = 0x30;
const OID = 0x06;
const INTEGER = 0x02;
const OCTETS = 0x04;
const TIME = 0x18;
const EXPLICIT_0 = 0xa0;
const SIGNED_DATA = Uint8Array.of(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02);
const TST_INFO = Uint8Array.of(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04);
const SHA_256 = Uint8Array.of(0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01);

export function readToken(der: Uint8Array): Token {
  if (der.length > MAX_SIZE) throw new VerifyError("length of the time stamp", der.length, `at most ${MAX_SIZE}`);
  const [first, second] = only(der, SEQUENCE);
  if (first?.tag === OID) return readContentInfo(only(der, SEQUENCE));
  const [status] = elements(want(first, SEQUENCE, "status of the time stamp"));
  const answer = want(status, INTEGER, "status of the time stamp");
  if (answer.length !== 1 || (answer[0] ?? 9) > 1) throw new VerifyError("status of the time stamp", answer, "granted");
  return readContentInfo(elements(want(second, SEQUENCE, "token")));
}

function readContentInfo(parts: readonly Element[]): Token {
  wantOid(parts[0], SIGNED_DATA, "type of the token");
  const [, , encapsulated] = only(want(parts[1], EXPLICIT_0, "signed data"), SEQUENCE);
  const [type, wrapped] = elements(want(encapsulated, SEQUENCE, "content of the token"));
  wantOid(type, TST_INFO, "content of the token");
  const [info, ...more] = elements(want(wrapped, EXPLICIT_0, "content of the token"));
  if (more.length > 0) throw new VerifyError("content of the token", `${more.length + 1} values`, "one");
  return readInfo(only(want(info, OCTETS, "content of the token"), SEQUENCE));
}

function readInfo([version, policy, imprint, serial, time]: readonly Element[]): Token {
  want(version, INTEGER, "version of the token");
  want(policy, OID, "policy of the token");
  want(serial, INTEGER, "serial number of the token");
  const [algorithm, digest] = elements(want(imprint, SEQUENCE, "imprint of the token"));
  wantOid(elements(want(algorithm, SEQUENCE, "imprint of the token"))[0], SHA_256, "hash of the token");
  const found = want(digest, OCTETS, "imprint of the token");
  wantSame("length of the token's imprint", found.length, 32);
  return { imprint: found, time: readTime(want(time, TIME, "time of the token")) };
}

/** GeneralizedTime as RFC 3161 has it: UTC, with seconds, perhaps with a fraction. Milliseconds, rounded down. */
function readTime(content: Uint8Array): number {
  const text = String.fromCharCode(...content.subarray(0, 40));
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d{1,9}))?Z$/.exec(text);
  if (match === null) throw new VerifyError("time of the token", text, "YYYYMMDDhhmmss[.f]Z");
  const [, year, month, day, hour, minute, second, fraction = ""] = match;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}.${fraction.slice(0, 3).padEnd(3, "0")}Z`);
  // Some browsers take the 31st of November for the 1st of December.
  const meant = `${year}-${month}-${day}T${hour}:${minute}:${second}`;
  if (Number.isNaN(ms) || !new Date(ms).toISOString().startsWith(meant)) throw new VerifyError("time of the token", text, "a moment");
  return ms;
}

function wantOid(element: Element | undefined, oid: Uint8Array, what: string): void {
  if (!sameBytes(want(element, OID, what), oid)) throw new VerifyError(what, element?.content, oid);
}

function want(element: Element | undefined, tag: number, what: string): Uint8Array {
  if (element?.tag !== tag) throw new VerifyError(what, element === undefined ? "nothing" : `tag ${element.tag}`, `tag ${tag}`);
  return element.content;
}

/** The parts of the one element that `der` is. */
function only(der: Uint8Array, tag: number): Element[] {
  const [element, ...rest] = elements(der);
  if (rest.length > 0) throw new VerifyError("DER", "something after its end", "one element");
  return elements(want(element, tag, "DER"));
}

function elements(der: Uint8Array): Element[] {
  const found: Element[] = [];
  let at = 0;
  while (at < der.length) {
    const tag = der[at] ?? 0;
    const [start, length] = readLength(der, at + 1);
    if ((tag & 0x1f) === 0x1f || start + length > der.length) throw new VerifyError("DER", `${der.length} bytes`, "whole elements");
    found.push({ tag, content: der.subarray(start, start + length) });
    at = start + length;
  }
  return found;
}

/** Where the content begins, and how long it is. */
function readLength(der: Uint8Array, at: number): [number, number] {
  const first = der[at] ?? 0x80;
  if (first < 0x80) return [at + 1, first];
  const count = first & 0x7f;
  if (count === 0 || count > 4) throw new VerifyError("DER", `a length of ${count} bytes`, "1 to 4 bytes");
  let length = 0;
  for (let byte = 1; byte <= count; byte += 1) length = length * 256 + (der[at + byte] ?? 0);
  if (length < 0x80 || length < 256 ** (count - 1)) throw new VerifyError("DER", `${count} bytes of a length`, "as few as there can be");
  return [at + 1 + count, length];
}
