"""`suyuan verify`: what it says of keys. What it says of evidence is tests/unit/ledger/test_evidence.py's."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.verification import KEY_PROBLEM, UNREADABLE, verify_file


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
