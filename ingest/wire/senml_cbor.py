"""SenML records out of CBOR (RFC 8428, section 6): labels are small numbers, data values are bytes.

Contract: `parse` of any bytes gives records or raises `WireError`. Only the kinds of values that the standard has are
taken: integers of 64 bits, floats of any width, decimal fractions, text, bytes, booleans. Every other tag is refused
before it is decoded (a few bytes of bigfloat or bignum can ask for any amount of work), depth is bounded, and a key that
stands twice is an error, since nobody can tell which was meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Any

import cbor2

from ingest.wire.errors import WireError
from ingest.wire.senml_record import MAX_RECORDS, Record, refuse_must_understand

# RFC 8428, table 4, which is conclusive: further labels will be text.
LABELS = {
    -6: "bs", -5: "bv", -4: "bu", -3: "bt", -2: "bn", -1: "bver",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}  # fmt: skip
_NUMBER, _TEXT = ((int, float), "a number"), ((str,), "a text")
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    **dict.fromkeys(("bt", "bv", "bs", "v", "s", "t", "ut"), _NUMBER),
    **dict.fromkeys(("bn", "bu", "n", "u", "vs"), _TEXT),
    "bver": ((int,), "a whole number"),
    "vb": ((bool,), "true or false"),
    "vd": ((bytes,), "bytes"),
}
_NAMES = frozenset(_KINDS)
_ANY_KIND = (int, float, str, bytes, bool)

_SMALL = (
    65_536  # above it all is read immutable: empty arrays are then one object, and not 64 bytes for each byte
)
_DEPTH = 5  # self-description, array, map, decimal fraction, its array
_DECIMAL_FRACTION, _SELF_DESCRIBED = 4, 55799


def is_cbor(payload: bytes) -> bool:
    """Whether the first byte starts a CBOR array, map or tag: no JSON text starts so."""
    return bool(payload) and 0x80 <= payload[0] <= 0xDF


def parse(payload: bytes) -> list[Record]:
    stream, counted = BytesIO(payload), _Counted()
    try:
        pack = cbor2.CBORDecoder(
            stream,
            semantic_decoders=_TAGS,
            object_hook=counted,
            max_depth=_DEPTH,
            allow_duplicate_keys=False,
        ).decode(immutable=len(payload) > _SMALL)
    except cbor2.CBORDecodeEOF as error:
        raise WireError("truncated", "the payload ends in the middle of the pack") from error
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError) as error:
        if counted.maps > MAX_RECORDS:
            raise WireError(
                "too_large", f"a pack has at most {MAX_RECORDS} records; send smaller packs"
            ) from error
        raise WireError("malformed_cbor", f"not the CBOR of a pack: {_innermost(error)}") from error
    if stream.tell() != len(payload):
        raise WireError("malformed_cbor", f"{len(payload) - stream.tell()} bytes follow the end of the pack")
    if not isinstance(pack, list | tuple):
        raise WireError("malformed_senml", "not a SenML pack: want an array of records")
    return [_record(item, place) for place, item in enumerate(pack)]


class _Counted:
    """Ends a pack of too many maps while it is read: a megabyte of empty ones would be a hundred before it is counted."""

    def __init__(self) -> None:
        self.maps = 0

    def __call__(self, found: object, _immutable: bool = False) -> object:
        self.maps += 1
        if self.maps > MAX_RECORDS:
            raise ValueError("too many maps")
        return found


def _record(item: Any, place: int) -> Record:
    if type(item) not in (dict, cbor2.frozendict):
        raise WireError("malformed_senml", f"record {place} is no map")
    fields: dict[str, Any] = {}
    for key, value in item.items():
        # By exact type: for Python true is the key 1, and 2.0 is the key 2.
        if type(key) is str:
            _refuse_known(key)
        elif type(key) is not int:
            raise WireError("malformed_senml", f"record {place} has a label that is neither number nor text")
        name = LABELS.get(key)
        kinds, want = (_ANY_KIND, "a number, text, bytes or boolean") if name is None else _KINDS[name]
        if type(value) not in kinds:
            raise WireError("malformed_senml", f"{name or key!r} in record {place} is not {want}")
        if name is not None:
            fields[name] = value
    return Record(**fields)


def _refuse_known(label: str) -> None:
    """A label that RFC 8428 does not know is passed over; one it does know, as a text, would be lost that way."""
    if label in _NAMES:
        number = next(number for number, name in LABELS.items() if name == label)
        raise WireError("malformed_senml", f"the label {label!r} is the number {number} in CBOR")
    refuse_must_understand(label)


# --- tags ---------------------------------------------------------------------------------------------------------


def _decimal_fraction(parts: object, _immutable: bool) -> float:
    if not isinstance(parts, list | tuple) or [type(part) for part in parts] != [int, int]:
        raise cbor2.CBORDecodeError("a decimal fraction is not two integers")
    exponent, mantissa = parts
    return float(
        f"{mantissa}e{exponent}"
    )  # beyond a double it is infinite, which is refused like any infinity


def _self_described(pack: object, _immutable: bool) -> object:
    return pack


class _Tags(Mapping[int, Callable[[object, bool], object]]):
    """Asked for every tag before its content is read, so that none comes to the library's own decoders."""

    def __getitem__(self, tag: int) -> Callable[[object, bool], object]:
        if tag == _DECIMAL_FRACTION:
            return _decimal_fraction
        if tag == _SELF_DESCRIBED:
            return _self_described
        raise cbor2.CBORDecodeError(f"tag {tag} has no place in a pack")

    def __iter__(self) -> Iterator[int]:
        return iter((_DECIMAL_FRACTION, _SELF_DESCRIBED))

    def __len__(self) -> int:
        return 2


_TAGS = _Tags()


def _innermost(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


# --- a pack that is broken ------------------------------------------------------------------------------------------

_COUNT = rb"([\x00-\x17]|\x18.|\x19..|\x1a.{4}|\x1b.{8})"  # an unsigned integer of any width
_NUMBERED = {
    name: re.compile(rb"\x00%b\x02%b|\x02%b\x00%b" % (text, _COUNT, _COUNT, text), re.DOTALL)
    for name, text in (("boot", b"\x64boot"), ("seq", b"\x63seq"))
}


def numbers(beginning: bytes) -> dict[str, int]:
    """boot and seq, those of them that the beginning of a pack says."""
    found = {name: pattern.search(beginning) for name, pattern in _NUMBERED.items()}
    return {name: _count(match[1] or match[2]) for name, match in found.items() if match}


def _count(encoded: bytes) -> int:
    return encoded[0] if len(encoded) == 1 else int.from_bytes(encoded[1:])
