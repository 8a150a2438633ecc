"""Protobuf messages described to the protobuf library field by field, without generated code.

Contract: a message within a message is declared as bytes, which are the same on the wire, so that parsing one never
descends: nothing of a payload is read deeper, or made into more objects, than is asked for.
"""

from __future__ import annotations

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

__all__ = ["DecodeError", "Message", "described"]

_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
    "float": _Field.TYPE_FLOAT,
    "double": _Field.TYPE_DOUBLE,
    "bool": _Field.TYPE_BOOL,
    "bytes": _Field.TYPE_BYTES,
}


def described(name: str, fields: str) -> type[Message]:
    """`fields`: 'number name type', one each line; a type that begins with '*' is repeated. Text is read as bytes too, since
    this library would hand on what is no UTF-8 without a word."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package="suyuan", syntax="proto2")
    message = file.message_type.add(name=name)
    for line in fields.strip().splitlines():
        number, field, kind = line.split()
        message.field.add(
            name=field,
            number=int(number),
            type=_TYPES[kind.lstrip("*")],
            label=_Field.LABEL_REPEATED if kind.startswith("*") else _Field.LABEL_OPTIONAL,
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made: type[Message] = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"suyuan.{name}"))
    return made
