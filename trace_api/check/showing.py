"""What stands around the answer on the page: a binding, what is wrong with a code, the forms of what comes next, the board.

Contract: no I/O; every choice and moment is in the words of the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from trace_api.acts.results import against
from trace_api.check.answering import Answered
from trace_api.check.board import Arrival, Board, Clock
from trace_api.check.finding import Found, Goods, Numbered, Unknown, Vehicle
from trace_api.check.offering import Choice, Offer, Part
from trace_api.check.reading import short
from trace_api.check.telling import ZONE
from trace_api.story import Name
from trace_api.words import Words

MOST: Final = 40
REASONS: Final = ("pulp_temperature", "appearance", "damaged", "papers", "other")


@dataclass(frozen=True, slots=True)
class Binding:
    """A foreign code led here. `scheme`, `value`: for whoever ends it."""

    text: str
    scheme: str
    value: str


def binding(found: Found, value: str, names: Mapping[str, Name], words: Words) -> Binding | None:
    """`names`: of organisations by their id, of places and vehicles by their URI."""
    bound = found.bound if isinstance(found, Goods | Vehicle) else None
    if bound is None:
        return None
    by = names.get(bound.organisation)
    text = words(
        "check_bound",
        value=value,
        by=words.name(by) if by else words("check_nobody"),
        since=words.moment(bound.since, ZONE),
        what=words.name(names[bound.entity]) if bound.entity in names else short(bound.entity),
    )
    return Binding(text, bound.scheme, value)


@dataclass(frozen=True, slots=True)
class TroubleView:
    text: str
    further: str


def trouble(found: Unknown, words: Words) -> TroubleView:
    """What is wrong with the code itself, or that nothing is known of it."""
    if found.trouble is None:
        return TroubleView(words("check_unknown"), words("check_unknown_next"))
    code, facts = found.trouble.code, found.trouble.facts
    return TroubleView(words(f"check_read_{code}", **facts), words(f"check_read_{code}_next", **facts))


def numbered(lot: Numbered, words: Words) -> str:
    product = words.name(lot.product) if lot.product else ""
    return f"{product} {short(lot.uri)}".strip()


def untold(answered: Answered) -> tuple[str, ...]:
    """The asker's positive tests of which the seller has not been told."""
    return tuple(
        dict.fromkeys(
            test.id
            for case in answered.cases
            for test in case.facts.tests
            if test.id
            and test.here
            and test.kind == "rapid"
            and test.outcome == "positive"
            and test.notified_at is None
        )
    )


def screened_positive(answered: Answered) -> bool:
    """Whether a laboratory has something to say: of some of it a screen was positive, and no final result came since."""
    found = (against(test for test in case.facts.tests if test.here) for case in answered.cases)
    return any(test is not None and test.kind == "rapid" for test in found)


Options = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class PartView:
    seller: str
    units: str
    title: str


@dataclass(frozen=True, slots=True)
class OfferView:
    """The forms of what may be done next, with their choices in words."""

    kinds: tuple[str, ...]
    first: str | None
    units: tuple[str, ...]
    lot: str | None
    lots: tuple[str, ...]
    of_boxes: str
    sellers: Options
    parts: tuple[PartView, ...]
    places: Options
    place: str
    sample: str
    report: str
    threshold: str
    lot_choices: Options
    reasons: Options
    authorities: Options
    laboratory: bool


def _part(part: Part, parts: int, words: Words) -> PartView:
    title = words("check_act_accept")
    if parts > 1:
        name = words.name(part.name) if part.name else words("check_nobody")
        title = words("check_act_accept_of", seller=name, count=len(part.units))
    return PartView(part.seller, " ".join(part.units), title)


def offer_view(offer: Offer, words: Words) -> OfferView:
    def choices(named: Iterable[Choice]) -> Options:
        return [(choice.value, words.name(choice.name)) for choice in named]

    return OfferView(
        kinds=offer.kinds,
        first=offer.first,
        units=offer.units,
        lot=offer.lot,
        lots=offer.lots,
        of_boxes=f"/ {words.quantity(offer.boxes, None)}" if offer.boxes is not None else "",
        sellers=choices(offer.sellers),
        parts=tuple(_part(part, len(offer.parts), words) for part in offer.parts),
        places=choices(offer.places),
        place=offer.place,
        sample=offer.sample,
        report=offer.report,
        threshold=f"{offer.threshold:g}",
        lot_choices=[(lot, short(lot)) for lot in offer.lots],
        reasons=[(reason, words(f"check_reason_{reason}")) for reason in REASONS],
        authorities=[
            (who, words(f"check_authority_{who}")) for who in ("market", "agriculture", "market_regulation")
        ],
        laboratory=offer.laboratory,
    )


# --- the board --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClockView:
    code: str
    name: str
    sample: str
    state: str
    text: str
    until: str


@dataclass(frozen=True, slots=True)
class HeldView:
    code: str
    name: str
    since: str


@dataclass(frozen=True, slots=True)
class ArrivalView:
    text: str
    place: str
    codes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class BoardView:
    """`more`: how many clocks, holds and arrivals are not shown, in words; empty where all are."""

    since: str
    clocks: tuple[ClockView, ...]
    holds: tuple[HeldView, ...]
    arrivals: tuple[ArrivalView, ...]
    more: tuple[str, str, str]
    cut: str


def board_view(board: Board, words: Words, now: datetime) -> BoardView:
    return BoardView(
        since=words.moment(board.day, ZONE),
        clocks=tuple(_clock(clock, words, now) for clock in board.clocks[:MOST]),
        holds=tuple(
            HeldView(
                held.code, short(held.code), words("check_hold_since", since=words.moment(held.since, ZONE))
            )
            for held in board.holds[:MOST]
        ),
        arrivals=tuple(_arrival(arrival, words) for arrival in board.arrivals[:MOST]),
        more=(_more(board.clocks, words), _more(board.holds, words), _more(board.arrivals, words)),
        cut=words("check_arrivals_cut") if board.cut else "",
    )


def _more(items: Sequence[object], words: Words) -> str:
    return words("check_and_more", count=len(items) - MOST) if len(items) > MOST else ""


def _clock(clock: Clock, words: Words, now: datetime) -> ClockView:
    text = {
        "over": "check_clock_over",
        "untold": "check_clock_untold",
        "waiting": "check_clock_waiting",
        "laboratory": "check_clock_laboratory",
    }.get(clock.state)
    if text is not None:
        told = words(text)
    else:
        assert clock.ends is not None
        told = words("check_clock_left", left=words.minutes((clock.ends - now).total_seconds() / 60))
    until = words.clock(clock.ends, ZONE) if clock.ends else ""
    sample = words("check_clock_sample", sample=clock.sample)
    return ClockView(clock.code, short(clock.code), sample, clock.state, told, until)


def _arrival(arrival: Arrival, words: Words) -> ArrivalView:
    by = words.name(arrival.by) if arrival.by else words("check_nobody")
    at = words.moment(arrival.at, ZONE) if arrival.earlier else words.clock(arrival.at, ZONE)
    return ArrivalView(
        text=words("check_arrival", at=at, by=by),
        place=words.name(arrival.place) if arrival.place else "",
        codes=tuple((code, short(code)) for code in arrival.codes),
    )
