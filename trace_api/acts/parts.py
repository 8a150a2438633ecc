"""What the forms of events are made of: quantities, places, papers, parties, measurements, as plain JSON.

In the line: planners and forms.py put events together from these. Contract: pure; what was not said is left out, never null.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from trace_api.acts.numbers import SerialRange

Event = dict[str, Any]

# The vocabulary's address is the same in every installation: what one says another must understand.
VOC: Final = "https://suyuan.example/voc/"
CONTEXT: Final = ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", {"suyuan": VOC}]
UNKNOWN_BUYER: Final = f"{VOC}unknownBuyer"
INHIBITION: Final = f"{VOC}CholinesteraseInhibition"
RESIDUE: Final = f"{VOC}ResidueContent"  # mg/kg, which the standard's units write NA
RETEST: Final = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class Quantity:
    """So much of a lot: `uom` KGM, or None for boxes. `quantity` None names the lot alone."""

    lot: str
    quantity: float | None
    uom: str | None


@dataclass(frozen=True, slots=True)
class Pulp:
    """What a hand probe found in some boxes, °C. `rules`: what the reading was taken for."""

    values: tuple[float, ...]
    probe: str | None = None
    rules: str | None = None


@dataclass(frozen=True, slots=True)
class Parties:
    """Owner and possessor, before or after; None says nothing."""

    owning: str | None = None
    possessing: str | None = None


@dataclass(frozen=True, slots=True)
class What:
    """Load units by name, goods by quantity."""

    units: tuple[str, ...] = ()
    goods: tuple[Quantity, ...] = ()

    def said(self) -> Event:
        """An event about quantities alone has no epcList: an empty one would say that things were named."""
        said: Event = {"epcList": list(self.units)} if self.units else {}
        return said | ({"quantityList": quantities(self.goods)} if self.goods else {})


def quantities(goods: Iterable[Quantity]) -> list[Event]:
    return [_quantity(each) for each in goods]


def _quantity(each: Quantity) -> Event:
    said: Event = {"epcClass": each.lot}
    if each.quantity is not None:
        said["quantity"] = number(each.quantity)
        if each.uom is not None:
            said["uom"] = each.uom
    return said


def number(value: float) -> int | float:
    """As a person would write it: 40 and not 40.0; a gram is the least that is weighed."""
    rounded = round(value, 3)
    return int(rounded) if rounded == int(rounded) else rounded


def where(read_point: str | None, biz_location: str | None = None) -> Event:
    """Where it is seen, and where it is afterwards."""
    said: Event = {} if read_point is None else {"readPoint": {"id": read_point}}
    return said if biz_location is None else {**said, "bizLocation": {"id": biz_location}}


def trade(**documents: str | None) -> Event:
    """Business documents by their type in the standard's vocabulary; those that are None are left out."""
    named = [{"type": kind, "bizTransaction": uri} for kind, uri in documents.items() if uri is not None]
    return {"bizTransactionList": named} if named else {}


def handed(giver: Parties | None = None, taker: Parties | None = None, to_place: str | None = None) -> Event:
    said: Event = {}
    sources = _parties("source", giver)
    destinations = _parties("destination", taker)
    if to_place is not None:
        destinations.append({"type": "location", "destination": to_place})
    if sources:
        said["sourceList"] = sources
    if destinations:
        said["destinationList"] = destinations
    return said


def _parties(role: str, parties: Parties | None) -> list[dict[str, str]]:
    if parties is None:
        return []
    named = (("owning_party", parties.owning), ("possessing_party", parties.possessing))
    return [{"type": kind, role: party} for kind, party in named if party is not None]


def ilmd(**fields: Any) -> Event:
    return {f"{VOC}{name}": value for name, value in fields.items() if value is not None}


def extras(**fields: Any) -> Event:
    """Extension fields; those that are None or empty are left out."""
    return {f"suyuan:{name}": value for name, value in fields.items() if value not in (None, (), [], "")}


def labels(serials: SerialRange | None) -> Event:
    if serials is None:
        return {}
    return {"suyuan:labelRange": {"epcClass": serials.lot, "from": serials.first, "to": serials.last}}


def certificate_record(fields: Mapping[str, Any]) -> Event:
    """The certificate as our record has it, under our vocabulary."""
    return ilmd(**fields)


def declared_wrong(event: Mapping[str, Any], at_text: str, reason: str, corrective: Sequence[str]) -> Event:
    """The same event, taken back: same eventID, and what stands in its place."""
    declaration: Event = {"declarationTime": at_text, "reason": reason}
    if corrective:
        declaration["correctiveEventIDs"] = list(corrective)
    return {**event, "errorDeclaration": declaration}
