"""The body of a window's entry: what is published of an hour of readings.

Root, extremes and missing ranges; never a reading. A list of more than 32 items appears as its count and
root, and if the entry would still be too long, the longest list left does too, so that a window always fits.
Sealing makes a `WindowBody` from a `WindowTree`; the sequencer fills in what it amends; a verifier reads it
back. Bytes: `docs/entry-v1.md`.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar, get_args

import numpy as np

from ledger.errors import EntryError
from ledger.strict_json import MAX_INTEGER, from_base64, natural, strict, to_base64
from ledger.translog.merkle import HASH_SIZE, Tree
from ledger.window import WindowTree

Closed = Literal["hour", "excursion", "hand_over"]

MAX_LISTED = 32
"""Items of a list that an entry carries; a longer list is replaced by its count and root."""
MAX_BODY_SIZE = 4096 - 351
"""Bytes left of an entry beside the longest envelope, reserved members included (a test measures the
envelope).
"""


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """What an entry tells of one series. Extremes in thousandths of the unit, floor of the least and ceiling
    of the greatest of the double products value x 1000; None: not stated (observations, or beyond 2**53).
    """

    series: bytes
    count: int
    first_ms: int
    last_ms: int
    min_milli: int | None
    max_milli: int | None

    def item(self) -> list[Any]:
        return [
            to_base64(self.series), self.count, self.first_ms, self.last_ms, self.min_milli, self.max_milli
        ]  # fmt: skip

    @classmethod
    def read(cls, item: Any) -> "SeriesSummary":
        row = _tuple(item, 6, "series")
        summary = cls(
            from_base64(row[0], "series", 16),
            natural(row[1], "count of a series"),
            natural(row[2], "first time of a series"),
            natural(row[3], "last time of a series"),
            _optional(row[4], "min of a series"),
            _optional(row[5], "max of a series"),
        )
        if summary.count == 0 or summary.first_ms > summary.last_ms:
            raise EntryError(f"series: got {summary.count} from {row[2]} to {row[3]}, want some, in order")
        return summary

    def holds(self, value: float) -> bool:
        """Whether `value` lies within the published extremes."""
        # Against integers floor and ceiling change nothing, and infinity compares as it should.
        milli = value * 1000.0
        above = self.min_milli is None or milli >= self.min_milli
        return above and (self.max_milli is None or milli <= self.max_milli)


@dataclass(frozen=True, slots=True)
class Missing:
    """Messages of one boot that never came: sequence numbers `first` to `last`, inclusive."""

    boot: int
    first: int
    last: int

    def item(self) -> list[Any]:
        return [self.boot, self.first, self.last]

    @classmethod
    def read(cls, item: Any) -> "Missing":
        row = [natural(value, "missing range") for value in _tuple(item, 3, "missing range")]
        if row[1] > row[2]:
            raise EntryError(f"missing range: got {row[1]} to {row[2]}, want them in order")
        return cls(*row)


@dataclass(frozen=True, slots=True)
class Added:
    """A position that an amending window has and the one before had not."""

    position: int

    def item(self) -> int:
        return self.position

    @classmethod
    def read(cls, item: Any) -> "Added":
        return cls(natural(item, "added position"))


@dataclass(frozen=True, slots=True)
class Amends:
    """The window entry that an amending one follows: where it lies in the same log, and its leaf hash."""

    index: int
    leaf: bytes

    def value(self) -> dict[str, Any]:
        return {"index": self.index, "leaf": to_base64(self.leaf)}

    @classmethod
    def read(cls, value: Any) -> "Amends":
        found = _members(value, {"index", "leaf"}, "amends")
        return cls(
            natural(found["index"], "amended index"), from_base64(found["leaf"], "amended leaf", HASH_SIZE)
        )


Item = TypeVar("Item", SeriesSummary, Missing, Added)


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item]):
    """A list as an entry carries it: its items, or (`items` is None) only how many and their root."""

    count: int
    root: bytes
    items: tuple[Item, ...] | None

    @classmethod
    def of(cls, items: Sequence[Item]) -> "Listing[Item]":
        """Shown in full."""
        return cls(len(items), list_tree(items).root_hash, tuple(items))

    def collapsed(self) -> "Listing[Item]":
        return replace(self, items=None)

    def value(self) -> Any:
        if self.items is None:
            return {"count": self.count, "root": to_base64(self.root)}
        return [item.item() for item in self.items]

    @classmethod
    def read(cls, value: Any, kind: type[Item], what: str) -> "Listing[Item]":
        if isinstance(value, list | tuple):
            if len(value) > MAX_LISTED:
                raise EntryError(f"{what}: got {len(value)} items, want {MAX_LISTED} or their count and root")
            return cls.of([kind.read(item) for item in value])
        found = _members(value, {"count", "root"}, what)
        return cls(
            natural(found["count"], what), from_base64(found["root"], f"root of {what}", HASH_SIZE), None
        )


def list_tree(items: Sequence[Item]) -> Tree:
    """The RFC 6962 tree over the RFC 8785 bytes of each item."""
    return Tree.of([strict(item.item()) for item in items])


@dataclass(frozen=True, slots=True)
class WindowBody:
    """What a window's entry says. Times in UTC ms, `end_ms` exclusive. `amends` and `added` only in an
    amending one.
    """

    start_ms: int
    end_ms: int
    closed: Closed
    count: int
    root: bytes
    series: Listing[SeriesSummary]
    missing: Listing[Missing]
    amends: Amends | None = None
    added: Listing[Added] | None = None

    @classmethod
    def of(
        cls,
        tree: WindowTree,
        start_ms: int,
        end_ms: int,
        closed: Closed,
        missing: Sequence[Missing] = (),
        *,
        added: Sequence[int] | None = None,
        amends: Amends | None = None,
    ) -> "WindowBody":
        """The body of a window, short enough for an entry. `added` makes it an amending one, whose `amends`
        may be filled in later (`amending`), when the sequencer knows the leaf.
        """
        body = cls(
            start_ms, end_ms, closed, tree.size, tree.root_hash,
            Listing.of(summaries(tree)), Listing.of(missing),
            amends, None if added is None else Listing.of([Added(position) for position in added]),
        )  # fmt: skip
        body._check()
        return body._fitting()

    def amending(self, amends: Amends) -> "WindowBody":
        return replace(self, amends=amends)

    def value(self) -> dict[str, Any]:
        """The JSON object of the entry's `body`."""
        value: dict[str, Any] = {
            "window": [self.start_ms, self.end_ms], "closed": self.closed, "count": self.count,
            "root": to_base64(self.root), "series": self.series.value(), "missing": self.missing.value(),
        }  # fmt: skip
        if self.amends is not None:
            value["amends"] = self.amends.value()
        if self.added is not None:
            value["added"] = self.added.value()
        return value

    @classmethod
    def read(cls, value: Any, *, pending: bool = False) -> "WindowBody":
        """The inverse of `value`, or EntryError. `pending`: `amends` may still be missing."""
        names = {"window", "closed", "count", "root", "series", "missing"}
        amending = isinstance(value, Mapping) and "added" in value
        found = _members(value, names | ({"added"} if amending else set()), "window body", {"amends"})
        if ("amends" in found) != amending and not (pending and amending):
            raise EntryError("window body: want amends and added together")
        start, end = _tuple(found["window"], 2, "window")
        body = cls(
            start_ms=natural(start, "start of the window"),
            end_ms=natural(end, "end of the window"),
            closed=_closed(found["closed"]),
            count=natural(found["count"], "count"),
            root=from_base64(found["root"], "root", HASH_SIZE),
            series=Listing.read(found["series"], SeriesSummary, "series"),
            missing=Listing.read(found["missing"], Missing, "missing ranges"),
            amends=Amends.read(found["amends"]) if "amends" in found else None,
            added=Listing.read(found["added"], Added, "added positions") if amending else None,
        )
        body._check()
        return body

    def _check(self) -> None:
        if self.start_ms >= self.end_ms:
            raise EntryError(f"window: got {self.start_ms} to {self.end_ms}, want an end after the start")
        if self.series.items is not None:
            self._check_series(self.series.items)
        if self.added is not None and self.added.items is not None:
            positions = [item.position for item in self.added.items]
            if sorted(set(positions)) != positions or (positions and positions[-1] >= self.count):
                raise EntryError(f"added positions: got {positions}, want them rising and below {self.count}")

    def _check_series(self, items: Sequence[SeriesSummary]) -> None:
        names = [item.series for item in items]
        if sorted(set(names)) != names:
            raise EntryError("series: want each once, in the order of their uuids")
        if (total := sum(item.count for item in items)) != self.count:
            raise EntryError(f"count of the window: got {self.count}, want the series' sum {total}")
        for item in items:
            if not self.start_ms <= item.first_ms <= item.last_ms < self.end_ms:
                raise EntryError(
                    f"series: got {item.first_ms} to {item.last_ms}, want them inside the window"
                )

    def _fitting(self) -> "WindowBody":
        """With lists beyond 32 items collapsed, and then the longest ones until the entry is short enough."""
        body = self
        for name, listing in self._shown().items():
            if listing.count > MAX_LISTED:
                body = body._collapsing(name)
        while (length := len(body._longest_form())) > MAX_BODY_SIZE:
            shown = body._shown()
            if not shown:
                raise EntryError(f"window body: got {length} bytes, want at most {MAX_BODY_SIZE}")
            body = body._collapsing(max(shown, key=lambda name: len(strict(shown[name].value()))))
        return body

    def _shown(self) -> dict[str, "Listing[Any]"]:
        lists: dict[str, Listing[Any] | None] = {
            "series": self.series,
            "missing": self.missing,
            "added": self.added,
        }
        return {name: held for name, held in lists.items() if held is not None and held.items is not None}

    def _collapsing(self, name: str) -> "WindowBody":
        changes: dict[str, Any] = {name: self._shown()[name].collapsed()}
        return replace(self, **changes)

    def _longest_form(self) -> bytes:
        """The bytes with the longest `amends` in its place, so that filling it in later cannot break the
        limit.
        """
        if self.added is None or self.amends is not None:
            return strict(self.value())
        return strict(self.amending(Amends(MAX_INTEGER, bytes(HASH_SIZE))).value())


def summaries(tree: WindowTree) -> tuple[SeriesSummary, ...]:
    """One summary a series, in the order of the tree."""
    if not tree.size:
        return ()
    series, times = tree.rows["series"], tree.rows["time"]
    first = np.flatnonzero(np.r_[True, series[1:] != series[:-1]])
    last = np.r_[first[1:], tree.size] - 1
    with np.errstate(over="ignore"):
        thousandths = tree.rows["value"] * 1000.0
    low = np.floor(np.fmin.reduceat(thousandths, first))
    high = np.ceil(np.fmax.reduceat(thousandths, first))
    return tuple(
        SeriesSummary(
            series=series[start].tobytes(),
            count=int(end - start + 1),
            first_ms=int(times[start]),
            last_ms=int(times[end]),
            min_milli=_milli(least),
            max_milli=_milli(greatest),
        )
        for start, end, least, greatest in zip(first, last, low, high, strict=True)
    )


def _milli(value: float) -> int | None:
    """None where there is no number, or none that an entry may carry."""
    return int(value) if math.isfinite(value) and abs(value) <= MAX_INTEGER else None


def _closed(value: Any) -> Closed:
    for known in get_args(Closed):
        if value == known:
            return known  # type: ignore[no-any-return]
    raise EntryError(f"closed: got {value!r:.60}, want one of {', '.join(get_args(Closed))}")


def _optional(value: Any, what: str) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise EntryError(f"{what}: got {value!r:.60}, want an integer or null")


def _tuple(value: Any, length: int, what: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple) or len(value) != length:
        raise EntryError(f"{what}: got {value!r:.60}, want a list of {length}")
    return value


def _members(value: Any, names: set[str], what: str, optional: Collection[str] = ()) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not names <= value.keys() <= names | set(optional):
        got = ", ".join(sorted(value)) if isinstance(value, Mapping) else type(value).__name__
        raise EntryError(f"{what}: got {got[:200]}, want {', '.join(sorted(names))}")
    return value
