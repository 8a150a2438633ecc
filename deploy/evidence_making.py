"""What `suyuan evidence` does: finds the event or window, proves it, has it anchored, and writes the file.

Contract: what is written verifies, or nothing is; what cannot be shown is said. Progress goes to `tell`, a line a step.
"""

from __future__ import annotations

import gzip
import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from deploy.database_url import connect
from deploy.migrate import SchemaMismatch, check_schema
from deploy.settings import Settings
from ingest import verdicts
from ledger.anchored_evidence import Issuing, anchored
from ledger.entry import stream_pseudonym
from ledger.errors import LedgerError
from ledger.evidence import Report, build_event, build_window, verify_evidence
from ledger.evidence_file import AnchoredEvidence, Disclosed, EventEvidence, Evidence, Item, Withheld
from ledger.key_rotation import Rotation, read_rotations
from ledger.keys import KeyStore
from ledger.reader import LogReader, open_log
from ledger.root_log import ask_anchor
from ledger.window import WindowTree, window_secret
from ledger.witness_list import ListedWitness, read_witnesses
from trace_api.evidence_page import render
from trace_api.proofs import rows_kept
from trace_api.statement import About, statement

POLL_S = 0.2
_PLACE = re.compile(r"([a-z0-9][a-z0-9-]*):([0-9]{1,18})")


class EvidenceProblem(Exception):
    """There is nothing to make a file of. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Wish:
    """As the command line has it."""

    subject: str
    reading: str | None = None
    channel: str | None = None
    disclose: tuple[str, ...] = ()
    withhold: tuple[str, ...] = ()
    public: bool = False
    wait_s: float = 10.0


@dataclass(frozen=True, slots=True)
class _Found:
    """What the wish means. Of these one is not None: event, window (device, start, version) or verdict (excursion, version)."""

    organisation: str
    leaf_index: int
    event: int | None = None
    window: tuple[int, datetime, int] | None = None
    verdict: tuple[int, int] | None = None


def run(
    settings: Settings,
    database_url: str | None,
    wish: Wish,
    output: Path | None,
    language: str,
    tell: Callable[[str], None],
    write: Callable[[str], Any],
) -> None:
    """Raises EvidenceProblem."""
    try:
        with connect(database_url or settings.database_url, "evidence", autocommit=True) as conn:
            check_schema(conn)
            maker = Maker(conn, settings, wish, tell)
            _write(maker.file(), maker, output, language, write)
    except SchemaMismatch as error:
        raise EvidenceProblem(str(error)) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise EvidenceProblem(
            f"this role may not ({error.diag.message_primary}): give the owner's URL with --database-url"
        ) from error
    except psycopg.OperationalError as error:
        raise EvidenceProblem(f"the database cannot be reached: {error}") from error
    except LedgerError as error:
        raise EvidenceProblem(
            f"no evidence can be made: {error}. If readings were altered, suyuan audit readings names them"
        ) from error


def _write(
    file: AnchoredEvidence, maker: Maker, output: Path | None, language: str, write: Callable[[str], Any]
) -> None:
    text = file.to_json()
    report = verify_evidence(text)
    if not report.verified:
        check = report.failures[0]
        raise EvidenceProblem(f"the file does not verify ({check.name}: got {check.got}, want {check.want})")
    if output is None:
        write(text + "\n")
        return
    if output.suffix == ".html":
        data = render(text.encode(), maker.statement(file, report), "en" if language == "en" else "zh")
    elif output.suffix == ".gz":
        data = gzip.compress(text.encode(), 9, mtime=0)
    else:
        data = text.encode()
    output.write_bytes(data)
    maker.tell(
        f"{output}: {len(data):,} bytes. Anybody checks it with: suyuan verify {output.name} --key KEYS"
    )


class Maker:
    """Makes one file. `conn`: the owner's, in autocommit mode."""

    def __init__(
        self, conn: psycopg.Connection, settings: Settings, wish: Wish, tell: Callable[[str], None]
    ) -> None:
        self._conn = conn
        self._log_dir = settings.log_dir
        self._keys = KeyStore(settings.keys_dir)
        self._witnesses: Sequence[ListedWitness] = read_witnesses(
            getattr(settings, "witnesses_path", None)
        ).witnesses
        self._wish = wish
        self._found: _Found | None = None
        self.tell = tell

    def file(self) -> AnchoredEvidence:
        """As soon as the root log holds it and a witness saw that, or as it is after the wait."""
        wish = self._wish
        found = self._found = self._find()
        if wish.public:
            self._want_published(found)
        deadline = time.monotonic() + wish.wait_s
        issuing = Issuing(
            self._log,
            self._witnesses,
            "published_anchor" if wish.public else "anchor",
            small=wish.reading is not None,
            stamps=wish.reading is None,
            rotations=self._rotations,
        )
        asked = False
        while True:
            file = self._attempt(found, issuing)
            missing = self._missing(file)
            if file is not None and missing is None:
                return file
            if not asked and time.monotonic() < deadline:
                self.tell(f"waiting up to {wish.wait_s:g} s for {missing}")
                ask_anchor(self._conn, found.organisation, datetime.now(UTC))
                asked = True
            if time.monotonic() >= deadline:
                if file is None:
                    raise EvidenceProblem(
                        f"entry {found.leaf_index} is not in the published log of {found.organisation} yet: is the sequencer running?"
                    )
                self.tell(f"made without {missing}; make it again later for a stronger one")
                return file
            time.sleep(POLL_S)

    def _attempt(self, found: _Found, issuing: Issuing) -> AnchoredEvidence | None:
        """None while the published checkpoint does not reach the entry."""
        log = self._log(found.organisation)
        if log is None or found.leaf_index >= log.tree_size:
            return None
        evidence = Evidence((log.log_evidence(),), (self._item(found, log),))
        return anchored(self._conn, evidence, issuing)

    def _missing(self, file: AnchoredEvidence | None) -> str | None:
        """What a better file would have."""
        if file is None:
            return "the log"
        if file.root is None or any(log.anchor is None for log in file.logs):
            return "the root log"
        return "a witness" if self._witnesses and not file.witnesses else None

    def _log(self, organisation: str) -> LogReader | None:
        return open_log(self._log_dir, organisation)

    def _rotations(self, organisation: str, origin: str) -> Sequence[Rotation]:
        return read_rotations(self._conn, organisation, self._keys.organisation_key(organisation), origin)

    # --- finding ----------------------------------------------------------------------------------------------------------

    def _find(self) -> _Found:
        subject = self._wish.subject
        if (place := _PLACE.fullmatch(subject)) and (found := self._at(place[1], int(place[2]))):
            return found
        if "@" in subject or self._wish.reading is not None:
            return self._window(subject)
        rows = self._conn.execute(
            _EVENTS, [subject, int(subject) if _is_number(subject) else None]
        ).fetchall()
        if not rows:
            raise EvidenceProblem(
                f"{subject}: no event has this eventID or number. A window is DEVICE@HOUR, or ORGANISATION:INDEX"
            )
        if len(rows) > 1:
            numbers = ", ".join(f"{number} of {organisation}" for number, organisation, _ in rows)
            raise EvidenceProblem(
                f"{subject}: more than one event has this eventID; take one by its number: {numbers}"
            )
        event, organisation, index = rows[0]
        if index is None:
            raise EvidenceProblem(f"event {event} waits for its place in the log: is the sequencer running?")
        return _Found(organisation, index, event=event)

    def _at(self, organisation: str, index: int) -> _Found | None:
        row = self._conn.execute(_LEAF, [organisation, index]).fetchone()
        if row is None:
            return None
        event, device, start, version, excursion, of = row
        if event is None and device is None and excursion is None:
            raise EvidenceProblem(f"{organisation}:{index} is neither an event nor a window nor a verdict")
        window = None if device is None else (device, start, version)
        verdict = None if excursion is None else (excursion, of)
        return _Found(organisation, index, event, window, verdict)

    def _window(self, subject: str) -> _Found:
        name, _, hour = subject.partition("@")
        moment = _moment(hour or self._wish.reading or "")
        start = moment.replace(minute=0, second=0, microsecond=0)
        device = self._conn.execute(
            "SELECT id FROM device WHERE external_id = %s OR giai = %s", [name, name]
        ).fetchall()
        if len(device) != 1:
            raise EvidenceProblem(
                f"{name}: {'no device' if not device else 'more than one device'} has this name"
            )
        rows = self._conn.execute(_WINDOWS, [device[0][0], start]).fetchall()
        if not rows:
            raise EvidenceProblem(f"{name} has no sealed window of {start:%Y-%m-%dT%H}:00Z in the log yet")
        organisation, index, version = rows[0]
        return _Found(organisation, index, window=(device[0][0], start, version))

    def _want_published(self, found: _Found) -> None:
        row = self._conn.execute(
            "SELECT publishes FROM organisation WHERE id = %s", [found.organisation]
        ).fetchone()
        if row is None or not row[0]:
            raise EvidenceProblem(f"{found.organisation} does not publish: a shopper sees none of it")
        if found.verdict is not None:
            raise EvidenceProblem("a verdict's fields are not published")

    # --- items ------------------------------------------------------------------------------------------------------------

    def _item(self, found: _Found, log: LogReader) -> Item:
        if found.event is not None:
            return self._event(found.event, log, found.leaf_index)
        if found.window is not None:
            return self._readings(found, log)
        assert found.verdict is not None
        sealed = {
            each.version: each
            for each in verdicts.read(self._conn, found.verdict[0], self._keys.organisation_key)
        }
        verdict = sealed[found.verdict[1]]
        shown = self._shown(verdict.fields.keys())
        return build_event(
            log.leaf_evidence(found.leaf_index), verdict.fields, verdict.salts, shown, "verdict"
        )

    def _event(self, event: int, log: LogReader, index: int) -> EventEvidence:
        query = "SELECT * FROM published_fields(%s)" if self._wish.public else _FIELDS
        rows = self._conn.execute(query, [event]).fetchall()
        shown = self._shown({name for _, name, _, _, _ in rows if name is not None})
        fields = [
            Disclosed(name, bytes(salt), value)
            if name is not None and name in shown
            else Withheld(bytes(digest))
            for _, name, salt, value, digest in rows
        ]
        return EventEvidence(log.leaf_evidence(index), tuple(fields))

    def _shown(self, names: Collection[str]) -> set[str]:
        wish = self._wish
        if wish.reading is not None or wish.channel is not None:
            raise EvidenceProblem("--reading and --channel are for a window")
        if wish.disclose and wish.withhold:
            raise EvidenceProblem("give --disclose or --withhold, not both")
        for name in (*wish.disclose, *wish.withhold):
            if name not in names:
                raise EvidenceProblem(f"{name}: no such field to show; there are {', '.join(sorted(names))}")
        return set(wish.disclose) or set(names) - set(wish.withhold)

    def _readings(self, found: _Found, log: LogReader) -> Item:
        assert found.window is not None
        if self._wish.disclose or self._wish.withhold:
            raise EvidenceProblem("--disclose and --withhold are for an event; of a window, --reading")
        device, start, version = found.window
        keys = self._conn.execute(_KEYS, [device, start, version]).fetchone()
        rows = self._conn.execute(_DEVICE_HOUR, {"device": device, "hour": start}).fetchall()
        if keys is None or not rows:
            raise EvidenceProblem(
                "the window's raw readings are gone (their age, or a restore): no path can be made for them"
            )
        org_key = self._keys.organisation_key(found.organisation)
        stream = stream_pseudonym(org_key, "device", str(device))
        secret = window_secret(org_key, stream, round(start.timestamp() * 1000))
        tree = WindowTree.of(secret, rows_kept(rows, bytes(keys[0])))
        return build_window(log.leaf_evidence(found.leaf_index), tree, self._positions(device, tree))

    def _positions(self, device: int, tree: WindowTree) -> Sequence[int]:
        """All, or the one reading that is asked for."""
        if self._wish.reading is None:
            return range(tree.size)
        wanted = round(_moment(self._wish.reading).timestamp() * 1000)
        rows = self._conn.execute(
            "SELECT channel, uuid FROM series WHERE device_id = %s ORDER BY channel", [device]
        )
        names = {uuid.bytes: channel for channel, uuid in rows}
        held = list(zip(map(bytes, tree.rows["series"].tolist()), tree.rows["time"].tolist(), strict=True))
        found = [
            at
            for at, (series, moment) in enumerate(held)
            if moment == wanted and self._wish.channel in (None, names.get(series))
        ]
        if len(found) == 1:
            return found
        if found:
            channels = ", ".join(names.get(held[at][0], "?") for at in found)
            raise EvidenceProblem(
                f"{len(found)} readings have this time; say which with --channel: {channels}"
            )
        near = sorted(held, key=lambda each: abs(each[1] - wanted))[:3]
        said = ", ".join(f"{_iso(moment)} ({names.get(series, '?')})" for series, moment in near)
        raise EvidenceProblem(f"no reading of the window has this time; the nearest: {said}")

    # --- statement --------------------------------------------------------------------------------------------------------

    def statement(self, file: AnchoredEvidence, report: Report) -> dict[str, Any]:
        found = self._found
        assert found is not None
        subject = self._wish.subject + (f" {self._wish.reading}" if self._wish.reading else "")
        devices = () if found.window is None else (found.window[0],)
        at = datetime.now(UTC) if found.window is None else found.window[1]
        about = About(
            f"{found.organisation} 的记录：{subject}",
            f"Record of {found.organisation}: {subject}",
            (found.organisation,),
            devices,
            () if found.event is None else (found.event,),
            at,
            found.verdict is not None,
        )
        return statement(self._conn, about, file, report.facts, self._witnesses, datetime.now(UTC))


_EVENTS = """
SELECT event.id, event.organisation, leaf.leaf_index FROM event LEFT JOIN leaf ON leaf.event = event.id
WHERE event.event_id = %s OR event.id = %s ORDER BY event.id LIMIT 10
"""
_LEAF = """
SELECT leaf.event, w.device_id, w.start_time, w.version, verdict.excursion, verdict.version
FROM leaf LEFT JOIN sealed_window AS w ON w.id = leaf.sealed_window LEFT JOIN sealed_verdict AS verdict ON verdict.id = leaf.sealed_verdict
WHERE leaf.organisation = %s AND leaf.leaf_index = %s
"""
# The newest version that has its place in the log.
_WINDOWS = """
SELECT w.organisation, leaf.leaf_index, w.version FROM sealed_window AS w JOIN leaf ON leaf.sealed_window = w.id
WHERE w.device_id = %s AND w.start_time = %s ORDER BY w.version DESC LIMIT 1
"""
_KEYS = "SELECT leaf_keys FROM sealed_window WHERE device_id = %s AND start_time = %s AND version = %s"
_DEVICE_HOUR = """
SELECT series.uuid, (extract(epoch FROM store.time) * 1000)::bigint, store.value, store.flags, NULL::jsonb
FROM series JOIN reading_store AS store ON store.series_id = series.id AND store.time >= %(hour)s AND store.time < %(hour)s + INTERVAL '1 hour'
WHERE series.device_id = %(device)s
UNION ALL
SELECT series.uuid, (extract(epoch FROM seen.time) * 1000)::bigint, NULL::float8, seen.flags, seen.body
FROM series JOIN observation AS seen ON seen.series_id = series.id AND seen.time >= %(hour)s AND seen.time < %(hour)s + INTERVAL '1 hour'
WHERE series.device_id = %(device)s
"""
# json, not jsonb: that would write a number out that was recorded with an exponent, and the leaf would not hash.
_FIELDS = """
SELECT field.ordinal::integer, CASE WHEN shown THEN field.name END,
       CASE WHEN shown THEN substring(event_bytes.salts FROM 16 * (field.ordinal::integer - 1) + 1 FOR 16) END,
       CASE WHEN shown THEN convert_from(event_bytes.bytes, 'UTF8')::json -> field.name END,
       substring(event_bytes.field_hashes FROM 32 * (field.ordinal::integer - 1) + 1 FOR 32)
FROM event_bytes CROSS JOIN LATERAL unnest(event_bytes.field_names) WITH ORDINALITY AS field (name, ordinal)
CROSS JOIN LATERAL (SELECT NOT field.name = ANY (event_bytes.erased_fields)) AS decision (shown)
WHERE event_bytes.event = %s ORDER BY field.ordinal
"""


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text if len(text) != 13 else f"{text}:00")
    except ValueError as error:
        raise EvidenceProblem(
            f"{text!r} is no time: write it as 2026-06-18T05:20:00Z, an hour as 2026-06-18T05"
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _iso(time_ms: int) -> str:
    return (
        datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
