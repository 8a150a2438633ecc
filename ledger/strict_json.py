"""JSON of which there is exactly one spelling, so that a hash over it means something.

Everything the ledger hashes as JSON goes through here: `canonical` for what others said (an event's field,
floats allowed), `strict` for what we say ourselves (an entry). Reading is the same contract from the other
side: `read_strict` takes only bytes that `strict` would write, `read_json` takes any spelling but no
ambiguity (a duplicate key, NaN). Source: RFC 8785; the strict profile is `docs/entry-v1.md`.
"""

import base64
import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, Never, TypeAlias

import rfc8785

from ledger.errors import EntryError
from ledger.translog.verify import VerifyError, decode_base64

Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 64
"""Of nesting. JSON itself has no limit; a reader's stack has."""


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes. EntryError for what has none: NaN, a lone surrogate, an integer that no double stands
    for.

    JSON has one kind of number, the double. 1e20 written out is one; 2**53 + 1 is none, and two readers would
    not agree on it.
    """
    try:
        return rfc8785.dumps(_as_doubles(value, MAX_DEPTH))
    except (rfc8785.CanonicalizationError, UnicodeError) as cause:
        raise EntryError(f"RFC 8785: {cause}") from cause


def written(value: Any) -> bytes:
    """As `canonical`, for what was read as JSON, so that every name in it is text: nearly all of it in one pass of the standard
    library, which writes as RFC 8785 does but for some numbers and for names beyond the basic plane."""
    try:
        if type(value) is str:
            return encode_basestring(value).encode()
        text = _SORTED.encode(value)
    except (ValueError, TypeError, RecursionError):
        return canonical(value)
    if _WRITTEN_OTHERWISE.search(text) or not (text.isascii() or not _BEYOND.search(text)):
        return canonical(value)
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    return text.encode()


def strict(value: Any) -> bytes:
    """RFC 8785 bytes of a value in the strict profile, or EntryError."""
    _check_profile(value, MAX_DEPTH)
    return canonical(value)


def read_strict(data: bytes) -> Json:
    """The value whose one spelling `data` is, or EntryError."""
    with suppress(ValueError, RecursionError):
        return _read_plain(data)
    value = read_json(data)
    if strict(value) != data:
        raise EntryError("JSON: got another spelling, want RFC 8785")
    return value


def _read_plain(data: bytes) -> Json:
    """`read_strict` for nearly all that we write, without a pass in Python over the value; ValueError for the rest.

    In ASCII without escapes, and without floats and long integers, the standard library's compact form with sorted
    keys is RFC 8785's, and what comes back the same held no key twice.
    """
    text = data.decode()
    if not _is_plain(text):
        raise ValueError("not plain")
    value: Json = _PLAIN.decode(text)
    if _COMPACT.encode(value) != text:
        raise ValueError("another spelling")
    return value


def _is_plain(text: str) -> bool:
    """ASCII without escapes and long numbers, and not deep: no string in it is at fault, and no integer."""
    return (
        text.isascii()
        and "\\" not in text
        and text.count("[") + text.count("{") <= MAX_DEPTH
        and not _LONG.search(text)
    )


def read_json(data: bytes | str) -> Json:
    """Any JSON text without duplicate keys, NaN, infinities and lone surrogates, or EntryError."""
    try:
        text = data.decode() if isinstance(data, bytes) else data
        value: Json = json.loads(
            text, object_pairs_hook=unique_keys, parse_constant=_refuse_constant, parse_float=_finite
        )
        if not _is_plain(text):
            canonical(value)
    except (ValueError, RecursionError) as cause:
        if isinstance(cause, EntryError):
            raise
        raise EntryError(f"JSON: {cause}") from cause
    return value


def natural(value: Any, what: str) -> int:
    """An integer from 0 to 2**53 - 1, or EntryError."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_INTEGER:
        raise EntryError(f"{what}: got {value!r:.60}, want an integer from 0 to {MAX_INTEGER}")
    return value


def to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def from_base64(value: Any, what: str, size: int) -> bytes:
    """`size` bytes in the one canonical spelling of standard base64, or EntryError."""
    if not isinstance(value, str):
        raise EntryError(f"{what}: got {value!r:.60}, want base64")
    try:
        data = decode_base64(value, what)
    except VerifyError as cause:
        raise EntryError(str(cause)) from cause
    if len(data) != size:
        raise EntryError(f"length of {what}: got {len(data)}, want {size}")
    return data


def utf16_key(name: str) -> bytes:
    """Sorts names as RFC 8785 does: by UTF-16 code units, which is not the order of code points."""
    return name.encode("utf-16-be", "surrogatepass")


def _as_doubles(value: Any, depth: int) -> Any:
    """The value with great integers as the doubles they are; containers as the types rfc8785 takes."""
    if isinstance(value, bool | str | float) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) <= MAX_INTEGER else _as_double(value)
    if depth == 0:
        raise EntryError(f"JSON: got deeper nesting, want at most {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return {key: _as_doubles(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_doubles(item, depth - 1) for item in value]
    raise EntryError(f"JSON: got a {type(value).__name__}, want a JSON value")


def _as_double(number: int) -> float:
    """The double that an integer beyond 2**53 spells, exactly or in RFC 8785's digits."""
    double = float(number) if number.bit_length() <= 1024 else math.inf
    if math.isfinite(double) and number in (int(double), int(Decimal(repr(double)))):
        return double
    raise EntryError("JSON: got an integer that no double stands for, want at most 53 significant bits")


def _check_profile(value: Any, depth: int) -> None:
    if isinstance(value, float):
        raise EntryError(f"strict profile: got the float {value}, want integers")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise EntryError(f"strict profile: got {value}, want at most {MAX_INTEGER}")
    if isinstance(value, str) and not unicodedata.is_normalized("NFC", value):
        raise EntryError(f"strict profile: got {value!r}, want it in NFC")
    if depth == 0:
        raise EntryError(f"JSON: got deeper nesting, want at most {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_profile(key, depth)
            _check_profile(item, depth - 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_profile(item, depth - 1)


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        inside = (each.values() if isinstance(each, Mapping) else each for each in level)
        level = [each for values in inside for each in values if isinstance(each, Mapping | list | tuple)]
        if not level:
            return
    raise EntryError(f"JSON: got deeper nesting, want at most {MAX_DEPTH} levels")


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object of its pairs, for `object_pairs_hook`. EntryError where a key stands twice: two readers would read two
    things."""
    found = dict(pairs)
    if len(found) != len(pairs):
        # In one pass: an object of millions of names is a file that somebody sends.
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise EntryError(f"JSON: got the key {twice!r} twice, want it once")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise EntryError(f"JSON: got {text[:40]}, want a number that a double holds")
    return number


def _refuse_float(text: str) -> Never:
    raise ValueError(f"the float {text}")


def _refuse_constant(text: str) -> Never:
    raise EntryError(f"JSON: got {text}, want a finite number")


_LONG = re.compile(r"[0-9]{16}")
_PLAIN = json.JSONDecoder(parse_float=_refuse_float, parse_constant=_refuse_constant)
_COMPACT = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_SORTED = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
# A number that ends in .0, has an exponent or is beyond 2**53: RFC 8785 writes it in another way, or refuses it. What only looks
# like one, inside a text, goes the long way too.
_WRITTEN_OTHERWISE = re.compile(r"(?:^|[\[:,])-?(?:[0-9]+\.0|[0-9.]+e[+-]?[0-9]+|[0-9]{16,})(?=[\],}]|$)")
_BEYOND = re.compile("[\ud800-\U0010ffff]")
