"""The four checks of admission, in legal order: recall or hold, certificate, test, temperature.

In the line: evidence.py's facts of one portion -> `decide` -> one answer with its main reason, all four findings and the
cheapest way out. Contract: pure; every finding is a code with the facts of its sentence, or a sentence that the verdict
brought along; what decides is `_WEIGHT` alone. Two rules stand behind its order:
- goods that a test or an authority detained are not sent away, so a hold comes before a buyer's refusal for warmth;
- a paper that can still be shown comes after what no paper mends.
No code here says that a recommended or agreed temperature is law: that is for the limit's force to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from ingest.coldchain.limits import Text
from trace_api.acts.results import against, last_word
from trace_api.check.facts import Cold, Facts, Mark, Paper, Pulp, TestResult
from trace_api.check.rules import Rules

Answer = Literal["accept", "hold", "reject", "cannot_tell"]
Check = Literal["recall", "certificate", "test", "temperature"]
CHECKS: Final[tuple[Check, ...]] = ("recall", "certificate", "test", "temperature")
WORST_FIRST: Final[tuple[Answer, ...]] = ("reject", "hold", "cannot_tell", "accept")
ENOUGH_KG: Final = 0.05  # what scales and rounding differ by, per consignment

# --- findings -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence: by its code and what fills it, or brought along in both languages."""

    code: str
    facts: Mapping[str, object] = field(default_factory=dict)
    text: Text | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    check: Check
    answer: Answer
    why: Said
    way_out: Said | None = None
    notes: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """`main`: the finding that decides. `findings`: all four, in legal order."""

    answer: Answer
    main: Finding
    findings: tuple[Finding, ...]

    @property
    def way_out(self) -> Said | None:
        return self.main.way_out


# What comes first when checks differ. Whatever is not here is no obstacle.
_WEIGHT: Final[Mapping[str, int]] = {
    "recalled": 100,
    "laboratory_positive": 95,
    "refused": 90,
    "rapid_positive": 80,
    "rapid_untold": 80,
    "rapid_positive_over": 80,
    "retest_pending": 80,
    "held": 70,
    "held_by_us": 70,
    "held_for_test": 65,
    "over_mandatory": 60,
    "pulp_over": 60,
    "pulp_under": 60,
    "certificate_void": 50,
    "certificate_short": 50,
    "no_certificate": 50,
    "pulp_warm": 40,
    "pulp_cold": 40,
    "over_agreed": 40,
    "sample_pending": 30,
    "positive_elsewhere": 30,
    "over_recommended": 20,
    "pulp_few_warm": 20,
    "cold_unknown": 20,
}


def decide(facts: Facts, rules: Rules) -> Decision:
    findings = (
        check_recall(facts),
        check_certificate(facts),
        check_test(facts, rules),
        check_temperature(facts, rules),
    )
    # max keeps the first of equals, which is legal order.
    main = max(findings, key=lambda finding: _WEIGHT.get(finding.why.code, 0))
    if main.answer == "accept":
        main = findings[-1]  # nothing stands against it: what was measured is worth saying
    return Decision(main.answer, main, findings)


# --- 1. recall or hold ------------------------------------------------------------------------------------------------


def check_recall(facts: Facts) -> Finding:
    for kind in ("recalled", "refused", "held"):
        for mark in facts.marks:
            if mark.kind == kind:
                return _marked(mark)
    notes = (Said("part_hidden", {"count": facts.cold.hidden}),) if facts.cold.hidden else ()
    return Finding("recall", "accept", Said("no_hold"), notes=notes)


def _marked(mark: Mark) -> Finding:
    told = {"by": mark.by, "since": mark.since}
    if mark.kind == "recalled":
        return Finding("recall", "reject", Said("recalled", told), Said("keep_apart"))
    if mark.kind == "refused":
        return Finding("recall", "reject", Said("refused", told), Said("send_back"))
    if mark.for_test:
        return Finding("recall", "hold", Said("held_for_test", told), Said("see_test"))
    if mark.ours:
        return Finding("recall", "hold", Said("held_by_us", told), Said("lift_it"))
    return Finding("recall", "hold", Said("held", told), Said("ask_holder", told))


# --- 2. certificate --------------------------------------------------------------------------------------------------------


def check_certificate(facts: Facts) -> Finding:
    """What is for another lot counts for nothing here, and is said."""
    found = _certificate(facts)
    if not facts.others:
        return found
    return replace(found, notes=(*found.notes, Said("paper_of_other", {"items": facts.others})))


def _certificate(facts: Facts) -> Finding:
    """What is declared is of the lot, wherever it lies: pallet by pallet one certificate would cover them all."""
    counting = [paper for paper in facts.papers if paper.status in ("valid", "named")]
    if not counting:
        return _without_paper(facts)
    covered = _covered(counting)
    paper = counting[0]
    told = {"number": paper.number, "kind": paper.kind, "issuer": paper.issuer, "issued_at": paper.issued_at}
    notes = [Said("self_declared")]
    if covered is None:
        code = "certificate_named" if paper.status == "named" else "certificate_no_quantity"
        return Finding("certificate", "accept", Said(code, told), notes=(*notes, Said("compare_paper")))
    if facts.kilograms is None:
        return Finding(
            "certificate", "accept", Said("certificate_valid", told), notes=(*notes, Said("weigh"))
        )
    of_lot = max(facts.kilograms, facts.lot_kilograms or 0.0)
    amounts = {"covered": covered, "arriving": facts.kilograms, "of_lot": of_lot}
    if covered + ENOUGH_KG < of_lot:
        missing = {"missing": of_lot - covered}
        return Finding(
            "certificate", "hold", Said("certificate_short", amounts), Said("ask_rest", missing), tuple(notes)
        )
    return Finding(
        "certificate", "accept", Said("certificate_valid", told), notes=(*notes, Said("covers", amounts))
    )


def _covered(papers: Sequence[Paper]) -> float | None:
    """The kilograms declared in all; None as soon as one of them does not say."""
    amounts = [paper.quantity_kg for paper in papers]
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None


def _without_paper(facts: Facts) -> Finding:
    """Without one the market has to test before the goods are sold; with a clean test they may be."""
    tested = _latest(facts.tests, "negative")
    gone = next(iter(facts.papers), None)
    if tested is not None and not standing(facts.tests):
        code = "tested_instead_void" if gone else "tested_instead"
        return Finding("certificate", "accept", Said(code, {"at": tested.at, "method": tested.method}))
    if gone is None:
        return Finding("certificate", "hold", Said("no_certificate"), Said("ask_certificate"))
    told = {"number": gone.number, "status": gone.status, "replaced_by": gone.replaced_by}
    way = Said("ask_replacement", told) if gone.replaced_by else Said("ask_certificate")
    return Finding("certificate", "hold", Said("certificate_void", told), way)


# --- 3. test -----------------------------------------------------------------------------------------------------------------


def check_test(facts: Facts, rules: Rules) -> Finding:
    here = [test for test in facts.tests if test.here]
    bad = against(here)
    if bad is not None:
        return _laboratory(bad) if bad.kind == "laboratory" else _positive(bad, here, facts, rules)
    if (final := last_word(here)) is not None:
        return _laboratory(final)
    waiting = _latest(here, "pending")
    clean = _latest(here, "negative")
    if waiting is not None and (clean is None or waiting.at > clean.at):
        return Finding("test", "cannot_tell", Said("sample_pending", {"at": waiting.at}), Said("wait_result"))
    if clean is not None:
        return _clean(clean)
    return _elsewhere(facts)


def standing(tests: Sequence[TestResult]) -> list[TestResult]:
    """What stands against some of the goods, for each organisation and unit that they were tested by and in."""
    goods = dict.fromkeys((test.organisation, test.unit) for test in tests if test.outcome == "positive")
    found = (
        against(test for test in tests if test.organisation == organisation and test.unit in (None, unit))
        for organisation, unit in goods
    )
    return [test for test in found if test is not None]


def _laboratory(test: TestResult) -> Finding:
    told = {"at": test.at, "method": test.method, "by": test.by}
    if test.outcome == "positive":
        return Finding("test", "reject", Said("laboratory_positive", told), Said("dispose"))
    return Finding("test", "accept", Said("laboratory_negative", told))


def _positive(test: TestResult, here: Sequence[TestResult], facts: Facts, rules: Rules) -> Finding:
    """A screen: the goods wait. A second rapid test does not lift it, since a retest is made by another method."""
    told = {
        "at": test.at,
        "value": test.value,
        "uom": test.uom,
        "threshold": test.threshold,
        "method": test.method,
    }
    notes = (Said("only_a_screen"),)
    if any(
        each.kind == "laboratory" and each.at >= test.at for each in here
    ):  # pending: what is final was looked at
        return Finding("test", "hold", Said("retest_pending", told), Said("wait_laboratory"), notes)
    ends = deadline(test, rules)
    if ends is None:
        return Finding("test", "hold", Said("rapid_untold", told), Said("tell_seller"), notes)
    left = ends - facts.now
    if left > timedelta(0):
        told |= {"left": left.total_seconds() / 60, "until": ends}
        return Finding(
            "test", "hold", Said("rapid_positive", told), Said("ask_retest", {"until": ends}), notes
        )
    return Finding(
        "test", "hold", Said("rapid_positive_over", told | {"until": ends}), Said("laboratory"), notes
    )


def deadline(test: TestResult, rules: Rules) -> datetime | None:
    """Until when a retest may be asked for: four hours from being told, and never earlier than was said at first.
    None: the seller has not been told, and the clock does not run."""
    if test.notified_at is None:
        return None
    ends = test.notified_at + rules.retest
    return ends if test.deadline is None else max(ends, test.deadline)


def _clean(test: TestResult) -> Finding:
    told = {"at": test.at, "method": test.method, "value": test.value, "uom": test.uom, "by": test.by}
    blind = (Said("not_covered", {"items": test.not_covered}),) if test.not_covered else ()
    return Finding("test", "accept", Said("rapid_negative", told), notes=(Said("only_a_screen"), *blind))


def _elsewhere(facts: Facts) -> Finding:
    """A result judges the lot where the sample was taken; for the same lot here it is a reason to look."""
    bad = max(standing(facts.tests), key=lambda test: test.at, default=None)
    if bad is not None:
        told = {"at": bad.at, "by": bad.by, "method": bad.method, "tested": bad.kind}
        return Finding("test", "cannot_tell", Said("positive_elsewhere", told), Said("sample_here"))
    good = _latest(facts.tests, "negative")
    if good is not None:
        return Finding(
            "test", "accept", Said("tested_elsewhere", {"at": good.at, "by": good.by, "method": good.method})
        )
    return Finding("test", "accept", Said("not_tested"))


def _latest(tests: Sequence[TestResult], outcome: str) -> TestResult | None:
    return max((test for test in tests if test.outcome == outcome), key=lambda test: test.at, default=None)


# --- 4. temperature ----------------------------------------------------------------------------------------------------------


def check_temperature(facts: Facts, rules: Rules) -> Finding:
    cold = facts.cold
    if cold.pulp is not None and cold.lower_c is not None and cold.pulp.coldest_c < cold.lower_c:
        return _too_cold(cold, cold.pulp, cold.lower_c, rules)
    if cold.limit_c is not None and cold.pulp is not None and cold.pulp.boxes >= rules.gate_boxes:
        return _with_pulp(cold, cold.pulp, rules)
    if cold.state != "breach" and (warm := _few_and_warm(cold, rules)) is not None:
        return warm
    notes = _cold_notes(cold)
    if cold.state == "not_applicable":
        return Finding(
            "temperature", "accept", Said("no_limit", text=cold.headline), notes=(Said("no_mandatory"),)
        )
    if cold.state == "compliant":
        return Finding("temperature", "accept", Said("cold_kept", text=cold.headline), notes=notes)
    measure = _measure(cold, rules)
    if cold.state == "indeterminate":
        way = Said("upload_now") if cold.way_out == "upload_now" else measure
        return Finding("temperature", "cannot_tell", Said("cold_unknown", text=cold.headline), way, notes)
    if cold.force in ("mandatory", "local"):
        return Finding(
            "temperature", "reject", Said("over_mandatory", text=cold.headline), Said("send_back"), notes
        )
    if cold.force == "agreed":
        return Finding("temperature", "hold", Said("over_agreed", text=cold.headline), measure, notes)
    return Finding("temperature", "cannot_tell", Said("over_recommended", text=cold.headline), measure, notes)


def _few_and_warm(cold: Cold, rules: Rules) -> Finding | None:
    """A box or two decide nothing, and what they show is not passed over because the record looks well."""
    pulp = cold.pulp
    if pulp is None or cold.limit_c is None or pulp.warmest_c <= cold.limit_c + rules.pulp_margin_c:
        return None
    told = {"boxes": pulp.boxes, "warmest": pulp.warmest_c, "most": cold.limit_c + rules.pulp_margin_c}
    return Finding(
        "temperature", "cannot_tell", Said("pulp_few_warm", told), _measure(cold, rules), _cold_notes(cold)
    )


def _measure(cold: Cold, rules: Rules) -> Said:
    done = cold.pulp.boxes if cold.pulp else 0
    if 0 < done < rules.gate_boxes:
        return Said("measure_more", {"boxes": rules.gate_boxes - done})
    return Said("measure_boxes", {"boxes": rules.gate_boxes})


def _with_pulp(cold: Cold, pulp: Pulp, rules: Rules) -> Finding:
    """What was measured at the gate joins the verdict: it settles what the record leaves open, and a warm core is warm
    whatever the air was."""
    assert cold.limit_c is not None
    most = cold.limit_c + rules.pulp_margin_c
    told = {
        "boxes": pulp.boxes,
        "coldest": pulp.coldest_c,
        "warmest": pulp.warmest_c,
        "most": most,
        "at": pulp.at,
    }
    notes = _cold_notes(cold)
    if pulp.warmest_c > most:
        binding = cold.force in ("mandatory", "local", "agreed")
        code, answer = ("pulp_over", "reject") if binding else ("pulp_warm", "hold")
        return Finding("temperature", answer, Said(code, told), Said("refuse_warm"), notes)  # type: ignore[arg-type]
    if cold.state == "breach" and cold.force in ("mandatory", "local"):
        return Finding(
            "temperature", "reject", Said("over_mandatory", text=cold.headline), Said("send_back"), notes
        )
    if cold.state == "breach":
        return Finding(
            "temperature", "accept", Said("pulp_fine_breach", told), None, (Said("remark"), *notes)
        )
    code = "pulp_fine" if cold.state == "compliant" else "pulp_settles"
    return Finding("temperature", "accept", Said(code, told), None, notes)


def _too_cold(cold: Cold, pulp: Pulp, least: float, rules: Rules) -> Finding:
    """Chilled or frozen fruit is lost as warm fruit is, and one box shows it: below the limit one looks; what is further below
    a binding one than the margin is refused."""
    told = {"boxes": pulp.boxes, "coldest": pulp.coldest_c, "least": least, "at": pulp.at}
    binding = cold.lower_force in ("mandatory", "local", "agreed")
    if binding and pulp.coldest_c < least - rules.pulp_margin_c:
        return Finding(
            "temperature", "reject", Said("pulp_under", told), Said("refuse_cold"), _cold_notes(cold)
        )
    return Finding("temperature", "hold", Said("pulp_cold", told), Said("refuse_cold"), _cold_notes(cold))


def _cold_notes(cold: Cold) -> tuple[Said, ...]:
    notes = [Said("reason", text=text) for text in cold.reasons]
    if cold.wording is not None:
        notes.append(Said(f"force_{cold.force}", {"rule": cold.wording}))
    return tuple(notes)
