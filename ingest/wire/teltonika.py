"""Teltonika AVL packets: the records of a vehicle tracker, as they come over TCP or UDP and are carried on by a gateway.

In the line: `suyuan/v1/{org}/{imei}/teltonika` -> here -> `senml.Pack`. Contract: any bytes give a pack or raise `WireError`,
in time and memory linear in the payload; what a packet says of itself (length, counts, checksum) is checked before anything
of it is believed. Codecs 8, 8 extended and 16 carry records; 12 to 15 carry commands, and are refused as what they are.
Source: the vendor's public protocol description, "Teltonika Data Sending Protocols".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from ingest.wire.errors import WireError
from ingest.wire.profile import Elements
from ingest.wire.profile_reading import interpreted
from ingest.wire.profiles import Profiles
from ingest.wire.samples import Registered, Sample, measured, scaled
from ingest.wire.senml import Pack

MAX_BYTES = 16_384  # the vendor's limit is 1,280; models to come may have more to say
DEFAULT_PROFILE = "teltonika"
COMMANDS = (12, 13, 14, 15)
_IMEI = 15
_DEGREES = Fraction(1, 10_000_000)


@dataclass(frozen=True, slots=True)
class _Codec:
    """Widths in bytes. `event`: of the id of what caused the record. `variable`: elements of any length follow."""

    id: int
    count: int
    generation: bool = False
    variable: bool = False


_CODECS = {0x08: _Codec(1, 1), 0x8E: _Codec(2, 2, variable=True), 0x10: _Codec(2, 1, generation=True)}


@dataclass(frozen=True, slots=True)
class Record:
    """`position`: latitude, longitude in degrees; `altitude_m`, `heading_deg`, `speed_km_h`: as the receiver gave them, of no
    worth without satellites. `io`: by id, a number with its width in bytes, or bytes."""

    time_ms: int
    priority: int
    position: tuple[float, float]
    altitude_m: int
    heading_deg: int
    satellites: int
    speed_km_h: int
    event: int
    io: tuple[tuple[int, int | bytes, int], ...]


def decode(
    payload: bytes, imei: str, profile_name: str | None, profiles: Profiles, registered: Registered
) -> Pack:
    """`imei`: of the topic. `profile_name`: what the I/O elements mean; None: as shipped."""
    profile = profiles.named(profile_name or DEFAULT_PROFILE)
    if profile.teltonika is None:
        raise WireError("unknown_profile", f"profile {profile.profile!r} says nothing of Teltonika elements")
    said, records = parse(payload)
    if said is not None and said != imei:
        raise WireError("malformed_avl", f"the topic names the tracker {imei}, the packet {said}")
    samples = (sample for record in records for sample in _samples(record, profile.teltonika))
    return Pack(None, None, None, False, measured(samples, registered, 0))


def parse(payload: bytes) -> tuple[str | None, list[Record]]:
    """The IMEI where the packet has one (UDP), and its records. Raises WireError."""
    if len(payload) > MAX_BYTES:
        raise WireError("too_large", f"got {len(payload)} bytes, an AVL packet has at most {MAX_BYTES}")
    if payload[:4] == bytes(4):
        return None, _records(_of_tcp(payload))
    return _of_udp(payload)


def _of_tcp(payload: bytes) -> bytes:
    """Four zeros, the length, the data, a checksum of the data."""
    length = int.from_bytes(payload[4:8])
    data, checksum = payload[8 : 8 + length], payload[8 + length :]
    if len(payload) < 12 + length:
        raise WireError("truncated", f"the packet says {length} bytes of data and ends before them")
    if len(checksum) > 4:
        raise WireError("malformed_avl", f"{len(checksum) - 4} bytes follow the end of the packet")
    if int.from_bytes(checksum) != crc_16_ibm(data):
        raise WireError(
            "bad_checksum", f"the packet's checksum is {checksum.hex()}, its data's {crc_16_ibm(data):08x}"
        )
    return data


def _of_udp(payload: bytes) -> tuple[str, list[Record]]:
    """Its length, a packet id, a one, the AVL packet's id, the IMEI, the data."""
    if payload[:2] == _IMEI.to_bytes(2) and len(payload) == 2 + _IMEI:
        raise WireError("malformed_avl", "a login and no records: it ends where the tracker was answered")
    head = struct.Struct(">HHBBH")
    if len(payload) < head.size + _IMEI:
        raise WireError("truncated" if payload else "malformed_avl", "no AVL packet: it ends in its head")
    length, _, _, _, imei_length = head.unpack_from(payload)
    imei = payload[head.size : head.size + _IMEI]
    if imei_length != _IMEI or not imei.isdigit():
        raise WireError(
            "malformed_avl", "no AVL packet: neither four zeros in front nor an IMEI of 15 digits"
        )
    if length > len(payload) - 2:
        raise WireError("truncated", f"the packet says {length} bytes and has {len(payload) - 2}")
    if length < len(payload) - 2:
        raise WireError("malformed_avl", f"{len(payload) - 2 - length} bytes follow the end of the packet")
    return imei.decode(), _records(payload[head.size + _IMEI :])


def crc_16_ibm(data: bytes) -> int:
    """CRC-16/ARC: polynomial 0x8005 reflected, initial value 0."""
    crc = 0
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


def _table_entry(crc: int) -> int:
    for _ in range(8):
        crc = (crc >> 1) ^ (0xA001 if crc & 1 else 0)
    return crc


_TABLE = tuple(_table_entry(byte) for byte in range(256))


# --- records --------------------------------------------------------------------------------------------------------


class _Reader:
    """Numbers off the front of the data, big endian. Raises WireError where it ends too soon."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, width: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(width), signed=signed)

    def take(self, width: int) -> bytes:
        taken = self._data[self._at : self._at + width]
        if len(taken) < width:
            raise WireError("malformed_avl", "the data ends in the middle of a record")
        self._at += width
        return taken

    @property
    def left(self) -> int:
        return len(self._data) - self._at


def _records(data: bytes) -> list[Record]:
    reader = _Reader(data)
    codec_id = reader.number(1)
    if codec_id in COMMANDS:
        raise WireError("command_packet", f"codec {codec_id} carries a command or its answer, and no records")
    codec = _CODECS.get(codec_id)
    if codec is None:
        raise WireError("malformed_avl", f"codec {codec_id} is not one we read: 8, 8 extended (142) and 16")
    count = reader.number(1)
    records = [_record(reader, codec) for _ in range(count)]
    again = reader.number(1)
    if again != count or reader.left:
        raise WireError(
            "malformed_avl",
            f"the packet says {count} records, then {again}, with {reader.left} bytes behind them",
        )
    return records


def _record(reader: _Reader, codec: _Codec) -> Record:
    time_ms, priority = reader.number(8), reader.number(1)
    longitude, latitude = reader.number(4, signed=True), reader.number(4, signed=True)
    altitude, heading = reader.number(2, signed=True), reader.number(2)
    satellites, speed = reader.number(1), reader.number(2)
    event = reader.number(codec.id)
    if codec.generation:
        reader.number(1)
    return Record(
        time_ms,
        priority,
        (scaled(latitude, _DEGREES), scaled(longitude, _DEGREES)),
        altitude,
        heading,
        satellites,
        speed,
        event,
        tuple(_elements(reader, codec)),
    )


def _elements(reader: _Reader, codec: _Codec) -> Iterator[tuple[int, int | bytes, int]]:
    """Those of 1, 2, 4 and 8 bytes, then those of any length; the sum of their counts is said in front."""
    wanted, found = reader.number(codec.count), 0
    for width in (1, 2, 4, 8):
        count = reader.number(codec.count)
        found += count
        for _ in range(count):
            yield reader.number(codec.id), reader.number(width), width
    if codec.variable:
        count = reader.number(codec.count)
        found += count
        for _ in range(count):
            name, width = reader.number(codec.id), reader.number(2)
            yield name, reader.take(width), width
    if found != wanted:
        raise WireError("malformed_avl", f"a record says {wanted} elements and has {found}")


def _samples(record: Record, known: Elements) -> Iterator[Sample]:
    if record.satellites:
        yield Sample("position", "deg", position=record.position, time_ms=record.time_ms)
        for name, unit, value in (
            ("speed", "km/h", record.speed_km_h),
            ("altitude", "m", record.altitude_m),
            ("heading", "deg", record.heading_deg),
        ):
            yield Sample(name, unit, float(value), time_ms=record.time_ms, optional=True)
    yield Sample("satellites", "count", float(record.satellites), time_ms=record.time_ms, optional=True)
    for identity, said, width in record.io:
        element = known.by_id.get(identity)
        if identity in known.ignored:
            continue
        if isinstance(said, bytes):
            channel, optional = (element.channel, element.optional) if element else (f"io_{identity}", False)
            yield Sample(channel, data=said, time_ms=record.time_ms, optional=optional)
        elif element is None:
            yield Sample(f"io_{identity}", None, float(said), time_ms=record.time_ms)
        else:
            bits = 8 * width
            signed = said - (1 << bits) if element.type == "signed" and said >> (bits - 1) else said
            sample = interpreted(element, element.channel, said, signed, record.time_ms)
            if sample is not None:
                yield sample
