"""What lies in quarantine, in words for a person: a payload as text, and what to do about each reason."""

from __future__ import annotations

import json
import math
from io import BytesIO
from typing import Any

import cbor2

from ingest.wire.senml_cbor import is_cbor

MOST_CHARACTERS = 20_000

_REGISTER = "register it (suyuan register), then replay the row"
_BIRTH = "a birth was asked for; once one stands that says the same as the one before, replay the row"
_MEND_DEVICE = "the device sends it wrong: mend its firmware or configuration; what it sent cannot be taken"

ADVICE = {
    "unknown_device": _REGISTER,
    "unknown_channel": _REGISTER,
    "foreign_topic": "the device writes under another organisation: correct its topic, or who owns it, then replay",
    "unknown_topic": "compare the topic with docs/wire.md: a bridge or the firmware writes it wrong",
    "topic_not_utf8": "compare the topic with docs/wire.md: a bridge or the firmware writes it wrong",
    "decoder_fault": "a fault of ours: report it with the payload; a release that mends it takes the row by a replay",
    "database_refused": "the sentence has the database's reason: mend that, then replay",
    "conflict": "something else is stored under the key, and stands: find out which of the two is right; a replay finds the same",
    "beyond_retention": "raise SUYUAN_RETENTION_DAYS and replay, or take it in by file (suyuan ingest file)",
    "impossible_time": "set the device's clock; a replay judges by the time at which it came, and refuses it again",
    "wrong_unit": "register the unit that the device sends, or mend the device; then replay",
    "wrong_kind": "register what the channel really carries, or mend the device; then replay",
    "value_out_of_range": "a fault of the probe or its wiring, or a range that is registered too narrow: if so, correct it and replay",
    "too_large": "send smaller packs; it is never taken as it is",
    "invalid_event": "the sentence lists the faults: correct the event where it is made, and send it anew",
    "unknown_profile": "give the device a profile (docs/profiles.md), or mend the file that is named; restart ingest, then replay",
    "unknown_port": "describe the port in the device's profile (suyuan profile check), restart ingest, then replay",
    "malformed_payload": "is it the right profile? describe what the sensor sends (suyuan profile check), restart ingest, then replay",
    "malformed_uplink": "compare ChirpStack's integration with docs/wire.md: its version, its marshaler, a bridge in between",
    "sealed_uplink": "give the network server the device's AppSKey, or have the device activated with it; what was sent stays sealed",
    "empty_pack": "nothing measured was in it: a frame for the network alone, or a sensor without a value; look at the probe if it lasts",
    "command_packet": "a gateway passes on commands and answers: have it pass on records alone",
    "before_birth": _BIRTH,
    "sequence_gap": _BIRTH,
    "sequence_back": _BIRTH,
    "unknown_alias": _BIRTH,
    "bad_quality": "its edge node itself does not trust the value: look at the sensor; a replay refuses it again",
    "malformed_event": "correct the event where it is made, and send it anew",
}  # fmt: skip
OTHERWISE = _MEND_DEVICE


def in_words(payload: bytes) -> tuple[str, str]:
    """(form, text): JSON laid out, CBOR in diagnostic notation, other text as it is, and else a hex dump."""
    for form, read in (("json", _json), ("cbor", _cbor), ("text", _text)):
        text = read(payload)
        if text is not None:
            return form, _cut(text)
    return "bytes", _cut(_hex(payload))


def printable(text: str, but: str = "") -> str:
    """A terminal obeys control characters; they are shown and not sent to it."""
    return "".join(each if each.isprintable() or each in but else f"\\x{ord(each):02x}" for each in text)


def _cut(text: str) -> str:
    return (
        text
        if len(text) <= MOST_CHARACTERS
        else f"{text[:MOST_CHARACTERS]}\n... and {len(text) - MOST_CHARACTERS} characters more"
    )


def _json(payload: bytes) -> str | None:
    try:
        value = json.loads(payload)
        if isinstance(value, list) and value:
            return "[\n" + ",\n".join(f"  {json.dumps(item, ensure_ascii=False)}" for item in value) + "\n]"
        return json.dumps(value, ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return None


def _cbor(payload: bytes) -> str | None:
    if not is_cbor(payload):
        return None
    try:
        source = BytesIO(payload)
        value = cbor2.CBORDecoder(source).decode()
        return _diagnostic(value) if source.tell() == len(payload) else None
    except Exception:  # whatever the library says of bytes that are none
        return None


def _diagnostic(value: Any) -> str:
    """RFC 8949, section 8, as far as packs go."""
    match value:
        case bool() | None:
            return {True: "true", False: "false", None: "null"}[value]
        case bytes():
            return f"h'{value.hex()}'"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case float() if not math.isfinite(value):
            return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
        case dict():
            return (
                "{"
                + ", ".join(f"{_diagnostic(key)}: {_diagnostic(item)}" for key, item in value.items())
                + "}"
            )
        case list() | tuple():
            inside = [_diagnostic(item) for item in value]
            return (
                "[\n  " + ",\n  ".join(inside) + "\n]"
                if any(isinstance(item, dict) for item in value)
                else f"[{', '.join(inside)}]"
            )
        case _:
            return str(value)


def _text(payload: bytes) -> str | None:
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return printable(text, "\n\t")


def _hex(payload: bytes) -> str:
    lines = []
    for at in range(0, min(len(payload), 4096), 16):
        part = payload[at : at + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{at:08x}  {part.hex(' '):47}  {shown}")
    return "\n".join([*lines, *([f"... {len(payload)} bytes in all"] if len(payload) > 4096 else [])])
