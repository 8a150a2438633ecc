"""What there is: where goods are, who has them, how much is left, as the record stands at this moment.

In the line: an act names codes -> their events are read, one's own also before they have a place in the order -> one replay
-> the planners ask it. Contract: read only; it shows what the asker may see and nothing else. Two taps see each other here,
since the second waits for the organisation's lock before it reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Final

import psycopg

from ledger import recorded
from ledger.epcis import vocabulary
from ledger.epcis.events import Event
from ledger.epcis.identifiers import RESOLVER, canonical
from ledger.genealogy import Genealogy, Portion, RecordedEvent, replay
from trace_api.acts.refusals import refuse
from trace_api.acts.registered import Registered
from trace_api.beliefs import read_belief
from trace_api.recalls.standing import read_orders
from trace_api.story import Name

RECENT: Final = timedelta(days=60)
"""What was named this lately is looked through for what we hold."""
NOTHING: Final = 1e-6
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOVING: Final = frozenset({"loading", "departing", "shipping", "arriving", "unloading", "transporting"})
_LOOKING: Final = frozenset({"inspecting", "sensor_reporting", "other", "holding", ""})
_TAKING: Final = frozenset({"accepting", "receiving"})


@dataclass(frozen=True, slots=True)
class Custody:
    """Who has the goods and whose they are, as far as the events tell us: organisations, None where they do not.
    `moving`: on the way, nobody has taken them in yet. `handled`: we recorded something of them. `before`: whose they were
    before they were the owner's. `taken`: it was we who last took them in, and they went nowhere since."""

    holder: str | None
    owner: str | None
    moving: bool
    handled: bool
    before: str | None = None
    taken: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A quantity of a lot that lies together. `uom` KGM, or None for boxes. `unit`: the innermost container; `containers`
    from there out. `ours`: held by us, at a place of ours or in a vehicle of ours. `serials`: first and last on its labels."""

    lot: str
    product: Name | None
    quantity: float | None
    uom: str | None
    kg: float | None
    unit: str | None
    containers: tuple[str, ...]
    vehicle: str | None
    place: str | None
    place_name: Name | None
    stage: str | None
    custody: Custody
    ours: bool
    marks: frozenset[str]
    since: datetime
    last: datetime
    serials: tuple[tuple[str, str], ...]
    portion: str

    @property
    def holder(self) -> str | None:
        return self.custody.holder


class Stock:
    """What hangs together with some codes. `organisation`: who asks."""

    def __init__(self, organisation: str, registered: Registered, genealogy: Genealogy) -> None:
        self.organisation, self.registered, self.genealogy = organisation, registered, genealogy
        self.rows: tuple[Row, ...] = tuple(
            self._row(portion)
            for lot in genealogy.lots()
            for portion in genealogy.portions(lot)
            if portion.ending is None
        )

    # --- asked of it

    def knows(self, uri: str) -> bool:
        """Goods that we may see are or were in it, or are of it."""
        return bool(self.genealogy.parcels_answering(uri))

    def of_lot(self, lot: str) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.lot == lot)

    def of_unit(self, unit: str) -> tuple[Row, ...]:
        """What is in a unit or on a vehicle, at any depth."""
        return tuple(row for row in self.rows if unit in row.containers)

    def ever_held(self, unit: str) -> bool:
        return unit in self.genealogy.stock.nodes

    def vehicle_of(self, unit: str) -> str | None:
        """The vehicle that a unit is on."""
        nodes = self.genealogy.stock.nodes
        name = nodes[unit].inside if unit in nodes else None
        while name is not None:
            if nodes[name].vehicle:
                return name
            name = nodes[name].inside
        return None

    def units_on(self, vehicle: str) -> tuple[str, ...]:
        """Load units that lie directly on a vehicle or in one of its compartments."""
        containment = self.genealogy.stock.containment
        if vehicle not in self.genealogy.stock.nodes:
            return ()
        return tuple(
            name
            for node in containment.within(vehicle)
            if node.vehicle
            for name in node.nodes
            if not self._is_vehicle(name)
        )

    def loose(self, lot: str, place: str | None = None) -> float:
        """How much of our own lies in no unit, in the lot's unit."""
        rows = (
            row for row in self.of_lot(lot) if row.unit is None and row.ours and place in (None, row.place)
        )
        return sum(row.quantity or 0.0 for row in rows)

    def uom(self, lot: str) -> str | None:
        return self.genealogy.stock.books.unit(lot, None) if self.genealogy.portions(lot) else None

    def net_kg(self, lot: str) -> float | None:
        return self.genealogy.stock.books.net_kg(lot)

    def kilograms(self, lot: str, quantity: float) -> float | None:
        return self.genealogy.stock.books.kilograms(lot, quantity, self.uom(lot))

    def made_by(self, lot: str) -> str | None:
        """The organisation that says it made the lot."""
        return next((maker for maker, _, _ in self._makings(lot)), None)

    def made_kg(self, lot: str) -> float:
        """What was ever made of it, whatever became of it."""
        books = self.genealogy.stock.books
        made = (
            books.kilograms(lot, quantity, uom)
            for _, quantity, uom in self._makings(lot)
            if quantity is not None
        )
        return sum(weight or 0.0 for weight in made)

    def taken_kg(self, lot: str) -> float:
        """What we ever took in of a lot that others made."""
        books = self.genealogy.stock.books
        return sum(
            books.kilograms(lot, portion.quantity, portion.uom) or 0.0
            for portion in self.genealogy.portions(lot)
            if portion.quantity is not None and any(self._takes_in(item) for item in portion.journey)
        )

    def certifiable_kg(self, lot: str) -> float:
        """The most that certificates of ours may promise of it together."""
        return self.made_kg(lot) if self.made_by(lot) == self.organisation else self.taken_kg(lot)

    def bought(self, lot: str) -> bool:
        """Anything that went into it was bought, so that we may not say we grew it."""
        return any(self._was_bought(each) for each in self.behind(lot))

    def behind(self, lot: str) -> tuple[str, ...]:
        """The lot, and every lot that went into it, and so on."""
        found: dict[str, None] = {}
        waiting = [lot]
        while waiting:
            each = waiting.pop()
            if each not in found:
                found[each] = None
                waiting.extend(
                    item.lot for portion in self.genealogy.portions(each) for item in portion.inputs
                )
        return tuple(found)

    def journeys(self, lot: str) -> Iterable[RecordedEvent]:
        for portion in self.genealogy.portions(lot):
            yield from portion.journey

    # --- inside

    def _makings(self, lot: str) -> Iterable[tuple[str, float | None, str | None]]:
        for fact in self.genealogy.facts:
            made = fact.out_goods if fact.kind == "TransformationEvent" else ()
            if fact.kind == "ObjectEvent" and fact.action == "ADD":
                made = fact.goods
            for amount in made:
                if amount.lot == lot:
                    yield fact.recorded.organisation, amount.quantity, amount.uom

    def _was_bought(self, lot: str) -> bool:
        maker = self.made_by(lot)
        if maker != self.organisation and not self._is_grower(maker):
            return True
        return any(self._buys(item.event) for item in self.journeys(lot))

    def _is_grower(self, maker: str | None) -> bool:
        known = self.registered.organisations.get(maker or "")
        return known is not None and known.kind == "grower"

    def _buys(self, event: Event) -> bool:
        """Ownership comes to us from somebody else, whoever of both says so."""
        us = self.registered.organisations[self.organisation].party
        owners = {canonical(each.source) for each in event.source_list if _is_owner(each.type)}
        takers = {canonical(each.destination) for each in event.destination_list if _is_owner(each.type)}
        return us in takers and bool(owners - {us})

    def _takes_in(self, item: RecordedEvent) -> bool:
        return item.organisation == self.organisation and _step(item.event) in _TAKING

    def _is_vehicle(self, name: str) -> bool:
        node = self.genealogy.stock.nodes.get(name)
        return node is not None and node.vehicle

    def _row(self, portion: Portion) -> Row:
        containers = tuple(reversed([span.value for span in portion.containers if span.end_ms is None]))
        inside = self._chain(portion.unit)
        vehicle = next((name for name in inside if self._is_vehicle(name)), None)
        custody = custody_of(portion.journey, self.organisation, self.registered)
        place = self.registered.place(portion.place) if portion.place else None
        product = self.registered.product_of_lot(portion.lot)
        return Row(
            lot=portion.lot,
            product=product.name if product else None,
            quantity=portion.quantity,
            uom=portion.uom,
            kg=None if portion.quantity is None else self._weight(portion),
            unit=None if portion.unit == vehicle else portion.unit,
            containers=inside or containers,
            vehicle=vehicle,
            place=portion.place,
            place_name=place.name if place else None,
            stage=portion.stage,
            custody=custody,
            ours=self._is_ours(custody, place.organisation if place else None, vehicle),
            marks=portion.marks,
            since=_moment(portion.start_ms),
            last=max((item.event.event_time for item in portion.journey), default=_moment(portion.start_ms)),
            serials=tuple(
                (label.first, label.last)
                for label in self.genealogy.label_ranges
                if label.lot == portion.lot and label.container == portion.unit
            ),
            portion=portion.name,
        )

    def _weight(self, portion: Portion) -> float | None:
        return self.genealogy.stock.books.kilograms(portion.lot, portion.quantity or 0.0, portion.uom)

    def _chain(self, unit: str | None) -> tuple[str, ...]:
        return tuple(self.genealogy.stock.containment.chain(unit)) if unit else ()

    def _is_ours(self, custody: Custody, keeper: str | None, vehicle: str | None) -> bool:
        us = self.organisation
        carrier = self.registered.place(vehicle) if vehicle else None
        return us in (custody.holder, keeper) or (carrier is not None and carrier.organisation == us)


def custody_of(journey: Sequence[RecordedEvent], us: str, registered: Registered) -> Custody:
    """Told from the events in their order. Of another's event that is only published the parties are withheld: who takes
    goods in says so itself, and on the road nobody need be known."""
    holder: str | None = None
    owner: str | None = None
    before: str | None = None
    moving = taken = False
    for item in journey:
        step = _step(item.event)
        taken = item.organisation == us if step in _TAKING else taken and step not in _MOVING
        if step not in _LOOKING:
            moving = step in _MOVING
        taker, buyer = _named(item.event, "possessing_party"), _named(item.event, "owning_party")
        if taker is not None:
            holder = _organisation(taker, registered) or (item.organisation if step in _TAKING else None)
        elif step in _TAKING or (holder is None and not moving):
            holder = item.organisation
        if buyer is not None:
            bought = _organisation(buyer, registered) or (item.organisation if step in _TAKING else None)
            owner, before = bought, before if bought == owner else owner
        elif owner is None:
            owner = holder
    handled = any(item.organisation == us for item in journey)
    return Custody(holder, owner, moving, handled, before, taken)


def _named(event: Event, kind: str) -> str | None:
    return next(
        (
            canonical(each.destination)
            for each in event.destination_list
            if vocabulary.source_destination_type(each.type) == kind
        ),
        None,
    )


def _organisation(party: str, registered: Registered) -> str | None:
    known = registered.by_party(party)
    return known.id if known else None


def _is_owner(kind: str) -> bool:
    return vocabulary.source_destination_type(kind) == "owning_party"


def _step(event: Event) -> str:
    return vocabulary.biz_step(event.biz_step) if event.biz_step else ""


def _moment(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


# --- reading ---------------------------------------------------------------------------------------------------------


def read_stock(
    conn: psycopg.Connection,
    organisation: str,
    of: Iterable[str],
    *,
    without: frozenset[str] = frozenset(),
    registered: Registered | None = None,
) -> Stock:
    """What hangs together with these canonical codes. `without`: our own events, by eventID, that are being taken back."""
    events = read_events(conn, of)
    kept = [
        item for item in events if item.organisation != organisation or item.event.event_id not in without
    ]
    known = registered or Registered(conn)
    belief = read_belief(conn, "asker", kept, organisation)
    orders = read_orders(conn, recorded.goods_of(kept))
    return Stock(organisation, known, replay(kept, known.net_content(), belief, orders))


_NAMED_LATELY = """
SELECT DISTINCT mention.identifier FROM event JOIN event_mention AS mention ON mention.event = event.id
WHERE event.organisation = current_organisation() AND event.received_at > %s AND mention.role = ANY (%s)
  AND mention.identifier NOT LIKE '%%/10/%%/21/%%'
"""


def read_own_stock(conn: psycopg.Connection, organisation: str, now: datetime) -> Stock:
    """All that we named lately; of it, `rows` that are `ours`."""
    named = conn.execute(_NAMED_LATELY, [now - RECENT, list(recorded.GOODS_ROLES)])
    return read_stock(conn, organisation, [str(identifier) for (identifier,) in named])


def read_events(conn: psycopg.Connection, of: Iterable[str]) -> list[RecordedEvent]:
    """Events of the goods, whole where they are ours. Own ones without a position lead on to others', and others' to own ones,
    so both shelves are walked until neither knows more. Raises Refused where too much hangs together."""
    seeds, asked = set(of), set[str]()
    found: dict[object, RecordedEvent] = {}
    try:
        for shelf in cycle((recorded.OWN_NOW, recorded.ASKER)):
            if asked == seeds and shelf is recorded.OWN_NOW:
                break  # the other one named nothing new
            connected = recorded.connected(conn, seeds, shelf)
            found = {
                _identity(item): item for item in connected.events
            } | found  # one's own, which came first, are whole
            asked = set(seeds)
            seeds = seeds | connected.lots | _units(connected.events)
    except recorded.TooMuch as error:
        raise refuse("too_much_together", status=413) from error
    return list(found.values())


def _units(events: Sequence[RecordedEvent]) -> set[str]:
    """Pallets, besides lots, are where the other shelf goes on; not what one load after another is put on."""
    return {name for name in recorded.goods_of(events) if name.startswith(f"{RESOLVER}/00/")}


def _identity(item: RecordedEvent) -> object:
    event = item.event
    if event.event_id is None:
        return item.position
    return item.organisation, event.event_id, event.error_declaration is not None
