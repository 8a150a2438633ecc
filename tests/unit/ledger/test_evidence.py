"""Evidence: what is made verifies, what is changed does not, and nothing but VerifyError ever comes out."""

import json
import math
import re
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.entry import Entry, commit_event
from ledger.evidence import TEXTS, Report, build_window, read_evidence, verify_evidence
from ledger.evidence_file import Evidence, LogEvidence
from ledger.strict_json import canonical, read_json
from ledger.translog.note import SignerKey
from ledger.translog.verify import VerifyError
from ledger.window_body import MAX_BODY_SIZE
from tests.unit.ledger.test_strict_json import JSON
from tests.unit.ledger.vectors_of_ours import FOLDER, make

GOOD = make.example_evidence().to_json()
TRUSTED = {make.ORIGIN: str(make.SIGNER.verifier)}
OF_VERSION_2 = {
    "root_key", "root_checkpoint", "anchor", "rotation", "clock", "cosignature", "timestamp", "quorum",
}  # fmt: skip
SAME = canonical(read_json(GOOD))


def test_what_we_make_verifies() -> None:
    report = verify_evidence(GOOD, TRUSTED)
    assert report.failures == ()
    assert report.verified
    assert not report.own_key
    names = [check.name for check in report.checks]
    assert set(names) == set(TEXTS) - {"own_key"} - OF_VERSION_2
    assert names.count("inclusion") == 5


def test_reading_and_writing_are_inverses() -> None:
    assert read_evidence(GOOD) == make.example_evidence()
    assert read_evidence(GOOD.encode()).to_json() == GOOD


def test_without_a_trusted_key_the_report_says_so() -> None:
    report = verify_evidence(GOOD)
    assert report.verified
    assert report.own_key
    assert "own_key" in [check.name for check in report.checks]


@pytest.mark.parametrize(
    "trusted",
    [
        {},
        {"log.suyuan.example/other": str(make.SIGNER.verifier)},
        {make.ORIGIN: str(SignerKey.from_seed(make.ORIGIN, bytes(32)).verifier)},
    ],
)
def test_a_key_that_is_not_trusted_proves_nothing(trusted: dict[str, str]) -> None:
    report = verify_evidence(GOOD, trusted)
    assert not report.verified
    assert report.failures[0].name == "key"


def test_a_trusted_key_that_is_none_is_refused() -> None:
    with pytest.raises(VerifyError):
        verify_evidence(GOOD, {make.ORIGIN: "nonsense"})


@pytest.mark.parametrize("name", list(make.spoiled()))
def test_spoiled_evidence_does_not_verify(name: str) -> None:
    value = make.patched(json.loads(GOOD), make.spoiled()[name])
    for trusted in (TRUSTED, None):
        with suppress(VerifyError):
            report = verify_evidence(json.dumps(value), trusted)
            assert not report.verified
            assert all(check.got for check in report.failures)


def refused(data: bytes) -> bool:
    """Whether the bytes are refused; any exception but VerifyError escapes, and so does an acceptance of
    other content.
    """
    try:
        report = verify_evidence(data, TRUSTED)
    except VerifyError:
        return True
    return not report.verified


def test_flipped_bytes_all_over_the_file_are_noticed() -> None:
    """Walks through the whole file; white space and equal spellings of a number are no change of content."""
    data = bytearray(GOOD.encode())
    for at in range(0, len(data), 97):
        for change in (1, 0x20):
            data[at] ^= change
            assert refused(bytes(data)) or canonical(read_json(bytes(data))) == SAME, at
            data[at] ^= change


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_any_mutation_is_refused_and_raises_nothing_else(data: st.DataObject) -> None:
    text = GOOD.encode()
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 40))
    mutated = text[:at] + data.draw(st.binary(max_size=12)) + text[at + cut :]
    if mutated != text:
        assert refused(mutated) or canonical(read_json(mutated)) == SAME


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


PLACES = places(json.loads(GOOD))[1:]


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(PLACES), JSON)
def test_any_value_in_any_place_is_refused(place: tuple[Any, ...], new: Any) -> None:
    value = json.loads(GOOD)
    holder = value
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = new
    mutated = json.dumps(value).encode()
    assert refused(mutated) or canonical(read_json(mutated)) == SAME or emptied_readings(place, new)


def emptied_readings(place: tuple[Any, ...], new: Any) -> bool:
    """Showing none of a window's readings is a smaller true claim, not a false one."""
    return bool(place[-1] == "readings" and new == [])


@given(st.binary(max_size=100) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_unreadable(data: bytes) -> None:
    with pytest.raises(VerifyError):
        verify_evidence(data)


@settings(deadline=None)
@given(JSON)
def test_any_json_is_unreadable(value: Any) -> None:
    with pytest.raises(VerifyError):
        verify_evidence(canonical(value))


def test_deep_nesting_is_an_error_not_a_crash() -> None:
    for text in ("[" * 200_000, '{"a":' * 200_000):
        with pytest.raises(VerifyError):
            verify_evidence(text)


def report_on(log: Any, *items: Any) -> Report:
    evidence = Evidence((LogEvidence(make.ORIGIN, str(make.SIGNER.verifier), log.note),), items)
    return verify_evidence(evidence.to_json(), TRUSTED)


def event(n: int) -> dict[str, Any]:
    body: dict[str, Any] = commit_event({"n": n}, [bytes(16)]).body()
    return body


def shown(log: Any, index: int, n: int) -> Any:
    return make.build_event(log.leaf(index), {"n": n}, [bytes(16)], {"n"})


def test_a_broken_chain_is_noticed() -> None:
    log = make.Log()
    log.append("event", make.PARTY, event(0), 1)
    log.heads[make.PARTY] = (0, bytes(32))  # the log's owner slips another entry between
    log.append("event", make.PARTY, event(1), 2)
    assert report_on(log, shown(log, 1, 1)).verified
    report = report_on(log, shown(log, 0, 0), shown(log, 1, 1))
    assert [check.name for check in report.failures] == ["stream"]
    assert "prev of the entry" in report.failures[0].got


def test_two_entries_with_one_number_are_noticed() -> None:
    log = make.Log()
    log.append("event", make.PARTY, event(0), 1)
    del log.heads[make.PARTY]
    log.append("event", make.PARTY, event(1), 2)
    report = report_on(log, shown(log, 0, 0), shown(log, 1, 1))
    assert [check.name for check in report.failures] == ["stream"]


def test_a_stream_against_the_logs_order_is_noticed() -> None:
    log = make.Log()
    log.heads[make.PARTY] = (4, bytes(32))
    log.append("event", make.PARTY, event(5), 1)
    del log.heads[make.PARTY]
    log.append("event", make.PARTY, event(0), 2)
    report = report_on(log, shown(log, 0, 5), shown(log, 1, 0))
    assert [check.name for check in report.failures] == ["stream"]


def test_an_entry_copied_from_another_log_is_noticed() -> None:
    log = make.Log()
    foreign = Entry("event", bytes(16), make.PARTY, 0, None, 1, event(0)).encode()
    log.entries.append(foreign)
    report = report_on(log, shown(log, 0, 0))
    assert [check.name for check in report.failures] == ["log"]


def test_an_amendment_of_something_else_is_noticed() -> None:
    log = make.Log()
    sealed = make.WindowBody.of(make.window(), make.START_MS, make.START_MS + make.HOUR_MS, "hour")
    log.append("window", make.DEVICE, sealed.value(), 1)
    tree = make.amending_window()
    amended = make.WindowBody.of(tree, make.START_MS, make.START_MS + make.HOUR_MS, "hour", added=[8])
    log.append("window", make.DEVICE, amended.amending(make.Amends(0, bytes(32))).value(), 2)
    items = [build_window(log.leaf(0), make.window(), [0]), build_window(log.leaf(1), tree, [8])]
    report = report_on(log, *items)
    assert [check.name for check in report.failures] == ["amends"]


def test_a_reading_outside_what_the_window_published_is_noticed() -> None:
    log = make.Log()
    sealed = make.WindowBody.of(make.window(), make.START_MS, make.START_MS + make.HOUR_MS, "hour")
    value = sealed.value()
    value["series"][1][5] = 4000  # the log's owner publishes 4.0 as the maximum; 7.0 was sealed
    log.append("window", make.DEVICE, value, 1)
    report = report_on(log, build_window(log.leaf(0), make.window(), range(9)))
    assert [check.name for check in report.failures] == ["summary"]
    assert report.failures[0].want == "-1005 to 4000 thousandths"


def test_evidence_of_a_window_that_the_store_no_longer_gives_is_not_made() -> None:
    log = make.example_log()
    with pytest.raises(VerifyError, match="root of the window"):
        build_window(log.leaf(1), make.amending_window(), [0])


def test_a_report_travels_as_json() -> None:
    value = json.loads(json.dumps(verify_evidence(GOOD, TRUSTED).value()))
    assert value["verified"] is True
    assert all(check["text"]["zh"] and check["text"]["en"] for check in value["checks"])


def test_no_evidence_holds_a_number_that_json_lacks() -> None:
    evidence = make.example_evidence()
    window = evidence.items[2]
    broken = replace(window.readings[0], reading=replace(window.readings[0].reading, value=math.nan))
    with pytest.raises(ValueError, match="JSON"):
        replace(evidence, items=(replace(window, readings=(broken,)),)).to_json()


def test_the_document_names_every_check_and_counts_the_vectors() -> None:
    text = (FOLDER.parents[1] / "docs" / "entry-v1.md").read_text()
    table = text.split("### Checking it")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(TEXTS) - OF_VERSION_2
    assert f"{len(make.spoiled())} ways to spoil it" in text
    assert f"longer than\n  {MAX_BODY_SIZE} bytes" in text
    assert f'{{"fields": {len(make.EVENT)}, "root": "{make.event()["body"]["root"]}"}}' in text
