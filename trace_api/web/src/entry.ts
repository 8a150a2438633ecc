// Entry version 1: the bytes of a leaf, read strictly. docs/entry-v1.md, docs/evidence-v2.md.
//
// Contract: the form of the body is checked too; `registry`, `correction` and `gap` have none yet, theirs is only JSON.

import { concat, utf8 } from "./bytes";
import { type CheckpointAnchor, type KeyBody, readAnchor, readErasureBody, readFreezeBody, readKeyBody, type TimestampAnchor } from "./entry_bodies";
import { toHex, VerifyError } from "./errors";
import { canonical, type Json, type JsonObject, readStrict, strictBytes } from "./json";
import { leafHash, rootOf, sha256 } from "./merkle";
import { bytes, HASH_SIZE, integerOrNull, members, natural, text, tuple } from "./shape";

const MAX_ENTRY_SIZE = 4096;
const MAX_LISTED = 32;
const KEYS = ["v", "type", "org", "stream", "n", "prev", "rec", "body"] as const;
const TYPES: readonly string[] = [
  "event", "window", "verdict", "registry", "correction", "gap", "erasure", "key", "freeze", "anchor",
];
const CLOSED: readonly string[] = ["hour", "excursion", "hand_over"];

export interface Entry {
  readonly type: string;
  readonly org: Uint8Array;
  readonly stream: string;
  readonly n: number;
  readonly prev: Uint8Array | null;
  readonly rec: number;
  readonly fields: FieldsBody | null;
  readonly window: WindowBody | null;
  readonly anchor: CheckpointAnchor | TimestampAnchor | null;
  readonly key: KeyBody | null;
}

/** The body of an event and of a verdict. */
export interface FieldsBody {
  readonly fields: number;
  readonly root: Uint8Array;
}

/** What is published of one series; times in UTC ms, extremes in thousandths of the unit, null where not stated. */
export interface SeriesSummary {
  readonly series: string;
  readonly count: number;
  readonly first: number;
  readonly last: number;
  readonly min: number | null;
  readonly max: number | null;
  readonly item: Json;
}

/** A list in full, or (`items` is null) only how many and their root. */
export interface Listing<T> {
  readonly count: number;
  readonly root: Uint8Array;
  readonly items: readonly T[] | null;
}

/** Messages of one boot of the device that never came; sequence numbers inclusive. */
export interface MissingRange {
  readonly boot: number;
  readonly first: number;
  readonly last: number;
}

export interface WindowBody {
  readonly start: number;
  readonly end: number;
  readonly closed: string;
  readonly count: number;
  readonly root: Uint8Array;
  readonly series: Listing<SeriesSummary>;
  readonly missing: Listing<MissingRange>;
  readonly amends: { readonly index: number; readonly leaf: Uint8Array } | null;
}

export function parseEntry(data: Uint8Array): Entry {
  if (data.length > MAX_ENTRY_SIZE) throw new VerifyError("entry length", data.length, `at most ${MAX_ENTRY_SIZE}`);
  const value = members(readStrict(data), KEYS, "entry", ["by", "sig"]);
  const version = value.get("v");
  if (version !== 1) throw new VerifyError("entry version", version, 1);
  const type = text(value.get("type"), "entry type");
  if (!TYPES.includes(type)) throw new VerifyError("entry type", type, TYPES.join(", "));
  const body = value.get("body");
  if (!(body instanceof Map)) throw new VerifyError("body", "no object", "an object");
  const n = natural(value.get("n"), "n");
  const prev = value.get("prev") === null ? null : bytes(value.get("prev"), "prev", HASH_SIZE);
  const rec = natural(value.get("rec"), "rec");
  if (value.has("by")) bytes(value.get("by"), "by", 32);
  if (value.has("sig")) bytes(value.get("sig"), "sig", 64);
  if ((prev === null) !== (n === 0)) throw new VerifyError("prev", `${prev ?? "null"} at n ${n}`, "null at 0 only");
  return {
    type,
    org: bytes(value.get("org"), "org", 16),
    stream: toHex(bytes(value.get("stream"), "stream", 16)),
    n,
    prev,
    rec,
    ...readBody(type, body),
  };
}

function readBody(type: string, body: JsonObject): Pick<Entry, "fields" | "window" | "anchor" | "key"> {
  const none = { fields: null, window: null, anchor: null, key: null };
  switch (type) {
    case "event":
    case "verdict":
      return { ...none, fields: readFieldsBody(body) };
    case "window":
      return { ...none, window: readWindowBody(body) };
    case "anchor":
      return { ...none, anchor: readAnchor(body) };
    case "key":
      return { ...none, key: readKeyBody(body) };
    case "freeze":
      readFreezeBody(body);
      return none;
    case "erasure":
      readErasureBody(body);
      return none;
    default:
      return none;
  }
}

/** 16 bytes that bind an entry to its log. */
export function logPseudonym(origin: string): Uint8Array {
  return sha256(concat(utf8("suyuan/org/v1\0"), utf8(origin))).slice(0, 16);
}

/** The leaf data of one field of an event. `salt`: its base64. */
export function fieldLeaf(salt: string, name: string, value: Json): Uint8Array {
  return utf8(canonical([salt, name, value]));
}

function readFieldsBody(value: JsonObject): FieldsBody {
  members(value, ["fields", "root"], "body");
  const fields = natural(value.get("fields"), "fields");
  if (fields === 0) throw new VerifyError("fields", 0, "at least 1");
  return { fields, root: bytes(value.get("root"), "root", HASH_SIZE) };
}

function readWindowBody(value: JsonObject): WindowBody {
  const names = ["window", "closed", "count", "root", "series", "missing"];
  const amending = value.has("added");
  members(value, amending ? [...names, "added", "amends"] : names, "window body");
  const [start, end] = tuple(value.get("window"), 2, "window");
  const closed = text(value.get("closed"), "closed");
  if (!CLOSED.includes(closed)) throw new VerifyError("closed", closed, CLOSED.join(", "));
  const body: WindowBody = {
    start: natural(start, "start of the window"),
    end: natural(end, "end of the window"),
    closed,
    count: natural(value.get("count"), "count"),
    root: bytes(value.get("root"), "root", HASH_SIZE),
    series: readListing(value.get("series"), readSummary, "series"),
    missing: readListing(value.get("missing"), readMissing, "missing ranges"),
    amends: amending ? readAmends(value.get("amends")) : null,
  };
  if (body.start >= body.end) throw new VerifyError("window", `${body.start} to ${body.end}`, "an end after the start");
  if (body.series.items !== null) checkSeries(body, body.series.items);
  if (amending) checkAdded(body, readListing(value.get("added"), (item) => natural(item, "added position"), "added"));
  return body;
}

function readListing<T>(value: Json | undefined, read: (item: Json) => T, what: string): Listing<T> {
  if (Array.isArray(value)) {
    if (value.length > MAX_LISTED) throw new VerifyError(what, `${value.length} items`, `${MAX_LISTED} at most`);
    return { count: value.length, root: rootOf(value.map((item) => leafHash(strictBytes(item)))), items: value.map(read) };
  }
  const found = members(value, ["count", "root"], what);
  return { count: natural(found.get("count"), what), root: bytes(found.get("root"), `root of ${what}`, HASH_SIZE), items: null };
}

export function readSummary(item: Json | undefined): SeriesSummary {
  const row = tuple(item, 6, "series");
  const summary: SeriesSummary = {
    series: toHex(bytes(row[0], "series", 16)),
    count: natural(row[1], "count of a series"),
    first: natural(row[2], "first time of a series"),
    last: natural(row[3], "last time of a series"),
    min: integerOrNull(row[4], "min of a series"),
    max: integerOrNull(row[5], "max of a series"),
    item: row,
  };
  if (summary.count === 0 || summary.first > summary.last) {
    throw new VerifyError("series", `${summary.count} from ${summary.first} to ${summary.last}`, "some, in order");
  }
  return summary;
}

/** Whether `value` lies within the published extremes. */
export function holds(summary: SeriesSummary, value: number): boolean {
  const milli = value * 1000;
  const above = summary.min === null || milli >= summary.min;
  return above && (summary.max === null || milli <= summary.max);
}

function readMissing(item: Json): MissingRange {
  const [boot = 0, first = 0, last = 0] = tuple(item, 3, "missing range").map((value) => natural(value, "missing range"));
  if (first > last) throw new VerifyError("missing range", `${first} to ${last}`, "them in order");
  return { boot, first, last };
}

function readAmends(value: Json | undefined): { index: number; leaf: Uint8Array } {
  const found = members(value, ["index", "leaf"], "amends");
  return { index: natural(found.get("index"), "amended index"), leaf: bytes(found.get("leaf"), "amended leaf", HASH_SIZE) };
}

function checkSeries(body: WindowBody, items: readonly SeriesSummary[]): void {
  if (!rises(items.map((item) => item.series))) {
    throw new VerifyError("series", "another order", "each once, in the order of their uuids");
  }
  const sum = items.reduce((total, item) => total + item.count, 0);
  if (sum !== body.count) throw new VerifyError("count of the window", body.count, `the series' sum ${sum}`);
  for (const item of items) {
    if (item.first < body.start || item.last >= body.end) {
      throw new VerifyError("series", `${item.first} to ${item.last}`, "them inside the window");
    }
  }
}

function checkAdded(body: WindowBody, added: Listing<number>): void {
  const positions = added.items;
  if (positions === null) return;
  const last = positions[positions.length - 1];
  if (!rises(positions) || (last !== undefined && last >= body.count)) {
    throw new VerifyError("added positions", positions.join(", "), `them rising and below ${body.count}`);
  }
}

export function rises(values: readonly (number | string)[]): boolean {
  return values.every((value, at) => at === 0 || (values[at - 1] ?? value) < value);
}
