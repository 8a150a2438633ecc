// Holds what was proven against the page: does the evidence speak of this lot, and of which of the page's steps?

import { type Json, Double } from "./json";
import type { Report } from "./report";

/** Whether a field shown by an event names the lot, as GS1 Digital Link or as URN. */
export function namesLot(report: Report, gtin: string, lot: string): boolean {
  for (const value of shownValues(report)) {
    for (const text of textsOf(value)) {
      if (isLot(text, gtin, lot)) return true;
    }
  }
  return false;
}

/** UTC ms of each proven event whose time is shown. */
export function eventTimes(report: Report): ReadonlySet<number> {
  const times = new Set<number>();
  for (const item of report.evidence.items) {
    if (item.kind !== "event") continue;
    const field = item.fields.find((shown) => shown.name === "eventTime");
    const time = typeof field?.value === "string" ? Date.parse(field.value) : NaN;
    if (!Number.isNaN(time)) times.add(time);
  }
  return times;
}

function* shownValues(report: Report): Iterable<Json> {
  for (const item of report.evidence.items) {
    if (item.kind === "event") for (const field of item.fields) yield field.value;
  }
}

function* textsOf(value: Json): Iterable<string> {
  if (typeof value === "string") yield value;
  else if (Array.isArray(value)) for (const item of value) yield* textsOf(item);
  else if (value instanceof Map) for (const item of value.values()) yield* textsOf(item);
  else if (value instanceof Double) return;
}

function isLot(text: string, gtin: string, lot: string): boolean {
  const link = /\/01\/(\d{8,14})\/10\/([^/?#]+)/.exec(text);
  if (link !== null) return link[1]?.padStart(14, "0") === gtin && decoded(link[2] ?? "") === lot;
  const urn = /^urn:epc:(?:class|idpat):lgtin:(\d+)\.(\d)(\d*)\.(.+)$/.exec(text);
  if (urn !== null) {
    const digits = `${urn[2]}${urn[1]}${urn[3]}`;
    return digits === gtin.slice(0, -1) && decoded(urn[4] ?? "") === lot;
  }
  return gtin === "" && text.endsWith(lot);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
