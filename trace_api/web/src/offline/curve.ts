// A small picture of a window's readings: one line a series, its extremes in words beside it. The numbers stand in the table.

import type { Reading } from "../evidence";
import { svg } from "./dom";
import type { Words } from "./words";

const WIDTH = 640;
const HEIGHT = 160;
const EDGE = 8;
const FEWEST = 3;

/** null where there is too little to draw. */
export function curve(readings: readonly Reading[], words: Words): SVGElement | null {
  const points = measured(readings);
  if (points.length < FEWEST) return null;
  const [first, last] = extremes(points.map((point) => point.time));
  const [low, high] = extremes(points.map((point) => point.value));
  const x = (time: number): number => EDGE + ((WIDTH - 2 * EDGE) * (time - first)) / Math.max(last - first, 1);
  const y = (value: number): number => HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * (high > low ? (value - low) / (high - low) : 0.5);
  const lines = drawnSeries(readings).map((series, at) => {
    const own = points.filter((point) => point.series === series).sort((one, other) => one.time - other.time);
    const path = own.map((point, place) => `${place === 0 ? "M" : "L"}${x(point.time).toFixed(1)} ${y(point.value).toFixed(1)}`).join("");
    return svg("path", { class: `line line-${at % 4}`, d: path });
  });
  const label = words.say("ev_curve", { low: words.number(low), high: words.number(high), from: words.moment(first), to: words.moment(last) });
  return svg("svg", { class: "sketch", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label, preserveAspectRatio: "none" }, ...lines);
}

function measured(readings: readonly Reading[]): (Reading & { readonly value: number })[] {
  return readings.flatMap((reading) => (reading.value === null ? [] : [{ ...reading, value: reading.value }]));
}

/** The series that have a line, in the order of their colours; none where nothing is drawn. */
export function drawnSeries(readings: readonly Reading[]): string[] {
  const points = measured(readings);
  return points.length < FEWEST ? [] : [...new Set(points.map((point) => point.series))];
}

/** The line's sign beside its words; empty for what has no line. */
export function swatch(at: number): SVGElement {
  const line = at < 0 ? [] : [svg("path", { class: `line line-${at % 4}`, d: "M1 6h26" })];
  return svg("svg", { class: "swatch", viewBox: "0 0 28 12", "aria-hidden": "true" }, ...line);
}

function extremes(values: readonly number[]): [number, number] {
  return values.reduce<[number, number]>(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
}
