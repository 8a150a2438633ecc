"""Recalls and holds: whose word sets and lifts a mark on goods.

In the line: custody.py says who has goods -> `judged` says what counts of every event about marks -> `lot_mark` -> a Belief ->
the marks of a portion. Contract: pure. A word that does not count stays in the journey and moves no mark.

Set: a recall by everybody who ever had the goods, their maker first of all; every mark by who has them, who was named as their
owner by who has them, and who keeps the place where they stand.
Lifted: by who set it; by the market where they were set down, as those say who had them; a recall by the maker besides, and by no
later keeper, else one accomplice ends it; another mark by a later keeper, but not a market's hold: what is detained there should
have come into nobody's hands.
(docs/decisions/0017-whose-mark-counts.md)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from ledger.epcis import vocabulary
from ledger.genealogy.custody import Custodies, Custody, Registered
from ledger.genealogy.facts import Fact, RecordedEvent
from ledger.genealogy.parcels import Parcel, Step, tag_of, untagged

RECALLED: Final = "recalled"
HELD: Final = "unavailable"
STOPPING: Final = frozenset({RECALLED, HELD, "non_sellable_other"})
"""Dispositions that, as the last one said of goods, stop them like a mark does."""


@dataclass(frozen=True, slots=True)
class Word:
    """What counts of what one event says about the marks of one portion. `unset`: lifted, whoever set them; what its
    organisation set itself it takes back in any case. `speaks`: its plain disposition counts too."""

    set: frozenset[str] = frozenset()
    unset: frozenset[str] = frozenset()
    speaks: bool = False


UNHEARD: Final = Word()
Line = Sequence[tuple[str, int | None]]
"""A portion's name, then those it came of by splits, each with the time (UTC milliseconds) of the split; None of itself."""
Orders = Callable[[str, Line, frozenset[str]], tuple[RecordedEvent, ...]]
"""Of lot, portion and the containers around it: recalls that stand, as the events that say them or would."""
Belief = Callable[[str, str, RecordedEvent], Word]
"""Of lot, portion's name and event."""


def digest(portion: str) -> str:
    """A portion's name as it is kept beside its marks: the name itself may tell of an event that is not shown."""
    return hashlib.sha256(portion.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Judged:
    """`known_as`: as what else the portion may go for who sees less of it, namely by every event that was about it."""

    lot: str
    portion: str
    known_as: frozenset[str]
    event: RecordedEvent
    word: Word


@dataclass(frozen=True, slots=True)
class Marks:
    """`set_by`: every mark with the events that set it. `said`: the event whose plain disposition stops the goods."""

    set_by: Mapping[str, tuple[RecordedEvent, ...]] = field(default_factory=dict)
    said: RecordedEvent | None = None

    def after(self, item: RecordedEvent, word: Word) -> Marks:
        takes_back = spoken(item).unset
        kept = {
            mark: tuple(
                each for each in by if mark not in takes_back or each.organisation != item.organisation
            )
            for mark, by in self.set_by.items()
            if mark not in word.unset
        }
        fresh = {mark: (*kept.get(mark, ()), item) for mark in word.set - takes_back}
        said = self.said
        if word.speaks and item.event.disposition:
            said = item if vocabulary.disposition(item.event.disposition) in STOPPING else None
        return Marks({mark: by for mark, by in (kept | fresh).items() if by}, said)


def spoken(item: RecordedEvent) -> Word:
    """All that the event says, as if everything counted."""
    said = getattr(item.event, "persistent_disposition", None)
    return Word(
        frozenset(map(vocabulary.disposition, said.set if said else ())),
        frozenset(map(vocabulary.disposition, said.unset if said else ())),
        item.event.disposition is not None,
    )


def concerns_marks(item: RecordedEvent) -> bool:
    """It sets or lifts a mark, or stops the goods by its plain disposition."""
    word, said = spoken(item), item.event.disposition
    return bool(word.set or word.unset or (said and vocabulary.disposition(said) in STOPPING))


def everybody(lot: str, portion: str, item: RecordedEvent) -> Word:
    """Of events from a file, where nobody knows who had what."""
    return spoken(item)


def marks_of(parcel: Parcel, facts: Sequence[Fact], belief: Belief) -> Marks:
    marks = Marks()
    for owner, step in _steps(parcel):
        item = facts[step.ordinal].recorded
        if item.event.disposition or spoken(item) != UNHEARD:
            marks = marks.after(item, belief(parcel.lot, owner.name, item))
    return marks


def no_orders(lot: str, line: Line, inside: frozenset[str]) -> tuple[RecordedEvent, ...]:
    """Of events from a file, which no order came with."""
    return ()


def line_of(parcel: Parcel) -> Line:
    names = list(parcel.line())
    return [(names[0].name, None), *((whole.name, piece.born_ms) for piece, whole in pairwise(names))]


def ordered(marks: Marks, orders: tuple[RecordedEvent, ...]) -> Marks:
    """With the recalls that stand. One whose own event was heard already is that event's."""
    heard = {(each.organisation, each.event.event_time) for each in marks.set_by.get(RECALLED, ())}
    fresh = tuple(each for each in orders if (each.organisation, each.event.event_time) not in heard)
    if not fresh:
        return marks
    return Marks({**marks.set_by, RECALLED: (*marks.set_by.get(RECALLED, ()), *fresh)}, marks.said)


def _steps(parcel: Parcel) -> Iterator[tuple[Parcel, Step]]:
    """The whole history, each step with the parcel that it was about: before a split, the one that was split."""
    parts, each, count = [], parcel, len(parcel.steps)
    while True:
        parts.append([(each, step) for step in each.steps[:count]])
        if each.origin is None:
            break
        count, each = each.origin_steps, each.origin
    for part in reversed(parts):
        yield from part


# --- what counts ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Mark:
    setter: str
    keepers: frozenset[str]
    by_market: bool


@dataclass(frozen=True, slots=True)
class _State:
    marks: Mapping[str, tuple[_Mark, ...]] = field(default_factory=dict)
    said: bool = False


class _Judge:
    def __init__(self, custodies: Custodies, registered: Registered) -> None:
        self._custodies, self._registered = custodies, registered
        self._after: dict[Parcel, list[_State]] = {}
        self._words: dict[Parcel, list[tuple[RecordedEvent, Word]]] = {}

    def words(self, parcel: Parcel) -> list[tuple[RecordedEvent, Word]]:
        self._walk(parcel)
        return self._words[parcel]

    def known_as(self, parcel: Parcel) -> frozenset[str]:
        names = {untagged(each.name) for each in parcel.line()}
        return frozenset(names | {tag_of(fact.name, parcel.lot) for fact in self._custodies.about(parcel)})

    def _walk(self, parcel: Parcel) -> list[_State]:
        """The state after each of the parcel's own steps."""
        if parcel not in self._after:
            state, states, words = self._before(parcel), list[_State](), list[tuple[RecordedEvent, Word]]()
            for step, fact, before, after in self._custodies.told(parcel):
                item = fact.recorded
                if concerns_marks(item) or (state.said and item.event.disposition):
                    speaker = _Speaker(item.organisation, before, after, self._registered, step)
                    word, state = _heard(speaker, item, state)
                    words.append((item, word))
                states.append(state)
            self._after[parcel], self._words[parcel] = states, words
        return self._after[parcel]

    def _before(self, parcel: Parcel) -> _State:
        if parcel.origin is None:
            return _State()
        if parcel.origin_steps == 0:
            return self._before(parcel.origin)
        return self._walk(parcel.origin)[parcel.origin_steps - 1]


class _Speaker:
    """What somebody may say of goods that stand so."""

    def __init__(self, who: str, before: Custody, after: Custody, registered: Registered, step: Step) -> None:
        self.who, self.after = who, after
        self.keepers = before.keepers | after.keepers
        self.has = who in self.keepers
        # A market is believed of what stands at its own place, also where nobody recorded how it came there.
        self.is_market = who in registered.markets
        self.stands = who in before.hosts | after.hosts
        self.keeps_place = self.stands or (self.is_market and registered.host(step.place) == who)
        self.may_hold = self.has or self.keeps_place or who in before.owners | after.owners

    def may_set(self, mark: str) -> bool:
        return self.may_hold or (mark == RECALLED and self.who in self.after.line)

    def may_lift(self, mark: str, standing: _Mark) -> bool:
        # Lifting what others set takes more than one's own word that the goods stand here.
        if self.who == standing.setter or (self.is_market and (self.stands or self.has)):
            return True
        if mark == RECALLED:
            return self.who in self.after.makers
        if mark == HELD and standing.by_market:
            return False
        return self.has and self.who not in standing.keepers

    def sets(self) -> _Mark:
        return _Mark(self.who, self.keepers, self.is_market and self.keeps_place)


def _heard(speaker: _Speaker, item: RecordedEvent, state: _State) -> tuple[Word, _State]:
    said = spoken(item)
    lifted = {
        mark
        for mark in said.unset
        if state.marks.get(mark) and all(speaker.may_lift(mark, each) for each in state.marks[mark])
    }
    fresh = {mark for mark in said.set - said.unset if speaker.may_set(mark)}
    marks = {
        mark: tuple(each for each in by if mark not in said.unset or each.setter != speaker.who)
        for mark, by in state.marks.items()
        if mark not in lifted
    }
    marks |= {mark: (*marks.get(mark, ()), speaker.sets()) for mark in fresh}
    disposition = vocabulary.disposition(item.event.disposition) if item.event.disposition else ""
    speaks = bool(disposition) and speaker.may_set(disposition)
    stopped = disposition in STOPPING if speaks else state.said
    return Word(frozenset(fresh), frozenset(lifted), speaks), _State(marks, stopped)


def judged(custodies: Custodies, registered: Registered) -> Iterator[Judged]:
    """What counts of everything that was said about marks, parcel by parcel."""
    judge = _Judge(custodies, registered)
    for parcel in custodies.parcels():
        words = judge.words(parcel)
        known_as = judge.known_as(parcel) if words else frozenset[str]()
        for item, word in words:
            yield Judged(parcel.lot, parcel.name, known_as, item, word)
