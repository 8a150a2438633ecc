"""The parcels of every lot: made, found, split, named and ended.

In the line: stock.py says what an event does; which parcels are meant, and whether there is enough, is
settled here with the order of taking.py and the leave of books.py. Contract: the parcels of a lot never hold
more than the books grant; what is asked beyond that is a Discrepancy and moves nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

from ledger.genealogy.books import Books, Discrepancy, DiscrepancyKind
from ledger.genealogy.containment import Containment, Where
from ledger.genealogy.facts import Amount, Fact
from ledger.genealogy.names import identify
from ledger.genealogy.parcels import NOTHING, Parcel, Step, tag_of
from ledger.genealogy.pool import Pool, ranked_among
from ledger.genealogy.taking import Reason

Reasoning = Callable[[Parcel, Fact], Reason | None]
# A guess among more than these is no better described by naming them all.
_MOST_ALTERNATIVES = 16


class Holdings:
    def __init__(self, books: Books, containment: Containment) -> None:
        self.books = books
        self.parcels: defaultdict[str, list[Parcel]] = defaultdict(list)
        self.home_of_box: dict[str, Parcel] = {}
        self.discrepancies: list[Discrepancy] = []
        self._containment = containment
        self._ahead: defaultdict[str, deque[tuple[Parcel, float]]] = defaultdict(deque)
        self._pools: defaultdict[str, Pool] = defaultdict(Pool)
        self._names: Counter[str] = Counter()

    # --- coming and going

    def make(self, fact: Fact, amount: Amount, run: str | None, stage: str | None) -> list[Parcel]:
        """Goods that the event makes: none, if they are labels for boxes that are counted already."""
        if amount.boxes and amount.lot in self.books.made_by_class:
            return []
        quantity = self._bridged(fact, amount)
        if quantity is None and amount.quantity is not None:
            return []
        if quantity is not None:
            made, quantity = quantity, self.books.make(amount.lot, quantity)
            self._settle(fact, amount.lot, made - quantity)
            if quantity <= NOTHING:
                return []
        return [self._grown(fact, amount, quantity, run) or self._open(fact, amount, quantity, run, stage)]

    def _settle(self, fact: Fact, lot: str, made: float) -> None:
        """What was named ahead of its making is made now, what was named first before the rest."""
        ahead = self._ahead[lot]
        while ahead and made > NOTHING:
            parcel, left = ahead.popleft()
            share = min(left, made)
            parcel.made_later[fact.ordinal] = parcel.made_later.get(fact.ordinal, 0.0) + share
            made -= share
            if left - share > NOTHING:
                ahead.appendleft((parcel, left - share))

    def end(self, fact: Fact, parcels: Iterable[Parcel], ending: str) -> None:
        for parcel in parcels:
            self._containment.forget(parcel)
            self._pools[parcel.lot].remove(parcel)
            parcel.ending, parcel.ended_ms, parcel.ended_by = ending, fact.ms, fact.name

    def _grown(self, fact: Fact, amount: Amount, quantity: float | None, run: str | None) -> Parcel | None:
        """More of the same by the same maker, at the same place, joins what still lies where it was made."""
        for parcel in self._pools[amount.lot]:
            unmoved = (
                parcel.origin is None and not parcel.found and len({_standing(s) for s in parcel.steps}) == 1
            )
            same = parcel.run == run and parcel.container is None and _where(parcel) == born_at(fact)
            same = same and parcel.made_by == fact.recorded.organisation
            if unmoved and same and parcel.quantity is not None and quantity is not None:
                parcel.quantity += quantity
                self._pools[parcel.lot].resize(parcel)
                self._name_boxes(parcel, amount.boxes)
                return parcel
        return None

    def _open(
        self, fact: Fact, amount: Amount, quantity: float | None, run: str | None, stage: str | None
    ) -> Parcel:
        unit = self.books.unit(amount.lot, amount.uom)
        parcel = Parcel(
            self._name(fact, amount.lot),
            amount.lot,
            quantity,
            unit,
            fact.ms,
            fact.ordinal,
            made_by=fact.recorded.organisation,
            run=run,
            stage=stage,
        )
        parcel.place, parcel.place_kind = born_at(fact)
        self._name_boxes(parcel, amount.boxes)
        self._enlist(parcel)
        return parcel

    def _find(self, fact: Fact, amount: Amount, quantity: float | None) -> Parcel:
        parcel = self._open(fact, amount, quantity, None, None)
        parcel.found = True
        return parcel

    def living(self, lot: str) -> list[Parcel]:
        return list(self._pools[lot])

    # --- taking a quantity

    def take(
        self,
        fact: Fact,
        amount: Amount,
        reason: Reasoning,
        *,
        new: bool = True,
        skip: Callable[[Parcel], bool] = lambda parcel: False,
        among: Iterable[Parcel] | None = None,
    ) -> list[Parcel]:
        """The parcels meant by `amount`, split off where needed. `new`: goods may be met here for the first
        time. `skip`: what cannot be meant. `among`: where to look, if not everywhere.

        Takes what there is; what is missing is opened as found if the books grant it, else flagged.
        """
        wanted, who = self._bridged(fact, amount), fact.recorded.organisation
        if wanted is None and amount.quantity is not None:
            return []

        def judge(parcel: Parcel) -> Reason | None:
            return reason(parcel, fact)

        if among is None:
            ranked = self._pools[amount.lot].ranked(judge, wanted, who)
        else:
            ranked = ranked_among((each for each in among if each.lot == amount.lot), judge, wanted, who)
        likely = ((why, parcel) for why, parcel in ranked if not skip(parcel))
        if amount.boxes:
            return self._take_boxes(fact, amount, self._homes(amount, [parcel for _, parcel in likely]), new)
        pieces = self._draw(fact, likely, wanted)
        if wanted is not None:
            return pieces + self._missing(fact, amount, wanted, pieces, new)
        return pieces or (
            [self._find(fact, amount, None)] if new and not self.books.is_made(amount.lot) else []
        )

    def _missing(
        self, fact: Fact, amount: Amount, wanted: float, pieces: list[Parcel], new: bool
    ) -> list[Parcel]:
        if any(piece.quantity is None for piece in pieces):
            return []
        short = wanted - sum(piece.quantity or 0.0 for piece in pieces)
        if short <= NOTHING:
            return []
        granted = self.books.find(amount.lot, short) if new else 0.0
        if short - granted > NOTHING:
            self.flag(fact, "more_than_known", amount, wanted - short + granted)
        if granted <= NOTHING:
            return []
        found = self._find(fact, amount, granted)
        if self.books.is_made(amount.lot):
            self._ahead[amount.lot].append((found, granted))
        return [found]

    def _draw(
        self, fact: Fact, likely: Iterator[tuple[Reason, Parcel]], wanted: float | None
    ) -> list[Parcel]:
        """In order until there is enough. If nobody said how much: all that is meant equally."""
        if wanted is None:
            chosen = list(likely)
            return [parcel for why, parcel in chosen if why == chosen[0][0]]
        chosen, left = [], wanted
        for why, parcel in likely:
            chosen.append((why, parcel))
            left -= left if parcel.quantity is None else parcel.quantity
            if left <= NOTHING:
                break
        others = list(islice(likely, _MOST_ALTERNATIVES)) if chosen else []
        pieces, left = [], wanted
        for _, parcel in chosen:
            piece = self._split(fact, parcel, left, set())
            left -= left if piece.quantity is None else piece.quantity
            pieces.append(piece)
        if others and left <= NOTHING:
            _admit_guess(pieces[-1], [other.name for why, other in others if why == chosen[-1][0]])
        return pieces

    def _split(self, fact: Fact, parcel: Parcel, wanted: float, boxes: set[str]) -> Parcel:
        if parcel.quantity is not None and wanted >= parcel.quantity - NOTHING:
            piece = parcel
        else:
            name = self._name(fact, parcel.lot)
            piece = parcel.piece(name, wanted, boxes & parcel.boxes, fact.ms, fact.ordinal)
            self._pools[parcel.lot].resize(parcel)
            self._enlist(piece)
            self._containment.put(piece, self._containment.node(piece.container) if piece.container else None)
        self._name_boxes(piece, boxes)
        return piece

    # --- boxes named one by one

    def _homes(self, amount: Amount, likely: list[Parcel]) -> dict[Parcel | None, set[str]]:
        """Where each box is known to be, else where its label says, else where it is likeliest; None:
        nowhere."""
        homes: dict[Parcel | None, set[str]] = {}
        for box in sorted(amount.boxes):
            known = self.home_of_box.get(box)
            if known is None:
                homes.setdefault(self._likely_home(box, likely, homes), set()).add(box)
            elif known in likely:
                homes.setdefault(known, set()).add(box)
        return homes

    def _take_boxes(
        self, fact: Fact, amount: Amount, homes: dict[Parcel | None, set[str]], new: bool
    ) -> list[Parcel]:
        homeless = homes.pop(None, set())
        pieces = [
            self._split(fact, home, self._sum(home, named), named) for home, named in homes.items() if home
        ]
        if not homeless:
            return pieces
        rest = Amount(amount.lot, float(len(homeless)), None, frozenset(homeless))
        wanted = self.books.bridge(rest.lot, float(len(homeless)), None) or 0.0
        return pieces + self._missing(fact, rest, wanted, [], new)

    def _likely_home(
        self, box: str, likely: list[Parcel], taken: Mapping[Parcel | None, set[str]]
    ) -> Parcel | None:
        serial = identify(box).parts.get("21", "")
        free = [each for each in likely if self._has_room(each, taken.get(each, set()))]
        labelled = (each for each in free if any(label.holds(serial) for label in each.labels))
        return next(labelled, next(iter(free), None))

    def _has_room(self, parcel: Parcel, taken: set[str]) -> bool:
        if parcel.quantity is None:
            return True
        nameless = parcel.quantity - self._sum(parcel, parcel.boxes | taken)
        return nameless >= self._sum(parcel, {"one"}) - NOTHING

    def _sum(self, parcel: Parcel, boxes: set[str]) -> float:
        """How much so many boxes are, in the unit of the lot."""
        return self.books.bridge(parcel.lot, float(len(boxes)), None) or 0.0

    def _name_boxes(self, parcel: Parcel, boxes: Iterable[str]) -> None:
        for box in boxes:
            parcel.boxes.add(box)
            self.home_of_box[box] = parcel

    # --- small things

    def touch(self, parcel: Parcel, ordinal: int) -> None:
        """An event was about the parcel, and all that it says has been written on it."""
        parcel.touched = ordinal
        self._pools[parcel.lot].touch(parcel)

    def flag(self, fact: Fact, kind: DiscrepancyKind, amount: Amount, known: float | None) -> None:
        said = Discrepancy(kind, fact.name, fact.ms, amount.lot, amount.quantity, known, amount.uom)
        self.discrepancies.append(said)

    def _bridged(self, fact: Fact, amount: Amount) -> float | None:
        if amount.quantity is None:
            return None
        quantity = self.books.bridge(amount.lot, amount.quantity, amount.uom)
        if quantity is None:
            self.flag(fact, "unit_without_net_content", amount, None)
        return quantity

    def _enlist(self, parcel: Parcel) -> None:
        self.parcels[parcel.lot].append(parcel)
        self._pools[parcel.lot].add(parcel)

    def _name(self, fact: Fact, lot: str) -> str:
        """By event and lot, so that a name outlives what comes to light later about other lots."""
        tag = tag_of(fact.name, lot)
        number = self._names[tag] = self._names[tag] + 1
        return tag if number == 1 else f"{tag}.{number}"


def born_at(fact: Fact) -> Where:
    """Where goods are that an event makes, or meets for the first time."""
    if fact.biz_location is not None:
        return fact.biz_location, "biz_location"
    return (fact.read_point, "read_point") if fact.read_point else (None, None)


def _admit_guess(piece: Parcel, others: list[str]) -> None:
    piece.alternatives = tuple(dict.fromkeys((*piece.alternatives, *others)))[:_MOST_ALTERNATIVES]


def _where(parcel: Parcel) -> Where:
    return parcel.place, parcel.place_kind


def _standing(step: Step) -> tuple[object, ...]:
    return step.chain, step.place, step.stage, step.holder
