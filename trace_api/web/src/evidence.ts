// The evidence file, "suyuan-evidence/v1" and "/v2": its shape. Whether it proves anything is verify.ts's business.
//
// Contract: both versions give one Evidence; a version 1 file has no root log and nothing that hangs on one.

import { fromBase64, toBase64, utf8 } from "./bytes";
import { fieldLeaf, readSummary, type SeriesSummary } from "./entry";
import { toHex, VerifyError } from "./errors";
import { type Json, type JsonObject, readJson } from "./json";
import { leafHash } from "./merkle";
import { bytes, HASH_SIZE, hashes, joinedHashes, list, members, natural, numberOrNull, text } from "./shape";

export type Version = 1 | 2;
const FORMATS: ReadonlyMap<unknown, Version> = new Map([["suyuan-evidence/v1", 1], ["suyuan-evidence/v2", 2]]);
const RELATIONS = ["independent", "operator", "authority"] as const;
const PLACED = ["index", "entry", "proof"] as const;
const MAX_NAME = 200;
/** So that a hostile file cannot keep a phone busy with signatures. */
const MOST: Readonly<Record<string, number>> = { logs: 1000, keys: 1000, witnesses: 100, timestamps: 100 };

/** An entry and its place in a log; `proof` from the leaf upwards. */
export interface Placed {
  readonly index: number;
  readonly entry: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

export interface LeafEvidence extends Placed {
  readonly log: string;
}

/** A log's signed head: the note itself, or the root log's entry that holds it. */
export interface LogEvidence {
  readonly origin: string;
  readonly vkey: string;
  readonly head: string | Placed;
}

/** `clock`: the key under which the root log cosigns itself to say how fresh it is. */
export interface RootEvidence {
  readonly origin: string;
  readonly vkey: string;
  readonly clock: string | null;
  readonly head: string;
}

/** In whose hands a witness is, seen from the issuer: nobody's near, the issuer's own, or an authority's. */
export type Relation = (typeof RELATIONS)[number];

export interface Witness {
  readonly vkey: string;
  readonly operator: { readonly zh: string; readonly en: string };
  readonly relation: Relation;
}

/** An entry of the root log about a time stamp, and the token it speaks of. */
export interface Stamp extends Placed {
  readonly consistency: readonly Uint8Array[];
  readonly token: Uint8Array;
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
  readonly flags: number;
  readonly leaf: Uint8Array;
  readonly path: readonly Uint8Array[];
}

export interface SeriesEvidence {
  readonly position: number;
  readonly summary: SeriesSummary;
  readonly path: readonly Uint8Array[];
}

/** A verdict is committed to as an event is. */
export interface FieldsItem extends LeafEvidence {
  readonly kind: "event" | "verdict";
  readonly fields: readonly Field[];
}

export interface WindowItem extends LeafEvidence {
  readonly kind: "window";
  readonly readings: readonly Reading[];
  readonly series: readonly SeriesEvidence[];
}

export type Item = FieldsItem | WindowItem;

export interface Evidence {
  readonly version: Version;
  readonly root: RootEvidence | null;
  readonly logs: readonly LogEvidence[];
  readonly keys: readonly LeafEvidence[];
  readonly witnesses: readonly Witness[];
  readonly stamps: readonly Stamp[];
  readonly items: readonly Item[];
}

/** How a version writes an entry and a list of hashes: version 1 as base64 and as a list, version 2 as the entry's own text
 * and all hashes joined. */
interface Spelling {
  readonly entry: (value: Json | undefined) => Uint8Array;
  readonly hashes: (value: Json | undefined, what: string) => readonly Uint8Array[];
}

const SPELLINGS: Readonly<Record<Version, Spelling>> = {
  1: { entry: (value) => fromBase64(text(value, "entry"), "entry"), hashes },
  2: { entry: (value) => utf8(text(value, "entry")), hashes: joinedHashes },
};

/** `json`: the text of the file, unpacked (unpacking.ts). */
export function readEvidence(json: string): Evidence {
  const value = readJson(json);
  const format = value instanceof Map ? value.get("format") : undefined;
  const version = FORMATS.get(format);
  if (version === undefined) throw new VerifyError("format of the evidence file", format, [...FORMATS.keys()].join(" or "));
  return version === 1 ? readFirst(value) : readSecond(value);
}

function readFirst(value: Json): Evidence {
  const found = members(value, ["format", "logs", "items"], "evidence file");
  const logs = list(found.get("logs"), "logs").map(readLog);
  wantEachOnce(logs.map((log) => log.origin), "logs", "origin");
  const items = list(found.get("items"), "items").map((item) => readItem(item, 1));
  return { version: 1, root: null, logs, keys: [], witnesses: [], stamps: [], items };
}

function readSecond(value: Json): Evidence {
  const found = members(value, ["format", "root", "logs", "keys", "witnesses", "timestamps", "items"], "evidence file");
  const given = found.get("root") ?? null;
  const root = given === null ? null : readRoot(given);
  const logs = few(found, "logs").map(readAnchoredLog);
  const witnesses = few(found, "witnesses").map(readWitness);
  const stamps = few(found, "timestamps").map(readStamp);
  wantEachOnce([...(root === null ? [] : [root]), ...logs].map((log) => log.origin), "logs", "origin");
  wantEachOnce(witnesses.map((witness) => witness.vkey), "witnesses", "key");
  const needed = witnesses.length + stamps.length + logs.filter((log) => typeof log.head !== "string").length;
  if (root === null && needed > 0) throw new VerifyError("root log", "nothing", "one, for what hangs on it");
  const keys = few(found, "keys").map(readKey);
  const origins = new Set([root, ...logs].map((log) => log?.origin));
  const strange = keys.find((key) => !origins.has(key.log));
  if (strange !== undefined) throw new VerifyError("log of a key entry", strange.log, "one of the file's");
  return {
    version: 2, root, logs, keys, witnesses, stamps,
    items: list(found.get("items"), "items").map((item) => readItem(item, 2)),
  };
}

function few(found: JsonObject, name: string): Json[] {
  const items = list(found.get(name), name);
  const most = MOST[name] ?? 0;
  if (items.length > most) throw new VerifyError(name, items.length, `at most ${most}`);
  return items;
}

function wantEachOnce(values: readonly string[], what: string, which: string): void {
  if (new Set(values).size !== values.length) throw new VerifyError(what, `one ${which} twice`, "each once");
}

function readLog(value: Json): LogEvidence {
  const found = members(value, ["origin", "vkey", "checkpoint"], "log");
  return {
    origin: text(found.get("origin"), "origin"),
    vkey: text(found.get("vkey"), "vkey"),
    head: text(found.get("checkpoint"), "checkpoint"),
  };
}

function readRoot(value: Json): RootEvidence {
  const found = members(value, ["vkey", "clock", "checkpoint"], "root");
  const vkey = text(found.get("vkey"), "vkey");
  const clock = found.get("clock") === null ? null : text(found.get("clock"), "clock");
  return { origin: originOf(vkey), vkey, clock, head: text(found.get("checkpoint"), "checkpoint") };
}

function readHead(value: Json): LogEvidence {
  const found = members(value, ["vkey", "checkpoint"], "log");
  const vkey = text(found.get("vkey"), "vkey");
  return { origin: originOf(vkey), vkey, head: text(found.get("checkpoint"), "checkpoint") };
}

function readAnchoredLog(value: Json): LogEvidence {
  if (!(value instanceof Map) || !value.has("anchor")) return readHead(value);
  const found = members(value, ["vkey", "anchor"], "log");
  const vkey = text(found.get("vkey"), "vkey");
  return { origin: originOf(vkey), vkey, head: readPlaced(members(found.get("anchor"), PLACED, "anchor"), SPELLINGS[2]) };
}

/** A log's name is that of its key. */
function originOf(vkey: string): string {
  return vkey.split("+", 1)[0] ?? "";
}

function readKey(value: Json): LeafEvidence {
  const found = members(value, ["log", ...PLACED], "key entry");
  return { log: text(found.get("log"), "log"), ...readPlaced(found, SPELLINGS[2]) };
}

function readWitness(value: Json): Witness {
  const found = members(value, ["vkey", "operator", "relation"], "witness");
  const operator = members(found.get("operator"), ["zh", "en"], "operator");
  const relation = RELATIONS.find((each) => each === found.get("relation"));
  if (relation === undefined) throw new VerifyError("relation", found.get("relation"), RELATIONS.join(", "));
  return {
    vkey: text(found.get("vkey"), "vkey"),
    operator: { zh: nameOf(operator.get("zh")), en: nameOf(operator.get("en")) },
    relation,
  };
}

function nameOf(value: Json | undefined): string {
  const name = text(value, "name of an operator");
  const length = [...name].length;
  if (length > MAX_NAME) throw new VerifyError("length of an operator's name", length, `at most ${MAX_NAME}`);
  return name;
}

function readStamp(value: Json): Stamp {
  const found = members(value, [...PLACED, "consistency", "token"], "time stamp");
  return {
    ...readPlaced(found, SPELLINGS[2]),
    consistency: joinedHashes(found.get("consistency"), "consistency"),
    token: fromBase64(text(found.get("token"), "token"), "token"),
  };
}

function readItem(value: Json, version: Version): Item {
  const common = ["kind", "log", ...PLACED];
  const kind = value instanceof Map ? value.get("kind") : undefined;
  const spelling = SPELLINGS[version];
  if (kind === "event" || (kind === "verdict" && version === 2)) {
    const found = members(value, [...common, "fields"], `${kind} item`);
    return { kind, ...readLeaf(found, spelling), fields: list(found.get("fields"), "fields").map(readField) };
  }
  if (kind === "window") {
    const found = members(value, [...common, "readings"], "window item", ["series"]);
    const series = found.has("series") ? list(found.get("series"), "series").map((each) => readSeries(each, spelling)) : [];
    return { kind, ...readLeaf(found, spelling), readings: list(found.get("readings"), "readings").map((each) => readReading(each, spelling)), series };
  }
  throw new VerifyError("kind of an item", kind, version === 1 ? "event or window" : "event, window or verdict");
}

function readLeaf(found: JsonObject, spelling: Spelling): LeafEvidence {
  return { log: text(found.get("log"), "log"), ...readPlaced(found, spelling) };
}

function readPlaced(found: JsonObject, spelling: Spelling): Placed {
  return {
    index: natural(found.get("index"), "index"),
    entry: spelling.entry(found.get("entry")),
    proof: spelling.hashes(found.get("proof"), "proof"),
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

function readReading(value: Json, spelling: Spelling): Reading {
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
    flags,
    leaf: readingLeaf(salt, series, time, number ?? body ?? 0, flags),
    path: spelling.hashes(found.get("path"), "path"),
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

function readSeries(value: Json, spelling: Spelling): SeriesEvidence {
  const found = members(value, ["position", "item", "path"], "series");
  return {
    position: natural(found.get("position"), "position"),
    summary: readSummary(found.get("item")),
    path: spelling.hashes(found.get("path"), "path"),
  };
}
