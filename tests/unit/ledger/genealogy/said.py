"""Events in a line each, for the tests of the genealogy. Names are short, the URIs they stand for whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ledger.epcis.events import event_to_json, parse_event
from ledger.epcis.identifiers import box_uri, check_digit, lot_uri, sscc_uri
from ledger.genealogy import RecordedEvent

GTIN = "09521234000204"
START = datetime(2026, 6, 18, tzinfo=UTC)
START_MS = int(START.timestamp()) * 1000

PLOT = "https://id.gs1.org/414/9521234001010/254/P01"
STATION = "https://id.gs1.org/414/9521234002017"
PACKHOUSE = "https://id.gs1.org/414/9521234002024"
LINE = "https://id.gs1.org/414/9521234002024/254/L2"
STORE = "https://id.gs1.org/414/9521234002048"
DOCK = "https://id.gs1.org/414/9521234006015"
YARD = "https://id.gs1.org/414/9521234003007"
MARKET = "https://id.gs1.org/414/9521234003021"
STALL = "https://id.gs1.org/414/9521234003106/254/B12"
SHOP = "https://id.gs1.org/414/9521234004011"
TRUCK = "https://id.gs1.org/8004/95212340TRAILER31"
OTHER_TRUCK = "https://id.gs1.org/8004/95212340TRAILER07"
LOGGER = "https://id.gs1.org/8004/95212340LOG0042"
GROWER = "https://suyuan.example/xj-coop/party/G-0137"
COOP = "https://id.gs1.org/417/9521234002000"
CARRIER = "https://id.gs1.org/417/9521234005001"


def lot(name: str) -> str:
    return lot_uri(GTIN, name)


def fruit(name: str) -> str:
    """A harvested lot, counted in kilograms, without a GTIN."""
    return f"https://suyuan.example/xj-coop/class/yangmei-dongkui.{name}"


def box(name: str, serial: str) -> str:
    return box_uri(GTIN, name, serial)


def unit(number: int) -> str:
    digits = f"0952123{number:010d}"
    return sscc_uri(digits + check_digit(digits))


def at(minute: int) -> int:
    """The event time of that minute, in milliseconds."""
    return START_MS + minute * 60_000


def event(
    minute: int, kind: str, organisation: str = "xj-coop", position: int | None = None, **said: Any
) -> RecordedEvent:
    """Snake-case keywords are the fields; `where` is read point and business location at once."""
    where = said.pop("where", None)
    if where is not None:
        said |= {"readPoint": {"id": where}, "bizLocation": {"id": where}}
    for name in ("readPoint", "bizLocation"):
        if isinstance(said.get(name), str):
            said[name] = {"id": said[name]}
    time = (START + timedelta(minutes=minute)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields = {"type": kind, "eventTime": time, "eventTimeZoneOffset": "+08:00", **said}
    if kind != "TransformationEvent":
        fields.setdefault("action", "OBSERVE")
    fields.setdefault("eventID", f"urn:suyuan:test:{minute}:{kind}:{hash_of(said)}")
    return RecordedEvent(position, organisation, parse_event(fields))


def hash_of(said: dict[str, Any]) -> str:
    """The same for the same fields in every run, which hash() is not."""
    return format(sum(number * ord(letter) for number, letter in enumerate(repr(said), 1)), "x")


def some(of: str, quantity: float | None = None, uom: str | None = None) -> dict[str, Any]:
    """A quantity element."""
    said: dict[str, Any] = {"epcClass": of}
    if quantity is not None:
        said["quantity"] = quantity
    if uom is not None:
        said["uom"] = uom
    return said


def made(
    minute: int, of: str, quantity: float, uom: str | None = None, where: str = PACKHOUSE, **said: Any
) -> RecordedEvent:
    elements = [some(of, quantity, uom)]
    return event(
        minute,
        "ObjectEvent",
        action="ADD",
        bizStep="commissioning",
        quantityList=elements,
        where=where,
        **said,
    )


def seen(minute: int, step: str, *things: str | dict[str, Any], **said: Any) -> RecordedEvent:
    return event(minute, "ObjectEvent", bizStep=step, **_what(things, "epcList", "quantityList"), **said)


def gone(minute: int, step: str, *things: str | dict[str, Any], **said: Any) -> RecordedEvent:
    return event(
        minute,
        "ObjectEvent",
        action="DELETE",
        bizStep=step,
        **_what(things, "epcList", "quantityList"),
        **said,
    )


def put_in(
    minute: int, parent: str, *things: str | dict[str, Any], step: str = "packing", **said: Any
) -> RecordedEvent:
    """`labels`: the first and last serial of the boxes, which must then be the only goods."""
    what = _what(things, "childEPCs", "childQuantityList")
    labels = said.pop("labels", None)
    if labels is not None:
        of = what["childQuantityList"][0]["epcClass"]
        said["suyuan:labelRange"] = {"epcClass": of, "from": labels[0], "to": labels[1]}
    said.setdefault("action", "ADD")
    return event(minute, "AggregationEvent", bizStep=step, parentID=parent, **what, **said)


def take_out(
    minute: int, parent: str, *things: str | dict[str, Any], step: str = "unpacking", **said: Any
) -> RecordedEvent:
    return put_in(minute, parent, *things, step=step, action="DELETE", **said)


def mixed(minute: int, inputs: list[Any], outputs: list[Any], **said: Any) -> RecordedEvent:
    what = _what(inputs, "inputEPCList", "inputQuantityList") | _what(
        outputs, "outputEPCList", "outputQuantityList"
    )
    said.setdefault("bizStep", "commissioning")
    said.setdefault("where", PACKHOUSE)
    return event(minute, "TransformationEvent", **what, **said)


def installed(
    minute: int, parent: str, device: str = LOGGER, *, removed: bool = False, **said: Any
) -> RecordedEvent:
    channel, position = said.pop("channel", None), said.pop("position_of_probe", None)
    said |= {"suyuan:channel": channel} if channel else {}
    said |= {"suyuan:probePosition": position} if position else {}
    step, action = ("removing", "DELETE") if removed else ("installing", "ADD")
    return event(
        minute, "AssociationEvent", action=action, bizStep=step, parentID=parent, childEPCs=[device], **said
    )


def handed_over(giver: str, taker: str) -> dict[str, Any]:
    return {
        "sourceList": [{"type": "possessing_party", "source": giver}],
        "destinationList": [{"type": "possessing_party", "destination": taker}],
    }


def declared_wrong(wrong: RecordedEvent, minute: int) -> RecordedEvent:
    time = (START + timedelta(minutes=minute)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields = {
        **event_to_json(wrong.event),
        "errorDeclaration": {"declarationTime": time, "reason": "incorrect_data"},
    }
    return RecordedEvent(wrong.position, wrong.organisation, parse_event(fields))


def _what(things: Any, epcs: str, quantities: str) -> dict[str, Any]:
    named = [each for each in things if isinstance(each, str)]
    counted = [each for each in things if not isinstance(each, str)]
    return ({epcs: named} if named else {}) | ({quantities: counted} if counted else {})
