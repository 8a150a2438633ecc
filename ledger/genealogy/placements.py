"""Where a device sat, from when to when: the projection of AssociationEvents.

In the line: events -> here -> `placement` rows -> which limits apply to a series. Contract: pure; events in
any order give the same placements. The same channel at two parents at once is kept as it was said, both
marked with the spell of the contradiction: nobody can tell which of the two the sensor measured.

Whose word: the device's owner says where it is, and what others say counts only while the owner says nothing; so nobody
makes the owner's placement a contradiction. Who has the parent puts devices there and takes them off, the owner's too: a
market removes the sender's logger from the pallet that it received. Who merely packed the parent puts them there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from ledger.epcis.events import AssociationEvent
from ledger.genealogy.facts import Fact, RecordedEvent, extension, read

Say = Literal["owner", "keeper", "guest", "nobody"]
"""Of the device; of the parent; of what is in it."""
Voice = Callable[[str, RecordedEvent], Say]
"""Who says this association, as seen from that device."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A device's channel at its parent. `channel` None: all channels of the device. Times: UTC milliseconds,
    `end_ms` None while it stays. `conflicts`: spells in which the channel was also said to be elsewhere. `by_owner`: the
    owner of the device says so."""

    device: str
    channel: str | None
    parent: str
    probe_position: str | None
    start_ms: int
    end_ms: int | None
    conflicts: tuple[tuple[int, int | None], ...] = ()
    by_owner: bool = True

    @property
    def conflict(self) -> bool:
        return bool(self.conflicts)


@dataclass(slots=True)
class _Board:
    """The placements that are open, by device and parent, and those that are over."""

    open: dict[tuple[str, str], dict[str | None, Placement]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    over: list[Placement] = field(default_factory=list)

    def install(self, placement: Placement) -> None:
        channels = self.open[placement.device, placement.parent]
        before = channels.get(placement.channel)
        if before is None:
            channels[placement.channel] = placement
        elif (
            placement.probe_position not in (None, before.probe_position)
            or placement.by_owner > before.by_owner
        ):
            self._close(before, placement.start_ms)
            channels[placement.channel] = placement

    def remove(self, device: str, parent: str, channel: str | None, ms: int, say: Say) -> None:
        """Without a channel, all of the device's are removed."""
        channels = self.open[device, parent]
        for each in [name for name in channels if channel is None or name == channel]:
            if say != "guest" or not channels[each].by_owner:
                self._close(channels.pop(each), ms)

    def at(self, parent: str) -> list[str]:
        return [device for device, place in self.open if place == parent]

    def _close(self, placement: Placement, ms: int) -> None:
        self.over.append(replace(placement, end_ms=ms))

    def all(self) -> Iterator[Placement]:
        yield from self.over
        for channels in self.open.values():
            yield from channels.values()


def owners(device: str, item: RecordedEvent) -> Say:
    """Of events from a file, where nobody knows whose the device is."""
    return "owner"


def placements(events: Iterable[RecordedEvent], voice: Voice = owners) -> list[Placement]:
    """Every placement that the association events say, by device, channel and start."""
    board = _Board()
    for fact in read(events):
        if isinstance(fact.event, AssociationEvent) and fact.parent:
            _apply(board, fact, fact.parent, voice)
    found = list(board.all())
    said_by_owner = [each for each in found if each.by_owner]
    of_others = [part for each in found if not each.by_owner for part in _around(each, said_by_owner)]
    return sorted([*_with_conflicts(said_by_owner), *_with_conflicts(of_others)], key=_order)


def _apply(board: _Board, fact: Fact, parent: str, voice: Voice) -> None:
    channel = _text(extension(fact.event, "channel"))
    position = _text(extension(fact.event, "probePosition"))
    removes = fact.action == "DELETE"
    for device in fact.nodes or (board.at(parent) if removes else ()):
        say = voice(device, fact.recorded)
        if say == "nobody":
            continue
        if removes:
            board.remove(device, parent, channel, fact.ms, say)
        else:
            by_owner = say == "owner"
            board.install(Placement(device, channel, parent, position, fact.ms, None, by_owner=by_owner))


def _around(claim: Placement, said_by_owner: Iterable[Placement]) -> Iterator[Placement]:
    """What is left of another's claim where the owner says nothing of the channel."""
    parts = [claim]
    for own in said_by_owner:
        if own.device == claim.device and _same_channel(own, claim):
            parts = [piece for part in parts for piece in _without(part, own)]
    yield from parts


def _without(part: Placement, own: Placement) -> Iterator[Placement]:
    if _overlap(part, own) is None:
        yield part
        return
    if part.start_ms < own.start_ms:
        yield replace(part, end_ms=own.start_ms)
    if own.end_ms is not None and (part.end_ms is None or own.end_ms < part.end_ms):
        yield replace(part, start_ms=own.end_ms)


def _text(value: object) -> str | None:
    return str(value) if value else None


def _with_conflicts(found: list[Placement]) -> Iterator[Placement]:
    by_device: defaultdict[str, list[Placement]] = defaultdict(list)
    for each in found:
        by_device[each.device].append(each)
    for each in found:
        spells = [_overlap(each, other) for other in by_device[each.device] if _contradicts(each, other)]
        kept = sorted({spell for spell in spells if spell is not None}, key=lambda spell: spell[0])
        yield replace(each, conflicts=tuple(kept))


def _contradicts(one: Placement, other: Placement) -> bool:
    return _same_channel(one, other) and one.parent != other.parent


def _same_channel(one: Placement, other: Placement) -> bool:
    return one.channel is None or other.channel is None or one.channel == other.channel


def _overlap(one: Placement, other: Placement) -> tuple[int, int | None] | None:
    start = max(one.start_ms, other.start_ms)
    ends = [end for end in (one.end_ms, other.end_ms) if end is not None]
    end = min(ends, default=None)
    return (start, end) if end is None or start < end else None


def _order(placement: Placement) -> tuple[str, str, int, str]:
    return placement.device, placement.channel or "", placement.start_ms, placement.parent
