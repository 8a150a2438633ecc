"""Where a device sat, from when to when: the projection of AssociationEvents.

In the line: events -> here -> `placement` rows -> which limits apply to a series. Contract: pure; events in
any order give the same placements. The same channel at two parents at once is kept as it was said, both
marked with the spell of the contradiction: nobody can tell which of the two the sensor measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from ledger.epcis.events import AssociationEvent
from ledger.genealogy.facts import Fact, RecordedEvent, extension, read


@dataclass(frozen=True, slots=True)
class Placement:
    """A device's channel at its parent. `channel` None: all channels of the device. Times: UTC milliseconds,
    `end_ms` None while it stays. `conflicts`: spells in which the channel was also said to be elsewhere."""

    device: str
    channel: str | None
    parent: str
    probe_position: str | None
    start_ms: int
    end_ms: int | None
    conflicts: tuple[tuple[int, int | None], ...] = ()

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
        elif placement.probe_position not in (None, before.probe_position):
            self._close(before, placement.start_ms)
            channels[placement.channel] = placement

    def remove(self, device: str, parent: str, channel: str | None, ms: int) -> None:
        """Without a channel, all of the device's are removed."""
        channels = self.open[device, parent]
        for each in [name for name in channels if channel is None or name == channel]:
            self._close(channels.pop(each), ms)

    def remove_all(self, parent: str, channel: str | None, ms: int) -> None:
        for device in [device for device, at in self.open if at == parent]:
            self.remove(device, parent, channel, ms)

    def _close(self, placement: Placement, ms: int) -> None:
        self.over.append(replace(placement, end_ms=ms))

    def all(self) -> Iterator[Placement]:
        yield from self.over
        for channels in self.open.values():
            yield from channels.values()


def placements(events: Iterable[RecordedEvent]) -> list[Placement]:
    """Every placement that the association events say, by device, channel and start."""
    board = _Board()
    for fact in read(events):
        if isinstance(fact.event, AssociationEvent) and fact.parent:
            _apply(board, fact, fact.parent)
    return sorted(_with_conflicts(list(board.all())), key=_order)


def _apply(board: _Board, fact: Fact, parent: str) -> None:
    channel = _text(extension(fact.event, "channel"))
    if fact.action == "DELETE":
        for device in fact.nodes:
            board.remove(device, parent, channel, fact.ms)
        if not fact.nodes:
            board.remove_all(parent, channel, fact.ms)
        return
    position = _text(extension(fact.event, "probePosition"))
    for device in fact.nodes:
        board.install(Placement(device, channel, parent, position, fact.ms, None))


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
    same_channel = one.channel is None or other.channel is None or one.channel == other.channel
    return same_channel and one.parent != other.parent


def _overlap(one: Placement, other: Placement) -> tuple[int, int | None] | None:
    start = max(one.start_ms, other.start_ms)
    ends = [end for end in (one.end_ms, other.end_ms) if end is not None]
    end = min(ends, default=None)
    return (start, end) if end is None or start < end else None


def _order(placement: Placement) -> tuple[str, str, int, str]:
    return placement.device, placement.channel or "", placement.start_ms, placement.parent
