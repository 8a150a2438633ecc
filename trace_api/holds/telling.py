"""Hold proposals in words for a page, and as JSON in both languages.

Contract: a screen is called a screen and never a failure; a share that is not known is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from trace_api.check.reading import short
from trace_api.holds.proposals import Asked, Behind, Decision, Proposal, Reason, Tested
from trace_api.story import Name
from trace_api.words import CATALOGUES, Words

ZONE: Final = "Asia/Shanghai"


@dataclass(frozen=True, slots=True)
class ReasonView:
    text: str
    note: str


@dataclass(frozen=True, slots=True)
class ProposalView:
    """`state`: open, hold, request or leave; `history`: what was decided, the newest first. `can`: hold, ask or nothing."""

    id: UUID
    name: str
    code: str | None
    amount: str
    holder: str
    reasons: tuple[ReasonView, ...]
    state: str
    state_word: str
    history: tuple[str, ...]
    can: str


@dataclass(frozen=True, slots=True)
class BehindView:
    name: str
    share: float | None
    share_text: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TestedView:
    id: UUID
    title: str
    text: str
    confirmed: bool
    behind: tuple[BehindView, ...]
    proposals: tuple[ProposalView, ...]


@dataclass(frozen=True, slots=True)
class AskedView:
    id: int
    proposal: UUID
    name: str
    code: str
    text: str
    reason: str
    answered: bool
    standing: bool


Sites = Mapping[str, Name]
"""Names of plots and sites, by identifier."""


def tested_view(
    tested: Tested, words: Words, sites: Sites, *, may_hold: bool, may_decide: bool
) -> TestedView:
    when = words.moment(tested.at, ZONE)
    if tested.lot is None:
        title, text = words("holds_test_related"), words("holds_test_related_text", when=when)
    else:
        state = "confirmed" if tested.confirmed else "screen"
        by = words.name(tested.tester) if tested.tester else words("check_nobody")
        title = words(f"holds_test_{state}", lot=short(tested.lot))
        text = words(f"holds_test_{state}_text", when=when, by=by)
    return TestedView(
        tested.id,
        title,
        text,
        tested.confirmed,
        tuple(_behind(each, words, sites) for each in tested.behind),
        tuple(_proposal(each, words, sites, may_hold, may_decide) for each in tested.proposals),
    )


def _proposal(
    proposal: Proposal, words: Words, sites: Sites, may_hold: bool, may_decide: bool
) -> ProposalView:
    last = proposal.decisions[0] if proposal.decisions else None
    state = last.decision if last else "open"
    holder = words.name(proposal.holder_name) if proposal.holder_name else words("holds_holder_unknown")
    if proposal.lot is None:
        holder = words("holds_holder_hidden")
    can = "nothing"
    if may_decide:
        can = "ask" if proposal.relation != "holder" else "hold" if may_hold else "nothing"
    return ProposalView(
        proposal.id,
        words("holds_goods_hidden") if proposal.lot is None else short(proposal.lot),
        proposal.units[0] if proposal.units else proposal.lot,
        words("holds_amount_unknown")
        if proposal.kilograms is None
        else words.quantity(proposal.kilograms, "KGM"),
        holder,
        tuple(_reason(each, words, sites) for each in proposal.reasons),
        state,
        words(f"holds_state_{state}"),
        tuple(_decision(each, words) for each in proposal.decisions),
        can,
    )


def _reason(reason: Reason, words: Words, sites: Sites) -> ReasonView:
    text = words(f"holds_reason_{reason.code}")
    shares = (
        [] if reason.code == "same_lot" else [words("holds_of_tested", share=_share(reason.of_tested, words))]
    )
    if reason.code in ("mix", "made_from", "sibling_mix"):
        shares = [words("holds_of_goods", share=_share(reason.of_goods, words))]
    fact = reason.fact
    if "registration" in fact:
        shares.append(_spray(fact, words))
    elif "plot" in fact:
        shares.append(words("holds_plot", plot=_plot(str(fact["plot"]), words, sites)))
    return ReasonView(text, words("holds_semicolon").join(shares))


def _share(share: float | None, words: Words) -> str:
    if share is None:
        return words("holds_share_unknown")
    return words.percent(share)


def _spray(fact: dict[str, Any], words: Words) -> str:
    told = words(
        "holds_spray", name=fact["name"], registration=fact["registration"], day=fact["used_on"].isoformat()
    )
    before, interval = fact.get("days_before"), fact.get("interval_days")
    if before is not None and interval is not None and before < interval:
        told += words("holds_spray_early", days=before, interval=interval)
    return told


def plots(tests: Iterable[Tested]) -> set[str]:
    """All that are spoken of."""
    behind = {plot for test in tests for each in test.behind for plot in each.plots}
    facts = (reason.fact for test in tests for each in test.proposals for reason in each.reasons)
    return behind | {str(fact["plot"]) for fact in facts if "plot" in fact}


def _plot(plot: str, words: Words, sites: Sites) -> str:
    """By its name; else by that of its site and its number there."""
    site, extension, number = plot.partition("/254/")
    if plot in sites:
        return words.name(sites[plot])
    return f"{words.name(sites[site])} {number}" if extension and site in sites else short(plot)


def _behind(behind: Behind, words: Words, sites: Sites) -> BehindView:
    notes = [words("holds_plot", plot=_plot(plot, words, sites)) for plot in behind.plots]
    notes += [_spray(each, words) for each in behind.sprays]
    name = words("holds_goods_hidden") if behind.lot is None else short(behind.lot)
    return BehindView(name, behind.share, _share(behind.share, words), tuple(notes))


def _decision(decision: Decision, words: Words) -> str:
    where = words.name(decision.organisation) if decision.organisation else words("holds_authority")
    return words(
        "holds_decided",
        what=words(f"holds_state_{decision.decision}"),
        who=decision.by or words("holds_program"),
        where=where,
        when=words.moment(decision.at, ZONE),
        reason=decision.reason,
    )


def asked_view(asked: Asked, words: Words) -> AskedView:
    where = (
        words("holds_authority")
        if asked.official or asked.organisation is None
        else words.name(asked.organisation)
    )
    amount = (
        words("holds_amount_unknown") if asked.kilograms is None else words.quantity(asked.kilograms, "KGM")
    )
    text = words(
        "holds_asked",
        who=asked.by or words("holds_program"),
        where=where,
        when=words.moment(asked.at, ZONE),
        amount=amount,
    )
    return AskedView(
        asked.id,
        asked.proposal,
        short(asked.lot),
        asked.lot,
        text,
        asked.reason,
        asked.answered,
        asked.standing,
    )


# --- for programs -----------------------------------------------------------------------------------------------------


def document(tests: tuple[Tested, ...], requests: tuple[Asked, ...]) -> dict[str, Any]:
    return {
        "tests": [_test_document(each) for each in tests],
        "requests": [_asked_document(each) for each in requests],
    }


def _test_document(tested: Tested) -> dict[str, Any]:
    return {
        "test": str(tested.id),
        "lot": tested.lot,
        "tester": _both(tested.tester),
        "at": tested.at.isoformat(),
        "final": tested.confirmed,
        "behind": [
            {
                "lot": each.lot,
                "share": each.share,
                "plots": list(each.plots),
                "input_uses": [_fact(spray) for spray in each.sprays],
            }
            for each in tested.behind
        ],
        "proposals": [_proposal_document(each) for each in tested.proposals],
    }


def _proposal_document(proposal: Proposal) -> dict[str, Any]:
    return {
        "id": str(proposal.id),
        "relation": proposal.relation,
        "lot": proposal.lot,
        "holder": proposal.holder,
        "kilograms": proposal.kilograms,
        "units": list(proposal.units),
        "places": list(proposal.places),
        "reasons": [_reason_document(each) for each in proposal.reasons],
        "state": proposal.decisions[0].decision if proposal.decisions else "open",
        "decisions": [
            {
                "id": each.id, "decision": each.decision, "reason": each.reason, "at": each.at.isoformat(), "by": each.by,
                "organisation": _both(each.organisation), "act": None if each.act is None else str(each.act),
            }
            for each in proposal.decisions
        ],
    }  # fmt: skip


def _reason_document(reason: Reason) -> dict[str, Any]:
    told = {"code": reason.code, "of_tested": reason.of_tested, "of_goods": reason.of_goods}
    said = {language: Words(language)(f"holds_reason_{reason.code}") for language in CATALOGUES}
    return told | said | {"via": list(reason.via), "fact": _fact(reason.fact)}


def _fact(fact: dict[str, Any]) -> dict[str, Any]:
    return fact | {"used_on": fact["used_on"].isoformat()} if "used_on" in fact else fact


def _asked_document(asked: Asked) -> dict[str, Any]:
    return {
        "id": asked.id, "proposal": str(asked.proposal), "lot": asked.lot, "kilograms": asked.kilograms, "reason": asked.reason,
        "at": asked.at.isoformat(), "by": asked.by, "organisation": _both(asked.organisation), "answered": asked.answered,
        "standing": asked.standing,
    }  # fmt: skip


def _both(name: Name | None) -> dict[str, str] | None:
    return None if name is None else {"zh": name.zh, "en": name.en}
