"""Verdicts: what is judged of an excursion becomes an entry of the log, field by field, with the whole rule as it stood.

In the line: detection writes a version and notes it (`excursion_rows.py`) -> here -> `sealed_verdict` and a pending entry of type
`verdict` in the device's stream. Contract: a version is sealed once; the entry commits as an event's does
(`ledger.entry.commit_event`), under salts from the organisation's key, so that the database alone opens nothing.
Not every version is: an open excursion has one for every reading. Sealed are the first, at once; one whose state or figures
are others and stayed so for QUIET; and of one that goes on, at most one in GROWTH_APART, when its minutes doubled or it went a
degree further. So what an excursion comes to is always sealed, and versions between two sealed ones show by their numbers.
"""

from __future__ import annotations

import hmac
import logging
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg

from ledger.entry import SALT_SIZE, commit_event
from ledger.errors import LedgerError
from ledger.strict_json import canonical, read_json, strict, utf16_key

logger = logging.getLogger(__name__)

QUIET: Final = timedelta(minutes=2)
"""As a window's: readings that come in another order than they were measured in change a judgement many times in a moment."""
GROWTH_APART: Final = timedelta(hours=1)
FURTHER_C: Final = 1.0
MOST: Final = 200
OrganisationKey = Callable[[str], bytes]
Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Judged:
    """An excursion as it stands, and the version of it that was sealed last. `fields`: what its entry commits to."""

    organisation: str
    device: int
    excursion: int
    version: int
    computed_at: datetime
    fields: Fields
    last: Fields | None
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class SealedVerdict:
    """For evidence. `salts`: 16 bytes for each field, in the order of the tree (`ledger.entry.commit_event`). `leaf_index`: in the
    organisation's log; None while it waits for its place."""

    organisation: str
    excursion: int
    version: int
    fields: Fields
    salts: tuple[bytes, ...]
    sealed_at: datetime
    leaf_index: int | None


def step(conn: psycopg.Connection, now: datetime, key: OrganisationKey) -> bool:
    """Seal what is due; put off, or forget, what is not."""
    found = _noted(conn, now)
    later: dict[int, datetime] = {}
    for judged in found:
        due = _try(conn, judged, now, key)
        if due is not None:
            later[judged.excursion] = due
    _settle(conn, found, later)
    return bool(found)


def _try(conn: psycopg.Connection, judged: Judged, now: datetime, key: OrganisationKey) -> datetime | None:
    """Seals one if its time has come; when it is to be looked at again. One that cannot be committed to must not keep the others
    from it."""
    try:
        due = due_at(judged)
        if due is None or due > now:
            return due
        with conn.transaction():
            _seal(conn, judged, now, key)
        return None
    except LedgerError as error:
        facts = {"excursion": judged.excursion, "version": judged.version, "reason": str(error)}
        logger.error("a verdict cannot be sealed", extra=facts)
        return now + GROWTH_APART


def due_at(judged: Judged) -> datetime | None:
    """When this version is to be sealed, if nothing changes until then; None: it says nothing new."""
    if judged.last is None or judged.last_at is None:
        return judged.computed_at
    before, after = judged.last, judged.fields
    if after["state"] == before["state"] == "open":
        return judged.last_at + GROWTH_APART if _grew(before, after) else None
    said = {name for name in after if name not in ("version", "computed_at")}
    same = all(canonical(after[name]) == canonical(before.get(name)) for name in said)
    return None if same else judged.computed_at + QUIET


def _grew(before: Fields, after: Fields) -> bool:
    doubled: bool = after["minutes_at_least"] > 2 * before["minutes_at_least"]
    further: bool = abs(after["extreme"] - before["extreme"]) >= FURTHER_C
    earlier: bool = after["start_time"] != before["start_time"]
    return doubled or further or earlier


def salts(org_key: bytes, excursion: int, version: int, names: Sequence[str]) -> tuple[bytes, ...]:
    """16 bytes for each field, in the order of the tree, from the key outside the database."""
    said = b"suyuan/verdict/v1\0" + struct.pack(">qq", excursion, version)
    ordered = sorted(names, key=utf16_key)
    return tuple(hmac.digest(org_key, said + name.encode(), "sha256")[:SALT_SIZE] for name in ordered)


_READ = """
SELECT sealed.organisation, sealed.excursion, sealed.version, sealed.fields, sealed.sealed_at, leaf.leaf_index
FROM sealed_verdict AS sealed LEFT JOIN leaf ON leaf.sealed_verdict = sealed.id
WHERE sealed.excursion = %s ORDER BY sealed.version
"""


def read(conn: psycopg.Connection, excursion: int, key: OrganisationKey) -> list[SealedVerdict]:
    """Every sealed version of an excursion, the first one first, as far as the caller's role may see it."""
    found = []
    for organisation, of, version, fields, sealed_at, leaf_index in conn.execute(_READ, [excursion]):
        said = read_json(bytes(fields))
        assert isinstance(said, Mapping)
        secret = salts(key(organisation), of, version, list(said))
        found.append(SealedVerdict(organisation, of, version, said, secret, sealed_at, leaf_index))
    return found


# The rule's text was fixed with its version; the device and its series keep their names.
_NOTED = """
SELECT excursion.organisation, series.device_id, excursion.id, excursion.version, excursion.computed_at,
       jsonb_build_object('state', state, 'merged_into', merged_into, 'closed_by', closed_by, 'extreme', extreme, 'unit', series.unit,
         'minutes_at_least', minutes_at_least, 'minutes_at_most', minutes_at_most, 'degree_minutes', degree_minutes,
         'series', series.uuid, 'channel', series.channel, 'device', device.giai, 'accuracy_c', device.accuracy_c, 'rule', rule.body),
       start_time, trigger_time, end_time, last.fields, last.sealed_at
FROM (SELECT DISTINCT excursion FROM (SELECT excursion FROM open_verdict WHERE due_at <= %s ORDER BY due_at LIMIT %s) AS due) AS noted
JOIN excursion ON excursion.id = noted.excursion
JOIN series ON series.id = excursion.series_id JOIN device ON device.id = series.device_id
JOIN limit_version AS rule ON (rule.id, rule.version) = (excursion.limit_id, excursion.limit_version)
LEFT JOIN LATERAL (SELECT fields, sealed_at FROM sealed_verdict AS sealed WHERE sealed.excursion = excursion.id
                   ORDER BY version DESC LIMIT 1) AS last ON true
ORDER BY excursion.id
"""


def _noted(conn: psycopg.Connection, now: datetime) -> list[Judged]:
    found = []
    for (
        organisation,
        device,
        excursion,
        version,
        at,
        said,
        start,
        trigger,
        end,
        last,
        last_at,
    ) in conn.execute(_NOTED, [now, MOST]):
        fields = said | {
            "excursion": excursion, "version": version, "computed_at": _text(at),
            "start_time": _text(start), "trigger_time": _text(trigger), "end_time": _text(end),
        }  # fmt: skip
        known = None if last is None else read_json(bytes(last))
        assert known is None or isinstance(known, Mapping)
        found.append(Judged(organisation, device, excursion, version, at, fields, known, last_at))
    return found


def _seal(conn: psycopg.Connection, judged: Judged, now: datetime, key: OrganisationKey) -> None:
    secret = salts(key(judged.organisation), judged.excursion, judged.version, list(judged.fields))
    commitment = commit_event(judged.fields, secret)
    row = conn.execute(
        "INSERT INTO sealed_verdict (organisation, excursion, version, fields, root, sealed_at) VALUES (%s, %s, %s, %s, %s, %s)"
        " RETURNING id",
        [judged.organisation, judged.excursion, judged.version, canonical(judged.fields), commitment.root, now],
    ).fetchone()  # fmt: skip
    assert row is not None
    conn.execute(
        "INSERT INTO pending (organisation, type, stream_kind, stream_id, body, sealed_verdict, created_at)"
        " VALUES (%s, 'verdict', 'device', %s, %s, %s, %s)",
        [judged.organisation, str(judged.device), strict(commitment.body()), row[0], now],
    )


# Versions that detection wrote since are not touched: their notes stay.
_SETTLE = """
WITH looked AS (
  SELECT * FROM unnest(%b::bigint[], %b::integer[], %b::timestamptz[]) AS looked (excursion, version, due_at)
), gone AS (
  DELETE FROM open_verdict AS noted USING looked
  WHERE noted.excursion = looked.excursion AND noted.version <= looked.version
    AND (looked.due_at IS NULL OR noted.version < looked.version)
)
INSERT INTO open_verdict SELECT excursion, version, due_at FROM looked WHERE due_at IS NOT NULL
ON CONFLICT (excursion, version) DO UPDATE SET due_at = EXCLUDED.due_at
"""


def _settle(conn: psycopg.Connection, looked: Sequence[Judged], later: Mapping[int, datetime]) -> None:
    if looked:
        columns = [(judged.excursion, judged.version, later.get(judged.excursion)) for judged in looked]
        conn.execute(_SETTLE, [list(column) for column in zip(*columns, strict=True)])


def _text(moment: datetime | None) -> str | None:
    """UTC to the millisecond, as an entry's fields have it."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
