"""The parcels of one lot that exist, in the order in which a bare quantity would mean them.

In the line: holdings.py keeps one for each lot and asks it what to take. Contract: reasons are asked once for
each group of parcels that no reason can tell apart, so that taking a box from a lot on two thousand pallets
does not look at two thousand pallets; iteration is lazy and must end before the pool is changed.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from ledger.genealogy.parcels import Parcel
from ledger.genealogy.taking import Reason

_Key = tuple[bool, str | None, bool, str | None, frozenset[str], str]
Judge = Callable[[Parcel], Reason | None]


@dataclass(slots=True)
class _Group:
    """Parcels that no reason can tell apart, the one touched last at the end; and the same by quantity."""

    members: dict[Parcel, None] = field(default_factory=dict)
    by_quantity: defaultdict[float | None, dict[Parcel, None]] = field(
        default_factory=lambda: defaultdict(dict)
    )


class Pool:
    def __init__(self) -> None:
        self._groups: dict[_Key, _Group] = {}
        self._filed: dict[Parcel, tuple[_Key, float | None]] = {}

    def __iter__(self) -> Iterator[Parcel]:
        return iter(self._filed)

    def add(self, parcel: Parcel) -> None:
        key = _key(parcel)
        group = self._groups.setdefault(key, _Group())
        group.members[parcel] = None
        group.by_quantity[parcel.quantity][parcel] = None
        self._filed[parcel] = (key, parcel.quantity)

    def remove(self, parcel: Parcel) -> None:
        key, quantity = self._filed.pop(parcel)
        group = self._groups[key]
        del group.members[parcel]
        del group.by_quantity[quantity][parcel]
        if not group.by_quantity[quantity]:
            del group.by_quantity[quantity]
        if not group.members:
            del self._groups[key]

    def resize(self, parcel: Parcel) -> None:
        """Its quantity changed; it stays where it was in the order."""
        key, quantity = self._filed[parcel]
        group = self._groups[key]
        del group.by_quantity[quantity][parcel]
        group.by_quantity[parcel.quantity][parcel] = None
        self._filed[parcel] = (key, parcel.quantity)

    def touch(self, parcel: Parcel) -> None:
        """An event was about it: it may be in another group, and is the last there."""
        if parcel in self._filed:
            self.remove(parcel)
            self.add(parcel)

    def ranked(self, judge: Judge, wanted: float | None, maker: str) -> Iterator[tuple[Reason, Parcel]]:
        """By reason; then what that organisation made itself; then the parcels of just that quantity; then what was touched
        last."""
        classes: defaultdict[tuple[Reason, bool], list[_Group]] = defaultdict(list)
        for group in self._groups.values():
            member = next(iter(group.members))
            reason = judge(member)
            if reason is not None:
                classes[reason, member.made_by != maker].append(group)
        for kind in sorted(classes):
            for parcel in _in_order(classes[kind], wanted):
                yield kind[0], parcel


def ranked_among(
    parcels: Iterable[Parcel], judge: Judge, wanted: float | None, maker: str
) -> Iterator[tuple[Reason, Parcel]]:
    """The same for a few parcels that are in no pool of their own."""
    judged = [(judge(parcel), parcel) for parcel in parcels]
    kept = [(reason, parcel) for reason, parcel in judged if reason is not None]
    yield from sorted(
        kept,
        key=lambda each: (
            each[0],
            each[1].made_by != maker,
            each[1].quantity != wanted,
            _recent_first(each[1]),
        ),
    )


def _in_order(groups: list[_Group], wanted: float | None) -> Iterator[Parcel]:
    exact: set[Parcel] = set()
    if wanted is not None:
        fitting = [reversed(group.by_quantity[wanted]) for group in groups if wanted in group.by_quantity]
        for parcel in heapq.merge(*fitting, key=_recent_first):
            exact.add(parcel)
            yield parcel
    for parcel in heapq.merge(*(reversed(group.members) for group in groups), key=_recent_first):
        if parcel not in exact:
            yield parcel


def _recent_first(parcel: Parcel) -> tuple[int, str]:
    return -parcel.touched, parcel.name


def _key(parcel: Parcel) -> _Key:
    """All that the reasons of taking.py look at, and whose it was first."""
    loaded = parcel.stage == "loaded"
    packed = parcel.container is not None
    return packed, parcel.place, loaded, parcel.holder, parcel.documents, parcel.made_by
