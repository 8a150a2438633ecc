"""Which persons were erased, from what outlives a database: the log's own bundles, and the list beside it.

In the line: `suyuan erase` -> the list, then the commit, then the log's `erasure` entry; a restored database -> here, before
any service starts -> what it brought back is erased again. Contract: an entry and a line of the list tell nobody's value: a
person is a keyed hash of a random name, a place is a row and a path in it. The list is on disk before the erasure is
committed, so nothing is erased of which no trace is left.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.entry import parse_entry
from ledger.entry_bodies import ErasureBody, ErasureReason
from ledger.log_files import LogFiles, sync_folder
from ledger.strict_json import from_base64, to_base64
from ledger.translog.tiles import TILE_WIDTH, bundle_path, unpack_bundle

LIST = "erasures.jsonl"
PERSON_SIZE = 16


def person_pseudonym(org_key: bytes, urn: str) -> bytes:
    """16 bytes that stand for a person in an erasure's entry; without the organisation's key nobody knows for whom."""
    return hmac.digest(org_key, b"suyuan/person/v1\0" + urn.encode(), "sha256")[:PERSON_SIZE]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stood: a column of the row that `key` names, and in it the paths of the strings (an empty path: the whole).
    An event's key is its organisation, eventID and whether it is an error declaration, and its column `bytes`."""

    table: str
    key: Mapping[str, Any]
    column: str
    paths: tuple[tuple[str | int, ...], ...] = ((),)

    def to_json(self) -> dict[str, Any]:
        return {
            "table": self.table, "key": dict(self.key), "column": self.column, "paths": [list(each) for each in self.paths],
        }  # fmt: skip

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> Place:
        paths = tuple(tuple(each) for each in value["paths"])
        return cls(value["table"], value["key"], value["column"], paths)


@dataclass(frozen=True, slots=True)
class Erasure:
    """A line of the list. `name`: the URN that stands in events in the place of what was in clear there."""

    organisation: str
    persons: tuple[bytes, ...]
    name: str
    places: tuple[Place, ...]
    reason: ErasureReason
    at: str


def append(data_dir: Path, erasure: Erasure) -> None:
    """On disk when this returns."""
    line = json.dumps(
        {
            "organisation": erasure.organisation, "persons": [to_base64(each) for each in erasure.persons], "name": erasure.name,
            "places": [each.to_json() for each in erasure.places], "reason": erasure.reason, "at": erasure.at,
        },
        ensure_ascii=False,
    )  # fmt: skip
    descriptor = os.open(data_dir / LIST, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with open(descriptor, "ab") as file:
        # A crash may have left half a line: it erased nothing, and ours begins on its own.
        file.write(b"\n" + line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(data_dir)  # a new list is only there after a crash if its folder was synced too


def listed(data_dir: Path) -> Iterator[Erasure]:
    """Those whose line is whole; nothing was committed behind half a line."""
    path = data_dir / LIST
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n"):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        persons = tuple(from_base64(each, "person", PERSON_SIZE) for each in value["persons"])
        places = tuple(Place.of_json(each) for each in value["places"])
        yield Erasure(value["organisation"], persons, value["name"], places, value["reason"], value["at"])


def in_bundles(log: Path) -> set[bytes]:
    """The pseudonyms that a log's published entries say are erased. `log`: DATA_DIR/log/{organisation}."""
    return {person for data in _entries(LogFiles(log)) for person in _persons(data)}


def _entries(files: LogFiles) -> Iterator[bytes]:
    """All leaves of the published bundles, the widest partial one last."""
    number = 0
    while (full := files.read(bundle_path(number))) is not None:
        yield from unpack_bundle(full)
        number += 1
    for width in range(TILE_WIDTH - 1, 0, -1):
        if (partial := files.read(bundle_path(number, width))) is not None:
            yield from unpack_bundle(partial)
            return


def _persons(data: bytes) -> Iterable[bytes]:
    # Almost all entries are others, and a log may have millions.
    if b'"type":"erasure"' not in data:
        return ()
    entry = parse_entry(data)
    return ErasureBody.read(entry.body).persons if entry.type == "erasure" else ()


# --- what stands where -------------------------------------------------------------------------------------------------


def paths_to(value: Any, texts: Iterable[str]) -> list[tuple[str | int, ...]]:
    """The paths of the strings in a JSON value that hold one of the texts; numbers count as they are written."""
    texts = tuple(texts)

    def walk(each: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
        if isinstance(each, Mapping):
            for name, inner in each.items():
                yield from walk(inner, (*path, name))
        elif isinstance(each, list | tuple):
            for place, inner in enumerate(each):
                yield from walk(inner, (*path, place))
        elif each is not None and not isinstance(each, bool) and any(text in str(each) for text in texts):
            yield path

    return list(walk(value, ()))


def put(value: Any, paths: Iterable[tuple[str | int, ...]], mark: str) -> tuple[Any, list[Any]]:
    """The value with `mark` at those paths that it has, and what stood there. Never changes its argument."""
    stood: list[Any] = []
    for path in paths:
        value = _put(value, path, mark, stood)
    return value, stood


def _put(value: Any, path: tuple[str | int, ...], mark: str, stood: list[Any]) -> Any:
    if not path:
        if value is None or value == mark or isinstance(value, Mapping | list | tuple | bool):
            return value
        stood.append(value)
        return mark
    head, *rest = path
    if isinstance(value, Mapping) and head in value:
        return {**value, head: _put(value[head], tuple(rest), mark, stood)}
    if isinstance(value, list | tuple) and isinstance(head, int) and head < len(value):
        return [_put(each, tuple(rest), mark, stood) if at == head else each for at, each in enumerate(value)]
    return value
