"""The event hash over distinct events of all types and fields, in documents of 500: from parsed JSON, from bytes of both
formats, and of events that were taken, each beside the standard's reference implementation in the same run. Their hashes
are equal, or it is no comparison."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable
from typing import Any

from epcis_event_hash_generator import hash_generator, json_to_py, xml_to_py

from ledger.epcis.event_hash import Hasher, event_hash
from ledger.epcis.events import Event, read_recorded
from ledger.epcis.files import read_file
from tests.benchmarks.measuring import compare
from tests.benchmarks.telling import Target, target
from tests.distinct_events import CONTEXT, distinct_events, document
from tests.epcis_xml import document_xml

EVENTS, ROUNDS = 500, 3
TARGET = Target(8, "times the reference")

_Events = list[dict[str, Any]]


def run() -> None:
    logging.getLogger().setLevel(logging.ERROR)  # the reference logs every value
    _same(distinct_events(EVENTS, 0))
    found = _compare(
        1,
        "parsed JSON",
        document,
        lambda said: _hashes(CONTEXT, said["epcisBody"]["eventList"]),
        _of_reference,
    )
    target(found, TARGET)
    _compare(2, "read from JSON", _in_json, _read, lambda data: _of_reference(json.loads(data)))
    _compare(3, "read from XML", document_xml, _read, _of_reference_in_xml)
    _compare(4, "of events that were taken", _taken, _of_taken, lambda both: _of_reference(both[0]))


def _compare(
    turn: int,
    what: str,
    made: Callable[[_Events], Any],
    ours: Callable[[Any], object],
    reference: Callable[[Any], object],
) -> float:
    """No event is hashed twice: each round has events of its own, so that nothing remembered helps."""
    rounds = [distinct_events(EVENTS, 100 * turn + place) for place in range(ROUNDS)]
    for_ours, for_the_reference = iter([made(each) for each in rounds]), iter([made(each) for each in rounds])

    def beside() -> None:
        reference(next(for_the_reference))

    name = "epcis-event-hash-generator"
    return compare(
        f"event hash, {what}", EVENTS, "events", lambda: ours(next(for_ours)), name, beside, ROUNDS
    )


def _in_json(events: _Events) -> bytes:
    return json.dumps(document(events)).encode()


def _taken(events: _Events) -> tuple[dict[str, Any], list[Event]]:
    return document(events), [read_recorded(json.dumps(event)) for event in events]


def _of_taken(both: tuple[dict[str, Any], list[Event]]) -> list[str]:
    return [event_hash(event, CONTEXT) for event in both[1]]


def _hashes(context: Any, events: list[Any]) -> list[str]:
    hasher = Hasher.of(context)
    return [hasher.hash(event) for event in events]


def _read(data: bytes) -> list[str]:
    file = read_file(data, literal=True)
    return _hashes(file.context, file.events)


def _of_reference(said: dict[str, Any]) -> list[str]:
    json_to_py._namespaces.clear()
    return _digests(json_to_py.event_list_from_epcis_document_json(said))


def _of_reference_in_xml(data: bytes) -> list[str]:
    return _digests(xml_to_py.event_list_from_epcis_document_str(data.decode()))


def _digests(read: Any) -> list[str]:
    strings = hash_generator.derive_prehashes_from_events(read)
    return list(hash_generator.calculate_hashes_from_pre_hashes(strings, "sha256"))


def _same(events: _Events) -> None:
    own, in_xml = _hashes(CONTEXT, events), document_xml(events)
    if len(set(own)) != EVENTS:
        raise SystemExit("event hash: the events are not distinct")
    if own != _of_reference(copy.deepcopy(document(events))) or _read(in_xml) != _of_reference_in_xml(in_xml):
        raise SystemExit(
            "event hash: ours and the reference do not agree, so that their speed compares nothing"
        )
