"""`suyuan epcis validate`: what is printed, for people and for programs, and the exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from deploy.command import main
from tests.unit.ledger.epcis.documents import OPENEPCIS, schema_verdicts
from tests.unit.ledger.epcis.test_events import OBJECT, document_of, with_report
from tests.vectors import count_vectors, vector_path

GOOD = document_of(OBJECT)
BAD = document_of(OBJECT, OBJECT | {"action": "x"})
WARNED = document_of(OBJECT | {"bizStep": "sampling"})


def validated(*arguments: Any, data: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["epcis", "validate", *map(str, arguments)], input=data)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.json" for name in ("good", "bad", "warned", "torn", "absent")}
    for name, document in (("good", GOOD), ("bad", BAD), ("warned", WARNED)):
        paths[name].write_text(json.dumps(document))
    paths["torn"].write_text("{")
    return paths


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (["good"], 0),
        (["warned"], 0),
        (["bad"], 1),
        (["torn"], 3),
        (["absent"], 3),
        (["good", "warned"], 0),
        (["good", "bad", "good"], 1),
        (["torn", "bad"], 3),
        (["bad", "absent"], 3),
    ],
)
def test_the_exit_status_is_the_worst_of_all_files(
    files: dict[str, Path], names: list[str], status: int
) -> None:
    for options in ([], ["--json"]):
        assert validated(*(files[name] for name in names), *options).exit_code == status, options


def test_a_line_says_where_what_and_how(files: dict[str, Path]) -> None:
    lines = validated(files["bad"], files["warned"], files["torn"]).stdout.splitlines()
    assert lines == [
        f"{files['bad']}: error: event 2: /epcisBody/eventList/1/action: got 'x', want ADD, OBSERVE or DELETE",
        f"{files['bad']}: invalid: 2 events, 1 error, 0 warnings",
        f"{files['warned']}: warning: event 1: /epcisBody/eventList/0/bizStep: got sampling, which uses up the sample; take "
        "out what was sampled by action DELETE, or say inspecting where the goods stay whole",
        f"{files['warned']}: valid: 1 event, 0 errors, 1 warning",
        f"{files['torn']}: unreadable: is no JSON: got the end, want a key in double quotes, at line 1, column 2; it "
        "ends too early, send the whole of it",
    ]


def test_programs_get_one_document(files: dict[str, Path]) -> None:
    said = json.loads(validated("--json", files["bad"], files["torn"], files["good"]).stdout)
    assert said["valid"] is False
    bad, torn, good = said["files"]
    assert (bad["status"], bad["events"], bad["errors"], bad["warnings"], bad["left_off"]) == (
        "invalid",
        2,
        1,
        0,
        0,
    )
    assert bad["problems"] == [
        {
            "severity": "error",
            "pointer": "/epcisBody/eventList/1/action",
            "detail": "got 'x', want ADD, OBSERVE or DELETE",
            "event": 2,
        }
    ]
    assert (torn["status"], len(torn["problems"])) == ("unreadable", 1)
    assert (good["status"], good["problems"]) == ("valid", [])


def test_of_many_problems_some_are_shown_and_all_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "many.json"
    path.write_text(json.dumps(document_of(*(OBJECT | {"action": "x"} for _ in range(30)))))
    result = validated("--most", "2", path)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 3
    assert "30 errors" in result.stdout and "(28 not shown" in result.stdout
    assert json.loads(validated("--json", "--most", "0", path).stdout)["files"][0]["left_off"] == 30


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        (5, "(document)"),
        ({}, "/type"),
        ({"type": "EPCISDocument"}, "/epcisBody"),
        ({"type": "EPCISDocument", "epcisBody": {}}, "/epcisBody/eventList"),
        ({"type": "EPCISQueryDocument", "epcisBody": {"queryResults": 5}}, "/epcisBody/queryResults"),
    ],
)
def test_json_without_events_is_invalid(document: Any, pointer: str) -> None:
    result = validated("-", data=json.dumps(document).encode())
    assert result.exit_code == 1
    assert result.stdout.startswith(f"-: error: {pointer}: got ")


def test_a_byte_order_mark_and_standard_input_are_taken() -> None:
    assert validated("-", data=b"\xef\xbb\xbf" + json.dumps(OBJECT).encode()).exit_code == 0


def test_a_rule_over_several_fields_makes_a_file_invalid(tmp_path: Path) -> None:
    path = tmp_path / "sensor.json"
    path.write_text(json.dumps(document_of(with_report(time="2026-06-18T03:20:01+08:00"))))
    result = validated(path)
    assert result.exit_code == 1
    assert (
        "/epcisBody/eventList/0/sensorElementList/0/sensorReport/0/time: got 2026-06-18T03:20:01+08:00"
        in result.stdout
    )


def test_every_invalid_capture_document_is_refused() -> None:
    folder = vector_path(f"{OPENEPCIS}/EPCIS/JSON/Capture/Invalid")
    paths = sorted(folder.glob("*.json"))
    assert len(paths) >= 6
    for path in paths:
        assert validated(path).exit_code in (1, 3), path.name
        count_vectors()
    verdicts = schema_verdicts()
    assert not any(ok for name, ok in verdicts.items() if "JSON/Capture/Invalid" in name)


def test_a_file_of_surrogates_can_be_printed(tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(OBJECT | {"action": "\ud800", "\udfff": 1}))
    assert validated(path).exit_code == 1
