"""Which identifiers an event names, and in which role: the index by which events are found again.

In the line: recorded with the event; every walk and every query starts from it. Contract: identifiers are
canonical; a box names its lot as well, in the same role, because whoever asks for the lot asks for its boxes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from ledger.epcis.events import (
    AggregationEvent,
    AssociationEvent,
    Event,
    QuantityElement,
    TransactionEvent,
    TransformationEvent,
)
from ledger.genealogy.names import lot_of, uri

Role = Literal["epc", "class", "parent", "child", "input", "output", "device", "read_point", "biz_location"]


@dataclass(frozen=True, slots=True)
class Mention:
    """`quantity` and `uom` as the event says them; None where it names no quantity (uom None also:
    pieces)."""

    identifier: str
    role: Role
    quantity: float | None = None
    uom: str | None = None


def touches(event: Event) -> frozenset[Mention]:
    """Every identifier the event names in its what and where. The children of an association are devices."""
    return frozenset((*_what(event), *_where(event)))


def run_of(event: Event) -> str | None:
    """The run whose events belong together (transformationID, canonical): it links them and is no goods, so touches() leaves it out."""
    run = event.transformation_id if isinstance(event, TransformationEvent) else None
    return uri(run) if run else None


def elsewhere(event: Event) -> frozenset[str]:
    """What the event names besides what it is about: places, parties, documents, sensing devices, certificates, its run."""
    places = (each.id for each in (event.read_point, event.biz_location) if each)
    parties = (*(each.source for each in event.source_list), *(e.destination for e in event.destination_list))
    documents = (each.biz_transaction for each in event.biz_transaction_list)
    devices = (
        said.device_id
        for element in event.sensor_element_list
        for said in (element.sensor_metadata, *element.sensor_report)
        if said is not None and said.device_id
    )
    run = run_of(event)
    named = (*places, *parties, *documents, *devices, *event.certifications, *([run] if run else ()))
    return frozenset(map(uri, named))


def _what(event: Event) -> Iterator[Mention]:
    if isinstance(event, TransformationEvent):
        yield from _epcs(event.input_epc_list, "input", "input")
        yield from _classes(event.input_quantity_list, "input")
        yield from _epcs(event.output_epc_list, "output", "output")
        yield from _classes(event.output_quantity_list, "output")
        return
    if isinstance(event, AggregationEvent | AssociationEvent | TransactionEvent) and event.parent_id:
        yield Mention(uri(event.parent_id), "parent")
    if isinstance(event, AggregationEvent | AssociationEvent):
        role: Role = "device" if isinstance(event, AssociationEvent) else "child"
        yield from _epcs(event.child_epcs, role, role)
        yield from _classes(event.child_quantity_list, "child")
    else:
        yield from _epcs(event.epc_list, "epc", "class")
        yield from _classes(event.quantity_list, "class")


def _where(event: Event) -> Iterator[Mention]:
    if event.read_point:
        yield Mention(uri(event.read_point.id), "read_point")
    if event.biz_location:
        yield Mention(uri(event.biz_location.id), "biz_location")


def _epcs(epcs: Iterable[str], role: Role, lot_role: Role) -> Iterator[Mention]:
    boxes: Counter[str] = Counter()
    for epc in dict.fromkeys(map(uri, epcs)):
        lot = lot_of(epc)
        yield Mention(epc, role, None if lot is None else 1.0)
        if lot is not None and lot != epc:
            boxes[lot] += 1
    for lot, number in boxes.items():
        yield Mention(lot, lot_role, float(number))


def _classes(elements: Iterable[QuantityElement], role: Role) -> Iterator[Mention]:
    for element in elements:
        quantity = None if element.quantity is None else float(element.quantity)
        yield Mention(uri(element.epc_class), role, quantity, element.uom)
