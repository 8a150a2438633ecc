"""Who took goods in from whom, as the record supports it, and what lies behind them.

In the line: stock.py's parcels -> here -> grants, which decide who sees whose record. Contract: pure. Custody begins
with whoever made the goods (or, where nobody did, met them first) and goes on only by what those say who have it: that
they hand over, to whom they send, at whose place they set down. What anybody else claims of goods changes nothing, so
that nobody comes to see a chain by saying that it is theirs. Where those who have the goods send them off and name no
receiver, whoever takes them in is believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from ledger.epcis import vocabulary
from ledger.epcis.identifiers import canonical
from ledger.genealogy.facts import Fact, RecordedEvent
from ledger.genealogy.names import site
from ledger.genealogy.parcels import Parcel, Step
from ledger.genealogy.stock import Stock
from ledger.genealogy.taking import ENTERING, LEAVING

# At somebody's place after one of these, goods are with them, as the one says who brought or made them there.
_BRINGING: Final = frozenset(
    {"commissioning", "creating_class_instance", "arriving", "unloading", "storing", "receiving", "accepting"}
)
_TAKING: Final = frozenset({*ENTERING, "loading", "unloading", "storing"})
_FINAL: Final = frozenset({"receiving", "accepting"})
ONLY_ITS_MAKING: Final = 0
"""The depth of who only carries: the goods back to where they were made, not what they were made of."""


@dataclass(frozen=True, slots=True)
class Registered:
    """Whose a party and a place is, by canonical identifier; which organisations run a market."""

    parties: Mapping[str, str]
    places: Mapping[str, str]
    markets: frozenset[str] = frozenset()

    def host(self, place: str | None) -> str | None:
        return None if place is None else self.places.get(place, self.places.get(site(place) or ""))


@dataclass(frozen=True, slots=True)
class Where:
    """Goods were in `holder`, [start_ms, end_ms), between two statements of those who had them."""

    holder: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Taking:
    """`organisation` took goods of `lot` in by `event`. `depth`: how many transformations back it may look, None all.
    `behind`: the events that led there, this one included; `stays`: where the goods were meanwhile."""

    organisation: str
    lot: str
    event: RecordedEvent
    depth: int | None
    behind: tuple[RecordedEvent, ...]
    stays: frozenset[Where]


@dataclass(frozen=True, slots=True)
class Custody:
    """`keepers` have the goods and may speak for them; `line`: all who ever had, `makers` those with whom it began.
    `expected`: named as receivers. `open`: on the way with nobody named. `owners`: named as such by who had them last named one.
    `hosts`: at whose places they were set down, until they leave."""

    keepers: frozenset[str] = frozenset()
    line: frozenset[str] = frozenset()
    makers: frozenset[str] = frozenset()
    expected: frozenset[str] = frozenset()
    open: bool = False
    owners: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()

    def begun_by(self, makers: Iterable[str]) -> Custody:
        return replace(self.kept_by(*makers), makers=frozenset(makers))

    def kept_by(self, *more: str) -> Custody:
        return replace(self, keepers=self.keepers.union(more), line=self.line.union(more))

    def taken_by(self, *takers: str) -> Custody:
        takers_only = self.kept_by(*takers)
        return replace(takers_only, keepers=frozenset(takers), expected=frozenset(), open=False)


@dataclass(frozen=True, slots=True)
class _Destinations:
    """Organisations that an event names to possess the goods, or to own or receive them; `owners`: of these, to own them;
    `elsewhere`: somebody else too."""

    holders: frozenset[str]
    receivers: frozenset[str]
    owners: frozenset[str]
    elsewhere: bool

    @property
    def everybody(self) -> frozenset[str]:
        return self.holders | self.receivers


_Takers = Mapping[str, int | None]
_Behind = tuple[frozenset[int], frozenset[Where]]  # ordinals of facts


class Custodies:
    """The custody of every parcel after each of its steps. A piece goes on from where it was split off."""

    def __init__(self, facts: Sequence[Fact], stock: Stock, registered: Registered) -> None:
        self._facts, self._stock = facts, stock
        self._registered = registered
        self._after: dict[Parcel, list[Custody]] = {}
        self._destinations: dict[int, _Destinations] = {}
        self._whole: dict[tuple[Parcel, int], _Behind] = {}
        self._by_name = {
            parcel.name: parcel for parcels in self._stock.parcels.values() for parcel in parcels
        }

    def parcels(self) -> Iterator[Parcel]:
        for parcels in self._stock.parcels.values():
            yield from parcels

    def takings(self) -> Iterator[Taking]:
        """Every supported taking in, parcel by parcel, in the order of their birth."""
        for parcel in self.parcels():
            yield from self._taken(parcel)

    def _taken(self, parcel: Parcel) -> Iterator[Taking]:
        custody = self._before(parcel)
        for number, step in enumerate(parcel.steps):
            fact = self._facts[step.ordinal]
            custody, takers = self._step(custody, fact)
            for organisation, depth in sorted(takers.items()):
                ordinals, stays = self._behind(parcel, number, custody.line, depth)
                behind = tuple(self._facts[ordinal].recorded for ordinal in sorted(ordinals))
                yield Taking(organisation, parcel.lot, fact.recorded, depth, behind, stays)

    # --- who has it

    def told(self, parcel: Parcel) -> Iterator[tuple[Step, Fact, Custody, Custody]]:
        """The parcel's own steps, with the custody before and after."""
        before = self._before(parcel)
        for step, after in zip(parcel.steps, self._custody(parcel), strict=True):
            yield step, self._facts[step.ordinal], before, after
            before = after

    def last(self, parcel: Parcel) -> Custody:
        """As it stands after all that was said of the parcel."""
        after = self._custody(parcel)
        return after[-1] if after else self._before(parcel)

    def about(self, parcel: Parcel) -> Iterator[Fact]:
        """All that happened to the parcel, before it was split off too."""
        return (self._facts[step.ordinal] for step in parcel.history())

    def _custody(self, parcel: Parcel) -> list[Custody]:
        """After each of the parcel's own steps."""
        if parcel not in self._after:
            custody, found = self._before(parcel), []
            for step in parcel.steps:
                custody, _ = self._step(custody, self._facts[step.ordinal])
                found.append(custody)
            self._after[parcel] = found
        return self._after[parcel]

    def _before(self, parcel: Parcel) -> Custody:
        if parcel.origin is None:
            return self._begun(parcel)
        if parcel.origin_steps == 0:
            return self._before(parcel.origin)
        return self._custody(parcel.origin)[parcel.origin_steps - 1]

    def _begun(self, parcel: Parcel) -> Custody:
        """Named before they were made, goods are their maker's, whoever named them."""
        making = self._making(parcel)
        return Custody() if making is None else Custody().begun_by({making.recorded.organisation})

    def _making(self, parcel: Parcel) -> Fact | None:
        """Of goods that were named before they were made: by which most of them were made."""
        made = parcel.made_later
        return self._facts[max(made, key=lambda ordinal: (made[ordinal], -ordinal))] if made else None

    def _step(self, custody: Custody, fact: Fact) -> tuple[Custody, _Takers]:
        """Custody after the event, and who took the goods in by it."""
        who = fact.recorded.organisation
        if not custody.keepers:
            custody = custody.begun_by({who})
        if who in custody.keepers:
            custody, takers = self._said_by_a_keeper(custody, fact, who)
        else:
            custody, takers = _claimed(custody, fact, who)
            if who not in custody.keepers:
                return custody, takers
        return self._standing(custody, fact), takers

    def _standing(self, custody: Custody, fact: Fact) -> Custody:
        """At whose places they are, and whose they are, as somebody says who has them."""
        if fact.step in LEAVING or fact.disposition == "in_transit":
            custody = replace(custody, hosts=frozenset())
        elif fact.step in _BRINGING:
            here = {self._registered.host(place) for place in fact.here} - {None}
            custody = replace(custody, hosts=custody.hosts.union(each for each in here if each))
        owners = self._named(fact).owners
        return replace(custody, owners=owners) if owners else custody

    def _said_by_a_keeper(self, custody: Custody, fact: Fact, who: str) -> tuple[Custody, _Takers]:
        named = self._named(fact)
        takers: dict[str, int | None] = {}
        if fact.step in _FINAL and fact.disposition != "in_transit":
            takers = dict.fromkeys(sorted(named.everybody - custody.keepers))
            return custody.taken_by(*(named.everybody or {who})), takers
        if fact.step == "loading" or fact.step in _FINAL:
            takers = dict.fromkeys(sorted(named.holders - custody.keepers), ONLY_ITS_MAKING)
            custody = custody.kept_by(*takers)
            receivers = named.receivers - custody.keepers
        else:
            receivers = named.everybody - custody.keepers
        if receivers:
            custody = replace(custody, expected=receivers, open=False)
        elif named.elsewhere and fact.step != "loading":
            custody = replace(custody, expected=frozenset(), open=False)
        elif (fact.step in LEAVING or fact.disposition == "in_transit") and not custody.expected:
            custody = replace(custody, open=True)
        host = self._host(fact)
        if host is not None and host not in custody.keepers:
            takers.setdefault(host, None)
            custody = replace(custody.kept_by(host), expected=custody.expected - {host})
        return custody, takers

    def _host(self, fact: Fact) -> str | None:
        if fact.step not in _BRINGING:
            return None
        return self._registered.host(fact.biz_location or fact.read_point)

    def _named(self, fact: Fact) -> _Destinations:
        if fact.ordinal not in self._destinations:
            holders, receivers, owners, elsewhere = set[str](), set[str](), set[str](), False
            for each in fact.event.destination_list:
                kind, party = vocabulary.source_destination_type(each.type), canonical(each.destination)
                known = self._registered.parties.get(party) or self._registered.host(party)
                if known is None:
                    elsewhere = True
                else:
                    (holders if kind == "possessing_party" else receivers).add(known)
                    owners |= {known} if kind == "owning_party" else set()
            self._destinations[fact.ordinal] = _Destinations(
                frozenset(holders), frozenset(receivers), frozenset(owners), elsewhere
            )
        return self._destinations[fact.ordinal]

    # --- what lies behind

    def _behind(self, parcel: Parcel, number: int, line: frozenset[str], depth: int | None) -> _Behind:
        """Up to the parcel's own step `number`: what those of the line said, and the same of what it was made of."""
        steps = parcel.history()
        steps = steps[: len(steps) - len(parcel.steps) + number + 1]
        ordinals = {step.ordinal for step in steps if self._recorder(step) in line}
        stays = set(self._stays(parcel, steps))
        making = self._making(parcel) or self._facts[steps[0].ordinal]
        run = parcel.run or (making.run if making.kind == "TransformationEvent" else None)
        if parcel.made_later:
            ordinals.add(making.ordinal)
        if run is not None and depth != 0:
            maker = making.recorded.organisation
            for used in self._used(run):
                if maker in self._keepers_before(used):  # else it claims as its input what it never had
                    more, where = self._used_up(used, None if depth is None else depth - 1)
                    ordinals |= more
                    stays |= where
        return frozenset(ordinals), frozenset(stays)

    def _used_up(self, parcel: Parcel, depth: int | None) -> _Behind:
        key = (parcel, -1 if depth is None else depth)
        if key not in self._whole:
            self._whole[key] = frozenset(), frozenset()  # a run that uses what it makes ends here
            last = len(parcel.steps) - 1
            self._whole[key] = self._behind(parcel, last, self._custody(parcel)[last].line, depth)
        return self._whole[key]

    def _used(self, run: str) -> Iterator[Parcel]:
        for names in self._stock.runs[run].used.values():
            for name in names:
                parcel = self._by_name.get(name)
                if parcel is not None and parcel.steps:
                    yield parcel

    def _keepers_before(self, used: Parcel) -> frozenset[str]:
        """Who had it when it was used up by its last step."""
        after = self._custody(used)
        before = after[-2] if len(after) > 1 else self._before(used)
        return before.keepers or after[-1].keepers

    def _stays(self, parcel: Parcel, steps: list[Step]) -> Iterator[Where]:
        """Between the statements of those who had the goods then: what anybody else says cuts no span."""
        custody, kept = self._begun(parcel), list[Step]()
        for step in steps:
            custody, _ = self._step(custody, self._facts[step.ordinal])
            if self._recorder(step) in custody.keepers:
                kept.append(step)
        for step, after in pairwise(kept):
            if after.ms > step.ms:
                holders = step.chain if step.place is None or step.in_vehicle else (*step.chain, step.place)
                for holder in holders:
                    yield Where(holder, step.ms, after.ms)

    def _recorder(self, step: Step) -> str:
        return self._facts[step.ordinal].recorded.organisation


def _claimed(custody: Custody, fact: Fact, who: str) -> tuple[Custody, _Takers]:
    """Of somebody who does not have the goods, as far as the record says."""
    if fact.step not in _TAKING:
        return custody, {}
    carries = fact.step == "loading" or fact.disposition == "in_transit"
    if who in custody.expected:
        if carries:
            return custody.kept_by(who), {who: ONLY_ITS_MAKING}
        if fact.step in _FINAL:
            return custody.taken_by(who), {who: None}
        return replace(custody.kept_by(who), expected=custody.expected - {who}), {who: None}
    if custody.open and not carries and fact.step in ENTERING:
        return (custody.taken_by(who) if fact.step in _FINAL else custody.kept_by(who)), {who: None}
    return custody, {}
