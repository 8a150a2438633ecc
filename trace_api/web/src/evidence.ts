// The evidence file, "suyuan-evidence/v1": its shape. Whether it proves anything is verify.ts's business.

import { fromBase64, toBase64 } from "./bytes";
import { fieldLeaf, readSummary, type SeriesSummary } from "./entry";
import { toHex, VerifyError } from "./errors";
import { type Json, type JsonObject, readJson } from "./json";
import { leafHash } from "./merkle";
import { bytes, HASH_SIZE, hashes, list, members, natural, numberOrNull, text } from "./shape";

const FORMAT = "suyuan-evidence/v1";
export const MAX_FILE_SIZE = 64 * 2 ** 20;

export interface LogEvidence {
  readonly origin: string;
  readonly vkey: string;
  readonly checkpoint: string;
}

export interface LeafEvidence {
  readonly log: string;
  readonly index: number;
  readonly entry: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

/** `name` is null where the field is withheld. */
export interface Field {
  readonly name: string | null;
  readonly value: Json;
  readonly leafHash: Uint8Array;
}

export interface Reading {
  readonly position: number;
  readonly series: string;
  readonly time: number;
  readonly value: number | null;
  readonly leaf: Uint8Array;
  readonly path: readonly Uint8Array[];
}

export interface SeriesEvidence {
  readonly position: number;
  readonly summary: SeriesSummary;
  readonly path: readonly Uint8Array[];
}

export interface EventItem extends LeafEvidence {
  readonly kind: "event";
  readonly fields: readonly Field[];
}

export interface WindowItem extends LeafEvidence {
  readonly kind: "window";
  readonly readings: readonly Reading[];
  readonly series: readonly SeriesEvidence[];
}

export type Item = EventItem | WindowItem;

export interface Evidence {
  readonly logs: readonly LogEvidence[];
  readonly items: readonly Item[];
}

export function readEvidence(data: Uint8Array | string): Evidence {
  if (data.length > MAX_FILE_SIZE) {
    throw new VerifyError("length of the evidence file", data.length, `at most ${MAX_FILE_SIZE}`);
  }
  const found = members(readJson(data), ["format", "logs", "items"], "evidence file");
  if (found.get("format") !== FORMAT) {
    throw new VerifyError("format of the evidence file", found.get("format"), FORMAT);
  }
  const logs = list(found.get("logs"), "logs").map(readLog);
  if (new Set(logs.map((log) => log.origin)).size !== logs.length) {
    throw new VerifyError("logs", "one origin twice", "each once");
  }
  return { logs, items: list(found.get("items"), "items").map(readItem) };
}

function readLog(value: Json): LogEvidence {
  const found = members(value, ["origin", "vkey", "checkpoint"], "log");
  return {
    origin: text(found.get("origin"), "origin"),
    vkey: text(found.get("vkey"), "vkey"),
    checkpoint: text(found.get("checkpoint"), "checkpoint"),
  };
}

function readItem(value: Json): Item {
  const common = ["kind", "log", "index", "entry", "proof"];
  const kind = value instanceof Map ? value.get("kind") : undefined;
  if (kind === "event") {
    const found = members(value, [...common, "fields"], "event item");
    return { kind, ...readLeaf(found), fields: list(found.get("fields"), "fields").map(readField) };
  }
  if (kind === "window") {
    const found = members(value, [...common, "readings"], "window item", ["series"]);
    const series = found.has("series") ? list(found.get("series"), "series").map(readSeries) : [];
    return { kind, ...readLeaf(found), readings: list(found.get("readings"), "readings").map(readReading), series };
  }
  throw new VerifyError("kind of an item", kind, "event or window");
}

function readLeaf(found: JsonObject): LeafEvidence {
  return {
    log: text(found.get("log"), "log"),
    index: natural(found.get("index"), "index"),
    entry: fromBase64(text(found.get("entry"), "entry"), "entry"),
    proof: hashes(found.get("proof"), "proof"),
  };
}

function readField(value: Json): Field {
  if (value instanceof Map && value.has("hash")) {
    const hash = members(value, ["hash"], "field").get("hash");
    return { name: null, value: null, leafHash: bytes(hash, "hash of a field", HASH_SIZE) };
  }
  const found = members(value, ["name", "salt", "value"], "field");
  const salt = bytes(found.get("salt"), "salt of a field", 16);
  const name = text(found.get("name"), "name of a field");
  const content = found.get("value") ?? null;
  return { name, value: content, leafHash: leafHash(fieldLeaf(toBase64(salt), name, content)) };
}

function readReading(value: Json): Reading {
  const names = ["position", "series", "time", "value", "flags", "salt", "path"];
  const found = members(value, names, "reading", ["body_sha256"]);
  const series = bytes(found.get("series"), "series", 16);
  const time = natural(found.get("time"), "time of a reading");
  const number = numberOrNull(found.get("value"), "value of a reading");
  const flags = natural(found.get("flags"), "flags");
  const salt = bytes(found.get("salt"), "salt of a reading", 32);
  const body = found.has("body_sha256") ? bytes(found.get("body_sha256"), "body_sha256", HASH_SIZE) : null;
  if (flags > 0xffff) throw new VerifyError("flags", flags, "at most 65535");
  if ((number === null) !== (body !== null)) throw new VerifyError("reading", "both or neither", "a value or body_sha256");
  return {
    position: natural(found.get("position"), "position"),
    series: toHex(series),
    time,
    value: number,
    leaf: readingLeaf(salt, series, time, number ?? body ?? 0, flags),
    path: hashes(found.get("path"), "path"),
  };
}

/** The leaf data of a reading (`content` a number) or an observation (`content` the hash of its body). */
function readingLeaf(salt: Uint8Array, series: Uint8Array, time: number, content: number | Uint8Array, flags: number): Uint8Array {
  const size = typeof content === "number" ? 8 : content.length;
  const leaf = new Uint8Array(3 + 32 + 16 + 8 + size + 2);
  const view = new DataView(leaf.buffer);
  leaf.set(typeof content === "number" ? [0x72, 0x64, 0x31] : [0x6f, 0x62, 0x31]); // "rd1", "ob1"
  leaf.set(salt, 3);
  leaf.set(series, 35);
  view.setBigInt64(51, BigInt(time));
  if (typeof content === "number") view.setFloat64(59, content);
  else leaf.set(content, 59);
  view.setUint16(59 + size, flags);
  return leaf;
}

function readSeries(value: Json): SeriesEvidence {
  const found = members(value, ["position", "item", "path"], "series");
  return {
    position: natural(found.get("position"), "position"),
    summary: readSummary(found.get("item")),
    path: hashes(found.get("path"), "path"),
  };
}
