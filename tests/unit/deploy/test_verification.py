"""`suyuan verify`: what it says of keys. What it says of evidence is tests/unit/ledger/test_evidence.py's."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from deploy.verification import FAILS, HOLDS, KEY_PROBLEM, UNREADABLE, verify_file
from tests.unit.ledger.vectors_of_ours import FOLDER, make_v2


@pytest.mark.parametrize("key", ["", "no-such-file", "/", "x" * 300, "a+b+c"])
def test_what_is_no_key_is_said_and_never_replaced_by_the_files_own(tmp_path: Path, key: str) -> None:
    file, said = tmp_path / "evidence.json", list[str]()
    file.write_text("{}")
    assert verify_file(file, [key], False, said.append) == KEY_PROBLEM
    assert "key" in said[0]


def test_a_key_file_of_bytes_or_of_nothing_is_no_key(tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    file.write_text("{}")
    for content in (b"", b"\xff\xfe\x00"):
        (tmp_path / "key").write_bytes(content)
        assert verify_file(file, [str(tmp_path / "key")], True, lambda _text: None) == KEY_PROBLEM


def test_a_file_that_is_no_evidence_is_said(tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    file.write_text("{}")
    assert verify_file(file, [], True, lambda _text: None) == UNREADABLE


VECTORS = json.loads((FOLDER / make_v2.FILE).read_text())
GOOD = json.dumps(VECTORS["evidence"], ensure_ascii=False)


def run(tmp_path: Path, data: str | bytes, *keys: str, as_json: bool = False) -> tuple[int, str]:
    file, said = tmp_path / "evidence", list[str]()
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    return verify_file(file, keys, as_json, said.append), "\n".join(said)


def test_a_file_of_version_2_is_told_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "policy").write_text(VECTORS["policy"])
    status, said = run(tmp_path, gzip.compress(GOOD.encode()), str(tmp_path / "policy"))
    assert status == HOLDS
    assert said.endswith("VERIFIED: everything that can be checked holds; what is marked ? cannot be decided")
    assert (
        "by amr.zj.example/witness: Zhejiang market regulation (example) (an authority, named by your policy)"
        in said
    )
    assert "?    timestamp" in said
    assert "not shown: That what was recorded is true" in said


def test_what_is_shown_is_told_item_by_item(tmp_path: Path) -> None:
    items = VECTORS["evidence"]["items"]
    event = next(at for at, item in enumerate(items) if item["kind"] == "event")
    window = next(at for at, item in enumerate(items) if item["kind"] == "window")
    _, said = run(tmp_path, GOOD)
    field = next(each for each in items[event]["fields"] if "name" in each and isinstance(each["value"], str))
    reading = next(each for each in items[window]["readings"] if each["value"] is not None)
    assert f"item {event}: entry {items[event]['index']} of {items[event]['log']}, an event:" in said
    assert f"      {field['name']}: {field['value']}" in said.split("\n")
    assert f"  {float(reading['value'])!r}" in said and "  series " in said
    spoiled = json.loads(GOOD)
    next(each for each in spoiled["items"][event]["fields"] if each.get("name") == field["name"])["value"] = (
        "x"
    )
    status, said = run(tmp_path, json.dumps(spoiled))
    assert status == FAILS
    assert f"item {event}: entry {items[event]['index']} of {items[event]['log']} does not hold" in said
    assert "spoiled" not in said, "nothing of it is told"


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    (alone,) = [case for case in VECTORS["true_files"] if case["name"] == "no witness and no clock"]
    status, said = run(tmp_path, json.dumps(alone["evidence"]), *alone["trusted"].values())
    assert status == HOLDS
    lines = said.split("\n")
    assert "the root log's own clock: none shown" in lines
    assert "no witness is shown to have seen this" in lines
    assert "no time stamp of an authority is shown" in lines
    assert lines[-1] == "VERIFIED: everything in this file holds"


def test_keys_and_a_quorum_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("\n".join(VECTORS["trusted"].values()))
    assert run(tmp_path, GOOD, str(tmp_path / "keys"))[0] == HOLDS
    (tmp_path / "policy").write_text(
        VECTORS["policy"].replace("any authority absent", "all authority absent")
    )
    status, said = run(tmp_path, GOOD, str(tmp_path / "policy"))
    assert status == FAILS
    assert "FAIL quorum" in said
    assert run(tmp_path, GOOD, str(tmp_path / "policy"), str(tmp_path / "policy"))[0] == KEY_PROBLEM
    (tmp_path / "policy").write_text("quorum nobody\n")
    assert run(tmp_path, GOOD, str(tmp_path / "policy"))[0] == KEY_PROBLEM


def test_a_hostile_name_does_not_reach_the_terminal(tmp_path: Path) -> None:
    value = json.loads(GOOD)
    value["witnesses"][0]["operator"]["en"] = "\x1b[2Jall is well"
    status, said = run(tmp_path, json.dumps(value))
    assert status == HOLDS
    assert "\x1b" not in said
    report = json.loads(run(tmp_path, json.dumps(value), as_json=True)[1])
    assert report["facts"]["witnesses"][0]["name"] == "amr.zj.example/witness"


def test_an_absurd_time_that_was_signed_is_still_told(tmp_path: Path) -> None:
    value = json.loads(GOOD)
    root = make_v2.root_log(make_v2.cooperative_log(), make_v2.market_log()).checkpoint()
    value["root"]["checkpoint"] = make_v2.cosigned(
        root, [make_v2.CLOCK, make_v2.AUTHORITY, make_v2.OURS], 2**63 - 1
    )
    status, said = run(tmp_path, json.dumps(value))
    assert status == HOLDS
    assert "after 1970" in said
