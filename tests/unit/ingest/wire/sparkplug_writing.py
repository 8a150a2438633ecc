"""Sparkplug B payloads as an edge node writes them, byte by byte: our decoder's protobuf library is not used to check itself.

Source: Sparkplug 3.0.0, 6.4 (field numbers), and the protobuf encoding (a tag, then a varint, 4 or 8 bytes, or a length).
"""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import strategies as st

DATATYPES = {
    "Int8": 1, "Int16": 2, "Int32": 3, "Int64": 4, "UInt8": 5, "UInt16": 6, "UInt32": 7, "UInt64": 8, "Float": 9,
    "Double": 10, "Boolean": 11, "String": 12, "DateTime": 13, "Text": 14, "UUID": 15, "DataSet": 16, "Bytes": 17,
    "File": 18, "Template": 19, "Int8Array": 22, "Int16Array": 23, "Int32Array": 24, "DoubleArray": 31,
}  # fmt: skip
_METRIC = {"name": 1, "alias": 2, "timestamp": 3, "datatype": 4, "is_historical": 5, "is_transient": 6, "is_null": 7,
           "properties": 9, "int": 10, "long": 11, "float": 12, "double": 13, "boolean": 14, "string": 15, "bytes": 16,
           "dataset": 17, "template": 18}  # fmt: skip
_BITS = {"Int8": 32, "Int16": 32, "Int32": 32, "Int64": 64}
_FIELD_OF = {
    **dict.fromkeys(("Int8", "Int16", "Int32", "UInt8", "UInt16", "UInt32"), "int"),
    **dict.fromkeys(("Int64", "UInt64", "DateTime"), "long"),
    **dict.fromkeys(("String", "Text", "UUID"), "string"),
    **dict.fromkeys(("Bytes", "File", "Int8Array", "Int16Array", "Int32Array", "DoubleArray"), "bytes"),
    "Float": "float", "Double": "double", "Boolean": "boolean", "DataSet": "dataset", "Template": "template",
}  # fmt: skip


def varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def length(field: int, value: bytes | str) -> bytes:
    encoded = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(encoded)) + encoded


def metric(name: str | None = None, value: Any = None, kind: str | None = None, **fields: Any) -> bytes:
    """`value` under the datatype `kind`, two's complement where it is negative; further `fields` as they are called in the
    standard, `datatype=None` to leave that out."""
    written = length(1, name) if name is not None else b""
    given = {"datatype": DATATYPES[kind] if kind else None, **fields}
    for field, what in sorted(given.items(), key=lambda pair: _METRIC[pair[0]]):
        if what is not None:
            written += _field(_METRIC[field], what)
    if value is None:
        return written
    assert kind is not None
    field = _FIELD_OF[kind]
    if field == "float":
        return written + varint(12 << 3 | 5) + struct.pack("<f", value)
    if field == "double":
        return written + varint(13 << 3 | 1) + struct.pack("<d", value)
    return written + _field(_METRIC[field], value % (1 << _BITS[kind]) if kind in _BITS else value)


def _field(at: int, value: Any) -> bytes:
    return number(at, int(value)) if isinstance(value, int) else length(at, value)


def payload(
    *metrics: bytes, timestamp: int | None = None, seq: int | None = None, rest: bytes = b""
) -> bytes:
    written = number(1, timestamp) if timestamp is not None else b""
    written += b"".join(length(2, each) for each in metrics)
    return written + (number(3, seq) if seq is not None else b"") + rest


def quality(code: int) -> bytes:
    """A property set that says how good the value is; among others."""
    return (
        length(1, "engUnit")
        + length(1, "Quality")
        + length(2, number(1, 12) + length(8, "Cel"))
        + length(2, number(1, 3) + number(3, code))
    )


# Anything, and what is nearly a payload.
_names = st.one_of(st.none(), st.text(max_size=8))
_metrics = st.builds(
    lambda name, alias, kind, raw, flag: metric(
        name, alias=alias, datatype=kind, is_historical=flag, int=raw
    ),
    _names,
    st.one_of(st.none(), st.integers(0, 2**64 - 1)),
    st.one_of(st.none(), st.integers(0, 40)),
    st.integers(0, 2**32 - 1),
    st.one_of(st.none(), st.booleans()),
)
_fields = st.one_of(
    _metrics.map(lambda encoded: length(2, encoded)),
    st.tuples(st.integers(1, 20), st.integers(0, 2**64 - 1)).map(lambda pair: number(*pair)),
    st.tuples(st.integers(1, 20), st.binary(max_size=30)).map(lambda pair: length(*pair)),
    st.binary(max_size=30).map(lambda inner: length(2, inner)),
)
PAYLOADS = st.one_of(st.binary(max_size=200), st.lists(_fields, max_size=12).map(b"".join))
