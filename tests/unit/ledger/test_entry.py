"""Entry version 1: one value one spelling, commitments field by field, pseudonyms; and our vectors, made
again.
"""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.entry import (
    MAX_ENTRY_SIZE,
    Entry,
    commit_event,
    entry_hash,
    field_leaf,
    log_pseudonym,
    parse_entry,
    stream_pseudonym,
)
from ledger.entry_bodies import ErasureBody, EventBody, FreezeBody, KeyBody, read_anchor
from ledger.errors import EntryError
from ledger.strict_json import MAX_INTEGER
from ledger.translog.merkle import Tree, leaf_hash
from ledger.window_body import MAX_BODY_SIZE
from tests.unit.ledger.test_strict_json import JSON
from tests.unit.ledger.vectors_of_ours import FOLDER, make

ENTRY: Entry = make.ENTRY


@pytest.mark.parametrize("name", list(make.FILES))
def test_our_vectors_are_what_the_code_makes(name: str) -> None:
    assert (FOLDER / name).read_text() == make.contents(name)


def test_the_log_of_our_vectors_is_read_back() -> None:
    for data, want in zip(make.example_log().entries, held("log.json")["leaf_hashes"], strict=True):
        assert parse_entry(data).encode() == data
        assert entry_hash(data).hex() == want


@pytest.mark.parametrize("name", list(make.NO_ENTRIES))
def test_what_is_no_entry_is_refused(name: str) -> None:
    text = held("entries.json")["invalid"][name]
    assert text != held("entries.json")["valid"]["plain"]
    with pytest.raises(EntryError):
        parse_entry(text.encode())


def test_entries_that_are_valid() -> None:
    for text in held("entries.json")["valid"].values():
        assert parse_entry(text.encode()).encode().decode() == text


@pytest.mark.parametrize("name", list(make.BODIES))
def test_a_body_that_says_one_thing_is_read_back(name: str) -> None:
    text = held("bodies.json")["valid"][name]
    entry = parse_entry(text.encode())
    readers: dict[str, Any] = {
        "verdict": EventBody.read, "erasure": ErasureBody.read, "key": KeyBody.read, "freeze": FreezeBody.read,
        "anchor": read_anchor,
    }  # fmt: skip
    assert readers[entry.type](entry.body).value() == entry.body
    assert entry.encode().decode() == text


@pytest.mark.parametrize("name", list(make.NO_BODIES))
def test_a_body_of_another_form_is_refused(name: str) -> None:
    spoiled = held("bodies.json")["invalid"][name]
    with pytest.raises(EntryError):
        replace(ENTRY, **spoiled).encode()


@given(st.sampled_from(["verdict", "erasure", "key", "freeze", "anchor"]), JSON)
def test_any_body_is_refused_with_one_error(kind: Any, body: Any) -> None:
    with pytest.raises(EntryError):
        replace(ENTRY, type=kind, body=body).encode()


def test_4096_bytes_and_no_more() -> None:
    room = MAX_ENTRY_SIZE - len(replace(ENTRY, body={"text": ""}).encode())
    assert len(replace(ENTRY, body={"text": "x" * room}).encode()) == MAX_ENTRY_SIZE
    with pytest.raises(EntryError, match="got 4097, want at most 4096"):
        replace(ENTRY, body={"text": "x" * (room + 1)}).encode()


def test_a_body_leaves_room_for_the_longest_envelope() -> None:
    widest = replace(
        ENTRY, type="correction", n=MAX_INTEGER, rec=MAX_INTEGER, body={}, by=bytes(32), sig=bytes(64)
    )
    assert len(widest.encode()) - len("{}") + MAX_BODY_SIZE == MAX_ENTRY_SIZE


@pytest.mark.parametrize(
    "changes",
    [
        {"n": 0}, {"prev": None}, {"n": -1}, {"rec": 1.0}, {"org": b"short"}, {"type": "gossip"},
        {"n": 2**53}, {"body": []}, {"body": {"a": 0.5}}, {"body": {"a": "e\u0301"}},
        {"type": "event"}, {"sig": bytes(63)},
    ],
)  # fmt: skip
def test_what_would_not_read_back_is_not_written(changes: dict[str, Any]) -> None:
    with pytest.raises(EntryError):
        replace(ENTRY, **changes).encode()


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_any_changed_byte_gives_another_entry_or_none(at: int, change: int) -> None:
    good = ENTRY.encode()
    data = bytearray(good)
    data[at % len(data)] ^= change
    try:
        entry = parse_entry(bytes(data))
    except EntryError:
        return
    assert entry != ENTRY
    assert entry.encode() == data


@given(st.binary(max_size=80))
def test_any_bytes_are_refused_with_one_error(data: bytes) -> None:
    with pytest.raises(EntryError):
        parse_entry(data)


def test_an_event_is_committed_to_field_by_field() -> None:
    fields = make.EVENT
    salts = make.salts(len(fields), 1)
    commitment = commit_event(fields, salts)
    assert commitment.names[-2:] == ("\U0001f352", "\ufb33")  # UTF-16 order
    leaves = [
        field_leaf(salt, name, fields[name]) for salt, name in zip(salts, commitment.names, strict=True)
    ]
    assert Tree.of(leaves).root_hash == commitment.root
    assert commitment.leaves == tuple(leaf_hash(leaf) for leaf in leaves)
    assert EventBody.read(commitment.body()) == EventBody(len(fields), commitment.root)


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON, min_size=1, max_size=6),
    st.randoms(),
)
def test_the_order_of_an_events_fields_does_not_matter(fields: dict[str, Any], random: Any) -> None:
    salts = [bytes([at]) * 16 for at in range(len(fields))]
    shuffled = list(fields.items())
    random.shuffle(shuffled)
    assert commit_event(dict(shuffled), salts) == commit_event(fields, salts)


@pytest.mark.parametrize(
    ("fields", "salts"), [({}, []), ({"a": 1}, []), ({"a": 1}, [bytes(15)]), ({"a": 2**53 + 1}, [bytes(16)])]
)
def test_what_cannot_be_committed_to_is_refused(fields: dict[str, Any], salts: list[bytes]) -> None:
    with pytest.raises(EntryError):
        commit_event(fields, salts)


def test_pseudonyms_tell_logs_kinds_and_keys_apart() -> None:
    made = {
        log_pseudonym("a"), log_pseudonym("b"), stream_pseudonym(bytes(32), "device", "a"),
        stream_pseudonym(bytes(32), "party", "a"), stream_pseudonym(b"\1" * 32, "party", "a"),
    }  # fmt: skip
    assert len(made) == 5
    assert {len(value) for value in made} == {16}


def held(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())
