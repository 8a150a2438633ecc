"""A lot of 1,000 ancestors, twelve transformations deep: each lot mixes several of the level below, some travel on pallets and trucks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from ledger.epcis.identifiers import check_digit, lot_uri, sscc_uri

GTIN = "09521234000204"
LEVELS, WIDTH, INPUTS = 12, 91, 4
START = datetime(2026, 5, 1, tzinfo=UTC)
PLACE = "https://id.gs1.org/414/9521234002024"
TRAVELLING = (3, 6, 9)  # levels whose lots go to the next one on pallets


def lot(level: int, number: int) -> str:
    return lot_uri(GTIN, f"T{level:02}N{number:03}")


SEED = lot(0, 0)


def widths() -> list[int]:
    return [1, INPUTS * 2, *[WIDTH] * (LEVELS - 2), 1000 - INPUTS * 2 - WIDTH * (LEVELS - 2)]


def events() -> Iterator[dict[str, Any]]:
    """In the order in which they happened: from the fields up."""
    random, wide = Random(12), widths()
    for number in range(wide[LEVELS]):
        yield _harvested(number)
    for level in range(LEVELS - 1, -1, -1):
        below = wide[level + 1]
        if level + 1 in TRAVELLING:
            for number in range(below):
                yield from _travelled(level + 1, number)
        fan = max(INPUTS, -(-below // wide[level]))
        for number in range(wide[level]):
            # Every lot below goes into something, and most into several.
            own = {(number * fan + each) % below for each in range(fan)}
            yield _mixed(level, number, sorted(own | set(random.sample(range(below), min(2, below)))))


def _said(level: int, minute: int, kind: str, **fields: Any) -> dict[str, Any]:
    when = START + timedelta(days=LEVELS - level, minutes=minute)
    name = f"urn:suyuan:bench:trace:{level}:{minute}:{kind}"
    place = {"readPoint": {"id": PLACE}, "bizLocation": {"id": PLACE}}
    return {
        "type": kind,
        "eventID": name,
        "eventTime": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "eventTimeZoneOffset": "+08:00",
        "bizStep": "commissioning",
        "suyuan:remark": "x" * 200,
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
