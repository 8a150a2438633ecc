"""EPCIS 2.0 JSON over MQTT or HTTP into event models.

Contract: any bytes give a document of events or raise `WireError`; size, depth and duplicate keys are checked
before the model sees anything, because a duplicate key would let two readers read two events.
"""

from __future__ import annotations

import json
from typing import Any

from ingest.wire.errors import WireError
from ledger.epcis.events import Document, EventError, parse_document

MAX_BYTES = 1_048_576


class _DuplicateKey(ValueError):
    """A JSON object names a key twice."""


def parse_json(payload: bytes, limit: int = MAX_BYTES) -> Any:
    """Strict JSON: UTF-8, no duplicate keys, no NaN, bounded size and depth. Raises WireError."""
    if len(payload) > limit:
        raise WireError(
            "too_large", f"got {len(payload)} bytes, at most {limit} are taken; send fewer events a message"
        )
    try:
        return json.loads(payload.decode("utf-8-sig"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except WireError:
        raise
    except RecursionError as error:
        raise WireError("malformed_json", "the JSON is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise WireError(
            "malformed_json", f"not UTF-8: byte {error.start} begins no character; send JSON as UTF-8"
        ) from error
    except _DuplicateKey as error:
        raise WireError("malformed_json", str(error)) from error
    except json.JSONDecodeError as error:
        reason = "truncated" if error.pos >= len(error.doc.rstrip()) else "malformed_json"
        raise WireError(reason, f"not JSON: {error.msg} at character {error.pos}") from error
    except ValueError as error:
        raise WireError("malformed_json", str(error)) from error


def decode(payload: bytes) -> Document:
    """A document, also where one bare event came. Raises WireError."""
    document = parse_json(payload)
    if not isinstance(document, dict):
        raise WireError(
            "malformed_event",
            "want one EPCIS event or an EPCISDocument, got something else than a JSON object",
        )
    try:
        parsed = parse_document(document)
    except EventError as error:
        raise WireError(
            "invalid_event", "; ".join(f"{p.pointer}: {p.message}" for p in error.problems)
        ) from error
    if not parsed.events:
        raise WireError("malformed_event", "the document holds no event")
    return parsed


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _DuplicateKey(f"the key {twice!r} stands twice in one object")
    return found


def _no_constant(text: str) -> Any:
    raise WireError("not_a_number", f"JSON has no {text}: leave the field out when there is no value")
