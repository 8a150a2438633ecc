"""Erasing a person: what is found, what is done with it, and the same once more on a database that was restored.

In the line: `suyuan erase` and `suyuan backup restore` -> here -> the vault, the record, quarantine, what people did and what
was answered. Contract: one transaction under the role `suyuan_eraser`, which alone may; nothing is erased under a legal hold.
What leaves and hashes commit to stays: of an event in the vault's days they hold a random name, of an older one the field's
hash without its salt, so that every other field is proven and this one can neither be shown nor guessed.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg

from deploy.erasing_tables import COLUMNS, EVERYWHERE, MARK, UNREAD, apply_to, found_in
from ingest import quarantine
from ingest.quarantine import KeyGone, MonthlyKeys
from ledger.entry_bodies import MAX_PERSONS, ErasureBody, ErasureReason
from ledger.epcis.events import read_recorded
from ledger.epcis.identifiers import canonical
from ledger.epcis.problems import EventError
from ledger.erasures import Erasure, Place, append, in_bundles, listed, paths_to, person_pseudonym, put
from ledger.keys import KeyStore
from ledger.known_fields import FORMS
from ledger.persons import URN_PREFIX, Vault
from ledger.strict_json import canonical as canonical_json
from ledger.strict_json import strict

SHORTEST: Final = 2
SHORTEST_NUMBER: Final = 6
_NUMBER: Final = re.compile(r"[+-]?[0-9][0-9 .,/:-]*")
NAME_IT: Final = "--value finds it, with the words around it"
KEPT_FIELDS: Final = ("type", "eventID", "eventTime", "eventTimeZoneOffset", "action")


class CannotErase(RuntimeError):
    """Nothing was changed. The message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Instance:
    """Where the erasure works besides the database."""

    data_dir: Path
    keys: KeyStore
    monthly: MonthlyKeys

    @classmethod
    def at(cls, data_dir: Path) -> Instance:
        return cls(data_dir, KeyStore(data_dir / "keys"), MonthlyKeys(data_dir / "keys"))

    @property
    def vault(self) -> Vault:
        return Vault(self.keys.organisation_key)


@dataclass(slots=True)
class Found:
    """What there is of a person in an organisation's data. `texts`: what is looked for. `urns`: the vault's rows that hold it.
    `events`: that name these persons, `devices`: whose payloads hold it; for holds. `left`: what cannot be erased."""

    organisation: str
    texts: tuple[str, ...]
    urns: tuple[str, ...]
    places: list[Place] = field(default_factory=list)
    events: list[int] = field(default_factory=list)
    devices: list[int] = field(default_factory=list)
    unreadable: int = 0
    left: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.urns or self.places)


# --- finding ---------------------------------------------------------------------------------------------------------


def find(
    conn: psycopg.Connection,
    instance: Instance,
    organisation: str | None,
    person: str | None,
    value: str | None,
) -> Found:
    """By the person's URN, or by the value in an organisation's data. Raises CannotErase."""
    conn.execute("SET LOCAL ROLE suyuan_eraser")
    urns: tuple[str, ...]
    if person is not None:
        row = conn.execute("SELECT organisation, value FROM vault WHERE urn = %s", [person]).fetchone()
        if row is None:
            raise CannotErase(
                f"the vault has no {person}: it was erased, or never was. What lies elsewhere is found by --value"
            )
        organisation, urns = str(row[0]), (person,)
        text = str(instance.vault.open(row[0], person, bytes(row[1])))
        if not _tells_one(text):
            found = Found(organisation, (), urns)
            found.left.append(
                f"what says the same without the name: so short a value, or a date, is in many texts; {NAME_IT}"
            )
            return _look(conn, instance, found)
        texts = (text,)
    else:
        assert organisation is not None and value is not None
        if len(value.strip()) < SHORTEST:
            raise CannotErase(
                f"a value of {len(value.strip())} characters is in half of all texts; want at least {SHORTEST}"
            )
        if conn.execute("SELECT FROM organisation WHERE id = %s", [organisation]).fetchone() is None:
            raise CannotErase(f"there is no organisation {organisation}")
        texts = (value,)
        urns = tuple(_in_vault(conn, instance.vault, organisation, value))
    return _look(conn, instance, Found(organisation, texts, urns))


def _tells_one(text: str) -> bool:
    """Whether whatever holds this text most likely speaks of it. Digits are in every quantity, a date in every time."""
    said = text.strip()
    return not FORMS["date"](said) and len(said) >= (SHORTEST_NUMBER if _NUMBER.fullmatch(said) else SHORTEST)


def _in_vault(conn: psycopg.Connection, vault: Vault, organisation: str, text: str) -> Iterator[str]:
    rows = conn.execute("SELECT urn, value FROM vault WHERE organisation = %s ORDER BY urn", [organisation])
    for urn, sealed in rows:
        if text in str(vault.open(organisation, urn, bytes(sealed))):
            yield urn


def _look(conn: psycopg.Connection, instance: Instance, found: Found) -> Found:
    _look_at_events(conn, found)
    _look_at_quarantine(conn, instance, found)
    for table in COLUMNS:
        found.places += found_in(conn, table, found.organisation, found.texts)
    return found


_EVENTS = """
SELECT event.id, event.event_id, event.is_error, event_bytes.bytes FROM event JOIN event_bytes ON event_bytes.event = event.id
WHERE event.organisation = %s AND EXISTS (SELECT FROM unnest(%s::bytea[]) AS needle WHERE position(needle IN event_bytes.bytes) > 0)
ORDER BY event.id
"""


def _look_at_events(conn: psycopg.Connection, found: Found) -> None:
    needles = [_needle(text) for text in (*found.texts, *found.urns)]
    for event, name, is_error, content in conn.execute(_EVENTS, [found.organisation, needles]):
        found.events.append(event)
        said = json.loads(bytes(content))
        paths = paths_to(said, found.texts)
        if kept := sorted({str(path[0]) for path in paths} & {*KEPT_FIELDS}):
            found.left.append(f"event {name}: {', '.join(kept)}, without which no event can be read")
        if paths and name.startswith("ni:///sha-256;"):
            found.left.append(
                f"event {name}: its name is a hash of all that it said, by which a guess can be tried"
            )
        paths = [path for path in paths if path[0] not in KEPT_FIELDS]
        if paths and not _is_readable(put(said, paths, f"{URN_PREFIX}{'0' * 32}")[0]):
            found.left.append(
                f"event {name}: {', '.join(sorted({str(path[0]) for path in paths}))}, of which the standard fixes the form"
            )
            continue
        if paths:
            key = {"organisation": found.organisation, "event_id": name, "is_error": is_error}
            found.places.append(Place("event_bytes", key, "bytes", tuple(paths)))


def _needle(text: str) -> bytes:
    """As RFC 8785 writes it inside a string."""
    return canonical_json(text)[1:-1]


def _is_readable(said: Any) -> bool:
    try:
        return read_recorded(json.dumps(said)) is not None
    except EventError:
        return False


_QUARANTINE = """
SELECT quarantine.id, quarantine.received_at, quarantine.device_id, quarantine.detail, quarantine.key_month, quarantine.payload
FROM quarantine LEFT JOIN device ON device.id = quarantine.device_id
WHERE coalesce(device.organisation, quarantine.organisation, %(organisation)s) = %(organisation)s AND quarantine.erased_at IS NULL
ORDER BY quarantine.id
"""


def _look_at_quarantine(conn: psycopg.Connection, instance: Instance, found: Found) -> None:
    needles = {form for text in found.texts for form in quarantine.written_forms(text)}
    for row, received_at, device, detail, month, stored in conn.execute(
        _QUARANTINE, {"organisation": found.organisation}
    ):
        try:
            payload = instance.monthly.decrypt(month, bytes(stored))
        except KeyGone:
            found.unreadable += 1  # forgotten with its key
            payload = b""
        if any(needle in payload for needle in needles) or any(text in detail for text in found.texts):
            key = {"id": row, "received_at": received_at.isoformat()}
            found.places.append(Place("quarantine", key, "payload"))
            found.devices += [] if device is None else [device]


# --- holds -----------------------------------------------------------------------------------------------------------

_HOLDS = """
SELECT id, kind, subject, reason, placed_by FROM legal_hold
WHERE released_at IS NULL AND (
  kind = 'all' OR (kind = 'organisation' AND subject = %(organisation)s) OR (kind = 'person' AND subject = ANY (%(urns)s))
  OR (kind IN ('lot', 'device') AND EXISTS (SELECT FROM event_mention WHERE identifier = subject AND event = ANY (%(events)s::bigint[])))
  OR (kind = 'device' AND EXISTS (SELECT FROM device WHERE giai = subject AND id = ANY (%(devices)s::integer[])))
  OR (kind = 'lot' AND EXISTS (SELECT FROM certificate WHERE lot = subject AND id = ANY (%(certificate)s::text[])))
  OR (kind = 'lot' AND EXISTS (SELECT FROM test_record WHERE lot = subject AND id::text = ANY (%(test_record)s::text[])))
  OR (kind IN ('lot', 'device') AND EXISTS (
        SELECT FROM act JOIN event ON event.organisation = act.organisation AND event.event_id = ANY (act.event_ids)
        JOIN event_mention ON event_mention.event = event.id AND event_mention.identifier = subject
        WHERE act.id::text = ANY (%(act)s::text[]))))
ORDER BY id
"""


def refuse_held(conn: psycopg.Connection, found: Found) -> None:
    """Raises CannotErase where a legal hold stands on any of it."""
    wanted = {
        "organisation": found.organisation,
        "urns": list(found.urns),
        "events": found.events,
        "devices": found.devices,
    } | {
        table: [str(place.key["id"]) for place in found.places if place.table == table]
        for table in ("act", "certificate", "test_record")
    }
    held = conn.execute(_HOLDS, wanted).fetchall()
    if held:
        said = "; ".join(
            f"hold {number} on {kind} {subject or 'everything'} ({reason})"
            for number, kind, subject, reason, _ in held
        )
        raise CannotErase(
            f"a legal hold stands, and nothing was erased: {said}. `suyuan hold lift` ends one, with its reason"
        )


# --- erasing ---------------------------------------------------------------------------------------------------------


def erase(
    conn: psycopg.Connection, instance: Instance, found: Found, reason: ErasureReason, now: datetime
) -> Erasure:
    """In the caller's transaction, which is `find`'s. Raises CannotErase."""
    refuse_held(conn, found)
    name = f"{URN_PREFIX}{secrets.token_hex(16)}"
    key = instance.keys.organisation_key(found.organisation)
    clear = [name] if any(place.table == "event_bytes" for place in found.places) or not found.urns else []
    persons = tuple(person_pseudonym(key, urn) for urn in (*found.urns, *clear))
    erasure = Erasure(found.organisation, persons, name, tuple(found.places), reason, now.isoformat())
    _forget(conn, instance, found.organisation, found.urns, found.places, name, now)
    for at in range(0, len(persons), MAX_PERSONS):
        body = strict(ErasureBody(persons[at : at + MAX_PERSONS], reason).value())
        conn.execute(_PENDING, [found.organisation, found.organisation, body, now])
    append(instance.data_dir, erasure)
    return erasure


_PENDING = """
INSERT INTO pending (organisation, type, stream_kind, stream_id, body, created_at) VALUES (%s, 'erasure', 'party', %s, %s, %s)
"""
# A fingerprint is a hash of the whole request: with all else known, a value could be tried against it. Under another one the
# same key is refused, and nothing is done twice.
_FINGERPRINTS = """
UPDATE idempotency SET fingerprint = sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
WHERE scope = 'organisation:' || %(organisation)s
   OR scope IN (SELECT 'account:' || id FROM user_account WHERE organisation = %(organisation)s)
"""


def _forget(
    conn: psycopg.Connection,
    instance: Instance,
    organisation: str,
    urns: Sequence[str],
    places: Iterable[Place],
    name: str,
    now: datetime,
) -> None:
    conn.execute("DELETE FROM vault WHERE urn = ANY (%s)", [list(urns)])
    conn.execute(_FINGERPRINTS, {"organisation": organisation})
    for place in places:
        if place.table == "event_bytes":
            _forget_in_event(conn, place, name)
        elif place.table == "quarantine":
            _forget_payload(conn, instance.monthly, place, now)
        else:
            apply_to(conn, place)


_EVENT = """
SELECT event.id, event_bytes.bytes FROM event JOIN event_bytes ON event_bytes.event = event.id
WHERE event.organisation = %(organisation)s AND event.event_id = %(event_id)s AND event.is_error = %(is_error)s
"""


def _forget_in_event(conn: psycopg.Connection, place: Place, name: str) -> None:
    row = conn.execute(_EVENT, dict(place.key)).fetchone()
    if row is None:
        return
    event, content = row
    said, stood = put(json.loads(bytes(content)), place.paths, name)
    if not stood:
        return
    fields = sorted({str(path[0]) for path in place.paths if path[0] in said})
    conn.execute("SELECT erase_event_fields(%s, %s, %s)", [event, fields, canonical_json(said)])
    # A hash of all that it said: a guess could be tried by it.
    conn.execute("UPDATE event SET event_hash = NULL WHERE id = %s", [event])
    named = sorted({form for each in stood if isinstance(each, str) for form in (each, canonical(each))})
    conn.execute(
        "UPDATE event_mention SET identifier = %s WHERE event = %s AND identifier = ANY (%s)",
        [name, event, named],
    )
    conn.execute(
        "UPDATE event_party SET organisation = %s WHERE event = %s AND organisation = ANY (%s) AND part <> 'capture'",
        [name, event, named],
    )
    conn.execute("SELECT trace_erase(%s, %s, %s)", [event, named, name])


def _forget_payload(conn: psycopg.Connection, keys: MonthlyKeys, place: Place, now: datetime) -> None:
    """The row and its count stay: what came is still accounted for."""
    month = f"{now:%Y-%m}"
    conn.execute(
        "UPDATE quarantine SET payload = %s, key_month = %s, detail = %s, erased_at = %s"
        " WHERE id = %s AND received_at = %s AND erased_at IS NULL",
        [keys.encrypt(month, b""), month, MARK, now, place.key["id"], place.key["received_at"]],
    )


# --- after a restore ---------------------------------------------------------------------------------------------------


def replay(conn: psycopg.Connection, instance: Instance, now: datetime) -> int:
    """Erase again what an older database brought back; how many persons and places that were. In the caller's transaction,
    before any service starts, and whether or not a hold stands now: it was erased when none did."""
    conn.execute("SET LOCAL ROLE suyuan_eraser")
    lines = list(listed(instance.data_dir))
    count = 0
    organisations = [name for (name,) in conn.execute("SELECT DISTINCT organisation FROM vault ORDER BY 1")]
    for organisation in organisations:
        key = instance.keys.organisation_key(organisation)
        gone = in_bundles(instance.data_dir / "log" / organisation)
        gone.update(person for line in lines if line.organisation == organisation for person in line.persons)
        urns = [urn for (urn,) in conn.execute("SELECT urn FROM vault WHERE organisation = %s ORDER BY urn", [organisation])
                if person_pseudonym(key, urn) in gone]  # fmt: skip
        for urn in urns:
            found = find(conn, instance, None, urn, None)
            _forget(
                conn, instance, organisation, [urn], found.places, f"{URN_PREFIX}{secrets.token_hex(16)}", now
            )
        count += len(urns)
    for line in lines:
        _forget(conn, instance, line.organisation, (), line.places, line.name, now)
        count += len(line.places)
    return count


def left_over(conn: psycopg.Connection, found: Found) -> list[str]:
    """Where else the texts still stand, by table and column: asked of the catalogue, so that no table is forgotten. What this
    login may not read is said to be so."""
    conn.execute("RESET ROLE")
    said = list(found.left)
    unread = [table for (table,) in conn.execute(UNREAD)]
    if unread:
        said.append(
            f"not looked at, this login may not read them: {', '.join(unread)}. The database's owner may"
        )
    for table, column, owned in conn.execute(EVERYWHERE).fetchall():
        of_them = "organisation = %(organisation)s AND" if owned else ""
        query = f"SELECT count(*) FROM {table} WHERE {of_them} EXISTS (SELECT FROM unnest(%(texts)s::text[]) AS needle WHERE position(needle IN {column}::text) > 0)"  # noqa: S608, E501
        row = conn.execute(
            query.encode(), {"organisation": found.organisation, "texts": list(found.texts)}
        ).fetchone()
        if row is not None and row[0]:
            said.append(f"{table}.{column}: {row[0]} rows")
    return said
