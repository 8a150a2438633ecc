"""The forms of EPCIS 2.0 events as this world says them: names, times, quantities, measurements, parties.

In the line: the plan's parts (farm, road, market, retail) fill these forms -> journey orders them ->
messages. Contract: an event is a plain JSON object, told from the plan alone; extension fields carry the
prefix `suyuan:`; inside `ilmd` names are full URIs, since the standard's schema wants them so.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from simulators import keys, places
from simulators.climate import LOCAL
from simulators.scenario import GTIN, Plan
from simulators.thermal import STEP_S, Model

Event = dict[str, Any]
Maker = Callable[[Model], Event]

CONTEXT: Final = ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", {"suyuan": keys.VOC}]
CARRIER_TERMINALS: Final = ("carrier-1-terminal", "carrier-2-terminal")
TERMINALS: Final = {
    "coop-terminal": "xj-coop",
    "coop-phone": "xj-coop",
    "carrier-1-terminal": "carrier-1",
    "carrier-2-terminal": "carrier-2",
    "market-terminal": "hz-market",
    "stall-terminal": "hz-stall-b12",
    "shop-terminal": "hz-shop-1",
}
HAND_PROBE: Final = keys.asset_uri("0PROBE3")
MARKET_PROBE: Final = keys.asset_uri("0PROBE9")


@dataclass(frozen=True, slots=True)
class Step:
    """One message with events. `sent_s`: world time of sending, seconds from the start; `events` are made
    then, since some of them tell what a hand probe read."""

    sent_s: float
    terminal: str
    events: Callable[[Model], tuple[Event, ...]]

    @property
    def organisation(self) -> str:
        return TERMINALS[self.terminal]


def payload(events: tuple[Event, ...], created: datetime) -> bytes:
    """One event goes bare; several that a phone kept go as a document."""
    if len(events) == 1:
        body: Event = {"@context": CONTEXT, **events[0]}
    else:
        body = {
            "@context": CONTEXT,
            "type": "EPCISDocument",
            "schemaVersion": "2.0",
            "creationDate": local_text(created),
            "epcisBody": {"eventList": list(events)},
        }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def local_text(at: datetime) -> str:
    return at.astimezone(LOCAL).isoformat(timespec="milliseconds")


def where(read_point: str, biz_location: str | None = None) -> Event:
    """Where it is seen, and where it is afterwards."""
    seen: Event = {"readPoint": {"id": read_point}}
    return seen if biz_location is None else {**seen, "bizLocation": {"id": biz_location}}


def trade(kind: str, identifier: str) -> dict[str, str]:
    return {"type": kind, "bizTransaction": identifier}


def source(owning: str | None, possessing: str | None) -> Event:
    return {"sourceList": _parties("source", owning, possessing)}


def destination(owning: str | None, possessing: str | None) -> Event:
    return {"destinationList": _parties("destination", owning, possessing)}


def _parties(role: str, owning: str | None, possessing: str | None) -> list[dict[str, str]]:
    named = (("owning_party", owning), ("possessing_party", possessing))
    return [{"type": kind, role: party} for kind, party in named if party is not None]


def ilmd(fields: Event) -> Event:
    return {f"{keys.VOC}{name}": value for name, value in fields.items()}


def kilograms(lot: str, kg: float) -> Event:
    return {"epcClass": lot, "quantity": kg, "uom": "KGM"}


def at_time(column: places.FloatArray, at_s: float) -> float:
    """The model's value at a time; the last one known if that lies ahead."""
    return float(column[min(int(at_s // STEP_S), column.size - 1)])


@dataclass(frozen=True, slots=True)
class Forms:
    """The forms, filled for one plan. `said_as`: the name of an event within its world, from which its
    identity comes; no two events of a world share one."""

    plan: Plan

    @property
    def certificate(self) -> str:
        """The 承诺达标合格证 of the packed lots."""
        return keys.document_uri(800, f"HGZ{self.plan.day}A")

    def time(self, at_s: float) -> str:
        return local_text(self.plan.start + timedelta(seconds=round(at_s)))

    def event(self, kind: str, said_as: str, at_s: float, *parts: Event) -> Event:
        event: Event = {
            "type": kind,
            "eventTime": self.time(at_s),
            "eventTimeZoneOffset": "+08:00",
            "eventID": keys.event_id(self.plan.seed, self.plan.start, said_as),
        }
        for part in parts:
            event.update(part)
        return event

    def observe(self, said_as: str, at_s: float, step: str, disposition: str, *parts: Event) -> Event:
        fixed = {"action": "OBSERVE", "bizStep": step, "disposition": disposition}
        return self.event("ObjectEvent", said_as, at_s, fixed, *parts)

    def end(self, said_as: str, at_s: float, step: str, disposition: str, *parts: Event) -> Event:
        """Things that are no more: an ObjectEvent that deletes."""
        fixed = {"action": "DELETE", "bizStep": step, "disposition": disposition}
        return self.event("ObjectEvent", said_as, at_s, fixed, *parts)

    def put_in(self, said_as: str, at_s: float, step: str, disposition: str, *parts: Event) -> Event:
        fixed = {"action": "ADD", "bizStep": step, "disposition": disposition}
        return self.event("AggregationEvent", said_as, at_s, fixed, *parts)

    def take_out(self, said_as: str, at_s: float, step: str, disposition: str, *parts: Event) -> Event:
        fixed = {"action": "DELETE", "bizStep": step, "disposition": disposition}
        return self.event("AggregationEvent", said_as, at_s, fixed, *parts)

    def step(self, said_as: str, at_s: float, terminal: str, event: Maker | Event) -> Step:
        """A step of one event, sent 4 to 40 seconds after it happened: people differ, worlds do not."""
        delay_s = 4.0 + sum(said_as.encode()) % 37
        if callable(event):
            return Step(at_s + delay_s, terminal, lambda model: (event(model),))
        return Step(at_s + delay_s, terminal, lambda _model: (event,))

    def boxes(self, count: int, lot: str) -> Event:
        return {"epcClass": keys.lot_uri(GTIN, lot), "quantity": count}

    def labels(self, lot: str, first: int, last: int) -> Event:
        """The serials on the boxes, as a range: 120 boxes need no 120 identifiers in the event."""
        serials = {"from": self.plan.serial(first), "to": self.plan.serial(last)}
        return {"suyuan:labelRange": {"epcClass": keys.lot_uri(GTIN, lot), **serials}}

    def pulp(self, at_s: float, probe: str, values: tuple[float, ...], rules: str | None = None) -> Event:
        """A hand probe in several boxes. `rules`: what the reading was taken for."""
        metadata: Event = {"time": self.time(at_s), "deviceID": probe}
        if rules is not None:
            metadata["bizRules"] = rules
        report = {
            "type": "Temperature",
            "minValue": round(min(values), 1),
            "maxValue": round(max(values), 1),
            "meanValue": round(sum(values) / len(values), 2),
            "uom": "CEL",
            "suyuan:probePosition": "pulp",
            "suyuan:sampleCount": len(values),
        }
        return {"sensorElementList": [{"sensorMetadata": metadata, "sensorReport": [report]}]}
