"""What a planner has in front of it: who acts, when, the stock as it stands, numbers to give, and the rules all acts share.

In the line: acting.py lays this out under the organisation's lock -> a planner asks, is refused or goes on, and says events
-> acting.py records them. Contract: nothing is written here but numbers; every question that fails is a `Refused`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg

from ledger.epcis.identifiers import canonical
from ledger.genealogy.names import identify, site
from trace_api.access import Person
from trace_api.acts.codes import is_unit, label, lot_named, resolve
from trace_api.acts.fields import ZONE
from trace_api.acts.forms import Forms
from trace_api.acts.numbers import Numbers, SerialRange
from trace_api.acts.parts import UNKNOWN_BUYER, Parties, Pulp, Quantity, What
from trace_api.acts.promises import Certificate
from trace_api.acts.refusals import refuse
from trace_api.acts.registered import VEHICLES, Organisation, Place, Product, Registered
from trace_api.acts.shapes import Act, Goods, Moved
from trace_api.acts.stock import NOTHING, Row, Stock, read_stock
from trace_api.story import Name

if TYPE_CHECKING:
    from trace_api.acts.results import NewTest

TOLERANCE: Final = 0.02
"""Weights of one fruit differ by so much from scale to scale, and by its drying (EVENTS: 1 to 5 %)."""
AHEAD: Final = timedelta(minutes=5)
SAME_MINUTE: Final = timedelta(seconds=60)
EARLIEST: Final = datetime(2015, 1, 1, tzinfo=UTC)

Reach = Callable[[Row], bool]


@dataclass(frozen=True, slots=True)
class Untaken:
    """Of what is in reach, what `us` did not take in yet. Goods kept for others may be taken in once more, by `buying` them."""

    reach: Reach
    us: str
    buying: bool

    def __call__(self, row: Row) -> bool:
        custody = row.custody
        done = custody.taken and custody.holder == self.us and (custody.owner == self.us or not self.buying)
        return not done and self.reach(row)


@dataclass
class Desk:
    """`at`: the event's time. `without`: own events, by eventID, that the act stands in place of. `lots` and what follows: what
    the act has to tell of itself when it is done."""

    conn: psycopg.Connection
    person: Person
    us: Organisation
    registered: Registered
    stock: Stock
    numbers: Numbers
    now: datetime
    at: datetime
    mint: Callable[[], str]
    codes: dict[str, str]
    without: frozenset[str] = frozenset()
    lots: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    serials: list[SerialRange] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    certificates: list[Certificate] = field(default_factory=list)
    tests: list[NewTest] = field(default_factory=list)
    logger_files: list[bytes] = field(default_factory=list)

    # --- saying

    @property
    def forms(self) -> Forms:
        return Forms(self.at, self.zone, self.mint, person_urn(self.person.account))

    @property
    def zone(self) -> str:
        return ZONE

    @property
    def local_day(self) -> date:
        return self.at.astimezone(ZoneInfo(self.zone)).date()

    @property
    def day(self) -> str:
        return self.local_day.strftime("%y%m%d")

    def paper(self, kind: str, said: str | None = None) -> str:
        uri = self.numbers.paper(kind, self.day, said)
        self.documents.append(uri)
        return uri

    # --- codes

    def uri(self, text: str, where: str | None = None) -> str:
        """What a code names. Each is asked once: the stock was read by the same answer."""
        if text not in self.codes:
            self.codes[text] = resolve(self.conn, text, where)
        return self.codes[text]

    def lot(self, text: str, where: str) -> str:
        lot = lot_named(self.uri(text, where))
        if identify(lot).scheme not in ("lgtin", "uri", "sgtin"):
            raise refuse("not_a_lot", where, status=422, code=label(lot))
        return lot

    def unit(self, text: str, where: str) -> str:
        unit = self.uri(text, where)
        if not is_unit(unit):
            raise refuse("not_a_unit", where, status=422, code=label(unit))
        return unit

    def optional(self, text: str | None, where: str) -> str | None:
        return None if text is None else self.uri(text, where)

    def plain(self, text: str | None) -> str | None:
        """A device, paper or rule: any identifier, without asking the record."""
        return None if text is None else canonical(text) if ":" in text else f"{self.numbers.root}/obj/{text}"

    # --- places, vehicles, parties, products

    def place(self, text: str, where: str = "place") -> Place:
        """Of who does not publish one sees no place: its location number on the door is enough."""
        uri = self.uri(text, where)
        found = self.registered.place(uri)
        if found is None and identify(uri).scheme == "gln":
            return Place(uri, "", "unknown", Name(label(uri), label(uri)), None, self.zone)
        if found is None:
            raise refuse("unknown_place", where, status=422, code=text)
        return found

    def own_place(self, text: str, where: str = "place") -> Place:
        found = self.place(text, where)
        if found.organisation != self.us.id:
            raise refuse("foreign_place", where, place=found.name)
        return found

    def place_or_now(self, text: str | None, rows: Iterable[Row], where: str = "place") -> str | None:
        """The place said; else where the goods are by the record, None on the road."""
        if text is not None:
            return self.place(text, where).id
        places = {row.place for row in rows}
        if len(places) > 1:
            raise refuse("place_needed", where, status=422)
        return next(iter(places), None)

    def vehicle(self, text: str, where: str = "vehicle") -> Place:
        """The same of a carrier's vehicle: the number on its body is enough."""
        uri = self.uri(text, where)
        found = self.registered.place(uri)
        if found is None and identify(uri).scheme == "giai":
            return Place(uri, "", "vehicle", Name(label(uri), label(uri)), None, self.zone)
        if found is None or found.kind not in VEHICLES:
            raise refuse("unknown_vehicle", where, status=422, code=label(uri))
        return found

    def called(self, uri: str) -> Name:
        """A place or a vehicle in a sentence: its name, or what stands on it."""
        found = self.registered.place(uri)
        return Name(label(uri), label(uri)) if found is None else found.name

    def party(self, text: str, where: str) -> str:
        found = self.registered.party(text)
        if found is None:
            raise refuse("unknown_party", where, status=422, code=text)
        return found

    def buyer(self, text: str, where: str = "buyer") -> Parties:
        party = UNKNOWN_BUYER if text == "unknown" else self.party(text, where)
        return Parties(party, party)

    def bought_from(self, said: str | None, rows: Iterable[Row], where: str) -> Parties:
        """Who sold what we bought: as said, else whose it was by the record. Refused where neither names one other than us: a
        purchase that no event tells of would pass for our own harvest."""
        if said is not None:
            party = self.party(said, where)
            giver = Parties(party, party)
        else:
            sellers = {self.seller_of(row) for row in rows}
            giver = Parties(sellers.pop() if len(sellers) == 1 else None)
        if giver.owning in (None, self.us.party):
            raise refuse("giver_needed", where, status=422)
        return giver

    def seller_of(self, row: Row) -> str | None:
        """Whose it was by the record before it is ours."""
        others = (row.custody.owner, row.custody.before, self.stock.made_by(row.lot))
        known = (self.registered.organisations.get(each or "") for each in others if each != self.us.id)
        return next((each.party for each in known if each is not None), None)

    def product(self, text: str, where: str) -> Product:
        found = self.registered.product(text)
        if found is None:
            raise refuse("unknown_product", where, status=422, code=text)
        return found

    @property
    def ourselves(self) -> Parties:
        return Parties(self.us.party, self.us.party)

    # --- what is there, and whether it is ours to act on

    def rows(self, lot: str, reach: Reach, where: str) -> list[Row]:
        """The parts of a lot that may be acted on. Refused where there are none, with the reason that fits best."""
        found = [row for row in self.stock.of_lot(lot) if reach(row)]
        if found:
            return found
        raise self._out_of_reach(lot, self.stock.of_lot(lot), reach, where)

    def in_unit(self, unit: str, reach: Reach, where: str) -> list[Row]:
        found = [row for row in self.stock.of_unit(unit) if reach(row)]
        if found:
            return found
        raise self._out_of_reach(unit, self.stock.of_unit(unit), reach, where)

    def _out_of_reach(self, code: str, others: Sequence[Row], reach: Reach, where: str) -> Exception:
        if any(row.ours for row in others):
            if isinstance(reach, Untaken):
                return refuse("already_taken_in", where, code=label(code))
            return refuse("not_there", where, code=label(code))
        if others:
            holder = next((row.holder for row in others if row.holder), None)
            known = self.registered.organisations.get(holder or "")
            name = known.name if known else Name("别的单位", "somebody else")
            return refuse("not_yours", where, status=403, code=label(code), holder=name)
        if self.stock.knows(code):
            return refuse("nothing_left", where, code=label(code))
        return self._unseen(code, where)

    def _unseen(self, code: str, where: str) -> Exception:
        if self.standing(code) == "unknown":
            return refuse("not_recorded", where, status=404, code=label(code))
        holder = Name("别的单位", "somebody else")
        return refuse("not_yours", where, status=403, code=label(code), holder=holder)

    def standing(self, code: str) -> str:
        """How goods stand that we cannot see: unknown, moving, named (to us), ours or elsewhere."""
        row = self.conn.execute("SELECT goods_standing(%s, %s)", [code, list(self.without)]).fetchone()
        assert row is not None
        return str(row[0])

    def is_new(self, uri: str) -> bool:
        """Nobody has used it for goods, as far as what is recorded still counts."""
        return not self.numbers.is_said(uri, self.without) and self.standing(uri) == "unknown"

    def ours(self, row: Row) -> bool:
        return row.ours

    def loose(self, row: Row) -> bool:
        return row.ours and row.unit is None and row.vehicle is None

    def there(self, reach: Reach, place: str | None) -> Reach:
        """Of what is in reach, what is at the place that is said, or may be by the record."""
        if place is None:
            return reach
        said = site(self.place(place).id)
        return lambda row: reach(row) and (row.place is None or site(row.place) == said)

    def nearest(self, wanted: float | None, rows: list[Row]) -> list[Row]:
        """What lies loose, where there is enough of it: "all" of a lot does not open the pallets that it is also in."""
        loose = [row for row in rows if self.loose(row)]
        left = sum(row.quantity or 0.0 for row in loose)
        return loose if loose and (wanted is None or wanted <= left + NOTHING) else rows

    def looked_at(self, row: Row) -> bool:
        """Who runs the market looks after all that came through it, also at its stalls."""
        return row.ours or ("market" in self.person.roles and row.custody.handled)

    def arriving(self, row: Row) -> bool:
        """Ours, or on its way: whoever has it in front of them takes it in."""
        us = self.us.id
        return row.ours or row.custody.owner == us or row.custody.moving or row.holder is None

    def coming_in(self, buying: bool) -> Reach:
        """What arrives, and was not taken in already: two phones at one dock make one receipt."""
        return Untaken(self.arriving, self.us.id, buying)

    def units_taken_in(
        self, texts: Iterable[str], reach: Reach, where: str = "units"
    ) -> tuple[list[str], list[Row]]:
        """Units that are ours to take in, and what is known to be in them: of some we may not see anything yet, and they
        are taken if they are on the way, handed to us, or were taken in before."""
        return self._units(texts, reach, where, ("moving", "named", "ours"))

    def units_of_ours(
        self, texts: Iterable[str], reach: Reach, where: str = "units"
    ) -> tuple[list[str], list[Row]]:
        return self._units(texts, reach, where, ("ours",))

    def _units(
        self, texts: Iterable[str], reach: Reach, where: str, unseen: tuple[str, ...]
    ) -> tuple[list[str], list[Row]]:
        units, rows = [], []
        for place, text in enumerate(texts):
            unit = self.unit(text, f"{where}.{place}")
            if self.stock.knows(unit):
                rows += self.in_unit(unit, reach, f"{where}.{place}")
            elif self.standing(unit) not in unseen:
                raise self._unseen(unit, f"{where}.{place}")
            units.append(unit)
        self._refuse_repeats(units, where)
        return units, rows

    def goods(
        self, said: Sequence[Goods], reach: Reach, where: str = "goods"
    ) -> tuple[list[Quantity], list[Row]]:
        """Quantities of lots, none more than there is; of what lies loose before what is packed."""
        quantities: list[Quantity] = []
        rows: list[Row] = []
        for place, each in enumerate(said):
            field_name = f"{where}.{place}"
            lot = self.lot(each.lot, f"{field_name}.lot")
            found = self.nearest(each.quantity, self.rows(lot, reach, f"{field_name}.lot"))
            quantities.append(self.enough(lot, each.quantity, found, f"{field_name}.quantity"))
            rows += found
        self._refuse_repeats([each.lot for each in quantities], where)
        return quantities, rows

    def enough(self, lot: str, wanted: float | None, rows: Sequence[Row], where: str) -> Quantity:
        """`wanted` of what the rows hold, all of it if None. Boxes are counted; weights may differ by the tolerance."""
        uom = rows[0].uom
        left = None if any(row.quantity is None for row in rows) else sum(row.quantity or 0.0 for row in rows)
        if wanted is None:
            return Quantity(lot, left, uom)
        if uom is None and wanted != int(wanted):
            raise refuse("whole_boxes", where, status=422, code=label(lot))
        allowed = None if left is None else left * (1 + TOLERANCE) if uom is not None else left
        if left is not None and allowed is not None and wanted > allowed + NOTHING:
            raise refuse(
                "not_enough", where, code=label(lot), left=amount(left, uom), wanted=amount(wanted, uom)
            )
        return Quantity(lot, wanted, uom)

    def moved(self, act: Moved, reach: Reach, goods_reach: Reach | None = None) -> tuple[What, list[Row]]:
        units, in_units = self.units_of_ours(act.units, reach)
        goods, loose = self.goods(act.goods, goods_reach or reach)
        self.tell_of([*in_units, *loose], units)
        return What(tuple(units), tuple(goods)), [*in_units, *loose]

    def tell_of(self, rows: Iterable[Row], units: Iterable[str] = ()) -> None:
        self.lots += [lot for lot in dict.fromkeys(row.lot for row in rows) if lot not in self.lots]
        self.units += [unit for unit in units if unit not in self.units]

    def _refuse_repeats(self, names: Sequence[str], where: str) -> None:
        for place, name in enumerate(names):
            if name in names[:place]:
                raise refuse("repeated", f"{where}.{place}", status=422, code=label(name))

    # --- marks and times

    def refuse_marked(self, rows: Iterable[Row], where: str, *, refused_too: bool = True) -> None:
        """Goods on hold or recalled go nowhere; what was refused is not sold."""
        for row in rows:
            name = label(row.unit or row.lot)
            if "recalled" in row.marks:
                raise refuse("recalled", where, code=name)
            if "unavailable" in row.marks:
                raise refuse("on_hold", where, code=name)
            if refused_too and "non_sellable_other" in row.marks:
                raise refuse("refused_goods", where, code=name)

    def after(self, rows: Iterable[Row]) -> None:
        """The act follows what it builds on. Said to the minute, or with clocks that differ a little, it is put right behind;
        said earlier than that it is refused."""
        last = max((row.last for row in rows), default=None)
        if last is None or self.at > last:
            return
        if self.at < last - SAME_MINUTE and self.at < self.now - SAME_MINUTE:
            clock = last.astimezone(ZoneInfo(self.zone)).strftime("%Y-%m-%d %H:%M")
            raise refuse("time_before_last", "at", status=422, last=clock)
        self.at = last + timedelta(milliseconds=1)

    def pulp(
        self, values: tuple[float, ...] | None, probe: str | None, rules: str | None = None
    ) -> Pulp | None:
        return None if values is None else Pulp(values, self.plain(probe), rules)


def lay_out(
    conn: psycopg.Connection,
    person: Person,
    act: Act,
    now: datetime,
    public_url: str,
    mint: Callable[[], str],
    without: frozenset[str] = frozenset(),
) -> Desk:
    """Under the organisation's lock. `without`: own events, by eventID, that this act stands in place of."""
    assert person.organisation is not None
    registered = Registered(conn)
    us = registered.organisations[person.organisation]
    codes = {text: resolve(conn, text, where) for where, text in codes_of(act)}
    seeds = {name for uri in codes.values() for name in (uri, lot_named(uri))}
    stock = read_stock(conn, us.id, seeds, without=without, registered=registered)
    numbers = Numbers(conn, us.id, us.gs1_prefix, f"{public_url.rstrip('/')}/{us.id}")
    return Desk(
        conn,
        person,
        us,
        registered,
        stock,
        numbers,
        now,
        event_time(act.happened(), now),
        mint,
        codes,
        without,
    )


def codes_of(act: Act) -> Iterable[tuple[str, str]]:
    """The codes of goods that an act names, with their fields."""
    for name in type(act).codes:
        said = getattr(act, name)
        if isinstance(said, str):
            yield name, said
        elif isinstance(said, tuple):
            for place, each in enumerate(said):
                yield (
                    (f"{name}.{place}.lot", each.lot)
                    if isinstance(each, Goods)
                    else (f"{name}.{place}", each)
                )


def event_time(said: datetime | None, now: datetime, where: str = "at") -> datetime:
    if said is None:
        return now
    if said > now + AHEAD:
        raise refuse("time_ahead", where, status=422)
    if said < EARLIEST:
        raise refuse("time_before_2015", where, status=422)
    return said


def person_urn(account: UUID | None) -> str | None:
    return None if account is None else f"urn:suyuan:person:{account}"


def amount(quantity: float, uom: str | None) -> Callable[[Any], str]:
    """A fact of a sentence: `48 箱`, `12.5 kg`."""
    return lambda words: words.quantity(round(quantity, 3), uom)
