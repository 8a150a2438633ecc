"""Evidence of version 2: the vectors hold, every spoiled file names what is wrong, in all three wrappings."""

import base64
import gzip
import json
import re
from typing import Any

import pytest

from ledger.evidence import TEXTS, Report, read_evidence, read_trust, verify_evidence
from ledger.evidence_report import LIMITS
from ledger.translog.policy import parse_policy
from ledger.translog.verify import VerifyError
from tests.unit.ledger.vectors_of_ours import FOLDER, make, make_v2

VECTORS = json.loads((FOLDER / make_v2.FILE).read_text())
GOOD = json.dumps(VECTORS["evidence"], ensure_ascii=False)
TRUST = read_trust(VECTORS["trusted"].values())
ISSUE = {
    "reading", "salt", "inner path", "window entry", "outer path", "index", "size", "root", "origin",
    "signature", "key id", "cosignature", "its time", "rule", "verdict", "event field", "missing range",
    "stream link", "truncated file", "foreign checkpoint",
}  # fmt: skip


def verified(case: dict[str, Any], text: str) -> tuple[bool, list[str]]:
    """What a verifier says, in the form that the vectors have."""
    trusted, policy = case["trusted"], case["policy"]
    try:
        trust = read_trust(
            None if trusted is None else trusted.values(), None if policy is None else parse_policy(policy)
        )
        report = verify_evidence(text, trust)
    except VerifyError:
        return False, []
    assert report.verified is not bool(report.failures)
    return True, [make_v2.label(check) for check in report.failures]


def test_the_vectors_are_those_that_the_fixed_keys_make() -> None:
    assert make_v2.contents() == (FOLDER / make_v2.FILE).read_text()


def test_the_example_verifies() -> None:
    report = verify_evidence(GOOD, TRUST)
    assert report.verified
    assert {check.name for check in report.checks} == set(TEXTS) - {"own_key", "quorum"}
    assert [check.name for check in report.checks if check.state == "unknown"] == ["timestamp"]
    assert VECTORS["want"]["checks"] == [f"{make_v2.label(check)} {check.state}" for check in report.checks]


@pytest.mark.parametrize("case", VECTORS["true_files"], ids=lambda case: case["name"])
def test_true_files_verify(case: dict[str, Any]) -> None:
    assert verified(case, json.dumps(case["evidence"])) == (True, [])


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_a_spoiled_file_names_what_is_wrong(case: dict[str, Any]) -> None:
    patch = (case["op"], case["path"], case["value"])
    text = json.dumps(make.patched(VECTORS["evidence"], patch))
    given = {"trusted": VECTORS["trusted"], "policy": None}
    assert verified(given, text) == (case["readable"], case["failed"])
    assert case["failed"] or not case["readable"]
    untrusting = verified({"trusted": None, "policy": None}, text)
    # A file's own keys cannot tell a key that was exchanged together with everything it signed.
    assert untrusting != (True, []) or "key entry" in case["name"]


@pytest.mark.parametrize("case", VECTORS["false_files"], ids=lambda case: case["name"])
def test_false_files_do_not_verify(case: dict[str, Any]) -> None:
    assert verified(case, case["text"]) == (case["readable"], case["failed"])
    assert case["failed"] or not case["readable"]


def test_all_that_the_issue_lists_is_spoiled() -> None:
    named = {case["issue"] for case in VECTORS["cases"] + VECTORS["false_files"]}
    assert named - {None} == ISSUE


def test_reading_and_writing_are_inverses() -> None:
    assert read_evidence(GOOD) == make_v2.example_evidence()
    assert json.loads(read_evidence(GOOD).to_json()) == VECTORS["evidence"]


def page(block: str) -> str:
    return (
        f'<!doctype html>\n<title>x</title><script type="application/json" id="evidence">{block}</script>\n'
    )


def test_packed_and_in_a_page_it_is_the_same_file() -> None:
    want = read_evidence(GOOD)
    block = page(GOOD.replace("<", "\\u003c"))
    for data in (gzip.compress(GOOD.encode()), block, block.encode(), gzip.compress(block.encode())):
        assert read_evidence(data) == want
    assert read_evidence(base64.b64decode(VECTORS["gzip"])) == want


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(gzip.compress(GOOD.encode())[:-1], id="truncated"),
        pytest.param(gzip.compress(GOOD.encode()) + b"\0", id="a byte behind it"),
        pytest.param(gzip.compress(GOOD.encode()) * 2, id="two members"),
        pytest.param(gzip.compress(gzip.compress(GOOD.encode())), id="packed twice"),
        pytest.param(gzip.compress(bytes(64 * 2**20 + 1)), id="a bomb"),
        pytest.param(b"\x1f\x8b", id="a beginning only"),
        pytest.param(page(GOOD) + page(GOOD), id="two blocks"),
        pytest.param(page(GOOD).replace("evidence", "statement", 1), id="no block"),
        pytest.param(page(GOOD)[: -len("</script>\n")], id="no end of the block"),
        pytest.param(page(GOOD + "<!-- -->"), id="markup in the block"),
        pytest.param("﻿" + GOOD, id="a byte order mark"),
    ],
)
def test_other_wrappings_are_unreadable(data: bytes | str) -> None:
    with pytest.raises(VerifyError):
        read_evidence(data)


def limits(report: Report) -> tuple[str, ...]:
    return report.facts.limits(report.own_key)


def test_what_a_file_cannot_show_is_said() -> None:
    files = {case["name"]: json.dumps(case["evidence"]) for case in VECTORS["true_files"]}
    assert limits(verify_evidence(GOOD, TRUST)) == (
        "truth",
        "complete",
        "clock_key",
        "independence",
        "stamp_authority",
    )
    alone = verify_evidence(files["no witness and no clock"], TRUST)
    assert limits(alone) == ("truth", "complete", "one_log_for_all")
    assert alone.facts.clock_s is None
    unanchored = verify_evidence(files["no root log yet"])
    assert limits(unanchored) == ("truth", "complete", "own_key", "not_anchored", "one_log_for_all")
    with_policy = verify_evidence(GOOD, read_trust(None, parse_policy(VECTORS["policy"])))
    assert "independence" not in limits(with_policy)
    assert set(limits(with_policy)) <= set(LIMITS)


def test_a_witness_of_the_operator_is_not_independent() -> None:
    value = json.loads(GOOD)
    value["witnesses"] = value["witnesses"][1:]
    report = verify_evidence(json.dumps(value), TRUST)
    assert report.verified
    assert not report.facts.independent
    assert "one_log_for_all" in limits(report)


def test_a_time_stamp_from_before_the_anchors_covers_them_not() -> None:
    value = json.loads(GOOD)
    late = make_v2.root_log(make_v2.cooperative_log(), make_v2.market_log()).leaf(4)
    value["logs"][1]["anchor"] = late.place()
    report = verify_evidence(json.dumps(value), TRUST)
    assert report.verified
    assert [stamp.covers for stamp in report.facts.timestamps] == [False]


def test_of_a_log_beside_the_root_log_neither_stamp_nor_witness_says_anything() -> None:
    value = json.loads(GOOD)
    for log in value["logs"]:
        body = json.loads(log.pop("anchor")["entry"])["body"]
        log["checkpoint"] = body["checkpoint"]
    report = verify_evidence(json.dumps(value), TRUST)
    assert report.verified
    assert report.facts.independent
    assert [stamp.covers for stamp in report.facts.timestamps] == [False]
    assert {"not_anchored", "one_log_for_all"} <= set(limits(report))


def test_the_clock_can_be_trusted_too() -> None:
    vkeys = [*VECTORS["trusted"].values(), VECTORS["evidence"]["root"]["clock"]]
    trusting = verify_evidence(GOOD, read_trust(vkeys))
    assert trusting.verified
    assert "clock_key" not in limits(trusting)
    other = str(make_v2.Cosigner.from_seed(make_v2.CLOCK.name, bytes(32)).verifier)
    report = verify_evidence(GOOD, read_trust([*VECTORS["trusted"].values(), other]))
    assert [check.name for check in report.failures] == ["clock"]


def test_the_document_names_every_check_and_counts_the_vectors() -> None:
    text = (FOLDER.parents[1] / "docs" / "evidence-v2.md").read_text()
    checks, limits_table = text.split("\n## Checks")[1].split("\n## What a report adds")
    named = {
        name
        for row in re.findall(r"^\| (`.*?) \|", checks, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert named == set(TEXTS)
    assert re.findall(r"^\| `(\w+)` \|", limits_table, re.MULTILINE) == list(LIMITS)
    counts = f"{len(VECTORS['true_files'])} files that verify, {len(VECTORS['cases'])} ways"
    assert counts in " ".join(text.split())
    assert f"{len(VECTORS['false_files'])} false files" in text
