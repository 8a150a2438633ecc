"""Reading EPCIS files: every kind that is sent, and any bytes at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.epcis.files import DEEPEST_FILE, MOST_MARKS, ReadFile, Unreadable, read_file
from tests.unit.ledger.epcis.documents import events_of, published, read

EVENT = {"type": "ObjectEvent", "eventTime": "2026-06-18T03:20:00Z", "epcList": []}
CONTEXT = {"ex": "https://ns.example.com/"}


def document(events: Any = None, **fields: Any) -> dict[str, Any]:
    body = {"eventList": [EVENT] if events is None else events}
    return {"type": "EPCISDocument", "@context": CONTEXT, "epcisBody": body, **fields}


def said(value: Any) -> ReadFile:
    return read_file(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("value", "kind", "context", "pointer"),
    [
        (document(), "EPCISDocument", CONTEXT, "/epcisBody/eventList/0"),
        ({"epcisBody": {"eventList": [EVENT]}}, "EPCISDocument", None, "/epcisBody/eventList/0"),
        ({"type": "EPCISDocument", "epcisBody": {"event": EVENT}}, "EPCISDocument", None, "/epcisBody/event"),
        (
            {"epcisBody": {"queryResults": {"resultsBody": {"eventList": [EVENT]}}}},
            "EPCISQueryDocument",
            None,
            "/epcisBody/queryResults/resultsBody/eventList/0",
        ),
        (EVENT, "event", None, ""),
        ([EVENT], "events", None, "/0"),
    ],
)
def test_what_is_taken(value: Any, kind: str, context: Any, pointer: str) -> None:
    found = said(value)
    assert (found.kind, found.context, found.events) == (kind, context, [EVENT])
    assert found.pointer(0) == pointer


def test_events_stay_in_order_and_as_they_are() -> None:
    odd: list[Any] = [{"type": "ObjectEvent", "n": 2}, 5, None, {"type": "ObjectEvent", "n": 1}]
    assert said(document(odd)).events == odd
    assert said(document([])).events == []


def test_every_published_file_is_read() -> None:
    for name, path, _ in published():
        assert read_file(path.read_bytes()).events == events_of(read(path)), name


def test_a_key_that_stands_twice_is_named_and_its_last_value_read() -> None:
    found = read_file(b'[{"type": "a", "type": "b"}, {"x": 1}, {"x": 2, "y": {"z": 1, "z": 1}}]')
    assert found.events[0] == {"type": "b"}
    assert found.repeated == ("type", "z")


def test_a_byte_order_mark_is_allowed() -> None:
    assert read_file(b"\xef\xbb\xbf" + json.dumps(document()).encode()).events == [EVENT]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty: send an EPCISDocument"),
        (b"\xef\xbb\xbf \n", "is empty: send an EPCISDocument"),
        (b"hello", "is no JSON: got 'h', want a value, at line 1, column 1; mend it there"),
        (b'{"type": 1,}', "got '}', want a key in double quotes, at line 1, column 12"),
        (b'{"type": 1 2}', "got '2', want a comma or the closing bracket, at"),
        (b'{"type": "\x01"}', "is no JSON: invalid control character at line 1, column 11"),
        (b"PK\x03\x04 and more", "is compressed; unpack it first"),
        (b"{}", "got an object without a type, want an EPCISDocument"),
        (b'{"type": "EPCISDocument", "epcisBody": {"eventList": [', "ends too early"),
        (b"{'type': 1}", "is no JSON: .* at line 1, column 2; mend it there"),
        (b'{"type": "ObjectEvent", "eventTime": NaN}', "has no NaN; leave the field out"),
        (b'{"type": "ObjectEvent", "eventTime": 1e999}', "want a number that a double holds"),
        (
            b'{"type": "ObjectEvent", "eventTime": ' + b"1" * 5000 + b"}",
            "thousands of digits; write it as text",
        ),
        (b'"\xff"', "save it as UTF-8: byte 1"),
        (b"\x1f\x8b\x08", "is compressed; unpack it first"),
        (json.dumps(EVENT).encode("utf-16"), "is UTF-16; save it as UTF-8"),
        (b"5", "got 5, want an EPCISDocument, an EPCISQueryDocument, one event or a list of events"),
        (b'{"type": "Feature"}', "got an object of type 'Feature', want an EPCISDocument"),
        (b'{"type": "EPCISDocument"}', "/epcisBody: got None, want an object"),
        (b'{"epcisBody": {"queryResults": 1}}', "/epcisBody/queryResults: got 1, want an object"),
        (b'{"epcisBody": {"eventList": {}}}', "/epcisBody/eventList: got an object, want an array"),
        (b"[" * 100_000, "nested too deep; want at most"),
        (b"[" * (DEEPEST_FILE + 1) + b"]" * (DEEPEST_FILE + 1), "nested too deep; want at most"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(data: bytes, message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        read_file(data)


def test_the_deepest_that_is_taken() -> None:
    assert read_file(b"[" * DEEPEST_FILE + b"]" * DEEPEST_FILE).kind == "events"


def test_a_file_that_is_too_large() -> None:
    with pytest.raises(Unreadable, match="want at most 100 bytes; split it"):
        read_file(json.dumps(document()).encode(), most_bytes=100)


def test_a_file_of_too_many_values_is_refused_before_it_is_read() -> None:
    with pytest.raises(Unreadable, match="holds too many values"):
        read_file(b"[" + b"[]," * (MOST_MARKS // 2) + b"[]]")


pieces = st.sampled_from(
    [
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"type"',
        b'"EPCISDocument"',
        b'"epcisBody"',
        b'"eventList"',
        b"1",
        b" ",
    ]
)


@given(st.binary(max_size=200) | st.lists(pieces, max_size=30).map(b"".join))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = read_file(data)
    except Unreadable:
        return
    assert isinstance(found.events, list)
