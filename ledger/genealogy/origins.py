"""What a lot is made of, down to what nothing recorded went into, and where each of those was made.

In the line: stock.py's runs and parcels -> here -> `lot_origin`: the regions that a lot concerns. Contract: pure;
a lot is its own source too, and runs that use what they make end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from ledger.genealogy.lineage import Genealogy


class Origin(NamedTuple):
    """`source` is behind `lot`, or the lot itself. `place`: where the source was made, None where it was mixed from
    others or nobody recorded its making."""

    lot: str
    source: str
    place: str | None


def origins(genealogy: Genealogy, lots: Collection[str] | None = None) -> set[Origin]:
    """`lots`: whose, None all."""
    inputs = {lot: set(_inputs(genealogy, lot)) for lot in genealogy.stock.parcels}
    places: dict[str, Collection[str | None]] = {
        lot: set(_made_at(genealogy, lot)) or {None} for lot in genealogy.stock.parcels
    }
    return {
        Origin(lot, source, place)
        for lot in inputs
        if lots is None or lot in lots
        for source in _behind(lot, inputs)
        for place in places.get(source, (None,))
    }


def _behind(lot: str, inputs: dict[str, set[str]]) -> set[str]:
    reached, waiting = set[str](), [lot]
    while waiting:
        source = waiting.pop()
        if source not in reached:
            reached.add(source)
            waiting.extend(inputs.get(source, ()))
    return reached


def _inputs(genealogy: Genealogy, lot: str) -> Iterator[str]:
    for parcel in genealogy.stock.parcels[lot]:
        if parcel.run is not None:
            yield from genealogy.stock.runs[parcel.run].inputs


def _made_at(genealogy: Genealogy, lot: str) -> Iterator[str]:
    for parcel in genealogy.stock.parcels[lot]:
        if parcel.origin is None and parcel.run is None and not parcel.found and parcel.steps:
            place = parcel.steps[0].place
            if place is not None:
                yield place
