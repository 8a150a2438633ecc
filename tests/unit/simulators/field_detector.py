"""A plain detector that sees only what was sent: the second opinion against which the world's truth is held.

It reads payloads as a stranger would, follows the events in order to know where covered fruit was and which
probe was where, and applies the waybill's rule reading by reading. It shares no line with the world or with
ingest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

import cbor2

LIMIT_C = 5.0
HOLD_S = 1800.0
POSITIONS = ("ambient", "return_air", "in_box")
GTIN_PREFIX = "https://id.gs1.org/01/"
SSCC_PREFIX = "https://id.gs1.org/00/"
FAR = 1e18

Event = dict[str, Any]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Detected:
    device: str
    channel: str
    start: float
    last: float
    peak_c: float


@dataclass
class Ledger:
    """Where covered fruit was: by place, vehicle or load unit, the intervals in which some was there."""

    here: dict[str, dict[str, float]] = field(default_factory=dict)  # place -> thing -> since
    spans: dict[str, list[Interval]] = field(default_factory=dict)
    seat: dict[str, str] = field(default_factory=dict)  # thing -> place
    loose: dict[str, float] = field(default_factory=dict)  # lot -> boxes not in any unit
    placed: dict[tuple[str, str], tuple[str, str | None, float]] = field(default_factory=dict)
    placements: list[tuple[str, str, str, str | None, float, float]] = field(default_factory=list)

    def put(self, thing: str, place: str | None, at: float) -> None:
        old = self.seat.pop(thing, None)
        if old is not None:
            since = self.here[old].pop(thing)
            self.spans.setdefault(old, []).append((since, at))
        if place is not None:
            self.seat[thing] = place
            self.here.setdefault(place, {})[thing] = at

    def close(self) -> None:
        for thing in list(self.seat):
            self.put(thing, None, FAR)
        for (device, channel), (parent, position, since) in self.placed.items():
            self.placements.append((device, channel, parent, position, since, FAR))


def events_of(payload: bytes) -> list[Event]:
    body = json.loads(payload)
    return list(body["epcisBody"]["eventList"]) if body["type"] == "EPCISDocument" else [body]


def follow(events: Iterable[Event]) -> Ledger:
    """The ledger after all events, taken in the order of their event time."""
    ledger = Ledger()
    for event in sorted(events, key=lambda item: datetime.fromisoformat(item["eventTime"])):
        _follow_one(ledger, event, datetime.fromisoformat(event["eventTime"]).timestamp())
    ledger.close()
    return ledger


def _follow_one(ledger: Ledger, event: Event, at: float) -> None:
    kind, step = event["type"], event["bizStep"]
    where = event.get("bizLocation", {}).get("id")
    if kind == "AssociationEvent":
        _follow_device(ledger, event, at)
    elif kind == "TransformationEvent":
        for item in event["inputQuantityList"]:
            ledger.put(item["epcClass"], None, at)
        for item in event["outputQuantityList"]:
            if item["epcClass"].startswith(GTIN_PREFIX):
                ledger.loose[item["epcClass"]] = item["quantity"]
                ledger.put(item["epcClass"], where, at)
    elif event.get("suyuan:activity") == "precooling_end":
        ledger.put(event["quantityList"][0]["epcClass"], where, at)
    elif step == "packing":
        _follow_packing(ledger, event, where, at)
    elif kind == "AggregationEvent" and step in ("loading", "unloading"):
        for child in event["childEPCs"]:
            ledger.put(child, event["parentID"] if step == "loading" else where, at)
    elif step == "receiving" and event["disposition"] == "sellable_accessible":
        for epc in event["epcList"]:
            ledger.put(epc, None, at)
    elif where and kind == "ObjectEvent" and step in ("storing", "accepting", "inspecting"):
        for epc in event.get("epcList", []):
            if ledger.seat.get(epc) != where:
                ledger.put(epc, where, at)


def _follow_packing(ledger: Ledger, event: Event, where: str | None, at: float) -> None:
    ledger.put(event["parentID"], where, at)
    for item in event["childQuantityList"]:
        lot = item["epcClass"]
        if ledger.loose.get(lot, 0) > 0:
            ledger.loose[lot] -= item["quantity"]
            if ledger.loose[lot] <= 0:
                ledger.put(lot, None, at)


def _follow_device(ledger: Ledger, event: Event, at: float) -> None:
    for giai in event["childEPCs"]:
        key = (giai, event["suyuan:channel"])
        if event["action"] == "ADD":
            ledger.placed[key] = (event["parentID"], event.get("suyuan:probePosition"), at)
        else:
            parent, position, since = ledger.placed.pop(key)
            ledger.placements.append((*key, parent, position, since, at))


# RFC 8428, table 4, as far as a device here writes it
LABELS = {-3: "bt", 0: "n", 1: "u", 2: "v", 4: "vb", 6: "t"}


def records_of(payload: bytes) -> list[dict[str, Any]]:
    """A pack's records, in JSON or in CBOR."""
    if payload.startswith(b"["):
        return list(json.loads(payload))
    return [{LABELS[label]: value for label, value in record.items()} for record in cbor2.loads(payload)]


def readings_of(payload: bytes) -> list[tuple[str, float, float]]:
    """(channel, time, value) of a SenML pack's numbers."""
    base, found = 0.0, []
    for record in records_of(payload):
        base = record.get("bt", base)
        if record["n"] not in ("boot", "seq", "sent") and "v" in record:
            found.append((record["n"], base + record.get("t", 0.0), float(record["v"])))
    return found


def detect(
    series: dict[tuple[str, str], list[tuple[float, float]]],
    ledger: Ledger,
    giai_of: dict[str, str],
    interval_of: dict[str, float],
) -> list[Detected]:
    """`series`: by (device, channel), (time, value) pairs in any order."""
    found = []
    for (device, channel), readings in series.items():
        in_force = _in_force(ledger, giai_of[device], channel)
        if in_force:
            found += _runs(device, channel, sorted(readings), in_force, interval_of[device])
    return found


def _in_force(ledger: Ledger, giai: str, channel: str) -> list[Interval]:
    intervals: list[Interval] = []
    for a_giai, a_channel, parent, position, since, until in ledger.placements:
        if (a_giai, a_channel) != (giai, channel) or position not in POSITIONS:
            continue
        spans = ledger.spans.get(parent, [])
        if parent.startswith(SSCC_PREFIX):
            spans = [(since, FAR)]  # a unit with boxes in it; none is sold out in a world's life
        intervals += [(max(since, a), min(until, b)) for a, b in spans if max(since, a) < min(until, b)]
    merged: list[Interval] = []
    for a, b in sorted(intervals):
        if merged and a <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(b, merged[-1][1]))
        else:
            merged.append((a, b))
    return merged


def _runs(
    device: str,
    channel: str,
    readings: list[tuple[float, float]],
    in_force: list[Interval],
    interval_s: float,
) -> list[Detected]:
    found: list[Detected] = []
    for begin, end in in_force:
        run: list[tuple[float, float]] = []
        for at, value in [*((t, v) for t, v in readings if begin <= t < end), (FAR, -FAR)]:
            if value > LIMIT_C:
                run.append((at, value))
                continue
            steps = [b[0] - a[0] for a, b in pairwise(run)]
            if sum(step for step in steps if step <= 2 * interval_s) >= HOLD_S:
                found.append(Detected(device, channel, run[0][0], run[-1][0], max(value for _, value in run)))
            run = []
    return found
