"""What the checks find, in words: every sentence can be said in both languages, and none claims more than is so."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from ingest.coldchain.limits import FORCES, Force
from tests.unit.trace_api.check.test_checks import BROKEN, NOW, POSITIVE, RULES, TABLE, WARM, with_
from trace_api.acts.refusals import Fault
from trace_api.check.checks import Decision, Said, decide
from trace_api.check.routes import Failed
from trace_api.check.telling import Teller
from trace_api.words import LANGUAGES, Language, Words

ONLY_OF_LAW = ("unlawful", "illegal", "offence", "violation", "违法", "违规", "非法", "不合法")


def sentences(decision: Decision, language: Language) -> list[str]:
    teller = Teller(Words(language))
    told = []
    for finding in decision.findings:
        told.append(teller.why(finding.why))
        told += [teller.way(finding.way_out)] if finding.way_out else []
        told += [teller.note(note) for note in finding.notes]
    return told


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", TABLE)
def test_every_finding_can_be_said(name: str, language: Language) -> None:
    told = sentences(decide(TABLE[name][0], RULES), language)
    assert len(told) >= 4
    for sentence in told:
        assert sentence and "None" not in sentence and "{" not in sentence and "check_" not in sentence, (
            sentence
        )


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("force", FORCES)
def test_a_limit_is_called_what_it_is(force: Force, language: Language) -> None:
    """What is recommended, agreed or the company's own is said to be that, and never to be law."""
    words = {"mandatory": ("强制", "mandatory"), "local": ("地方", "locally"), "recommended": ("推荐", "recommended"),
             "agreed": ("约定", "agreed"), "internal": ("自定", "company's own")}[force]  # fmt: skip
    for pulp in (None, WARM):
        told = " ".join(
            sentences(decide(with_(cold=replace(BROKEN, force=force, pulp=pulp)), RULES), language)
        )
        assert words[0 if language == "zh" else 1] in told
        assert not any(word in told for word in ONLY_OF_LAW)
        if force not in ("mandatory", "local"):
            assert ("不是法定要求" if language == "zh" else "not required by law") in told


def test_the_time_left_for_a_retest_is_shown_as_hours_and_minutes() -> None:
    told = replace(POSITIVE, notified_at=NOW - timedelta(minutes=75), deadline=None)
    finding = decide(with_(tests=(told,)), RULES).findings[2]
    assert "2\u00a0小时\u00a045\u00a0分" in Teller(Words("zh")).why(finding.why)
    assert "2\u00a0h\u00a045\u00a0min" in Teller(Words("en")).why(finding.why)


def test_a_value_that_others_keep_is_not_made_up() -> None:
    kept = replace(POSITIVE, value=None, uom=None, threshold=None)
    told = Teller(Words("en")).why(decide(with_(tests=(kept,)), RULES).findings[2].why)
    assert "%" not in told and "None" not in told


def test_a_name_is_said_in_the_language_of_the_page() -> None:
    said = Said("held", {"by": TABLE["held"][0].marks[0].by, "since": NOW})
    assert "市场" in Teller(Words("zh")).why(said) and "Market" in Teller(Words("en")).why(said)


def test_what_is_wrong_three_times_is_said_once() -> None:
    faults = {f"pulp.{box}": Fault("comma_in_number", f"pulp.{box}") for box in range(3)}
    assert len(Failed("inspect", {**faults}, cast(Any, None), 422).sentences(Words("zh"))) == 1
