"""The protobuf messages of a Sparkplug B payload, described to the protobuf library field by field.

Place in the line: `sparkplug.py` reads and writes payloads through these; `protobuf.py` has how. Data sets and
templates are never read at all.
Source: Sparkplug 3.0.0, 6.4.1 (field numbers and types).
"""

from __future__ import annotations

from ingest.wire.protobuf import DecodeError, Message, described

__all__ = ["DecodeError", "Message", "metric", "payload", "property_set", "property_value"]

payload = described(
    "Payload",
    """
    1 timestamp uint64
    2 metrics *bytes
    3 seq uint64
    4 uuid bytes
    5 body bytes
    """,
)
metric = described(
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
property_set = described(
    "PropertySet",
    """
    1 keys *bytes
    2 values *bytes
    """,
)
property_value = described(
    "PropertyValue",
    """
    1 type uint32
    2 is_null bool
    3 int_value uint32
    4 long_value uint64
    """,
)
