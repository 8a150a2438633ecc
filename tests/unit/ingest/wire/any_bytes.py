"""Every decoder of the wire, a few payloads that each reads, and payloads made to cost it much.

Run as a program it decodes all of the latter with every decoder, under limits of memory and processor time that a sound
decoder is far from: what a library allocates outside Python, and what would hang, show only so.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import cbor2

from ingest.wire import cayenne, chirpstack, epcis, profile_reading, senml, sparkplug, teltonika
from ingest.wire.errors import WireError
from ingest.wire.profiles import load
from tests.unit.ingest.wire import sparkplug_writing
from tests.unit.ingest.wire.uplinks import DEV_EUI, OBJECT, PROTOBUF, PROTOBUF_DECODED, in_json
from tests.unit.ingest.wire.writing import in_cbor

RECEIVED_MS = 1_781_834_405_000
IMEI = "352093086403655"
PROFILES = load()
Decoder = Callable[[bytes], Any]


def _senml(payload: bytes) -> Any:
    senml.identity_of_unreadable(payload)
    return senml.decode(payload, "room-1", RECEIVED_MS)


def _uplink(profile: str | None, payload: bytes) -> Any:
    registered = {"rssi": "signal_strength", "battery": "battery_level", "note": "text"}
    return chirpstack.decode(payload, DEV_EUI, profile, PROFILES, registered, RECEIVED_MS)


def _by_profile(name: str, payload: bytes) -> Any:
    return profile_reading.read(PROFILES.known[name], payload, None)


def _sparkplug(payload: bytes) -> Any:
    for metric in (said := sparkplug.decode(payload)).metrics:
        if isinstance(metric, sparkplug.Metric) and metric.raw is not None:
            decoded(lambda _, metric=metric: sparkplug.value_as(metric, metric.datatype, "x"), b"")
    return said


DECODERS: dict[str, Decoder] = {
    "senml": _senml,
    "epcis": epcis.decode,
    "cayenne": cayenne.decode,
    "uplink": partial(_uplink, None),
    "uplink by profile": partial(_uplink, "dragino-lht65"),
    "sparkplug": _sparkplug,
    "teltonika": lambda payload: teltonika.decode(payload, IMEI, None, PROFILES, {}),
    **{name: partial(_by_profile, name) for name, profile in PROFILES.known.items() if profile.messages},
}

PACK = [
    {"n": "boot", "v": 3}, {"n": "seq", "v": 17}, {"n": "sent", "v": 1781834404.12},
    {"bn": "room-1/", "bt": 1781834340, "n": "ambient", "u": "Cel", "v": 2.31}, {"n": "door", "vb": True, "t": 30},
    {"n": "note", "vs": "开门", "t": 3}, {"n": "lat", "u": "lat", "v": 28.85}, {"n": "lon", "u": "lon", "v": 120.7},
]  # fmt: skip
EVENT = {
    "type": "ObjectEvent", "eventID": "urn:uuid:3d2fcf85-b385-5f22-a5b0-05c2ca23683a", "eventTime": "2026-06-18T08:52:33.000+08:00",
    "eventTimeZoneOffset": "+08:00", "action": "OBSERVE", "bizStep": "storing", "epcList": ["https://id.gs1.org/00/095212340000000105"],
}  # fmt: skip
AVL = "000000000000003608010000016B40D8EA30010000000000000000000000000000000105021503010101425E0F01F10000601A014E0000000000000000010000C7CF"
EXTENDED = (
    "005FCAFE0107000F3335323039333038363430333635358E010000016B4F831C680100000000000000000000000000000000"
    "010005000100010100010011009D00010010015E2C880002000B000000003544C87A000E000000001DD7E06A000001"
)

SEEDS: dict[str, list[bytes]] = {
    "senml": [json.dumps(PACK).encode(), in_cbor([*PACK, {"n": "raw", "vd": b"\x00\xff"}])],
    "epcis": [json.dumps(EVENT).encode()],
    "cayenne": [bytes.fromhex("03670110056700ff0371000100020003018806765ff2960a0003e8018560e43cc6")],
    "uplink": [PROTOBUF_DECODED, in_json(object=OBJECT)],
    "uplink by profile": [PROTOBUF, in_json()],
    "sparkplug": [
        sparkplug_writing.payload(
            sparkplug_writing.metric("bdSeq", 0, "Int64"),
            sparkplug_writing.metric("Temperature", 2.31, "Double", alias=1, timestamp=1_781_834_340_000),
            sparkplug_writing.metric(
                "Door", True, "Boolean", alias=2, properties=sparkplug_writing.quality(192)
            ),
            sparkplug_writing.metric("Note", "开门", "String", alias=3),
            sparkplug_writing.metric("Cells", b"\x01\x02\xff\xff", "Int16Array", is_historical=1),
            timestamp=1_781_834_400_000,
            seq=0,
        )
    ],
    "teltonika": [bytes.fromhex(AVL), bytes.fromhex(EXTENDED)],
    "dragino-lht65": [bytes.fromhex("cbf60b0d0376010add7fff")],
    "dragino-lse01": [bytes.fromhex("ce2900f107a5099b6e2890")],
    "dragino-ltc2": [bytes.fromhex("0e55010862086760e43cc6")],
    "milesight-em300-th": [bytes.fromhex("0175320367c80004683c")],
}


def varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


def _nested_protobuf(levels: int) -> bytes:
    """A Struct with one field in which is a Struct, and so on."""
    inner = b""
    for _ in range(levels):
        for tag in (0x2A, 0x12, 0x0A):  # struct_value, value, fields
            inner = bytes([tag]) + varint(len(inner)) + inner
    return PROTOBUF + b"\x5a" + varint(len(inner)) + inner


def _packet_of(count: int) -> bytes:
    """A Teltonika packet with a good checksum whose record has `count` elements."""
    elements = b"\x01\x01" * count
    record = bytes(24) + b"\0" + count.to_bytes(2) + count.to_bytes(2) + elements + bytes(8)
    data = b"\x8e\x01" + record + b"\x01"
    return bytes(4) + len(data).to_bytes(4) + data + teltonika.crc_16_ibm(data).to_bytes(4)


def costly() -> dict[str, bytes]:
    """By name; each some 100 kB, or a few bytes that announce more."""
    kilo, mega = 100_000, 1_000_000
    eui = f'"deviceInfo": {{"devEui": "{DEV_EUI}"}}'
    return {
        "arrays in JSON": b"[" * kilo,
        "closed arrays in JSON": b"[" * (kilo // 2) + b"]" * (kilo // 2),
        "objects in JSON": b'{"a":' * (kilo // 5),
        "arrays in a record": b'[{"n":"x","v":' + b"[" * kilo,
        "empty records in JSON": b"[" + b"{}," * (mega // 3) + b"{}]",
        "empty arrays in JSON": b"[" + b"[]," * (mega // 3) + b"[]]",
        "a number of 100,000 digits": b'[{"n":"x","v":' + b"9" * kilo + b"}]",
        "exponents": b"[" + b'{"n":"x","v":1e308,"bv":1e308},' * 3000 + b'{"n":"x","v":1}]',
        "a name of 1 MB": b'[{"n":"' + b"x" * mega + b'","v":1}]',
        "a base name and many records": b'[{"bn":"' + b"x" * 200 + b'"}' + b',{"n":"x","v":1}' * 19_000 + b"]",
        "keys in JSON": b"{" + b",".join(b'"%d":1' % number for number in range(80_000)) + b"}",
        "escapes": b'[{"n":"' + b"\\u0041" * 160_000 + b'","v":1}]',
        "arrays in CBOR": b"\x81" * kilo,
        "endless arrays in CBOR": b"\x9f" * mega,
        "maps in CBOR": b"\xa1\x00" * (kilo // 2),
        "tags in CBOR": b"\xd9\xd9\xf7" * (mega // 3),
        "an array that announces 2^63": b"\x9b\x7f" + b"\xff" * 7,
        "a map that announces 2^63": b"\x81\xbb\x7f" + b"\xff" * 7,
        "a text that announces 2^63": b"\x81\xa1\x00\x7b\x7f" + b"\xff" * 7,
        "bytes that announce 2^40": b"\x81\xa2\x00\x61x\x08\x5b\x00\x00\x01" + bytes(5),
        "an endless text in CBOR": b"\x81\xa2\x00\x7f" + b"\x61x" * 400_000 + b"\xff\x02\x01",
        "an endless text that does not end": b"\x81\xa2\x00\x7f" + b"\x61x" * 400_000,
        "bytes within endless bytes": b"\x81\xa2\x00\x61x\x08" + b"\x5f" * mega,
        "a decimal fraction beyond all": b"\x81\xa2\x00\x61x\x02\xc4\x82\x1b" + b"\x7f" * 8 + b"\x01",
        "a bignum of 500 kB": b"\x81\xa2\x00\x61x\x02\xc2\x5a" + (mega // 2).to_bytes(4) + b"\xff" * (mega // 2),
        "empty records in CBOR": b"\x9a" + mega.to_bytes(4) + b"\xa0" * mega,
        "empty arrays in a record": b"\x81\xa2\x00\x61x\x02\x9a" + mega.to_bytes(4) + b"\x80" * mega,
        "empty texts in a record": b"\x81\xa2\x00\x61x\x02\x9a" + mega.to_bytes(4) + b"\x60" * mega,
        "floats in a record": b"\x81\xa2\x00\x61x\x02\x9a" + (mega // 3).to_bytes(4) + b"\xf9\x12\x34" * (mega // 3),
        "keys in a record": b"\x81\xb9\xff\xff" + b"".join(b"\x19%b\x00" % number.to_bytes(2) for number in range(65_535)),
        "arrays under an unknown label": b'[{"n":"x","v":1,"y":[' + b"[]," * (mega // 3) + b"[]]}]",
        "arrays under a label to be understood": b'[{"n":"x","v":1,"y_":[' + b"[]," * (mega // 3) + b"[]]}]",
        "numbers in JSON": b"[" + b"1," * (mega // 2) + b"1]",
        "records in CBOR": in_cbor([{"n": "x", "v": 1}] * 20_001),
        "shared values": cbor2.dumps([{0: "x", 2: 1}] * 10_000, value_sharing=True),
        "an object nested in protobuf": _nested_protobuf(8_000),
        "members in JSON": f"{{{eui}, \"object\": {json.dumps(dict.fromkeys(map(str, range(4_000)), 1))}}}".encode(),
        "a long name in front of many members": f'{{{eui}, "object": {{"{"k" * 30_000}": [{"0," * 15_000}0]}}}}'.encode(),
        "arrays in an uplink": f'{{{eui}, "object": '.encode() + b"[" * 60_000,
        "gateways in protobuf": PROTOBUF + b"\x62\x00" * 32_000,
        "an object of empty fields": PROTOBUF + b"\x5a" + varint(60_000) + b"\x0a\x00" * 30_000,
        "a length of 2^63 in protobuf": PROTOBUF + b"\x52" + varint(2**63 - 1),
        "empty metrics": b"\x12\x00" * (mega // 2),
        "arrays of a metric": sparkplug_writing.payload(sparkplug_writing.metric("x", b"\1" * mega, "Int8Array")),
        "groups in protobuf": b"\x0b" * 60_000,
        "elements in AVL": _packet_of(5_000),
        "elements that AVL announces": bytes.fromhex(AVL)[:33] + b"\xff" * 100,
        "records in TLV": bytes.fromhex("017532") * 1_300,
        "a frame of presences": bytes.fromhex("016601") * 1_365,
        "zeros": bytes(mega),
    }  # fmt: skip


def decoded(decoder: Decoder, payload: bytes) -> Any:
    """What it says, or the WireError. Anything else that is raised is a fault of the decoder."""
    try:
        return decoder(payload)
    except WireError as error:
        return error


def run(memory_bytes: int, processor_s: int, payloads: Iterable[bytes]) -> int:
    """Decode all with each decoder, with so much memory and time and no more. Returns how many decodes there were."""
    with open("/proc/self/statm", encoding="ascii") as file:
        held = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + memory_bytes, held + memory_bytes))
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + processor_s
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    count = 0
    for payload in payloads:
        for decoder in DECODERS.values():
            decoded(decoder, payload)
            count += 1
    return count


if __name__ == "__main__":
    print(run(int(sys.argv[1]), int(sys.argv[2]), list(costly().values())))
