"""A lot of 1,000 ancestors, twelve transformations deep: each lot mixes several of the level below, some travel on pallets and
trucks. A grower says all of it; the packer takes the last eight lots in, which gives it the chain behind them, and mixes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from ledger.epcis.identifiers import check_digit, lot_uri, sscc_uri

GTIN = "09521234000204"
LEVELS, WIDTH, INPUTS = 12, 90, 4
START = datetime(2026, 5, 1, tzinfo=UTC)
FARM, PACKHOUSE = (f"https://id.gs1.org/414/95212340{number}" for number in ("01010", "02024"))
PARTIES = {"grower": "https://id.gs1.org/417/9521234002000", "packer": "https://id.gs1.org/417/9521234003009"}
TRAVELLING = (3, 6, 9)  # levels whose lots go to the next one on pallets


def lot(level: int, number: int) -> str:
    return lot_uri(GTIN, f"T{level:02}N{number:03}")


SEED = lot(0, 0)


def registry() -> dict[str, Any]:
    organisations = [
        {"id": name, "name": {"zh": name, "en": name}, "party": party, "kind": "packer", "publishes": False}
        for name, party in PARTIES.items()
    ]
    places = [
        {
            "id": place,
            "organisation": name,
            "kind": "site",
            "name": {"zh": name, "en": name},
            "region": "331024",
        }
        for name, place in (("grower", FARM), ("packer", PACKHOUSE))
    ]
    return {"organisations": organisations, "places": places, "products": [], "devices": []}


def widths() -> list[int]:
    """Lots by level: one, eight, and the rest of the thousand ancestors."""
    wide = [1, INPUTS * 2, *[WIDTH] * (LEVELS - 2)]
    return [*wide, 1001 - sum(wide)]


def events() -> Iterator[tuple[str, dict[str, Any]]]:
    """Who says what, in the order in which it happened: from the fields up."""
    random, wide = Random(12), widths()
    for number in range(wide[LEVELS]):
        yield "grower", _harvested(number)
    for level in range(LEVELS - 1, -1, -1):
        below = wide[level + 1]
        for number in range(below) if level + 1 in TRAVELLING else ():
            yield from (("grower", each) for each in _travelled(level + 1, number))
        fan = max(INPUTS - 1, -(-below // wide[level]))
        for number in range(wide[level]):
            # Every lot below goes into something, and most into several.
            own = {(number * fan + each) % below for each in range(fan)} | {random.randrange(below)}
            yield "packer" if level == 0 else "grower", _mixed(level, number, sorted(own))
        if level == 1:
            yield from (each for number in range(wide[1]) for each in _handed_over(number))


def _handed_over(number: int) -> Iterator[tuple[str, dict[str, Any]]]:
    goods = {"action": "OBSERVE", "quantityList": [_some(1, number, 1000)]}
    goods["destinationList"] = [{"type": "owning_party", "destination": PARTIES["packer"]}]
    yield (
        "grower",
        _said(1, 1100 + number, "ObjectEvent", **goods, bizStep="shipping", disposition="in_transit"),
    )
    there = {"readPoint": {"id": PACKHOUSE}, "bizLocation": {"id": PACKHOUSE}}
    yield "packer", _said(1, 1200 + number, "ObjectEvent", **goods, **there, bizStep="accepting")


def _said(level: int, minute: int, kind: str, **fields: Any) -> dict[str, Any]:
    when = START + timedelta(days=LEVELS - level, minutes=minute)
    name = f"urn:suyuan:bench:trace:{level}:{minute}:{kind}"
    site = PACKHOUSE if level == 0 else FARM
    place = {"readPoint": {"id": site}, "bizLocation": {"id": site}}
    return {
        "type": kind,
        "eventID": name,
        "eventTime": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "eventTimeZoneOffset": "+08:00",
        "bizStep": "commissioning",
        **place,
        **fields,
    }


def _harvested(number: int) -> dict[str, Any]:
    return _said(LEVELS, number, "ObjectEvent", action="ADD", quantityList=[_some(LEVELS, number, 1000)])


def _mixed(level: int, number: int, inputs: list[int]) -> dict[str, Any]:
    return _said(
        level,
        900 + number,
        "TransformationEvent",
        inputQuantityList=[_some(level + 1, each, 10) for each in inputs],
        outputQuantityList=[_some(level, number, 1000)],
    )


def _travelled(level: int, number: int) -> Iterator[dict[str, Any]]:
    digits = f"0952123{level:04}{number:06}"
    pallet = sscc_uri(digits + check_digit(digits))
    truck = f"https://id.gs1.org/8004/95212340BENCH{number // 20:02}"
    goods = [_some(level, number, 500)]
    minute = 1000 + number
    moving = {"parentID": truck, "childEPCs": [pallet]}
    yield _said(
        level,
        minute,
        "AggregationEvent",
        action="ADD",
        bizStep="packing",
        parentID=pallet,
        childQuantityList=goods,
    )
    yield _said(level, minute + 100, "AggregationEvent", action="ADD", bizStep="loading", **moving)
    yield _said(level, minute + 200, "AggregationEvent", action="DELETE", bizStep="unloading", **moving)
    yield _said(
        level,
        minute + 300,
        "AggregationEvent",
        action="DELETE",
        bizStep="unpacking",
        parentID=pallet,
        childQuantityList=goods,
    )


def _some(level: int, number: int, quantity: int) -> dict[str, Any]:
    return {"epcClass": lot(level, number), "quantity": quantity}
