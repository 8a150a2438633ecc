"""The protobuf messages of a Sparkplug B payload, described to the protobuf library field by field.

Place in the line: `sparkplug.py` reads and writes payloads through these. Contract: a message within a message is declared
as bytes, which are the same on the wire, so that parsing one never descends: nothing of a payload is read deeper, or made
into more objects, than is asked for. Data sets and templates are never read at all.
Source: Sparkplug 3.0.0, 6.4.1 (field numbers and types).
"""

from __future__ import annotations

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

__all__ = ["DecodeError", "Message", "metric", "payload", "property_set", "property_value"]

_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
    "float": _Field.TYPE_FLOAT,
    "double": _Field.TYPE_DOUBLE,
    "bool": _Field.TYPE_BOOL,
    "bytes": _Field.TYPE_BYTES,
}


def _described(name: str, fields: str) -> type[Message]:
    """`fields`: 'number name type', one each line; a type that begins with '*' is repeated. Text is read as bytes too, since
    this library would hand on what is no UTF-8 without a word."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package="suyuan", syntax="proto2")
    described = file.message_type.add(name=name)
    for line in fields.strip().splitlines():
        number, field, kind = line.split()
        described.field.add(
            name=field,
            number=int(number),
            type=_TYPES[kind.lstrip("*")],
            label=_Field.LABEL_REPEATED if kind.startswith("*") else _Field.LABEL_OPTIONAL,
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made: type[Message] = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"suyuan.{name}"))
    return made


payload = _described(
    "Payload",
    """
    1 timestamp uint64
    2 metrics *bytes
    3 seq uint64
    4 uuid bytes
    5 body bytes
    """,
)
metric = _described(
    "Metric",
    """
    1 name bytes
    2 alias uint64
    3 timestamp uint64
    4 datatype uint32
    5 is_historical bool
    6 is_transient bool
    7 is_null bool
    9 properties bytes
    10 int_value uint32
    11 long_value uint64
    12 float_value float
    13 double_value double
    14 boolean_value bool
    15 string_value bytes
    16 bytes_value bytes
    17 dataset_value bytes
    18 template_value bytes
    19 extension_value bytes
    """,
)
property_set = _described(
    "PropertySet",
    """
    1 keys *bytes
    2 values *bytes
    """,
)
property_value = _described(
    "PropertyValue",
    """
    1 type uint32
    2 is_null bool
    3 int_value uint32
    4 long_value uint64
    """,
)
