"""SenML records out of JSON (RFC 8428, section 5).

Contract: `parse` of any bytes gives records or raises `WireError`; `numbers` finds boot and seq in a pack that is broken.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ingest.wire.errors import WireError
from ingest.wire.senml_record import MAX_RECORDS, Record, refuse_must_understand


class _JsonRecord(Record, frozen=True, gc=False):
    vd: str | None = None


_decoder = msgspec.json.Decoder(list[_JsonRecord], strict=True)
_NUMBERED = re.compile(rb'\{[^{}]{0,80}"n"\s*:\s*"(boot|seq)"[^{}]{0,80}\}')
# Each record has one, and a text may have some: a megabyte of empty records would otherwise be fifty before they are counted.
MAX_BRACES = 2 * MAX_RECORDS
_VALUE = re.compile(rb'"v"\s*:\s*(\d{1,16})\s*[,}]')


def parse(payload: bytes) -> list[Record]:
    if payload.count(b"{") > MAX_BRACES:
        raise WireError("too_large", f"a pack has at most {MAX_RECORDS} records; send smaller packs")
    try:
        records: list[Record] = list(_decoder.decode(payload))
        # Records do not keep labels that they do not know, and do not look into what stands under them.
        labels = msgspec.json.decode(payload, type=list[dict[str, Any]]) if b'_"' in payload else []
    except RecursionError as error:
        raise WireError("malformed_json", "the payload is nested too deeply for a SenML pack") from error
    except UnicodeDecodeError as error:
        raise WireError("malformed_json", f"not JSON in UTF-8: {error}") from error
    except msgspec.MsgspecError as error:
        raise WireError(*_why(payload, str(error))) from error
    for label in (label for record in labels for label in record):
        refuse_must_understand(label)
    return records


def numbers(beginning: bytes) -> dict[str, int]:
    """boot and seq, those of them that the beginning of a pack says."""
    return {
        match[1].decode(): int(value[1])
        for match in _NUMBERED.finditer(beginning)
        if (value := _VALUE.search(match[0]))
    }


def _why(payload: bytes, detail: str) -> tuple[str, str]:
    if b"NaN" in payload or b"Infinity" in payload or "out of range" in detail:
        return (
            "not_a_number",
            "JSON has no NaN and no Infinity: leave the record out when the sensor has no value",
        )
    try:
        msgspec.json.decode(payload, type=msgspec.Raw)  # looks, and makes nothing of it
    except RecursionError:
        return "malformed_json", "the payload is nested too deeply for a SenML pack"
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        if "truncated" in str(error):
            return "truncated", "the payload ends in the middle of the pack"
        return "malformed_json", f"not JSON: {error}"
    return "malformed_senml", f"not a SenML pack: {detail}"
