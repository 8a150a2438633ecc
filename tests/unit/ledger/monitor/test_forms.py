"""The quick reader of entries takes what the whole reader takes, refuses what it refuses, and says the same."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.entry import parse_entry
from ledger.errors import EntryError
from ledger.monitor import forms
from ledger.monitor.forms import Facts, read_facts
from ledger.strict_json import MAX_INTEGER, strict
from tests.unit.ledger.monitor.written import Speaker

OURS = json.loads((Path(__file__).parents[3] / "entry-v1" / "entries.json").read_text())
LOG = json.loads((Path(__file__).parents[3] / "entry-v1" / "log.json").read_text())
NUMBERS = [0, 1, 59, MAX_INTEGER, MAX_INTEGER + 1, -1, 1_782_000_000_000]


def slowly(data: bytes) -> Facts | str:
    try:
        parse_entry(data)
        return forms._slowly(data)
    except EntryError as error:
        return str(error)


def quickly(data: bytes) -> Facts | str:
    try:
        return read_facts(data)
    except EntryError as error:
        return str(error)


def samples() -> list[bytes]:
    speaker = Speaker()
    first = speaker.window(3, 0)
    return [
        speaker.event(),
        first,
        speaker.event(),
        speaker.window(3, 1),
        *(e.encode() for e in LOG["entries"]),
    ]


@pytest.mark.parametrize("data", samples())
def test_an_entry_is_read_as_the_whole_reader_reads_it(data: bytes) -> None:
    found = quickly(data)
    assert isinstance(found, Facts)
    assert found == slowly(data)


def test_the_usual_entries_take_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    speaker = Speaker()
    usual = [speaker.event(), speaker.window(3, 0), speaker.event(), speaker.window(3, 1)]
    monkeypatch.setattr(forms, "parse_entry", None)
    assert [read_facts(data).type for data in usual] == ["event", "window"] * 2


def test_our_own_vectors_of_entries() -> None:
    for text in OURS["valid"].values():
        assert isinstance(quickly(text.encode()), Facts)
    for text in OURS["invalid"].values():
        data = text.encode("utf-8", "surrogatepass")
        assert quickly(data) == slowly(data)
        assert isinstance(quickly(data), str)


@given(st.sampled_from(samples()), st.integers(0, 5000), st.integers(1, 255))
def test_any_changed_byte_is_read_alike(data: bytes, at: int, change: int) -> None:
    altered = bytearray(data)
    altered[at % len(altered)] ^= change
    assert quickly(bytes(altered)) == slowly(bytes(altered))


@given(st.sampled_from(samples()), st.integers(0, 2**32))
def test_any_changed_value_is_read_alike(data: bytes, seed: int) -> None:
    """In the one spelling, so that what is judged is the rule and not the form."""
    value, choice = json.loads(data), random.Random(seed)
    change(value, choice)
    try:
        altered = strict(value)
    except EntryError:
        altered = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    assert quickly(altered) == slowly(altered)


def change(value: object, choice: random.Random) -> None:
    """One number or text somewhere in it."""
    while True:
        assert isinstance(value, dict | list)
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = choice.choice(keys)
        inner = value[key]  # type: ignore[index]
        if not isinstance(inner, dict | list):
            other = (
                choice.choice(NUMBERS) if isinstance(inner, int) else choice.choice(["", "AA==", None, inner])
            )
            value[key] = other  # type: ignore[index]
            return
        value = inner


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_alike(data: bytes) -> None:
    assert quickly(data) == slowly(data)
    assert isinstance(quickly(data), str)
