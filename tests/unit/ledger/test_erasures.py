"""The list of erasures, and paths to what is erased."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ingest.quarantine import written_forms
from ledger.erasures import LIST, Erasure, Place, append, listed, paths_to, person_pseudonym, put

ERASURE = Erasure(
    "coop", (bytes(16),), "urn:suyuan:person:" + "0" * 32, (Place("act", {"id": "1"}, "facts", (("asked", 0),)),), "order", "2026-06-18"
)  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 99999) | st.text("ab张", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xy", max_size=2), inner, max_size=3),
)


@given(_JSON, st.text("ab张", min_size=1, max_size=2))
def test_what_is_found_is_put_away_and_nothing_else(value: Any, text: str) -> None:
    paths = paths_to(value, [text])
    after, stood = put(value, paths, "*")
    assert len(stood) == len(paths) and all(text in str(each) for each in stood)
    assert paths_to(after, [text]) == []
    assert put(after, paths, "*") == (after, []), "twice is once"
    assert put(value, [], "*") == (value, [])


@given(_JSON)
def test_a_path_that_is_not_there_changes_nothing(value: Any) -> None:
    assert put(value, [("nowhere",), (9,), ("x", "nowhere", 3)], "*")[0] == value


def test_the_list_outlives_a_crash_in_a_line(tmp_path: Path) -> None:
    assert list(listed(tmp_path)) == []
    append(tmp_path, ERASURE)
    with (tmp_path / LIST).open("ab") as file:
        file.write(b'{"organisation": "coop", "pers')
    append(tmp_path, ERASURE)
    assert list(listed(tmp_path)) == [ERASURE, ERASURE]
    assert (tmp_path / LIST).stat().st_mode & 0o077 == 0


def test_a_pseudonym_is_of_the_key_and_the_name() -> None:
    names = {person_pseudonym(key, urn) for key in (bytes(32), b"k" * 32) for urn in ("a", "b")}
    assert len(names) == 4 and {len(each) for each in names} == {16}


def test_a_payload_may_write_a_text_in_several_ways() -> None:
    forms = written_forms('张"A')
    assert {'张"A'.encode(), '张\\"A'.encode(), "张".encode("gb18030") + b'"A'} <= forms
    assert any(b"\\u5f20" in form for form in forms) and any(b"\\u5F20" in form for form in forms)
