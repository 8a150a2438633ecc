"""What a recall reaches, portion by portion: plainly, from the walk.

In the line: the walk's result -> here, the reference that the database's own reach is held to. From where the goods were touched on:
what was taken from a portion afterwards, what it was mixed into, and so on. Contract: pure; ends on cycles; reaches nothing that
`trace` forward does not reach. What it may have reached and may not have is there as such: quantities of one lot have no names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from ledger.genealogy.accounted import Stayed
from ledger.genealogy.accounted import stays as stays_of
from ledger.genealogy.lineage import Genealogy
from ledger.genealogy.names import site, uri
from ledger.genealogy.parcels import Parcel, base_vehicle

ALWAYS: Final = -(1 << 62)
NEVER: Final = 1 << 62
Seeds = Mapping[Parcel, int]
"""Parcels that were touched, and since when: what was taken from them before is not of it."""
Spell = tuple[str, int, int]
"""A place, container or vehicle, from when to when, UTC milliseconds, half open."""


def of_lot(genealogy: Genealogy, lot: str) -> Seeds:
    return dict.fromkeys(genealogy.stock.parcels.get(uri(lot), ()), ALWAYS)


def of_box(genealogy: Genealogy, box: str) -> Seeds:
    """What was taken from the portion that a box is in is a seed itself, if the box may be in it."""
    return dict.fromkeys(genealogy.parcels_answering(uri(box)), NEVER)


def of_spells(genealogy: Genealogy, spells: Collection[Spell]) -> Seeds:
    """What was in these at that time: at a door of a place too, and in a compartment of a vehicle."""
    found: dict[Parcel, int] = {}
    for parcels in genealogy.stock.parcels.values():
        for parcel in parcels:
            times = [
                max(stay.start_ms, first)
                for stay in stays_of(parcel)
                for name, first, last in spells
                if name in (stay.name, site(stay.name), base_vehicle(stay.name)) and _meet(stay, first, last)
            ]
            if times:
                found[parcel] = min(times)
    return found


def _meet(stay: Stayed, first: int, last: int) -> bool:
    if stay.start_ms == stay.end_ms:
        return first <= stay.start_ms < last
    return stay.start_ms < last and (stay.end_ms is None or stay.end_ms > first)


def reach(genealogy: Genealogy, seeds: Seeds) -> dict[Parcel, bool]:
    """Every parcel reached; False: possibly."""
    walk = _Walk(genealogy)
    certain = walk.onwards(seeds)
    found = dict.fromkeys(certain, True)
    for parcel in walk.onwards(walk.doubtful(certain)):
        found.setdefault(parcel, False)
    return found


class _Walk:
    def __init__(self, genealogy: Genealogy) -> None:
        self._stock = genealogy.stock
        self._facts = genealogy.facts
        self._parcels = [each for parcels in genealogy.stock.parcels.values() for each in parcels]
        self._pieces: defaultdict[Parcel, list[Parcel]] = defaultdict(list)
        self._made: defaultdict[str, list[Parcel]] = defaultdict(list)
        self._by_name = {each.name: each for each in self._parcels}
        for each in self._parcels:
            if each.origin is not None:
                self._pieces[each.origin].append(each)
            if each.run is not None:
                self._made[each.run].append(each)

    def onwards(self, seeds: Seeds) -> dict[Parcel, int]:
        """With what was taken from them since, and what they were mixed into."""
        since: dict[Parcel, int] = {}
        waiting = list(seeds.items())
        while waiting:
            parcel, start = waiting.pop()
            if since.get(parcel, NEVER + 1) <= start:
                continue
            since[parcel] = start
            waiting.extend((piece, ALWAYS) for piece in self._pieces[parcel] if piece.born_ms >= start)
            if parcel.ending == "transformed":
                run = self._facts[parcel.steps[-1].ordinal].run
                waiting.extend((made, ALWAYS) for made in self._made[run])
        return since

    def doubtful(self, reached: Mapping[Parcel, int]) -> dict[Parcel, int]:
        """What may be of it: taken from this portion or from another that was just as likely; made of so much of a lot that no
        goods of it were there to be used."""
        found: dict[Parcel, int] = {}
        known = dict(reached)
        while True:
            fresh = {each: ALWAYS for each in self._once_doubtful(known) if each not in known}
            if not fresh:
                return found
            found |= fresh
            known |= self.onwards(fresh)

    def _once_doubtful(self, known: Mapping[Parcel, int]) -> Iterable[Parcel]:
        for parcel in self._parcels:
            likely = [self._by_name[name] for name in parcel.alternatives if name in self._by_name]
            if any(each in known and parcel.born_ms >= known[each] for each in likely):
                yield parcel
        lots = {parcel.lot for parcel in known}
        for name, run in self._stock.runs.items():
            if any(lot in lots and not run.used.get(lot) for lot in run.inputs):
                yield from self._made[name]
