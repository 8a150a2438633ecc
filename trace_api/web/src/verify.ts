// Checks an evidence file on this device: the same named checks, in the same order, as `suyuan verify`.
//
// Contract: any bytes give a Report or a VerifyError; `verified` is true only if every check held. A check that builds on
// a failed one is not made.

import { type Entry, holds, logPseudonym, parseEntry, rises, type SeriesSummary, type WindowBody } from "./entry";
import { VerifyError, wantSame } from "./errors";
import { type EventItem, type Evidence, type Item, type LogEvidence, readEvidence, type WindowItem } from "./evidence";
import { strictBytes } from "./json";
import { leafHash, rootOf, verifyInclusion } from "./merkle";
import { type Checkpoint, openCheckpoint, parseVkey, type VerifierKey } from "./note";

export type CheckName =
  | "content" | "key" | "own_key" | "checkpoint" | "entry" | "log" | "inclusion" | "fields" | "readings" | "summary"
  | "stream" | "amends";

export interface Check {
  readonly name: CheckName;
  readonly ok: boolean;
  readonly got: string;
  readonly want: string;
  readonly log: string | null;
  readonly item: number | null;
}

export interface Report {
  readonly verified: boolean;
  readonly ownKey: boolean;
  readonly checks: readonly Check[];
  readonly logs: readonly Checkpoint[];
  readonly evidence: Evidence;
}

interface Sound {
  readonly at: number;
  readonly item: Item;
  readonly entry: Entry;
  readonly hash: Uint8Array;
}

/** `trusted`: origin -> vkey; null: the file's own keys, and the report says so. */
export async function verifyEvidence(
  data: Uint8Array | string, trusted: Readonly<Record<string, string>> | null = null,
): Promise<Report> {
  const evidence = readEvidence(data);
  const keys = trusted && new Map(Object.entries(trusted).map(([origin, vkey]) => [origin, parseVkey(vkey)]));
  return new Verification(evidence, keys).report();
}

class Verification {
  private readonly evidence: Evidence;
  private readonly trusted: ReadonlyMap<string, VerifierKey> | null;
  private readonly checks: Check[] = [];
  private readonly heads = new Map<string, Checkpoint>();

  constructor(evidence: Evidence, trusted: ReadonlyMap<string, VerifierKey> | null) {
    this.evidence = evidence;
    this.trusted = trusted;
  }

  async report(): Promise<Report> {
    await this.attempt("content", null, null, () => {
      if (this.evidence.items.length === 0) throw new VerifyError("items of the file", 0, "at least one");
    });
    for (const log of this.evidence.logs) await this.checkLog(log);
    const sound: Sound[] = [];
    for (const [at, item] of this.evidence.items.entries()) {
      const found = await this.checkItem(at, item);
      if (found !== null) sound.push(found);
    }
    await this.checkStreams(sound);
    await this.checkAmendments(sound);
    return {
      verified: this.checks.every((check) => check.ok),
      ownKey: this.trusted === null,
      checks: this.checks,
      logs: [...this.heads.values()],
      evidence: this.evidence,
    };
  }

  /** What `check` gives, and null where it says no. */
  private async attempt<T>(
    name: CheckName, log: string | null, item: number | null, check: () => T | Promise<T>,
  ): Promise<{ readonly value: T } | null> {
    try {
      const value = await check();
      this.checks.push({ name, ok: true, got: "", want: "", log, item });
      return { value };
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      this.checks.push({ name, ok: false, got: `${error.what}: ${error.got}`, want: error.want, log, item });
      return null;
    }
  }

  private async checkLog(log: LogEvidence): Promise<void> {
    const name = this.trusted === null ? "own_key" : "key";
    const key = await this.attempt(name, log.origin, null, () => this.chooseKey(log));
    if (key === null) return;
    const head = await this.attempt("checkpoint", log.origin, null, () => openCheckpoint(log.checkpoint, key.value, log.origin));
    if (head !== null) this.heads.set(log.origin, head.value);
  }

  private chooseKey(log: LogEvidence): VerifierKey {
    const key = parseVkey(log.vkey);
    wantSame("name of the log's key", key.name, log.origin);
    if (this.trusted !== null) {
      const known = this.trusted.get(log.origin);
      if (known === undefined) throw new VerifyError("log", log.origin, [...this.trusted.keys()].join(", ") || "a trusted log");
      wantSame("name of the log's key", key.name, known.name);
      wantSame("the log's key", key.publicKey, known.publicKey);
    }
    return key;
  }

  private async checkItem(at: number, item: Item): Promise<Sound | null> {
    const entry = await this.attempt("entry", item.log, at, () => {
      const found = parseEntry(item.entry);
      wantSame("type of the entry", found.type, item.kind);
      return found;
    });
    if (entry === null) return null;
    const belongs = await this.attempt("log", item.log, at, () =>
      wantSame("pseudonym of the log", entry.value.org, logPseudonym(item.log)));
    if (belongs === null) return null;
    const hash = leafHash(item.entry);
    const included = await this.attempt("inclusion", item.log, at, () => {
      const head = this.heads.get(item.log);
      if (head === undefined) throw new VerifyError("log of the item", item.log, "a log whose checkpoint verified");
      verifyInclusion(hash, item.index, head.size, item.proof, head.rootHash);
    });
    if (included === null) return null;
    await this.checkContent(at, item, entry.value);
    return { at, item, entry: entry.value, hash };
  }

  private async checkContent(at: number, item: Item, entry: Entry): Promise<void> {
    if (item.kind === "event") {
      await this.attempt("fields", item.log, at, () => wantFields(item, entry));
    } else {
      const body = windowOf(entry);
      await this.attempt("readings", item.log, at, () => wantReadings(item, body));
      await this.attempt("summary", item.log, at, () => wantSummaries(item, body));
    }
  }

  private async checkStreams(sound: readonly Sound[]): Promise<void> {
    const streams = new Map<string, Sound[]>();
    for (const found of sound) {
      const name = `${found.entry.stream} ${found.item.log}`;
      streams.set(name, [...(streams.get(name) ?? []), found]);
    }
    for (const members of streams.values()) {
      members.sort((one, other) => one.entry.n - other.entry.n || one.item.index - other.item.index);
      for (const [at, after] of members.entries()) {
        const before = members[at - 1];
        if (before === undefined) continue;
        await this.attempt("stream", after.item.log, after.at, () => wantOrder(before, after));
      }
    }
  }

  private async checkAmendments(sound: readonly Sound[]): Promise<void> {
    const places = new Map(sound.map((found) => [`${found.item.index} ${found.item.log}`, found]));
    for (const found of sound) {
      const amends = found.entry.window?.amends;
      const earlier = amends && places.get(`${amends.index} ${found.item.log}`);
      if (amends && earlier) {
        await this.attempt("amends", found.item.log, found.at, () => wantAmended(earlier, found, amends.leaf));
      }
    }
  }
}

function windowOf(entry: Entry): WindowBody {
  if (entry.window === null) throw new VerifyError("type of the entry", entry.type, "window");
  return entry.window;
}

function wantFields(item: EventItem, entry: Entry): void {
  if (entry.event === null) throw new VerifyError("type of the entry", entry.type, "event");
  wantSame("number of fields", item.fields.length, entry.event.fields);
  const names = item.fields.flatMap((field) => (field.name === null ? [] : [field.name]));
  if (!rises(names)) throw new VerifyError("names of the fields", "another order", "each once, in RFC 8785 order");
  wantSame("root over the fields", rootOf(item.fields.map((field) => field.leafHash)), entry.event.root);
}

function wantReadings(item: WindowItem, body: WindowBody): void {
  if (!rises(item.readings.map((reading) => reading.position))) {
    throw new VerifyError("positions of the readings", "another order", "each once, rising");
  }
  for (const reading of item.readings) {
    verifyInclusion(leafHash(reading.leaf), reading.position, BigInt(body.count), reading.path, body.root);
  }
}

function wantSummaries(item: WindowItem, body: WindowBody): void {
  const listed = listedSeries(item, body);
  for (const reading of item.readings) {
    const summary = listed.get(reading.series);
    if (summary === undefined) throw new VerifyError("series of a reading", reading.series, "one that the window lists");
    const within = Math.max(summary.first, body.start) <= reading.time && reading.time <= summary.last;
    if (!within || summary.last >= body.end) {
      throw new VerifyError("time of a reading", reading.time, `${summary.first} to ${summary.last}, in the window`);
    }
    if (reading.value !== null && !holds(summary, reading.value)) {
      throw new VerifyError("value of a reading", reading.value, `${summary.min} to ${summary.max} thousandths`);
    }
  }
}

function listedSeries(item: WindowItem, body: WindowBody): ReadonlyMap<string, SeriesSummary> {
  const { items, count, root } = body.series;
  if (items !== null) {
    wantSame("series shown beside the entry's own list", item.series.length, 0);
    return new Map(items.map((summary) => [summary.series, summary]));
  }
  for (const shown of item.series) {
    verifyInclusion(leafHash(strictBytes(shown.summary.item)), shown.position, BigInt(count), shown.path, root);
  }
  return new Map(item.series.map((shown) => [shown.summary.series, shown.summary]));
}

function wantOrder(before: Sound, after: Sound): void {
  if (before.entry.n === after.entry.n) {
    wantSame(`entry ${after.entry.n} of the stream`, after.hash, before.hash);
    return;
  }
  if (before.item.index >= after.item.index) {
    throw new VerifyError("place in the log", after.item.index, `after ${before.item.index}`);
  }
  if (before.entry.n + 1 === after.entry.n) {
    wantSame("prev of the entry", after.entry.prev ?? new Uint8Array(0), before.hash);
  }
}

function wantAmended(earlier: Sound, found: Sound, leaf: Uint8Array): void {
  wantSame("amended leaf", leaf, earlier.hash);
  wantSame("stream of the amended window", found.entry.stream, earlier.entry.stream);
  wantSame("type of the amended entry", earlier.entry.type, "window");
  wantSame("start of the amended window", windowOf(earlier.entry).start, windowOf(found.entry).start);
}
