"""What became of every portion there ever was: who has it, or how it ended.

In the line: stock.py's parcels and custody.py -> here -> `portion` rows -> recalls. Contract: pure; every kilogram of a lot is in
exactly one row, so that the rows of a lot add up to what was made of it; a portion that was split up keeps a row of nothing, for
what was taken from it is found through it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ledger.epcis.identifiers import canonical
from ledger.genealogy.custody import Custodies, Custody, Registered
from ledger.genealogy.facts import Fact, RecordedEvent
from ledger.genealogy.lineage import Genealogy
from ledger.genealogy.names import identify
from ledger.genealogy.parcels import Parcel, Step
from ledger.genealogy.stock import Stock

State = Literal["held", "dispersed", "returned", "destroyed", "used", "sampled", "gone"]
_ENDINGS: Final[dict[str, State]] = {
    "transformed": "used",
    "retail_selling": "dispersed",
    "destroying": "destroyed",
    "sampling": "sampled",
}
_HANDED: Final = frozenset({"shipping", "receiving", "accepting"})
UNKNOWN_BUYER: Final = "/unknownBuyer"


@dataclass(frozen=True, slots=True)
class Stayed:
    """UTC milliseconds; `end_ms` None while it is there, equal to `start_ms` where it was only seen there."""

    name: str
    stage: str | None
    start_ms: int
    end_ms: int | None


@dataclass(frozen=True, slots=True)
class Accounted:
    """`origin`: what it was taken from, at `began_ms`; `possibly`: what it might as well have been taken from. `maker`: whose event
    began it, None where nobody recorded its making. `run` made it, `used_in` used it up. `keeper`: the organisation that has it, or
    last had it; `holder`: the party that was named. `said_by`: the event by which it is in that state, at `since_ms`. `held`: who
    said of it that it is held for a recall, and when. `serials`: (first, last) of the boxes known to be in it."""

    lot: str
    name: str
    origin: str | None
    possibly: tuple[str, ...]
    began_ms: int
    maker: str | None
    run: str | None
    used_in: str | None
    quantity: float | None
    uom: str | None
    kilograms: float | None
    inside: tuple[str, ...]
    place: str | None
    stage: str | None
    holder: str | None
    keeper: str | None
    state: State
    since_ms: int
    said_by: RecordedEvent | None
    held: tuple[tuple[str, int], ...]
    serials: tuple[tuple[str, str], ...]
    stays: tuple[Stayed, ...]


@dataclass(frozen=True, slots=True)
class RunGoods:
    """What of `lot` went into a run, or that some of it came out. `found`: goods of it were there to be used up."""

    run: str
    lot: str
    output: bool
    quantity: float | None
    uom: str | None
    kilograms: float | None
    found: bool


def accounted(genealogy: Genealogy, registered: Registered) -> Iterator[Accounted]:
    facts, stock = genealogy.facts, genealogy.stock
    custodies = Custodies(facts, stock, registered)
    for parcel in custodies.parcels():
        yield _accounted(stock, facts, registered, parcel, custodies.last(parcel))


def run_goods(genealogy: Genealogy) -> Iterator[RunGoods]:
    stock = genealogy.stock
    for run, each in stock.runs.items():
        for lot, (quantity, uom) in each.inputs.items():
            weight = None if quantity is None else stock.books.kilograms(lot, quantity, uom)
            yield RunGoods(run, lot, False, quantity, uom, weight, bool(each.used.get(lot)))
    made = {(parcel.run, lot) for lot, parcels in stock.parcels.items() for parcel in parcels if parcel.run}
    for made_by, lot in sorted(made, key=str):
        yield RunGoods(str(made_by), lot, True, None, None, None, True)


def _accounted(
    stock: Stock, facts: Sequence[Fact], registered: Registered, parcel: Parcel, custody: Custody
) -> Accounted:
    steps = parcel.history()
    state, decided = _state(parcel, [facts[step.ordinal] for step in steps])
    weight = (
        None if parcel.quantity is None else stock.books.kilograms(parcel.lot, parcel.quantity, parcel.uom)
    )
    last = facts[parcel.steps[-1].ordinal] if parcel.steps else None
    return Accounted(
        lot=parcel.lot,
        name=parcel.name,
        origin=parcel.origin.name if parcel.origin else None,
        possibly=parcel.alternatives,
        began_ms=parcel.born_ms,
        maker=_maker(parcel, facts),
        run=parcel.run,
        used_in=last.run if last is not None and parcel.ending == "transformed" else None,
        quantity=None if parcel.quantity is None else round(parcel.quantity, 6),
        uom=parcel.uom,
        kilograms=None if weight is None else round(weight, 6),
        inside=steps[-1].chain if steps else (),
        place=parcel.place,
        stage=parcel.stage,
        holder=parcel.holder,
        keeper=_keeper(parcel, custody, registered),
        state=state,
        since_ms=decided.ms if decided else steps[-1].ms if steps else parcel.born_ms,
        said_by=decided.recorded if decided else None,
        held=tuple(_held(facts[step.ordinal] for step in steps)),
        serials=tuple(sorted(_serials(parcel))),
        stays=tuple(stays(parcel)),
    )


def _maker(parcel: Parcel, facts: Sequence[Fact]) -> str | None:
    """Of goods that were named before they were made: whose event made most of them."""
    if parcel.made_later:
        later = parcel.made_later
        return facts[max(later, key=lambda ordinal: (later[ordinal], -ordinal))].recorded.organisation
    return None if parcel.found else parcel.made_by


def _state(parcel: Parcel, told: Sequence[Fact]) -> tuple[State, Fact | None]:
    """What was said last of it decides: goods that came back may be sold again."""
    if parcel.ending is not None:
        return _ENDINGS.get(parcel.ending, "gone"), told[-1] if told else None
    state: State = "held"
    decided: Fact | None = None
    for fact in told:
        if fact.disposition == "returned":
            state, decided = "returned", decided if state == "returned" else fact
        elif any(each.destination.endswith(UNKNOWN_BUYER) for each in fact.event.destination_list):
            state, decided = "dispersed", fact
        elif fact.step in _HANDED:
            state, decided = "held", None
    return state, decided


def _keeper(parcel: Parcel, custody: Custody, registered: Registered) -> str | None:
    """Of several who may speak for the goods: at whose place they are, then who was named last to have them."""
    host = registered.host(parcel.place)
    named = registered.parties.get(canonical(parcel.holder)) if parcel.holder else None
    for each in (host, named):
        if each is not None and each in custody.keepers:
            return each
    if named is not None or len(custody.keepers) != 1:
        return named or min(custody.keepers, default=None)
    return next(iter(custody.keepers))


def _held(told: Iterator[Fact]) -> Iterator[tuple[str, int]]:
    for fact in told:
        if fact.step == "holding" and fact.disposition == "recalled":
            yield fact.recorded.organisation, fact.ms


def _serials(parcel: Parcel) -> Iterator[tuple[str, str]]:
    for label in parcel.labels:
        if label.lot == parcel.lot:
            yield label.first, label.last
    for box in parcel.boxes:
        serial = identify(box).parts.get("21")
        if serial:
            yield serial, serial


def stays(parcel: Parcel) -> Iterator[Stayed]:
    """What was around it, by its own steps. A place counts only while it is in no vehicle."""
    open_since: dict[tuple[str, str | None], int] = {}
    for step in parcel.steps:
        around = {(name, step.stage) for name in _around(step)}
        for key in [key for key in open_since if key not in around]:
            yield Stayed(*key, open_since.pop(key), step.ms)
        for key in sorted(around, key=str):
            open_since.setdefault(key, step.ms)
    for key, since in open_since.items():
        yield Stayed(*key, since, parcel.ended_ms)


def _around(step: Step) -> tuple[str, ...]:
    return step.chain if step.place is None or step.in_vehicle else (*step.chain, step.place)
