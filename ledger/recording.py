"""record() and record_all(): the one way an event becomes permanent.

In the line: ingest's workers and the API's capture jobs -> here -> event, event_bytes, pending leaf, in the caller's transaction.
The values that are personal go to the vault (`persons`), and a random name stands in their place: bytes, hashes, mentions and
leaves are made of the replaced form, whichever door it came in by.
Contract: called twice with the same event it writes once (`duplicates` says what is the same); the same key with another event is
`EventConflict`, and nothing of it is written. The sequencer gives the event its position after the commit.

    said.py             an event made ready          duplicates.py   whether it is recorded already
    recording_rows.py   its rows                     recorded.py     how it is read back
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from ledger.duplicates import Known, be_alone, is_duplicate, look_up, wait_for_others
from ledger.epcis.events import Event
from ledger.errors import EntryError
from ledger.personal import Value, personal_values, swapped
from ledger.persons import Draft, Vault, may_hold
from ledger.recording_rows import insert_contents, insert_events
from ledger.said import Context, Ready, RecordingError, Said, ready

__all__ = ["EventConflict", "Recorded", "RecordingError", "Said", "record", "record_all"]


class EventConflict(RecordingError):
    """The same eventID is recorded with other content. Use a new eventID, or declare the old event wrong with an errorDeclaration."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """`event`: the row's id. `duplicate`: the same event was recorded before and nothing was written."""

    event: int
    event_id: str
    duplicate: bool


def record(
    conn: psycopg.Connection,
    organisation: str,
    event: Event,
    received_at: datetime,
    vault: Vault,
    *,
    context: Any = None,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Recorded:
    """Record one event in the caller's transaction.

    `context`: the `@context` of the document it came in, which its hash needs.
    Raises EventConflict (same key, another event), RecordingError (content that RFC 8785 cannot carry) and persons.WrongKey.
    """
    (found,) = record_all(
        conn, organisation, [Said(event, context)], received_at, vault, random_bytes=random_bytes
    )
    if isinstance(found, RecordingError):
        raise found
    return found


def record_all(
    conn: psycopg.Connection,
    organisation: str,
    events: Sequence[Said],
    received_at: datetime,
    vault: Vault,
    *,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> list[Recorded | RecordingError]:
    """Record many in the caller's transaction, with few statements for all of them: what became of each, in their order.

    One that cannot be recorded (EventConflict, RecordingError) keeps none of the others out; a caller who wants all or nothing
    rolls back. Raises persons.WrongKey and what the database says of a row.
    """
    for turn in range(_TURNS):
        if turn == _TURNS - 1:
            be_alone(conn, organisation)
        names = _Names.of(conn, organisation, events, received_at, vault)
        with suppress(_OtherNames), conn.transaction() if names.drafts else nullcontext():
            return _recorded(conn, organisation, events, received_at, names, random_bytes)
    raise RuntimeError("the vault gives the same values other names each time it is asked")


_TURNS = 3
"""Another transaction may give one of the values its name at the same moment; then ours have that one. Who says much beside many
who say little would meet one each time: the last turn is taken alone."""


# --- persons ----------------------------------------------------------------------------------------------------------


class _OtherNames(Exception):
    """Leaves the savepoint: another transaction has named a value that we took for a new one."""


@dataclass(frozen=True, slots=True)
class _Names:
    """Of the persons in some events. `values`: of each that holds any, by its place, or why there is no telling them apart.
    `urns`: of all values, by digest; `drafts`: of those that the vault does not know yet, `kept`: those written down since."""

    conn: psycopg.Connection
    organisation: str
    now: datetime
    vault: Vault
    values: Mapping[int, list[Value] | RecordingError]
    urns: Mapping[bytes, str]
    drafts: Mapping[bytes, Draft]
    kept: set[bytes] = field(default_factory=set)

    @classmethod
    def of(
        cls,
        conn: psycopg.Connection,
        organisation: str,
        events: Sequence[Said],
        now: datetime,
        vault: Vault,
    ) -> _Names:
        values: dict[int, list[Value] | RecordingError] = {}
        every: dict[bytes, Value] = {}
        for place, said in enumerate(events):
            if not may_hold(said.event) or not (held := personal_values(said.as_json())):
                continue
            try:
                every |= {vault.digest(organisation, value): value for value in held}
                values[place] = held
            except EntryError as error:
                values[place] = RecordingError(f"the event has no canonical form: {error}")
        known = vault.known(conn, organisation, every.values()) if every else {}
        new = [value for digest, value in every.items() if digest not in known]
        if new:
            vault.want_key(conn, organisation)
        drafts = vault.drafted(organisation, new) if new else {}
        urns = known | {digest: draft.urn for digest, draft in drafts.items()}
        return cls(conn, organisation, now, vault, values, urns, drafts)

    def urn(self, value: Value) -> str:
        return self.urns[self.vault.digest(self.organisation, value)]

    def keep(self, written: Sequence[Ready]) -> None:
        """What these events say of persons. What was refused, or is known but for what was erased of it, brings nobody back."""
        persons = frozenset[str]().union(*(each.persons for each in written))
        new = {
            digest: draft
            for digest, draft in self.drafts.items()
            if draft.urn in persons and digest not in self.kept
        }
        if new and not self.vault.keep(self.conn, self.organisation, new, self.now):
            raise _OtherNames
        self.kept.update(new)

    def want_current(self, each: Ready) -> None:
        """Before it is a conflict: what is recorded may hold another name for a value that had none when we asked."""
        held = self.values.get(each.place)
        if self.drafts and held is not None and not isinstance(held, RecordingError):
            known = self.vault.known(self.conn, self.organisation, held).keys() - self.kept
            if not known.isdisjoint(self.drafts):
                raise _OtherNames


# --- recording --------------------------------------------------------------------------------------------------------


def _recorded(
    conn: psycopg.Connection,
    organisation: str,
    events: Sequence[Said],
    received_at: datetime,
    names: _Names,
    random_bytes: Callable[[int], bytes],
) -> list[Recorded | RecordingError]:
    found: dict[int, Recorded | RecordingError] = {}
    waiting: list[Ready] = []
    for each in _made_ready(events, names):
        if isinstance(each, Ready):
            waiting.append(each)
        else:
            found[each[0]] = each[1]
    if waiting:
        wait_for_others(conn, organisation, waiting)
    while waiting:
        # What is the same as an earlier one here, or was recorded meanwhile by another, is known the next time round.
        new, again = _firsts(_unknown(conn, organisation, waiting, names, found))
        ids = insert_events(conn, organisation, new, received_at) if new else {}
        written = [each for each in new if each.key in ids]
        waiting = again + [each for each in new if each.key not in ids]
        if written:
            insert_contents(conn, organisation, written, ids, received_at, random_bytes)
            names.keep(written)
        for each in written:
            found[each.place] = Recorded(ids[each.key], each.event_id, duplicate=False)
    return [found[place] for place in range(len(events))]


def _made_ready(events: Sequence[Said], names: _Names) -> list[Ready | tuple[int, RecordingError]]:
    made: list[Ready | tuple[int, RecordingError]] = []
    contexts: dict[int, Context] = {}  # by identity: a document's events share one
    for place, said in enumerate(events):
        held = names.values.get(place)
        try:
            if isinstance(held, RecordingError):
                raise held
            if id(said.context) not in contexts:
                contexts[id(said.context)] = Context.of(said.context)
            context = contexts[id(said.context)]
            if held is None:
                made.append(ready(place, said, context))
            else:
                replaced = swapped(said.as_json(), names.urn)
                made.append(ready(place, said, context, replaced, map(names.urn, held)))
        except RecordingError as error:
            made.append((place, error))
    return made


def _unknown(
    conn: psycopg.Connection,
    organisation: str,
    waiting: Sequence[Ready],
    names: _Names,
    found: dict[int, Recorded | RecordingError],
) -> list[Ready]:
    """Those of which nothing is recorded; of the others `found` says what they are."""
    shelf = look_up(conn, organisation, waiting)
    unknown: list[Ready] = []
    for each in waiting:
        known = shelf.of(each)
        if known is None:
            unknown.append(each)
        else:
            found[each.place] = _against(conn, each, known, names)
    return unknown


def _against(conn: psycopg.Connection, each: Ready, known: Known, names: _Names) -> Recorded | RecordingError:
    if is_duplicate(conn, each, known):
        return Recorded(known.id, known.event_id, duplicate=True)
    names.want_current(each)
    return EventConflict(f"event {each.event_id} of {names.organisation} is recorded with other content")


def _firsts(events: Sequence[Ready]) -> tuple[list[Ready], list[Ready]]:
    """Those that can be no repeat of one before them, and the others. Under two eventIDs the same may be said twice."""
    keys: set[tuple[str, bool]] = set()
    named: set[tuple[bytes | None, bool]] = set()
    unnamed: set[tuple[bytes | None, bool]] = set()
    first: list[Ready] = []
    others: list[Ready] = []
    for each in events:
        digest = (each.digest, each.key[1])
        may_repeat = each.key in keys or digest in unnamed or (not each.identified and digest in named)
        (others if may_repeat else first).append(each)
        keys.add(each.key)
        (named if each.identified else unnamed).add(digest)
    return first, others
