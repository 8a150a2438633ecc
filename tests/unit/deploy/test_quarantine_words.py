"""A payload as a person sees it: whatever it is, and without obeying it."""

from __future__ import annotations

import cbor2
from hypothesis import given
from hypothesis import strategies as st

from deploy.quarantine_words import MOST_CHARACTERS, in_words


def test_each_form_is_laid_out() -> None:
    assert in_words(b'[{"n":"t","v":1},{"n":"u"}]') == ("json", '[\n  {"n": "t", "v": 1},\n  {"n": "u"}\n]')
    assert in_words(cbor2.dumps([{0: "t", 2: float("nan"), 8: b"\x01", 4: True}])) == (
        "cbor",
        "[\n  {0: \"t\", 2: NaN, 8: h'01', 4: true}\n]",
    )
    assert in_words("温度=2.5".encode()) == ("text", "温度=2.5")
    assert in_words(b"\xff\xfe\x00abc")[1].startswith("00000000  ff fe 00 61 62 63 ")


def test_a_terminal_is_sent_no_control_characters() -> None:
    form, text = in_words(b"\x1b[2Jhidden")
    assert (form, text) == ("text", "\\x1b[2Jhidden")


@given(st.binary(max_size=400))
def test_any_bytes_are_something(payload: bytes) -> None:
    _, text = in_words(payload)
    assert not any(ord(each) < 32 and each not in "\n\t" for each in text)


def test_a_large_one_is_cut() -> None:
    assert len(in_words(b"x" * 1_000_000)[1]) < MOST_CHARACTERS + 100
