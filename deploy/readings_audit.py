"""What `suyuan audit readings` does: every window of the logs' files, every row of them, and the readings that they are of.

In the line: log files and keys -> here -> `ingest.auditing`, an hour of a device after the other. Contract: reads only; the root
that decides is the one in the entry, in files whose tree has the root of the signed checkpoint, so that who alters readings and
`sealed_window` both is found out. What is sent late and not sealed yet is no alteration; what retention dropped was held
against its window before, and is said to be gone. In memory are where the windows lie (24 bytes each) and some hours of readings.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import psycopg

from deploy.window_entries import LogFaulty, WindowEntries, scan
from ingest import auditing
from ingest.auditing import Fault, Place, Version
from ingest.window_rows import read_windows
from ledger.entry import stream_pseudonym
from ledger.keys import KeyStore
from ledger.reader import open_log
from ledger.translog.verify import VerifyError
from ledger.window import Rows

AT_ONCE = 40
"""Device-hours whose readings are in memory together."""
MOST_NAMED = 1_000
SAID_EVERY_S = 2.0
DAY = timedelta(days=1)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """`since`, `until`: bounds of the hours' starts, the second exclusive."""

    organisation: str | None = None
    device: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Found:
    organisation: str
    device: int
    start: datetime
    leaf_index: int | None
    fault: Fault


@dataclass(slots=True)
class Report:
    """`unchecked`: what could not be, and what to do; `counts`: of device-hours, versions and readings."""

    counts: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    found: list[Found] = field(default_factory=list)
    unchecked: list[tuple[str, str]] = field(default_factory=list)

    def add(self, found: Iterable[Found]) -> None:
        for each in found:
            self.kinds[each.fault.kind] += 1
            if len(self.found) < MOST_NAMED:
                self.found.append(each)

    @property
    def status(self) -> int:
        """0: all holds; 1: something does not; 2: not all could be checked."""
        return 1 if self.kinds else 2 if self.unchecked else 0


def audit(conn: psycopg.Connection, log_dir: Path, keys_dir: Path, wanted: Wanted, say: Say) -> Report:
    """`conn`: as the jobs' role or the owner, in autocommit mode. `say`: progress, for somebody who waits."""
    report, keys = Report(), KeyStore(keys_dir)
    for organisation, devices in _devices(conn, wanted).items():
        if not (keys_dir / f"{organisation}.org_key").exists():
            if conn.execute(_HAS_SEALED, [organisation, organisation]).fetchone() is None:
                continue  # its key is made with its first window or entry
            report.unchecked.append((f"{organisation}: its key is not in {keys_dir}", _KEYS))
            continue
        of = _Organisation(
            conn, organisation, keys.organisation_key(organisation), devices, wanted, report, _rarely(say)
        )
        of.audit(log_dir)
    return report


_KEYS = "run this where SUYUAN_DATA_DIR/keys is, or bring the folder back from its backup"
_LOG = "run this where the sequencer's SUYUAN_DATA_DIR is, or bring DATA_DIR/log back from a copy; suyuan doctor says more"

_HAS_SEALED = "SELECT FROM sealed_window WHERE organisation = %s UNION ALL SELECT FROM leaf WHERE organisation = %s LIMIT 1"
_DEVICES = """
SELECT organisation, id FROM device
WHERE (%(organisation)s::text IS NULL OR organisation = %(organisation)s) AND (%(device)s::text IS NULL OR external_id = %(device)s)
ORDER BY organisation, id
"""


def _devices(conn: psycopg.Connection, wanted: Wanted) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    asked = {"organisation": wanted.organisation, "device": wanted.device}
    for organisation, device in conn.execute(_DEVICES, asked):
        found[organisation].append(device)
    return dict(found)


def _rarely(say: Say) -> Say:
    last = time.monotonic()

    def said(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= SAID_EVERY_S:
            last = time.monotonic()
            say(text)

    return said


@dataclass(frozen=True, slots=True)
class _Organisation:
    conn: psycopg.Connection
    name: str
    key: bytes
    devices: Sequence[int]
    wanted: Wanted
    report: Report
    say: Say

    def audit(self, log_dir: Path) -> None:
        entries = self._entries(log_dir)
        if entries is None:
            return
        days = self._days(entries)
        for number, day in enumerate(days, start=1):
            places = self._places(day, entries)
            for first in range(0, len(places), AT_ONCE):
                self._check(places[first : first + AT_ONCE], entries)
                checked = self.report.counts
                self.say(
                    f"{self.name}: {day:%Y-%m-%d}, day {number:,} of {len(days):,};"
                    f" {checked['windows']:,} hours and {checked['readings']:,} readings so far"
                )

    def _entries(self, log_dir: Path) -> WindowEntries | None:
        streams = {stream_pseudonym(self.key, "device", str(device)): device for device in self.devices}
        try:
            log = open_log(log_dir, self.name)
            if log is None:
                if self._has_leaves():
                    self._not(f"{self.name}: its log is not in {log_dir}", _LOG)
                    return None
                return WindowEntries.none()
            found = scan(
                log,
                streams,
                lambda at: self.say(f"{self.name}: entry {at:,} of {log.tree_size:,} of its log"),
            )
        except (LogFaulty, VerifyError, OSError) as error:
            self._not(f"{self.name}: its log cannot be read: {error}", _LOG)
            return None
        if found.strangers and self.wanted.device is None:
            self._not(
                f"{self.name}: {found.strangers:,} windows of its log are of devices that the database does not know",
                "they were registered after the backup that was restored, or their rows were taken away: compare with a copy",
            )
        return found

    def _has_leaves(self) -> bool:
        return (
            self.conn.execute("SELECT FROM leaf WHERE organisation = %s LIMIT 1", [self.name]).fetchone()
            is not None
        )

    def _not(self, what: str, todo: str) -> None:
        if (what, todo) not in self.report.unchecked:
            self.report.unchecked.append((what, todo))

    # --- which hours there are --------------------------------------------------------------------------------

    def _days(self, entries: WindowEntries) -> list[datetime]:
        """Those with an entry, a row or a reading, in order."""
        days = {day for day, _ in entries.days()}
        for query in (_SEALED_DAYS, _READ_DAYS):
            days |= {day for (day,) in self.conn.execute(query, [list(self.devices)])}
        since, until = self.wanted.since, self.wanted.until
        return sorted(
            day for day in days if (since is None or day + DAY > since) and (until is None or day < until)
        )

    def _places(self, day: datetime, entries: WindowEntries) -> list[Place]:
        asked = {"devices": list(self.devices), "first": day, "last": day + DAY}
        found: set[Place] = set(entries.places(day))
        found |= {(device, start) for device, start in self.conn.execute(_HOURS, asked)}
        since, until = self.wanted.since, self.wanted.until
        return sorted(
            (
                place
                for place in found
                if (since is None or place[1] >= since) and (until is None or place[1] < until)
            ),
            key=lambda place: (place[1], place[0]),
        )

    # --- one after the other ------------------------------------------------------------------------------------

    def _check(self, places: Sequence[Place], entries: WindowEntries) -> None:
        """All that is asked about them is of one moment."""
        with self.conn.transaction():
            self.conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            versions = auditing.read_versions(self.conn, places)
            rows = read_windows(self.conn, places)
            moment = _Moment.read(self.conn, places)
        for place in places:
            self._hour(place, versions.get(place, []), rows[place], entries.of(place), entries, moment)

    def _hour(
        self, place: Place, versions: Sequence[Version], rows: Rows, indices: Sequence[int], entries: WindowEntries, moment: _Moment
    ) -> None:  # fmt: skip
        counts, device = self.report.counts, place[0]
        hour = auditing.hour_of(self.key, device, place[1], rows)
        counts.update(windows=bool(versions or indices), versions=len(versions), readings=len(hour.hashes))
        found: dict[tuple[object, ...], Found] = {}
        for version, index in _paired(versions, indices, place, self.name):
            for fault in self._faults(version, index, entries, hour, moment):
                each = Found(self.name, *place, index, fault)
                told = fault.series is not None
                found[
                    fault.kind,
                    fault.series,
                    fault.time_ms,
                    None if told else fault.version,
                    None if told else fault.detail,
                ] = each
        behind = place[1] < moment.whole_since and place not in moment.faulty
        if behind:
            gone = [key for key, each in found.items() if each.fault.kind == "removed"]
            for key in gone:
                del found[key]
            if gone:
                counts.update(gone=1, readings_gone=len(gone))
                self._gone(place, moment)
        loose = auditing.outside(hour, *_newest(versions, indices, entries))
        if place in moment.waiting or behind:
            counts.update(unsealed=len(loose))
        else:
            found |= {
                (fault.kind, fault.series, fault.time_ms): Found(self.name, *place, None, fault)
                for fault in loose
            }
        self.report.add(found.values())

    def _gone(self, place: Place, moment: _Moment) -> None:
        if place not in moment.held:
            self.report.counts.update(gone_unchecked=1)
            self._not(
                f"{self.name}: readings were dropped before windows were checked first",
                "an upgrade does not bring them back; --from with a later date leaves them out",
            )

    def _faults(
        self,
        version: Version,
        index: int | None,
        entries: WindowEntries,
        hour: auditing.Hour,
        moment: _Moment,
    ) -> Iterator[Fault]:
        root, count = version.root, version.readings
        if index is not None:
            body = entries.body(index)
            root, count = body.root, body.count
            if version.id == _NO_ROW:
                yield Fault(
                    "log",
                    version.version,
                    f"leaf {index} of the log is its entry, and the table has no row of it",
                )
                version = replace(version, readings=count)
            else:
                yield from auditing.row_against(version, body)
        elif version.leaf_index is not None and version.leaf_index < entries.tree_size:
            yield Fault(
                "log",
                version.version,
                f"the table says leaf {version.leaf_index}, which is no entry of this hour",
            )
        elif version.leaf_index is None and version.id not in moment.pending:
            yield Fault("log", version.version, "its row has no entry in the log and waits for none")
        else:
            self.report.counts.update(not_in_log_yet=1)
        faults = auditing.compare(hour, version, root, count)
        if faults and version.is_lost and version.id != _NO_ROW:
            self.report.counts.update(lost=1)
            self._not(
                f"{self.name}: a restore lost which readings some windows hold",
                "suyuan recover says which entries they are",
            )
            return
        yield from faults


def _newest(
    versions: Sequence[Version], indices: Sequence[int], entries: WindowEntries
) -> tuple[Version | None, bytes | None]:
    """With the root that counts."""
    if not versions:
        return None, None
    is_logged = len(indices) >= len(versions)
    return versions[-1], entries.body(indices[len(versions) - 1]).root if is_logged else versions[-1].root


_NO_ROW = -1


def _paired(
    versions: Sequence[Version], indices: Sequence[int], place: Place, organisation: str
) -> Iterator[tuple[Version, int | None]]:
    """Each version with its entry: both stand in the order of sealing. Entries without a row come with a version of nothing."""
    for number in range(max(len(versions), len(indices))):
        index = indices[number] if number < len(indices) else None
        if number < len(versions):
            yield versions[number], index
        else:
            nothing = Version(_NO_ROW, organisation, *place, number + 1, 1, b"", b"", None, None, None)
            yield nothing, index


@dataclass(frozen=True, slots=True)
class _Moment:
    """What else was so when the rows were read. `waiting`: hours still to be sealed; `faulty`, `held`: by what was checked before;
    `pending`: windows that wait for their leaf."""

    whole_since: datetime
    waiting: set[Place]
    faulty: set[Place]
    held: set[Place]
    pending: set[int]

    @classmethod
    def read(cls, conn: psycopg.Connection, places: Sequence[Place]) -> _Moment:
        columns = [list(column) for column in zip(*places, strict=True)]
        checked: Mapping[bool, set[Place]] = {True: set(), False: set()}
        for device, start, holds in conn.execute(_CHECKED, columns):
            checked[holds].add((device, start))
        row = conn.execute("SELECT whole_since FROM reading_horizon").fetchone()
        assert row is not None
        pending = {window for (window,) in conn.execute(_PENDING, columns)}
        return cls(row[0], auditing.waiting(conn, places), checked[False], checked[True], pending)


_CHECKED = """
SELECT device_id, start_time, fault IS NULL FROM unnest(%b::integer[], %b::timestamptz[]) AS wanted (device_id, start_time)
JOIN window_check USING (device_id, start_time)
"""
_PENDING = """
SELECT sealed.id FROM unnest(%b::integer[], %b::timestamptz[]) AS wanted (device_id, start_time)
JOIN sealed_window AS sealed USING (device_id, start_time)
WHERE NOT EXISTS (SELECT FROM leaf WHERE sealed_window = sealed.id) AND EXISTS (SELECT FROM pending WHERE sealed_window = sealed.id)
"""
_SEALED_DAYS = (
    "SELECT DISTINCT date_trunc('day', start_time, 'UTC') FROM sealed_window WHERE device_id = ANY (%s)"
)

# By the index of each series: the first and the last day of its readings, and what lies between.
_READ_DAYS = """
SELECT DISTINCT day FROM (
  SELECT date_trunc('day', min(first), 'UTC') AS first, date_trunc('day', max(last), 'UTC') AS last
  FROM series, LATERAL (
    SELECT (SELECT min(time) FROM reading_store WHERE series_id = series.id) AS first,
           (SELECT max(time) FROM reading_store WHERE series_id = series.id) AS last
    UNION ALL SELECT (SELECT min(time) FROM observation WHERE series_id = series.id), (SELECT max(time) FROM observation WHERE series_id = series.id)
  ) AS kept WHERE device_id = ANY (%s)
) AS whole, generate_series(first, last, INTERVAL '1 day') AS day
"""
_HOURS = """
SELECT device_id, start_time FROM sealed_window
WHERE device_id = ANY (%(devices)s) AND start_time >= %(first)s AND start_time < %(last)s
UNION
SELECT series.device_id, date_trunc('hour', kept.time, 'UTC')
FROM series, LATERAL (
  SELECT time FROM reading_store WHERE series_id = series.id AND time >= %(first)s AND time < %(last)s
  UNION ALL SELECT time FROM observation WHERE series_id = series.id AND time >= %(first)s AND time < %(last)s
) AS kept WHERE series.device_id = ANY (%(devices)s)
"""
