"""The answer in the words of the page.

In the line: answering.py's `Answered` -> here -> the templates and the JSON answer. Contract: no I/O; a sentence is a code of
`checks.py` with its facts put as people read them: amounts in kilograms, moments in the place's zone, names in the language.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ingest.coldchain.limits import Text
from trace_api.check.answering import Answered
from trace_api.check.board import Arrival, Board, Clock
from trace_api.check.checks import Finding, Said
from trace_api.check.evidence import Case
from trace_api.check.finding import Document, Found, Goods, Unknown, Vehicle
from trace_api.check.offering import Choice, Offer
from trace_api.check.reading import short
from trace_api.story import Name
from trace_api.telling import api_id
from trace_api.words import CATALOGUES, Words

ZONE: Final = "Asia/Shanghai"
REASONS: Final = ("pulp_temperature", "appearance", "damaged", "papers", "other")
_KILOGRAMS: Final = ("covered", "arriving", "missing")
_CELSIUS: Final = ("coldest", "warmest", "most")


@dataclass(frozen=True, slots=True)
class Teller:
    """Puts sentences of `check.py` into words."""

    words: Words
    zone: str = ZONE

    def why(self, said: Said) -> str:
        return self._said("check_why", said)

    def way(self, said: Said) -> str:
        return self._said("check_way", said)

    def note(self, said: Said) -> str:
        return self._said("check_note", said)

    def text(self, text: Text) -> str:
        return text.zh if self.words.language == "zh" else text.en

    def _said(self, group: str, said: Said) -> str:
        if said.text is not None:
            return self.text(said.text)
        return self.words(f"{group}_{said.code}", **self._facts(said.facts))

    def _facts(self, facts: Mapping[str, object]) -> dict[str, object]:
        told: dict[str, object] = {name: self._fact(name, value) for name, value in facts.items()}
        if "value" in facts:
            told["measured"] = self._measured(facts)
        return told

    def _fact(self, name: str, value: Any) -> object:
        w = self.words
        if name in ("by", "issuer"):
            return w.name(value) if isinstance(value, Name) else w("check_nobody")
        if value is None:
            return w("check_nobody")
        if isinstance(value, datetime):
            return w.moment(value, self.zone)
        if name in _KILOGRAMS:
            return w.quantity(round(value, 1), "KGM")
        if name in _CELSIUS:
            return w.celsius(value)
        if name == "left":
            return w.minutes(value)
        if name == "kind":
            return w(f"check_paper_{value}")
        if name == "status":
            return w(f"check_status_{value}")
        if name == "items":
            return w("work_comma").join(value)
        if name == "rule":
            return self.text(value)
        return value

    def _measured(self, facts: Mapping[str, object]) -> str:
        """`, 71.5 %, threshold 50 %`, or nothing where others keep the value to themselves."""
        value, threshold, uom = facts.get("value"), facts.get("threshold"), facts.get("uom")
        if not isinstance(value, int | float):
            return ""
        unit = " %" if uom == "P1" else f" {uom or ''}".rstrip()
        told = f"{value:g}{unit}"
        if isinstance(threshold, int | float):
            return self.words("check_measured", value=told, threshold=f"{threshold:g}{unit}")
        return self.words("check_measured_alone", value=told)


@dataclass(frozen=True, slots=True)
class FindingView:
    check: str
    label: str
    answer: str
    why: str
    way: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CaseView:
    """One portion on the page. `more`: the first reason behind a verdict. `code`: what a scan of its unit or lot gives. `story`:
    the path of the lot's page."""

    answer: str
    word: str
    why: str
    more: str
    way: str
    title: str
    product: str
    code: str
    amount: str
    place: str
    holder: str
    lot: str
    ended: str
    story: str | None
    findings: tuple[FindingView, ...]


@dataclass(frozen=True, slots=True)
class AnswerView:
    """`answer`: None where goods are gone or nothing was found in a vehicle."""

    answer: str | None
    word: str
    do: str
    why: str
    more: str
    way: str
    share: str
    about: str
    cases: tuple[CaseView, ...]


def view(answered: Answered, words: Words) -> AnswerView:
    cases = tuple(case_view(case, words) for case in answered.cases)
    name = answered.answer
    worst = cases[0] if cases else None
    share = ""
    if name is not None and len(cases) > 1 and name != "accept":
        share = words("check_of_units", count=len(cases), worst=answered.worst)
    return AnswerView(
        answer=name,
        word=words(f"check_answer_{name}") if name else "",
        do=words(f"check_do_{name}") if name else "",
        why=worst.why if worst and name else "",
        more=worst.more if worst and name else "",
        way=worst.way if worst and name else "",
        share=share,
        about=_about(answered, words),
        cases=cases,
    )


def _about(answered: Answered, words: Words) -> str:
    """What kind of thing was asked for, where that changes how the answer is read."""
    if isinstance(answered.found, Vehicle):
        if not answered.cases:
            return (
                words("check_vehicle_nothing") if not answered.found.loaded else words("check_vehicle_empty")
            )
        if answered.last_trip:
            return words("check_vehicle_last")
        return words("check_vehicle", count=len(answered.cases))
    return words("check_document") if isinstance(answered.found, Document) else ""


def case_view(case: Case, words: Words) -> CaseView:
    zone = case.site.time_zone if case.site else ZONE
    teller = Teller(words, zone)
    decision, portion = case.decision, case.portion
    product = words.name(case.product) if case.product else short(portion.lot)
    main = _finding(decision.main, teller)
    return CaseView(
        answer=decision.answer,
        word=words(f"check_short_{decision.answer}"),
        why=main.why,
        more=main.notes[0] if decision.main.why.text is not None and main.notes else "",
        way=main.way,
        title=f"{words('check_unit')} {short(portion.unit)}" if portion.unit else words("check_loose"),
        product=product,
        code=portion.unit or portion.lot,
        amount=_amount(case, words),
        place=words.name(case.site.name) if case.site else words("check_nobody"),
        holder=words.name(case.holder) if case.holder else words("check_nobody"),
        lot=short(portion.lot),
        ended=words.known("check_ended", case.ended) if case.ended else "",
        story=_story(portion.lot),
        findings=tuple(_finding(finding, teller) for finding in decision.findings),
    )


def _finding(finding: Finding, teller: Teller) -> FindingView:
    return FindingView(
        check=finding.check,
        label=teller.words(f"check_check_{finding.check}"),
        answer=finding.answer,
        why=teller.why(finding.why),
        way=teller.way(finding.way_out) if finding.way_out else "",
        notes=tuple(_distinct(teller.note(note) for note in finding.notes)),
    )


def _distinct(sentences: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys(sentences)


def _amount(case: Case, words: Words) -> str:
    portion = case.portion
    if portion.quantity is None:
        return words("check_nobody")
    told = words.quantity(round(portion.quantity, 2), portion.uom)
    if portion.uom is None and case.kilograms is not None:
        told += words("check_in_kilograms", kilograms=words.quantity(round(case.kilograms, 1), "KGM"))
    return told


def _story(lot: str) -> str | None:
    """The lot's own page, where it has one."""
    path = api_id(lot)
    return f"/{path}" if path.startswith("01/") else None


# --- for programs -----------------------------------------------------------------------------------------------------


def document(answered: Answered, asked: str) -> dict[str, Any]:
    """The same in both languages, as JSON."""
    return {
        "asked": asked,
        "answer": answered.answer,
        "gone": answered.gone,
        "portions": [_case_document(case) for case in answered.cases],
        "more": answered.more,
    }


def _case_document(case: Case) -> dict[str, Any]:
    portion = case.portion
    return {
        "answer": case.decision.answer,
        "check": case.decision.main.check,
        "unit": portion.unit,
        "lot": portion.lot,
        "quantity": portion.quantity,
        "uom": portion.uom,
        "kilograms": case.kilograms,
        "place": case.site.id if case.site else None,
        "ended": portion.ending,
        "findings": [_finding_document(finding) for finding in case.decision.findings],
    }


def _finding_document(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "answer": finding.answer,
        "why": _both(finding.why, Teller.why),
        "way_out": None if finding.way_out is None else _both(finding.way_out, Teller.way),
        "notes": [_both(note, Teller.note) for note in finding.notes],
    }


def _both(said: Said, tell: Callable[[Teller, Said], str]) -> dict[str, str]:
    return {"code": said.code} | {language: tell(Teller(Words(language)), said) for language in CATALOGUES}


# --- around the answer ------------------------------------------------------------------------------------------------


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
    """Whether a laboratory has something to say: a screen was positive and no final result stands."""
    tests = [test for case in answered.cases for test in case.facts.tests if test.here]
    final = any(test.kind == "laboratory" and test.outcome != "pending" for test in tests)
    return not final and any(test.kind == "rapid" and test.outcome == "positive" for test in tests)


Options = list[tuple[str, str]]


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
    seller: str
    places: Options
    place: str
    sample: str
    threshold: str
    lot_choices: Options
    reasons: Options
    authorities: Options


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
        seller=offer.seller,
        places=choices(offer.places),
        place=offer.place,
        sample=offer.sample,
        threshold=f"{offer.threshold:g}",
        lot_choices=[(lot, short(lot)) for lot in offer.lots],
        reasons=[(reason, words(f"check_reason_{reason}")) for reason in REASONS],
        authorities=[
            (who, words(f"check_authority_{who}")) for who in ("market", "agriculture", "market_regulation")
        ],
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
    since: str
    clocks: tuple[ClockView, ...]
    holds: tuple[HeldView, ...]
    arrivals: tuple[ArrivalView, ...]


def board_view(board: Board, words: Words, now: datetime) -> BoardView:
    return BoardView(
        since=words.moment(board.day, ZONE),
        clocks=tuple(_clock(clock, words, now) for clock in board.clocks),
        holds=tuple(
            HeldView(
                held.code, short(held.code), words("check_hold_since", since=words.moment(held.since, ZONE))
            )
            for held in board.holds
        ),
        arrivals=tuple(_arrival(arrival, words) for arrival in board.arrivals),
    )


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
    return ArrivalView(
        text=words("check_arrival", at=words.clock(arrival.at, ZONE), by=by),
        place=words.name(arrival.place) if arrival.place else "",
        codes=tuple((code, short(code)) for code in arrival.codes),
    )
