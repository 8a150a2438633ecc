"""Entry bytes by the template: the same as by the value, for all that is an entry, and nothing else."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.entry import Entry, parse_entry
from ledger.entry_bytes import EntryTemplate
from ledger.errors import EntryError
from ledger.strict_json import MAX_INTEGER, canonical, read_json, to_base64
from tests.unit.ledger.test_strict_json import JSON
from tests.unit.ledger.vectors_of_ours import make

ENTRY: Entry = make.ENTRY
ROOT = to_base64(bytes(32))
EVENT_BODIES = st.builds(
    lambda fields, root: {"fields": fields, "root": to_base64(root)},
    st.integers(-1, MAX_INTEGER) | st.just(2**54) | st.integers(1, 40),  # others have no bytes at all
    st.binary(min_size=31, max_size=33) | st.binary(min_size=32, max_size=32),
)
ENTRIES = st.builds(
    lambda entry_type, n, prev, rec, body: replace(
        ENTRY, type=entry_type, n=n, prev=prev, rec=rec, body=body
    ),
    st.sampled_from(["event", "registry", "window", "correction"]),
    st.just(0) | st.integers(-1, MAX_INTEGER + 1),
    st.none() | st.binary(min_size=32, max_size=32) | st.binary(max_size=33),
    st.integers(0, MAX_INTEGER),
    EVENT_BODIES | JSON,
)


def by_value(entry: Entry) -> bytes | None:
    with suppress(EntryError):
        return entry.encode()
    return None


def by_template(entry: Entry, body: bytes) -> bytes | None:
    with suppress(EntryError):
        return EntryTemplate.of(entry.type, entry.org, entry.stream, entry.rec).fill(
            entry.n, entry.prev, body
        )
    return None


@given(ENTRIES)
@example(replace(ENTRY, n=0, prev=None, type="event", body={"fields": 10**15 - 1, "root": ROOT}))
@example(replace(ENTRY, n=0, prev=None, type="event", body={"fields": 10**15, "root": ROOT}))
@example(replace(ENTRY, n=0, prev=None, type="event", body={"fields": 0, "root": ROOT}))
@example(replace(ENTRY, n=MAX_INTEGER, prev=bytes(32), type="event", body={"fields": 1, "root": ROOT}))
@example(replace(ENTRY, n=MAX_INTEGER + 1, prev=bytes(32), type="event", body={"fields": 1, "root": ROOT}))
@example(replace(ENTRY, n=1, prev=bytes(31), type="event", body={"fields": 1, "root": ROOT}))
@example(replace(ENTRY, n=1, prev=b"", type="event", body={"fields": 1, "root": ROOT}))
@example(replace(ENTRY, n=1, prev=None, type="event", body={"fields": 1, "root": ROOT}))
@example(replace(ENTRY, n=0, prev=bytes(32), type="event", body={"fields": 1, "root": ROOT}))
@example(replace(ENTRY, n=0, prev=None, type="registry", body={"": 0.0}))
@example(replace(ENTRY, n=0, prev=None, type="registry", body={"": [-0.0, 0.5, 1e20, 1e21, 2.0**53]}))
def test_the_template_gives_the_bytes_of_the_value_or_refuses_it_too(entry: Entry) -> None:
    # The bytes are what is told apart: a body of 0.0 has those of 0, and is no other entry.
    body = canonical(entry.body)
    assert by_template(entry, body) == by_value(replace(entry, body=read_json(body)))


def test_both_ways_are_taken() -> None:
    entry = replace(ENTRY, type="event", n=0, prev=None, body={"fields": 12, "root": ROOT})
    template = EntryTemplate.of(entry.type, entry.org, entry.stream, entry.rec)
    assert template.plain_body is not None
    assert template.plain_body.fullmatch(canonical(entry.body))
    assert template.fill(0, None, canonical(entry.body)) == entry.encode()
    assert EntryTemplate.of("registry", entry.org, entry.stream, entry.rec).plain_body is None


@given(st.data())
def test_a_spoilt_event_body_is_refused_as_by_parse_entry(data: st.DataObject) -> None:
    body = bytearray(canonical({"fields": 12, "root": ROOT}))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at : at + data.draw(st.integers(0, 1))] = data.draw(st.binary(max_size=2))
    template = EntryTemplate.of("event", ENTRY.org, ENTRY.stream, ENTRY.rec)
    try:
        entry = template.fill(0, None, bytes(body))
    except EntryError:
        return
    assert parse_entry(entry).encode() == entry
    assert canonical(parse_entry(entry).body) == bytes(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{},"by":"%b"' % to_base64(bytes(32)).encode(),
        b'{"fields":1,"root":"%b"},"by":"%b"' % (ROOT.encode(), to_base64(bytes(32)).encode()),
        b'{"fields":1,"root":"%b"}\n' % ROOT.encode(),
        b'{"fields":1, "root":"%b"}' % ROOT.encode(),
        b'{"fields":%d,"root":"%b"}' % (2**53, ROOT.encode()),
        b"%d",
        b"",
    ],
)
@pytest.mark.parametrize("entry_type", ["event", "registry"])
def test_a_body_cannot_bring_anything_in_from_outside(entry_type: Any, body: bytes) -> None:
    with pytest.raises(EntryError):
        EntryTemplate.of(entry_type, ENTRY.org, ENTRY.stream, ENTRY.rec).fill(0, None, body)


def test_another_spelling_of_a_root_is_refused() -> None:
    with pytest.raises(EntryError, match="root"):
        EntryTemplate.of("event", ENTRY.org, ENTRY.stream, ENTRY.rec).fill(
            0, None, b'{"fields":1,"root":"%bB="}' % (b"A" * 42)
        )


def test_a_name_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(EntryError, match="length of org"):
        EntryTemplate.of("event", ENTRY.org[:15], ENTRY.stream, ENTRY.rec)
    with pytest.raises(EntryError, match="length of stream"):
        EntryTemplate.of("registry", ENTRY.org, bytes(17), ENTRY.rec).fill(0, None, b"{}")
