// Reads the shapes of the file and of entries out of JSON: exactly these members, of these kinds, or VerifyError.

import { fromBase64 } from "./bytes";
import { VerifyError } from "./errors";
import { Double, type Json, type JsonObject } from "./json";

export const HASH_SIZE = 32;

export function members(value: Json | undefined, names: readonly string[], what: string, optional: readonly string[] = []): JsonObject {
  const known = (name: string): boolean => names.includes(name) || optional.includes(name);
  if (!(value instanceof Map) || !names.every((name) => value.has(name)) || ![...value.keys()].every(known)) {
    const got = value instanceof Map ? [...value.keys()].sort().join(", ") : kindOf(value);
    throw new VerifyError(`members of ${what}`, got, [...names].sort().join(", "));
  }
  return value;
}

export function list(value: Json | undefined, what: string): Json[] {
  if (!Array.isArray(value)) throw new VerifyError(what, kindOf(value), "a list");
  return value;
}

export function tuple(value: Json | undefined, length: number, what: string): Json[] {
  if (!Array.isArray(value) || value.length !== length) throw new VerifyError(what, kindOf(value), `a list of ${length}`);
  return value;
}

export function text(value: Json | undefined, what: string): string {
  if (typeof value !== "string") throw new VerifyError(what, kindOf(value), "a text");
  return value;
}

/** An integer from 0 to 2^53 - 1. */
export function natural(value: Json | undefined, what: string): number {
  if (typeof value !== "number" || value < 0) {
    throw new VerifyError(what, kindOf(value), "an integer from 0 to 2^53 - 1");
  }
  return value;
}

export function integerOrNull(value: Json | undefined, what: string): number | null {
  if (value === null || typeof value === "number") return value;
  throw new VerifyError(what, kindOf(value), "an integer or null");
}

export function numberOrNull(value: Json | undefined, what: string): number | null {
  if (value instanceof Double) return value.value;
  if (value === null || typeof value === "number") return value;
  throw new VerifyError(what, kindOf(value), "a number or null");
}

export function bytes(value: Json | undefined, what: string, size: number): Uint8Array {
  const found = fromBase64(text(value, what), what);
  if (found.length !== size) throw new VerifyError(`length of ${what}`, found.length, size);
  return found;
}

export function hashes(value: Json | undefined, what: string): Uint8Array[] {
  return list(value, what).map((item) => bytes(item, `hash in ${what}`, HASH_SIZE));
}

/** Hashes joined in one base64 text. */
export function joinedHashes(value: Json | undefined, what: string): Uint8Array[] {
  const joined = fromBase64(text(value, what), what);
  if (joined.length % HASH_SIZE !== 0) throw new VerifyError(`length of ${what}`, joined.length, `a multiple of ${HASH_SIZE}`);
  return Array.from({ length: joined.length / HASH_SIZE }, (_, at) => joined.slice(at * HASH_SIZE, (at + 1) * HASH_SIZE));
}

function kindOf(value: Json | undefined): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (value instanceof Double) return String(value.value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (value instanceof Map) return "an object";
  return typeof value === "number" ? String(value) : `a ${typeof value}`;
}
