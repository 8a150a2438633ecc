"""The four checks as a table of examples: what is so, and what is answered."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.coldchain.limits import FORCES, Text
from trace_api.check.checks import CHECKS, WORST_FIRST, Decision, Finding, Said, deadline, decide
from trace_api.check.facts import Cold, Facts, Mark, Paper, Pulp, TestResult
from trace_api.check.papers import number
from trace_api.check.rules import load_rules
from trace_api.story import Name

NOW = datetime(2026, 6, 19, 20, 30, tzinfo=UTC)
RULES = load_rules()
COOP = Name("合作社", "Cooperative")
MARKET = Name("市场", "Market")


def before(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


PAPER = Paper("HGZ-1", "producer", "valid", 500.0, before(600), COOP)
FIVE = Text("运单约定的 5 °C 上限", "the upper limit of 5 °C agreed on the waybill")
KEPT = Cold(
    "compliant", Text("测得的时段内未超过约定温度", "Not above"), (), None, 5.0, FIVE, "agreed", False
)
BROKEN = replace(
    KEPT, state="breach", headline=Text("测得的温度超过约定温度，时间过长", "Above for too long")
)
OPEN = replace(
    KEPT, state="indeterminate", headline=Text("现有记录还不能判断", "Cannot tell"), way_out="measure_boxes"
)
NO_LIMIT = Cold(
    "not_applicable", Text("没有适用的温度要求", "No requirement applies"), (), None, None, None, None, False
)
COOL = Pulp(3, 3.1, 4.4, before(5))
WARM = Pulp(3, 6.8, 9.2, before(5))
GOOD = Facts(NOW, (), (PAPER,), (), KEPT, 480.0)

RAPID = TestResult(
    "rapid",
    "negative",
    "GB/T 5009.199",
    before(30),
    True,
    MARKET,
    12.0,
    "P1",
    50.0,
    not_covered=("fungicides",),
)
POSITIVE = replace(
    RAPID,
    outcome="positive",
    value=71.5,
    not_covered=(),
    notified_at=before(30),
    deadline=before(30) + RULES.retest,
)
LABORATORY = replace(RAPID, kind="laboratory", method="GC-MS", at=before(10), value=None)


def with_(facts: Facts = GOOD, **changes: object) -> Facts:
    return replace(facts, **changes)  # type: ignore[arg-type]


# what is so; the answer; the check whose finding decides; its reason; the way out
TABLE: dict[str, tuple[Facts, str, str, str, str | None]] = {
    "all in order": (GOOD, "accept", "temperature", "cold_kept", None),
    # 1. recall or hold
    "recalled": (with_(marks=(Mark("recalled", MARKET, before(60)),)), "reject", "recall", "recalled", "keep_apart"),
    "refused before": (with_(marks=(Mark("refused", MARKET, before(60)),)), "reject", "recall", "refused", "send_back"),
    "held": (with_(marks=(Mark("held", MARKET, before(60)),)), "hold", "recall", "held", "ask_holder"),
    "held by the asker": (
        with_(marks=(Mark("held", MARKET, before(60), ours=True),), cold=replace(BROKEN, pulp=WARM)), "hold", "recall", "held_by_us", "lift_it"),
    "recalled and held": (with_(marks=(Mark("held", None, None), Mark("recalled", None, None))), "reject", "recall", "recalled", "keep_apart"),
    # 2. certificate
    "no certificate": (with_(papers=()), "hold", "certificate", "no_certificate", "ask_certificate"),
    "a void one": (with_(papers=(replace(PAPER, status="void"),)), "hold", "certificate", "certificate_void", "ask_certificate"),
    "a replaced one": (
        with_(papers=(replace(PAPER, status="replaced", replaced_by="HGZ-2"),)), "hold", "certificate", "certificate_void", "ask_replacement"),
    "a void one and a valid one": (with_(papers=(PAPER, replace(PAPER, status="void"))), "accept", "temperature", "cold_kept", None),
    "it covers less than comes": (with_(kilograms=620.0), "hold", "certificate", "certificate_short", "ask_rest"),
    "it covers this pallet and not its lot": (
        with_(kilograms=500.0, lot_kilograms=2000.0), "hold", "certificate", "certificate_short", "ask_rest"),
    "two together cover it": (with_(kilograms=620.0, papers=(PAPER, PAPER)), "accept", "temperature", "cold_kept", None),
    "a small grower's card": (with_(papers=(replace(PAPER, kind="producer_card", quantity_kg=None),)), "accept", "temperature", "cold_kept", None),
    "named, its text not shared": (
        with_(papers=(replace(PAPER, kind="named", status="named", quantity_kg=None),)), "accept", "temperature", "cold_kept", None),
    "none, but tested clean": (with_(papers=(), tests=(RAPID,)), "accept", "temperature", "cold_kept", None),
    "none, tested clean elsewhere": (with_(papers=(), tests=(replace(RAPID, here=False),)), "accept", "temperature", "cold_kept", None),
    "a void one, but tested clean": (with_(papers=(replace(PAPER, status="void"),), tests=(RAPID,)), "accept", "temperature", "cold_kept", None),
    # 3. test
    "rapid positive, just now": (with_(tests=(POSITIVE,)), "hold", "test", "rapid_positive", "ask_retest"),
    "rapid positive, seller not told": (
        with_(tests=(replace(POSITIVE, notified_at=None),)), "hold", "test", "rapid_untold", "tell_seller"),
    "rapid positive, five hours ago": (
        with_(tests=(replace(POSITIVE, at=before(300), notified_at=before(300), deadline=before(60)),)),
        "hold", "test", "rapid_positive_over", "laboratory"),
    "a second rapid test lifts nothing": (with_(tests=(POSITIVE, replace(RAPID, at=before(5)))), "hold", "test", "rapid_positive", "ask_retest"),
    "positive, sent to the laboratory": (
        with_(tests=(POSITIVE, replace(LABORATORY, outcome="pending"))), "hold", "test", "retest_pending", "wait_laboratory"),
    "positive, laboratory clean": (with_(tests=(POSITIVE, LABORATORY)), "accept", "temperature", "cold_kept", None),
    "positive, laboratory clean, hold not lifted": (
        with_(tests=(POSITIVE, LABORATORY), marks=(Mark("held", MARKET, before(30), for_test=True),)), "hold", "recall", "held_for_test", "see_test"),
    "laboratory positive": (with_(tests=(POSITIVE, replace(LABORATORY, outcome="positive"))), "reject", "test", "laboratory_positive", "dispose"),
    "laboratory clean, and positive since": (
        with_(tests=(replace(LABORATORY, at=before(90)), POSITIVE)), "hold", "test", "rapid_positive", "ask_retest"),
    "laboratory positive, and a screen since": (
        with_(tests=(replace(LABORATORY, at=before(90), outcome="positive"), POSITIVE)), "reject", "test", "laboratory_positive", "dispose"),
    "held for the positive test": (
        with_(tests=(POSITIVE,), marks=(Mark("held", MARKET, before(30), for_test=True),)), "hold", "test", "rapid_positive", "ask_retest"),
    "positive and no certificate": (with_(tests=(POSITIVE,), papers=()), "hold", "test", "rapid_positive", "ask_retest"),
    "sample taken": (with_(tests=(replace(RAPID, outcome="pending"),)), "cannot_tell", "test", "sample_pending", "wait_result"),
    "sample taken again after a clean one": (
        with_(tests=(RAPID, replace(RAPID, outcome="pending", at=before(2)))), "cannot_tell", "test", "sample_pending", "wait_result"),
    "positive elsewhere": (with_(tests=(replace(POSITIVE, here=False),)), "cannot_tell", "test", "positive_elsewhere", "sample_here"),
    "negative": (with_(tests=(RAPID,)), "accept", "temperature", "cold_kept", None),
    # 4. temperature
    "nothing asks for cold": (with_(cold=NO_LIMIT), "accept", "temperature", "no_limit", None),
    "the record cannot tell": (with_(cold=OPEN), "cannot_tell", "temperature", "cold_unknown", "measure_boxes"),
    "the logger may still hold it": (
        with_(cold=replace(OPEN, way_out="upload_now")), "cannot_tell", "temperature", "cold_unknown", "upload_now"),
    "the pulp settles it": (with_(cold=replace(OPEN, pulp=COOL)), "accept", "temperature", "pulp_settles", None),
    "two boxes settle nothing": (
        with_(cold=replace(OPEN, pulp=replace(COOL, boxes=2))), "cannot_tell", "temperature", "cold_unknown", "measure_more"),
    "one warm box is looked into, however well the record looks": (
        with_(cold=replace(KEPT, pulp=replace(WARM, boxes=1))), "cannot_tell", "temperature", "pulp_few_warm", "measure_more"),
    "one box within the margin says nothing": (
        with_(cold=replace(KEPT, pulp=replace(WARM, boxes=1, warmest_c=7.0))), "accept", "temperature", "cold_kept", None),
    "above what was agreed": (with_(cold=BROKEN), "hold", "temperature", "over_agreed", "measure_boxes"),
    "above, the pulp is cool": (with_(cold=replace(BROKEN, pulp=COOL)), "accept", "temperature", "pulp_fine_breach", None),
    "above, the pulp is warm": (with_(cold=replace(BROKEN, pulp=WARM)), "reject", "temperature", "pulp_over", "refuse_warm"),
    "kept, yet the pulp is warm": (with_(cold=replace(KEPT, pulp=WARM)), "reject", "temperature", "pulp_over", "refuse_warm"),
    "kept, and the pulp is cool": (with_(cold=replace(KEPT, pulp=COOL)), "accept", "temperature", "pulp_fine", None),
    "frozen under an agreed limit": (
        with_(cold=replace(KEPT, pulp=replace(COOL, boxes=1, coldest_c=-2.5), lower_c=0.0, lower_force="agreed")),
        "reject", "temperature", "pulp_under", "refuse_cold"),
    "a little below an agreed limit": (
        with_(cold=replace(KEPT, pulp=replace(COOL, coldest_c=-1.0), lower_c=0.0, lower_force="agreed")),
        "hold", "temperature", "pulp_cold", "refuse_cold"),
    "chilled under a recommendation": (
        with_(cold=replace(KEPT, pulp=replace(COOL, coldest_c=-1.0), lower_c=0.0, lower_force="recommended")),
        "hold", "temperature", "pulp_cold", "refuse_cold"),
    "not below the lower limit": (
        with_(cold=replace(KEPT, pulp=replace(COOL, coldest_c=0.0), lower_c=0.0, lower_force="agreed")),
        "accept", "temperature", "pulp_fine", None),
    "at the margin": (with_(cold=replace(KEPT, pulp=replace(WARM, warmest_c=7.0))), "accept", "temperature", "pulp_fine", None),
    "warm against a recommendation": (
        with_(cold=replace(BROKEN, force="recommended", pulp=WARM)), "hold", "temperature", "pulp_warm", "refuse_warm"),
    "above a recommendation": (with_(cold=replace(BROKEN, force="recommended")), "cannot_tell", "temperature", "over_recommended", "measure_boxes"),
    "above the company's own": (with_(cold=replace(BROKEN, force="internal")), "cannot_tell", "temperature", "over_recommended", "measure_boxes"),
    "above a mandatory limit": (with_(cold=replace(BROKEN, force="mandatory")), "reject", "temperature", "over_mandatory", "send_back"),
    "above a local mandatory limit, cool now": (
        with_(cold=replace(BROKEN, force="local", pulp=COOL)), "reject", "temperature", "over_mandatory", "send_back"),
    # together: what detains comes before what sends away, what no paper mends before a paper
    "positive and warm": (with_(tests=(POSITIVE,), cold=replace(BROKEN, pulp=WARM)), "hold", "test", "rapid_positive", "ask_retest"),
    "held and warm": (
        with_(marks=(Mark("held", MARKET, before(60)),), cold=replace(BROKEN, pulp=WARM)), "hold", "recall", "held", "ask_holder"),
    "no certificate and warm": (with_(papers=(), cold=replace(BROKEN, pulp=WARM)), "reject", "temperature", "pulp_over", "refuse_warm"),
    "no certificate and above": (with_(papers=(), cold=BROKEN), "hold", "certificate", "no_certificate", "ask_certificate"),
    "no certificate and unknown": (with_(papers=(), cold=OPEN), "hold", "certificate", "no_certificate", "ask_certificate"),
    "recalled and all else wrong": (
        with_(marks=(Mark("recalled", None, None),), papers=(), tests=(POSITIVE,), cold=replace(BROKEN, pulp=WARM)),
        "reject", "recall", "recalled", "keep_apart"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_the_answer(name: str) -> None:
    facts, answer, check, reason, way_out = TABLE[name]
    decision = decide(facts, RULES)
    found = (
        decision.answer,
        decision.main.check,
        decision.main.why.code,
        decision.way_out and decision.way_out.code,
    )
    assert found == (answer, check, reason, way_out)


def test_every_obstacle_has_a_way_out_and_stands_in_the_table() -> None:
    decisions = [decide(facts, RULES) for facts, *_ in TABLE.values()]
    for decision in decisions:
        for finding in decision.findings:
            assert (finding.way_out is None) == (finding.answer == "accept"), finding
    assert {decision.answer for decision in decisions} == set(WORST_FIRST)


finding_parts = {
    "marks": st.lists(st.builds(Mark, st.sampled_from(["recalled", "refused", "held"]), st.none(), st.none(), st.booleans()), max_size=2).map(tuple),
    "papers": st.lists(st.builds(lambda status, kg: replace(PAPER, status=status, quantity_kg=kg),
                                 st.sampled_from(["valid", "void", "replaced", "named"]), st.none() | st.floats(1, 1000)), max_size=2).map(tuple),
    "tests": st.lists(st.builds(lambda kind, outcome, here, ago, told: replace(
        RAPID, kind=kind, outcome=outcome, here=here, at=before(ago), notified_at=before(ago) if told else None),
        st.sampled_from(["rapid", "laboratory"]), st.sampled_from(["negative", "positive", "pending"]), st.booleans(), st.integers(0, 600),
        st.booleans()), max_size=3).map(tuple),
    "cold": st.builds(lambda cold, force, pulp: replace(cold, force=force, pulp=pulp) if cold.limit_c else cold,
                      st.sampled_from([KEPT, BROKEN, OPEN, NO_LIMIT]), st.sampled_from(FORCES),
                      st.none() | st.builds(Pulp, st.integers(1, 5), st.just(2.0), st.floats(2, 20), st.just(NOW))),
    "kilograms": st.none() | st.floats(0, 2000),
}  # fmt: skip
any_facts = st.fixed_dictionaries(finding_parts).map(lambda parts: with_(**parts))


def test_a_field_of_anybodys_own_is_a_number_or_none() -> None:
    assert [number(value) for value in (3, "3.5", "NaN", "inf", 1e999, None, [4])] == [3.0, 3.5, *[None] * 5]


@given(any_facts)
def test_whatever_is_so_one_answer_stands_with_its_four_findings(facts: Facts) -> None:
    decision = decide(facts, RULES)
    assert tuple(finding.check for finding in decision.findings) == CHECKS
    assert decision.main in decision.findings and decision.answer == decision.main.answer
    # Accept only where nothing stands against it.
    assert (decision.answer == "accept") == all(finding.answer == "accept" for finding in decision.findings)


@given(any_facts)
def test_goods_that_are_detained_are_not_sent_away(facts: Facts) -> None:
    decision = decide(facts, RULES)
    detained = decision.findings[0].answer == "hold" or decision.findings[2].answer == "hold"
    sent_away = decision.findings[0].answer == "reject" or decision.findings[2].answer == "reject"
    if detained and not sent_away:
        assert decision.answer == "hold"


@given(any_facts)
def test_only_law_and_agreement_refuse_for_temperature(facts: Facts) -> None:
    finding = decide(facts, RULES).findings[3]
    if facts.cold.force in ("recommended", "internal"):
        assert finding.answer != "reject"


def test_the_clock_of_a_retest_runs_from_being_told() -> None:
    told = replace(POSITIVE, notified_at=before(10), deadline=before(30) + RULES.retest)
    assert deadline(told, RULES) == before(10) + timedelta(hours=4)
    assert deadline(replace(told, notified_at=None), RULES) is None, "who was not told has lost no time"
    left = decide(with_(tests=(told,)), RULES).main.why.facts["left"]
    assert left == pytest.approx(230)


def test_a_positive_that_a_laboratory_cleared_counts_no_more() -> None:
    positive = replace(POSITIVE, here=False, organisation="other")
    clean = replace(LABORATORY, here=False, organisation="other")
    cleared = decide(with_(papers=(), tests=(positive, clean)), RULES)
    assert [finding.why.code for finding in cleared.findings[1:3]] == ["tested_instead", "tested_elsewhere"]
    for other in (
        replace(clean, organisation="third"),
        replace(clean, at=before(90)),
        replace(clean, unit="P2"),
    ):
        assert decide(with_(tests=(positive, other)), RULES).main.why.code == "positive_elsewhere"


def test_a_certificate_of_another_lot_is_said_and_counts_for_nothing() -> None:
    finding = decide(with_(papers=(), others=("HGZ-2",)), RULES).findings[1]
    assert (finding.why.code, finding.notes) == (
        "no_certificate",
        (Said("paper_of_other", {"items": ("HGZ-2",)}),),
    )


def test_what_is_missing_of_a_certificate_is_said_in_kilograms() -> None:
    finding = decide(with_(kilograms=620.0), RULES).findings[1]
    assert finding.why == Said("certificate_short", {"covered": 500.0, "arriving": 620.0, "of_lot": 620.0})
    assert finding.way_out == Said("ask_rest", {"missing": 120.0})
    of_lot = decide(with_(kilograms=500.0, lot_kilograms=2000.0), RULES).findings[1]
    assert of_lot.why.facts == {"covered": 500.0, "arriving": 500.0, "of_lot": 2000.0}
    assert of_lot.way_out == Said("ask_rest", {"missing": 1500.0})


def test_what_the_asker_may_not_see_is_said_even_where_all_is_well() -> None:
    decision: Decision = decide(with_(cold=replace(KEPT, hidden=3)), RULES)
    recall: Finding = decision.findings[0]
    assert recall.answer == "accept" and recall.notes == (Said("part_hidden", {"count": 3}),)
