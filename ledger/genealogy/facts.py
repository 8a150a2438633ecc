"""What an event says, in the few words that the walks of this room need.

In the line: recorded event -> here -> placements, stock, trace. Contract: identifiers are canonical,
vocabulary is bare, masses are in kilograms, and the order is the order in which things happened. That order
depends on what the events say and never on when they reached us, so that every projection built on it is the
same whichever way the events came in.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final

from ledger.epcis import vocabulary
from ledger.epcis.events import (
    AggregationEvent,
    AssociationEvent,
    Event,
    ObjectEvent,
    PersistentDisposition,
    QuantityElement,
    TransactionEvent,
    TransformationEvent,
    event_to_json,
    extensions,
)
from ledger.genealogy.mentions import run_of
from ledger.genealogy.names import lot_of, site, uri

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
KILOGRAM: Final = "KGM"
# UN/CEFACT Recommendation 20.
_KILOGRAMS: Final = {"KGM": 1.0, "GRM": 0.001, "TNE": 1000.0, "LBR": 0.45359237}
# "each", "piece" and "one" are what an absent uom means for a counted class.
_EACH: Final = frozenset({"EA", "H87", "C62"})

# Events at one instant: goods are made before they are packed, leave one unit before they enter the next, and
# travel before they arrive. Anything not named here stands between packing and loading.
_OTHER_STEP: Final = 4
_STEP_ORDER: Final = {
    "commissioning": 0,
    "creating_class_instance": 0,
    "unpacking": 1,
    "packing": 2,
    "installing": 3,
    "loading": 5,
    "departing": 6,
    "shipping": 6,
    "arriving": 7,
    "unloading": 8,
    "receiving": 9,
    "accepting": 9,
    "removing": 10,
    "sampling": 11,
    "retail_selling": 11,
    "destroying": 11,
}


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event as loaded. `position`: its place in the instance's one order; None when read from a file."""

    position: int | None
    organisation: str
    event: Event


@dataclass(frozen=True, slots=True)
class Amount:
    """So much of one lot. `quantity` in `uom` (KGM, another mass never; None counts pieces), None if unsaid.

    `boxes`: the instances by name, when the event named boxes; their number is then the quantity.
    """

    lot: str
    quantity: float | None
    uom: str | None
    boxes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Fact:
    """One effective event. `nodes` are things that may hold others (SSCC, GRAI, vehicle, any URI), `goods`
    are quantities of lots; of an aggregation they are the children, of a transformation the inputs."""

    ordinal: int
    ms: int
    recorded: RecordedEvent
    kind: str
    action: str
    step: str
    disposition: str
    read_point: str | None
    biz_location: str | None
    parent: str | None
    nodes: tuple[str, ...]
    goods: tuple[Amount, ...]
    out_nodes: tuple[str, ...]
    out_goods: tuple[Amount, ...]
    giver: str | None
    taker: str | None
    documents: frozenset[str]

    @property
    def event(self) -> Event:
        return self.recorded.event

    @property
    def marks(self) -> PersistentDisposition | None:
        event = self.event
        return event.persistent_disposition if isinstance(event, ObjectEvent | TransformationEvent) else None

    @property
    def step_order(self) -> int:
        """Of what happened at one instant, which comes first; below 16."""
        return step_order(self.step)

    @cached_property
    def here(self) -> frozenset[str]:
        return frozenset(place for place in (self.biz_location, self.read_point) if place)

    @cached_property
    def sites(self) -> frozenset[str | None]:
        return frozenset(map(site, self.here))

    @cached_property
    def name(self) -> str:
        """The eventID; without one a digest of the content, so that what is derived keeps its name."""
        return (
            self.event.event_id or "sha256:" + hashlib.sha256(content(self.event).encode()).hexdigest()[:32]
        )

    @cached_property
    def run(self) -> str:
        """Names the transformation; an open run shares one name over its events."""
        return run_of(self.event) or self.name


def step_order(step: str) -> int:
    return _STEP_ORDER.get(step, _OTHER_STEP)


def milliseconds(moment: datetime) -> int:
    """UTC milliseconds of an aware datetime, rounded down."""
    return (moment - _EPOCH) // _MILLISECOND


def extension(event: Event, name: str) -> Any:
    """A field of our own vocabulary, written with its prefix (`suyuan:channel`) or as a whole URI; else
    None."""
    for key, value in extensions(event).items():
        if key == f"suyuan:{name}" or key.endswith(f"/voc/{name}"):
            return value
    return None


def master_datum(event: Event, name: str) -> Any:
    """An instance or lot master datum (ILMD) by its local name; None if the event carries none."""
    ilmd = event.ilmd if isinstance(event, ObjectEvent | TransformationEvent) else None
    for key, value in (ilmd or {}).items():
        if key.replace("#", "/").replace(":", "/").rsplit("/", 1)[-1] == name:
            return value
    return None


def net_kg_per_unit(event: Event) -> float | None:
    """What one piece of the lots made here weighs, in kg; None if unsaid or no positive number."""
    try:
        weight = float(master_datum(event, "netWeightPerUnitKg"))
    except (TypeError, ValueError):
        return None
    return weight if math.isfinite(weight) and weight > 0 else None


def content(event: Event) -> str:
    """The event as comparable text. Without recordTime: that is ours, and two records of one event differ in
    it."""
    fields = {name: value for name, value in event_to_json(event).items() if name != "recordTime"}
    return json.dumps(fields, sort_keys=True, ensure_ascii=False, default=str)


def effective(events: Iterable[RecordedEvent]) -> list[RecordedEvent]:
    """The events that stand, in the order in which they happened.

    An event with an errorDeclaration declares the one with the same eventID wrong, and neither counts; the
    corrective event counts like any other. A second record of the same content counts once.
    """
    recorded = list(events)
    wrong = {_key(each) for each in recorded if each.event.error_declaration is not None}
    standing = [each for each in recorded if _key(each) not in wrong]
    return _without_repeats(sorted(standing, key=_order))


def read(events: Iterable[RecordedEvent]) -> list[Fact]:
    """The effective events as facts, numbered in their order."""
    return [_fact(ordinal, each) for ordinal, each in enumerate(effective(events))]


def _key(each: RecordedEvent) -> tuple[str, str]:
    if each.event.event_id is not None:
        return each.organisation, each.event.event_id
    undeclared = each.event.model_copy(update={"error_declaration": None})
    fields = {
        k: v for k, v in event_to_json(undeclared).items() if k not in ("errorDeclaration", "recordTime")
    }
    return each.organisation, json.dumps(fields, sort_keys=True, ensure_ascii=False, default=str)


def _order(each: RecordedEvent) -> tuple[int, int, str, float]:
    event = each.event
    step = vocabulary.biz_step(event.biz_step) if event.biz_step else ""
    # The name stands before the position: positions follow arrival, and the result must not.
    name = event.event_id or content(event)
    position = math.inf if each.position is None else each.position
    return milliseconds(event.event_time), step_order(step), name, position


def _without_repeats(events: Sequence[RecordedEvent]) -> list[RecordedEvent]:
    """Giver and taker may both record one event; its goods moved once."""
    seen: dict[str, list[RecordedEvent]] = {}
    kept = []
    for each in events:
        name = each.event.event_id or content(each.event)
        namesakes = seen.setdefault(name, [])
        if namesakes and content(each.event) in {content(other.event) for other in namesakes}:
            continue
        namesakes.append(each)
        kept.append(each)
    return kept


def _fact(ordinal: int, recorded: RecordedEvent) -> Fact:
    event = recorded.event
    nodes, goods, out_nodes, out_goods = _what(event)
    return Fact(
        ordinal=ordinal,
        ms=milliseconds(event.event_time),
        recorded=recorded,
        kind=event.type,
        action="ADD" if isinstance(event, TransformationEvent) else str(event.action),
        step=vocabulary.biz_step(event.biz_step) if event.biz_step else "",
        disposition=vocabulary.disposition(event.disposition) if event.disposition else "",
        read_point=uri(event.read_point.id) if event.read_point else None,
        biz_location=uri(event.biz_location.id) if event.biz_location else None,
        parent=_parent(event),
        nodes=nodes,
        goods=goods,
        out_nodes=out_nodes,
        out_goods=out_goods,
        giver=_possessor((each.type, each.source) for each in event.source_list),
        taker=_possessor((each.type, each.destination) for each in event.destination_list),
        documents=frozenset(each.biz_transaction for each in event.biz_transaction_list),
    )


def _parent(event: Event) -> str | None:
    if isinstance(event, AggregationEvent | AssociationEvent | TransactionEvent) and event.parent_id:
        return uri(event.parent_id)
    return None


_What = tuple[tuple[str, ...], tuple[Amount, ...], tuple[str, ...], tuple[Amount, ...]]


def _what(event: Event) -> _What:
    if isinstance(event, TransformationEvent):
        inputs = _split(event.input_epc_list, event.input_quantity_list)
        return *inputs, *_split(event.output_epc_list, event.output_quantity_list)
    if isinstance(event, AggregationEvent | AssociationEvent):
        return *_split(event.child_epcs, event.child_quantity_list), (), ()
    return *_split(event.epc_list, event.quantity_list), (), ()


def _split(
    epcs: Iterable[str], quantities: Iterable[QuantityElement]
) -> tuple[tuple[str, ...], tuple[Amount, ...]]:
    """Things that may hold others, and amounts of lots; boxes named one by one are gathered by lot."""
    nodes: dict[str, None] = {}
    boxes: dict[str, set[str]] = {}
    for epc in epcs:
        lot = lot_of(epc)
        if lot is None:
            nodes[uri(epc)] = None
        else:
            boxes.setdefault(lot, set()).add(uri(epc))
    amounts = _summed(_amount(each) for each in quantities)
    amounts += [Amount(lot, float(len(named)), None, frozenset(named)) for lot, named in boxes.items()]
    return tuple(nodes), tuple(amounts)


def _summed(amounts: Iterable[Amount]) -> list[Amount]:
    """A lot named twice in one list is so much of it together, not the same goods again."""
    sums: dict[tuple[str, str | None], Amount] = {}
    for each in amounts:
        before = sums.get((each.lot, each.uom))
        if before is not None:
            known = before.quantity is not None and each.quantity is not None
            total = (before.quantity or 0.0) + (each.quantity or 0.0)
            each = Amount(each.lot, total if known else None, each.uom)
        sums[each.lot, each.uom] = each
    return list(sums.values())


def _amount(element: QuantityElement) -> Amount:
    lot, quantity, uom = uri(element.epc_class), element.quantity, element.uom
    if quantity is not None and (not math.isfinite(quantity) or quantity < 0):
        quantity = None
    if uom in _KILOGRAMS:
        factor = _KILOGRAMS[uom]
        return Amount(lot, None if quantity is None else float(quantity) * factor, KILOGRAM)
    return Amount(lot, None if quantity is None else float(quantity), None if uom in _EACH else uom)


def _possessor(parties: Iterable[tuple[str, str]]) -> str | None:
    return next(
        (
            uri(party)
            for kind, party in parties
            if vocabulary.source_destination_type(kind) == "possessing_party"
        ),
        None,
    )
