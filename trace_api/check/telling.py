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
from trace_api.check.checks import Finding, Said
from trace_api.check.evidence import Case
from trace_api.check.finding import Document, Vehicle
from trace_api.check.reading import short
from trace_api.story import Name
from trace_api.telling import api_id
from trace_api.words import CATALOGUES, Words

ZONE: Final = "Asia/Shanghai"
_KILOGRAMS: Final = ("covered", "arriving", "missing", "of_lot")
_CELSIUS: Final = ("coldest", "warmest", "most", "least")


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
        if name == "method" and not value:
            return w("check_no_method")
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
        if name == "tested":
            return w(f"check_tested_{value}")
        if name == "status":
            return w(f"check_status_{value}")
        if name == "items":
            return w("work_comma").join(w.known("check_group", each.replace(" ", "_")) for each in value)
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
    """`answer`: None where goods are gone or nothing was found in a vehicle. `first`: what is to be known before the reason: that the paper in
    one's hand does not count, that the vehicle is empty, that the record has the goods somewhere else."""

    answer: str | None
    word: str
    do: str
    first: str
    why: str
    more: str
    way: str
    share: str
    caution: str
    about: str
    cases: tuple[CaseView, ...]


def view(answered: Answered, words: Words) -> AnswerView:
    cases = tuple(case_view(case, words) for case in answered.cases)
    name = answered.answer
    worst = cases[0] if cases else None
    share = ""
    if name is not None and len(cases) > 1 and worst and name == worst.answer != "accept":
        share = words("check_of_units", count=answered.total, worst=answered.worst)
    doubt = _doubt(answered, words) if worst and name and name != worst.answer else None
    why, more, way = doubt or ((worst.why, worst.more, worst.way) if worst and name else ("", "", ""))
    return AnswerView(
        answer=name,
        word=words(f"check_answer_{name}") if name else "",
        do=words("check_do_accept") if name == "accept" else "",
        first=_first(answered, words),
        caution="" if doubt else _elsewhere(answered, words),
        why=why,
        more=more,
        way=way,
        share=share,
        about=_about(answered, words),
        cases=cases,
    )


def _doubt(answered: Answered, words: Words) -> tuple[str, str, str]:
    """Why nobody can tell though nothing speaks against the goods as the record has them, and the way out."""
    if answered.unjudged:
        return words("check_not_all", count=answered.unjudged), "", words("check_not_all_next")
    return _elsewhere(answered, words), "", words("check_elsewhere_next")


def _first(answered: Answered, words: Words) -> str:
    return words("check_vehicle_last") if answered.last_trip else _paper_is_gone(answered, words)


def _elsewhere(answered: Answered, words: Words) -> str:
    """Where the record says that goods are, if that is not here."""
    case = answered.elsewhere
    if case is None:
        return ""
    return words(
        "check_elsewhere",
        place=words.name(case.site.name) if case.site else words("check_nobody"),
        holder=words.name(case.holder) if case.holder else words("check_nobody"),
    )


def _paper_is_gone(answered: Answered, words: Words) -> str:
    """It does not count, whatever else covers the goods."""
    paper = answered.found.paper if isinstance(answered.found, Document) else None
    if paper is None or paper.status == "valid":
        return ""
    if paper.replaced_by:
        return words("check_paper_replaced", number=paper.number, by=paper.replaced_by)
    return words("check_paper_gone", number=paper.number, status=words(f"check_status_{paper.status}"))


def _about(answered: Answered, words: Words) -> str:
    """What kind of thing was asked for, where that changes how the answer is read."""
    if isinstance(answered.found, Vehicle):
        if not answered.cases:
            return (
                words("check_vehicle_nothing") if not answered.found.loaded else words("check_vehicle_empty")
            )
        if answered.last_trip:
            return ""
        return words("check_vehicle", count=answered.total)
    if not isinstance(answered.found, Document):
        return ""
    paper = answered.found.paper
    if paper is None:
        return words("check_document")
    amount = words.quantity(round(paper.kilograms, 1), "KGM")
    return words("check_document_says", number=paper.number, product=words.name(paper.product), amount=amount)


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
        "unjudged": answered.unjudged,
        "paper": _paper_document(answered),
    }


def _paper_document(answered: Answered) -> dict[str, Any] | None:
    """The certificate that was asked for, as its issuer keeps it."""
    paper = answered.found.paper if isinstance(answered.found, Document) else None
    if paper is None:
        return None
    said = {"number": paper.number, "status": paper.status, "replaced_by": paper.replaced_by}
    return said | {"product": {"zh": paper.product.zh, "en": paper.product.en}, "kilograms": paper.kilograms}


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
        "elsewhere": case.elsewhere,
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
