// What the file shows, item by item: fields shown and withheld, readings with their curve, and whether each of it is proven.

import { parseEntry, type SeriesSummary, type WindowBody } from "../entry";
import { VerifyError } from "../errors";
import type { FieldsItem, Item, Reading, WindowItem } from "../evidence";
import { canonical, Double, type Json } from "../json";
import type { Check, Report } from "../report";
import { curve, drawnSeries, swatch } from "./curve";
import { chip, code, facts, h, section } from "./dom";
import type { Words } from "./words";

const SHOWN_ITEMS = 200;
const SHOWN_READINGS = 1500;
const LISTED_FAILURES = 6;

export function items(report: Report, words: Words): HTMLElement {
  const shown = report.evidence.items.slice(0, SHOWN_ITEMS).map((item, at) => itemPart(item, at, report, words));
  const rest = report.evidence.items.length - shown.length;
  return section("items", words.say("ev_items"), ...shown, rest > 0 ? h("p", { class: "note" }, words.say("ev_more_items", { count: rest })) : null);
}

function itemPart(item: Item, at: number, report: Report, words: Words): HTMLElement {
  const checks = report.checks.filter((check) => check.item === at);
  const failed = checks.filter((check) => check.state === "failed");
  const holds = failed.length === 0 && proven(checks);
  const mark = holds ? chip("held", words.say("ev_item_held")) : chip("failed", words.say("ev_item_failed"));
  return h(
    "article", { class: `item item-${holds ? "held" : "failed"}`, id: `item-${at}` },
    h("h3", {}, `${at + 1}. ${titleOf(item, words)}`),
    h("p", { class: "item-mark" }, mark),
    failed.length > 0 ? failures(failed, words) : null,
    place(item, words),
    item.kind === "window" ? windowBody(item, at, words) : fields(item, words),
  );
}

/** An item without the check that its entry is in the log was never reached. */
function proven(checks: readonly Check[]): boolean {
  return checks.some((check) => check.name === "inclusion" && check.state === "held");
}

export function failures(failed: readonly Check[], words: Words): HTMLElement {
  const lines = failed.slice(0, LISTED_FAILURES).map((check) =>
    h("li", {}, `${words.say("proof_not_so")}${words.say(`check_${check.name}`)}`,
      h("span", { class: "note code" }, `${words.say("proof_got")}: ${check.got}`, h("br", {}), `${words.say("proof_want")}: ${check.want}`)));
  return h("ul", { class: "plain broken" }, ...lines);
}

function titleOf(item: Item, words: Words): string {
  if (item.kind === "window") return words.say("ev_window");
  const title = words.say(item.kind === "event" ? "ev_event" : "ev_verdict");
  const [name, group] = item.kind === "event" ? (["bizStep", "ev_step"] as const) : (["state", "ev_excursion"] as const);
  const said = textOf(item, name);
  return said === null ? title : words.say("ev_titled", { title, what: words.known(group, lastWord(said)) });
}

function textOf(item: FieldsItem, name: string): string | null {
  const value = item.fields.find((field) => field.name === name)?.value;
  return typeof value === "string" ? value : null;
}

/** `shipping` of `urn:epcglobal:cbv:bizstep:shipping` and of a web address. */
function lastWord(text: string): string {
  return text.split(/[:/#]/).pop() || text;
}

/** Where in its log, and when by the log's clock. An entry that cannot be read has failed already. */
function place(item: Item, words: Words): HTMLElement | null {
  const entry = entryOf(item);
  if (entry === null) return null;
  return h("p", { class: "note" }, words.say("ev_place", { log: item.log, index: item.index + 1, when: words.moment(entry.rec) }));
}

function entryOf(item: Item): ReturnType<typeof parseEntry> | null {
  try {
    return parseEntry(item.entry);
  } catch (error) {
    if (error instanceof VerifyError) return null;
    throw error;
  }
}

function fields(item: FieldsItem, words: Words): HTMLElement {
  const shown = item.fields.filter((field) => field.name !== null);
  const withheld = item.fields.length - shown.length;
  const rows = shown.map(({ name, value }) =>
    h("tr", {}, h("th", { scope: "row" }, fieldName(name ?? "", words)), h("td", {}, valueOf(value, words))));
  const table = h("table", { class: "fields" }, h("caption", {}, words.say("ev_fields")), h("tbody", {}, ...rows));
  return h("div", {}, shown.length > 0 ? table : null, h("p", { class: "note" }, words.say(withheld > 0 ? "ev_withheld" : "ev_nothing_withheld", { count: withheld })));
}

function fieldName(name: string, words: Words): Node {
  const word = words.known("ev_field", name);
  return word === name ? code(name) : h("span", {}, word, " ", h("span", { class: "note code" }, name));
}

function valueOf(value: Json, words: Words): Node {
  if (typeof value === "string") return h("span", { class: "value" }, value);
  if (value === null || typeof value === "boolean") return code(String(value));
  if (typeof value === "number") return h("span", { class: "value" }, words.number(value));
  if (value instanceof Double) return h("span", { class: "value" }, words.number(value.value));
  return h("ul", { class: "plain nested" }, ...leaves(value, words));
}

function leaves(value: Json, words: Words): Node[] {
  if (Array.isArray(value)) return value.map((each) => h("li", {}, leafOf(each, words)));
  if (value instanceof Map) return [...value].map(([name, each]) => h("li", {}, h("span", { class: "note code" }, `${name}: `), leafOf(each, words)));
  return [];
}

/** One level is laid out, what is deeper stays as it was recorded. */
function leafOf(value: Json, words: Words): Node {
  return value !== null && typeof value === "object" && !(value instanceof Double) ? code(canonical(value)) : valueOf(value, words);
}

function windowBody(item: WindowItem, at: number, words: Words): HTMLElement {
  const body = entryOf(item)?.window ?? null;
  return h(
    "div", {},
    body === null ? null : about(body, item, words),
    body === null ? null : missing(body, words),
    curve(item.readings, words),
    item.readings.length > 0 ? readings(item, at, words) : null,
    summaries(body?.series.items ?? item.series.map((shown) => shown.summary), item.readings, words),
  );
}

function about(body: WindowBody, item: WindowItem, words: Words): HTMLElement {
  return facts([
    [words.say("ev_window_span"), words.say("ev_from_to", { from: words.bare(body.start), to: words.moment(body.end) })],
    [words.say("ev_window_count"), words.say("ev_shown_of", { shown: item.readings.length, count: body.count })],
    [words.say("ev_window_closed"), words.say(`ev_closed_${body.closed}`)],
    ...(body.amends === null ? [] : [[words.say("ev_window_amends"), words.say("ev_amends", { index: body.amends.index + 1 })] as const]),
  ]);
}

/** Messages that the device numbered and that never came. */
function missing(body: WindowBody, words: Words): HTMLElement {
  const { items: ranges, count } = body.missing;
  if (count === 0) return h("p", {}, words.say("ev_missing_none"));
  const list = (ranges ?? []).map(({ boot, first, last }) => h("li", {}, words.say("ev_missing_range", { boot, first, last })));
  return h("div", { class: "missing" }, h("p", {}, words.say("ev_missing", { count })), list.length > 0 ? h("ul", { class: "plain" }, ...list) : null);
}

function readings(item: WindowItem, at: number, words: Words): HTMLElement {
  const several = new Set(item.readings.map((reading) => reading.series)).size > 1;
  const heads = [words.say("ev_reading_time"), words.say("ev_reading_value"), ...(several ? [words.say("ev_reading_series")] : [])];
  const rows = item.readings.slice(0, SHOWN_READINGS).map((reading) => row(reading, several, words));
  const table = h(
    "table", {}, h("caption", {}, words.say("ev_readings")),
    h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, ...rows),
  );
  const rest = item.readings.length - rows.length;
  const label = words.say("ev_of_item", { what: words.say("ev_readings"), item: at + 1 });
  return h(
    "div", {}, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table),
    rest > 0 ? h("p", { class: "note" }, words.say("ev_more_readings", { count: rest })) : null,
  );
}

function row(reading: Reading, several: boolean, words: Words): HTMLElement {
  const value = reading.value === null ? words.say("ev_observation") : words.number(reading.value);
  return h(
    "tr", {}, h("th", { scope: "row" }, words.bare(reading.time)), h("td", {}, value, reading.flags === 0 ? "" : ` (${words.say("ev_flags", { flags: reading.flags })})`),
    several ? h("td", {}, code(reading.series.slice(0, 8))) : null,
  );
}

function summaries(series: readonly SeriesSummary[], drawn: readonly Reading[], words: Words): HTMLElement | null {
  if (series.length === 0) return null;
  const lines = drawnSeries(drawn);
  const rows = series.map((summary) => {
    const values = { series: summary.series.slice(0, 8), count: summary.count, low: milli(summary.min, words), high: milli(summary.max, words) };
    return h("li", {}, lines.length > 1 ? swatch(lines.indexOf(summary.series)) : null, words.say("ev_series", values));
  });
  return h("div", { class: "summaries" }, h("p", { class: "note" }, words.say("ev_series_title")), h("ul", { class: "plain note" }, ...rows));
}

function milli(value: number | null, words: Words): string {
  return value === null ? "\u2014" : words.number(value / 1000);
}
