"""One walk, many questions: the result of replaying events.

In the line: the reading functions load events and call replay() once; portions, presence and trace are asked
of what it returns. Contract: a Genealogy never changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from ledger.genealogy.books import Discrepancy
from ledger.genealogy.custody import Custodies, Registered, Taking
from ledger.genealogy.facts import Fact, RecordedEvent, read
from ledger.genealogy.labels import LabelRange, ranges_of, unit_of
from ledger.genealogy.marks import Belief, Judged, Orders, everybody, no_orders
from ledger.genealogy.marks import judged as judgements
from ledger.genealogy.names import identify, lot_of, uri
from ledger.genealogy.parcels import NOTHING, Parcel
from ledger.genealogy.portions import Portion, portion, portions_of_lot
from ledger.genealogy.presence import Presence, presence_of
from ledger.genealogy.stock import Stock
from ledger.genealogy.trace import MAX_DEPTH, MAX_EVENTS, Direction, Trace, Tracks, trace_of
from ledger.genealogy.whereabouts import Whereabouts, whereabouts_of


class Genealogy:
    """What a set of events adds up to. Make it with replay()."""

    def __init__(
        self, facts: Sequence[Fact], stock: Stock, belief: Belief, orders: Orders = no_orders
    ) -> None:
        self.facts = facts
        self.stock = stock
        self._belief = belief
        self._orders = orders
        self.label_ranges: list[LabelRange] = [each for fact in facts for each in ranges_of(fact)]

    @property
    def discrepancies(self) -> Sequence[Discrepancy]:
        """Claims that do not add up, in the order in which they were made."""
        return tuple(self.stock.holdings.discrepancies)

    def lots(self) -> list[str]:
        """Every lot of which a portion exists or existed."""
        return sorted(lot for lot, parcels in self.stock.parcels.items() if parcels)

    def named(self) -> list[str]:
        """Everything that an event names as what it is about."""
        return sorted(self.tracks.links.named)

    def names(self, identifier: str) -> bool:
        """Whether an event names it, as what it is about or elsewhere."""
        return identifier in self.tracks.links.named or identifier in self.tracks.elsewhere

    def portions(self, lot: str) -> list[Portion]:
        """All portions of a lot, ended ones too, in the order of their birth. Empty for an unknown lot."""
        return portions_of_lot(self.stock, self.facts, uri(lot), self._belief, self._orders)

    def portions_answering(self, identifier: str) -> list[Portion]:
        """The portions that answer for a lot, a unit, a vehicle or one box.

        A box answers with the portion it is known to be in; known only by its label, with every portion that
        its unit was split into since, because nobody recorded which boxes went where.
        """
        return [
            portion(self.stock, self.facts, parcel, self._belief, self._orders)
            for parcel in self.parcels_answering(uri(identifier))
        ]

    def parcels_answering(self, identifier: str) -> list[Parcel]:
        lot = lot_of(identifier)
        if lot is not None and lot != identifier:
            return self._of_box(identifier, lot)
        if self.stock.parcels.get(identifier):
            return [each for each in self.stock.parcels[identifier] if _exists(each)]
        return [each for each in self._all() if any(identifier in step.chain for step in each.steps)]

    def presence(self) -> list[Presence]:
        return presence_of(self.stock)

    def whereabouts(self) -> list[Whereabouts]:
        """The goods of every lot, each kilogram once."""
        return whereabouts_of(self.stock)

    def trace(
        self,
        identifier: str,
        direction: Direction = "both",
        max_depth: int = MAX_DEPTH,
        max_events: int = MAX_EVENTS,
    ) -> Trace:
        """Of a lot, a box, a unit, or any other URI that events name. An unknown identifier has no events."""
        name = uri(identifier)
        return trace_of(self.tracks, name, direction, self.parcels_answering(name), max_depth, max_events)

    @cached_property
    def tracks(self) -> Tracks:
        """The links that its traces follow."""
        return Tracks(self.facts, self.stock)

    def _of_box(self, box: str, lot: str) -> list[Parcel]:
        known = self.stock.holdings.home_of_box.get(box)
        if known is not None:
            return [known]
        parcels = [each for each in self.stock.parcels.get(lot, ()) if _exists(each)]
        label = unit_of(box, self.label_ranges)
        serial = identify(box).parts.get("21", "")
        if label is None:
            return [] if self._labels_cover(lot) else parcels
        return [each for each in parcels if any(mine.holds(serial) for mine in each.labels)]

    def _labels_cover(self, lot: str) -> bool:
        """Once labels of a lot are on record, a serial outside all of them is none of ours."""
        return any(each.lot == lot for each in self.label_ranges)

    def _all(self) -> Iterable[Parcel]:
        for parcels in self.stock.parcels.values():
            yield from (each for each in parcels if _exists(each))


def replay(
    events: Iterable[RecordedEvent],
    net_kg: Mapping[str, float] | None = None,
    belief: Belief = everybody,
    orders: Orders = no_orders,
) -> Genealogy:
    """Walk the events. `net_kg`: net content by product class URI, for lots whose events do not say it. `belief`: what counts
    of what was said about marks. `orders`: recalls that stand besides."""
    facts = read(events)
    return Genealogy(facts, Stock(facts, net_kg or {}), belief, orders)


def takings(genealogy: Genealogy, registered: Registered) -> list[Taking]:
    return list(Custodies(genealogy.facts, genealogy.stock, registered).takings())


def judged(genealogy: Genealogy, registered: Registered) -> list[Judged]:
    """What counts of everything that was said about marks."""
    return list(judgements(Custodies(genealogy.facts, genealogy.stock, registered), registered))


def portions(
    lot: str, events: Iterable[RecordedEvent], net_kg: Mapping[str, float] | None = None
) -> list[Portion]:
    """The portions of one lot; `events` must hold those of what contained it as well."""
    return replay(events, net_kg).portions(lot)


def presence(events: Iterable[RecordedEvent], net_kg: Mapping[str, float] | None = None) -> list[Presence]:
    return replay(events, net_kg).presence()


def trace(
    identifier: str,
    direction: Direction,
    events: Iterable[RecordedEvent],
    max_depth: int = MAX_DEPTH,
    max_events: int = MAX_EVENTS,
) -> Trace:
    """Of one identifier over `events`, which need not be in order."""
    return replay(events).trace(identifier, direction, max_depth, max_events)


def _exists(parcel: Parcel) -> bool:
    return parcel.quantity is None or parcel.quantity > NOTHING
