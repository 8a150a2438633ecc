"""One value, one spelling: RFC 8785 by other people's vectors, our stricter profile by properties."""

import json
import math
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import EntryError
from ledger.strict_json import (
    MAX_DEPTH,
    MAX_INTEGER,
    canonical,
    read_json,
    read_strict,
    strict,
    unique_keys,
    written,
)
from tests.vectors import count_vectors, vector_path

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-MAX_INTEGER, MAX_INTEGER),
        st.floats(allow_nan=False, allow_infinity=False),
        TEXT,
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def test_rfc_8785_vectors() -> None:
    folder = vector_path("ledger/jcs") / "testdata"
    for file in sorted((folder / "input").glob("*.json")):
        made = canonical(read_json(file.read_bytes()))
        assert made == (folder / "output" / file.name).read_bytes()
        assert made == bytes.fromhex((folder / "outhex" / f"{file.stem}.txt").read_text())
        assert canonical(read_json(made)) == made
        count_vectors(2)


@given(JSON)
def test_canonical_bytes_read_back_to_themselves(value: object) -> None:
    data = canonical(value)
    assert canonical(read_json(data)) == data
    assert json.loads(data, parse_int=float) == value


@given(JSON)
def test_the_quick_way_to_canonical_bytes_gives_the_same(value: object) -> None:
    assert written(value) == canonical(value)


@pytest.mark.parametrize(
    "value",
    [
        *(26.0, -0.0, 1e16, 1e21, 1e-5, 1e-7, 0.0001, 12.5, [1.0], {"a": 2.0, "b": [3, 1e20]}),
        *(2**53 - 1, [10**20], {"\U0001f347": 1, "\ufb01": 2}, '\x7f\u2028\x1f"\\/', [":1.0,", ",1e5]"]),
        [[] for _ in range(MAX_DEPTH * 2)],
    ],
)
def test_the_quick_way_gives_way_where_the_standard_library_writes_otherwise(value: object) -> None:
    assert written(value) == canonical(value)


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [2**53 + 1, [math.nan], "\ud800", {"a": "\udfff"}, deep(MAX_DEPTH + 1), deep(100_000)]
)
def test_the_quick_way_refuses_what_has_no_form(value: object) -> None:
    with pytest.raises(EntryError):
        written(value)
    assert written(deep(MAX_DEPTH)) == canonical(deep(MAX_DEPTH))


def slowly(data: bytes) -> object:
    """`read_strict` by its definition."""
    value = read_json(data)
    if strict(value) != data:
        raise EntryError("another spelling")
    return value


def outcome(read: Callable[[bytes], object], data: bytes) -> tuple[object] | None:
    try:
        return (read(data),)
    except EntryError:
        return None


@given(JSON, st.data())
def test_what_is_read_strictly_is_what_the_definition_says(value: object, data: st.DataObject) -> None:
    spelt = canonical(value)
    at = data.draw(st.integers(0, len(spelt)))
    noise = data.draw(
        st.sampled_from([b"", b" ", b"0", b".0", b"-0", b",", b"NaN", b'"a":1,', b"[", b"\x7f", b"1e5"])
    )
    for given_bytes in (spelt, spelt[:at] + noise + spelt[at:], spelt[:at] + noise + spelt[at + 1 :]):
        assert repr(outcome(read_strict, given_bytes)) == repr(outcome(slowly, given_bytes))


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":1}', '{"b":1,"a":1}', "NaN", "-Infinity", "1.0", "1e5", "-0", "01", " 1", "1 ", '"\\u0041"', '"\x7f"', '"\t"',
        "9007199254740991", "9007199254740992", "-9007199254740991", "1" * 5000, "[" * 64 + "]" * 64, "[" * 65 + "]" * 65,
        "[" * 5000, '"' + "[" * 99 + '"', "true", "null", '"é"', '"e\u0301"', '{"\ue000":1,"\U00010000":1}', "", "{", "\ufeff1",
    ],
)  # fmt: skip
def test_what_is_strict_at_the_edges(text: str) -> None:
    assert repr(outcome(read_strict, text.encode())) == repr(outcome(slowly, text.encode()))


@given(JSON, st.data())
def test_whatever_is_read_has_a_canonical_form(value: object, data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    at = data.draw(st.integers(0, len(text)))
    spoilt = (
        text[:at]
        + data.draw(st.sampled_from(["", "9" * 17, "e9", "[", "NaN", "\\ud800", '"', "."]))
        + text[at:]
    )
    with suppress(EntryError):
        canonical(read_json(spoilt))


@given(JSON)
def test_the_order_of_keys_does_not_matter(value: object) -> None:
    if isinstance(value, dict):
        assert canonical(dict(reversed(value.items()))) == canonical(value)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1e21, b"1e+21"),
        (1e20, b"100000000000000000000"),
        (10**20, b"100000000000000000000"),
        (10**23, b"1e+23"),
        (2**53, b"9007199254740992"),
        (2**60, b"1152921504606847000"),
        (6.214071690571839e16, b"62140716905718390"),
        (333333333.33333329, b"333333333.3333333"),
        (0.000001, b"0.000001"),
        (1e-7, b"1e-7"),
        (5e-324, b"5e-324"),
        (-0.0, b"0"),
    ],
)
def test_numbers_are_doubles(number: float, text: bytes) -> None:
    assert canonical(number) == text
    assert float(text) == float(number)


@pytest.mark.parametrize(
    "value", [2**53 + 1, 10**400, math.nan, math.inf, "\ud800", {"\ud800": 1}, {1: 2}, b"x", {1, 2}]
)
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(EntryError):
        canonical(value)


@pytest.mark.parametrize("value", [1.0, 2**53, -(2**53), "e\u0301", {"e\u0301": 1}, [[1.5]]])
def test_the_strict_profile_refuses_more(value: object) -> None:
    canonical(value)
    with pytest.raises(EntryError):
        strict(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"a":1,"a":1}',
        "NaN",
        "-Infinity",
        "1e999",
        '"\\ud800"',
        "[" * 100_000,
        "1" * 5000,
        "\ufeff1",
    ],
)
def test_ambiguous_or_broken_text_is_refused(text: str) -> None:
    with pytest.raises(EntryError):
        read_json(text)


@given(st.binary(max_size=60))
def test_any_bytes_are_strict_json_or_an_error(data: bytes) -> None:
    try:
        value = read_strict(data)
    except EntryError:
        return
    assert strict(value) == data


def test_a_key_twice_among_many_is_found_without_comparing_all_with_all() -> None:
    compared = 0

    class Name(str):
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    pairs = [(Name(f"name {at}"), None) for at in (*range(1000), 999)]
    with pytest.raises(EntryError, match="'name 999' twice"):
        unique_keys(pairs)
    assert compared < 10_000
