// What is said inside an entry that is proven to be in its log: the fields of an event or a verdict, the readings of a
// window, and how entries of one stream follow one another. VerifyError where it does not fit.

import { type Entry, type FieldsBody, holds, rises, type SeriesSummary, type WindowBody } from "./entry";
import { VerifyError, wantSame } from "./errors";
import type { FieldsItem, Item, WindowItem } from "./evidence";
import { strictBytes } from "./json";
import { leafHash, rootOf, verifyInclusion } from "./merkle";

/** An item whose entry is proven to be in its log. `at`: its index in the file's items. */
export interface Sound {
  readonly at: number;
  readonly item: Item;
  readonly entry: Entry;
  readonly hash: Uint8Array;
}

export function windowOf(entry: Entry): WindowBody {
  if (entry.window === null) throw new VerifyError("type of the entry", entry.type, "window");
  return entry.window;
}

export function fieldsOf(entry: Entry): FieldsBody {
  if (entry.fields === null) throw new VerifyError("type of the entry", entry.type, "event or verdict");
  return entry.fields;
}

export function wantFields(item: FieldsItem, body: FieldsBody): void {
  wantSame("number of fields", item.fields.length, body.fields);
  const names = item.fields.flatMap((field) => (field.name === null ? [] : [field.name]));
  if (!rises(names)) throw new VerifyError("names of the fields", "another order", "each once, in RFC 8785 order");
  wantSame("root over the fields", rootOf(item.fields.map((field) => field.leafHash)), body.root);
}

export function wantReadings(item: WindowItem, body: WindowBody): void {
  if (!rises(item.readings.map((reading) => reading.position))) {
    throw new VerifyError("positions of the readings", "another order", "each once, rising");
  }
  for (const reading of item.readings) {
    verifyInclusion(leafHash(reading.leaf), reading.position, BigInt(body.count), reading.path, body.root);
  }
}

export function wantSummaries(item: WindowItem, body: WindowBody): void {
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

export function wantOrder(before: Sound, after: Sound): void {
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

export function wantAmended(earlier: Sound, found: Sound, leaf: Uint8Array): void {
  wantSame("amended leaf", leaf, earlier.hash);
  wantSame("stream of the amended window", found.entry.stream, earlier.entry.stream);
  wantSame("type of the amended entry", earlier.entry.type, "window");
  wantSame("start of the amended window", windowOf(earlier.entry).start, windowOf(found.entry).start);
}
