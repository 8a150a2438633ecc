"""Findings as rows with versions: opened, changed, closed, and opened again.

In the line: the mass balance and the other rules -> here -> `finding`, `finding_version`. Contract: what is given is all that
stands of its kinds in the `scope`; what stood there before and is not given is closed. The same again is no new version, so that
projections may be made anew at any time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg

from ingest.radar.thresholds import shipped


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject`: under which it is one finding of its kind. `events`: their numbers. `body`: said, known, uom, figures and
    whatever else shows it."""

    kind: str
    subject: str
    severity: str
    lots: tuple[str, ...]
    places: tuple[str, ...]
    organisations: tuple[str, ...]
    events: tuple[int, ...]
    at: datetime
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return hashlib.sha256(f"{self.kind} {self.subject}".encode()).hexdigest()[:24]

    @property
    def row(self) -> dict[str, Any]:
        """As it is kept and compared."""
        return {
            "kind": self.kind,
            "subject": self.subject,
            "severity": self.severity,
            "lots": list(self.lots),
            "places": list(self.places),
            "organisations": sorted(self.organisations),
            "events": list(self.events),
            "at": self.at.isoformat(),
            "body": json.loads(json.dumps(self.body)),
        }


_STANDING = """
SELECT finding.id, finding.version, finding.state, kept.body
FROM finding JOIN finding_version AS kept ON kept.finding = finding.id AND kept.version = finding.version
WHERE finding.id = ANY (%(ids)s)
   OR finding.kind = ANY (%(kinds)s) AND finding.state = 'open' AND (%(lots)s::text[] IS NULL OR finding.lots && %(lots)s)
FOR UPDATE OF finding
"""

_KEEP = """
INSERT INTO finding (id, kind, subject, version, state, severity, lots, places, organisations, events, at, body, opened_at, shown_from, changed_at)
VALUES (%(id)s, %(kind)s, %(subject)s, %(version)s, %(state)s, %(severity)s, %(lots)s, %(places)s, %(organisations)s, %(events)s, %(at)s, %(body)s,
        %(now)s, %(shown_from)s, %(now)s)
ON CONFLICT (id) DO UPDATE SET version = EXCLUDED.version, state = EXCLUDED.state, severity = EXCLUDED.severity, lots = EXCLUDED.lots,
  places = EXCLUDED.places, organisations = EXCLUDED.organisations, events = EXCLUDED.events, at = EXCLUDED.at, body = EXCLUDED.body,
  changed_at = EXCLUDED.changed_at,
  shown_from = CASE WHEN finding.state = 'closed' AND finding.shown_from > EXCLUDED.changed_at THEN EXCLUDED.shown_from ELSE finding.shown_from END
"""
_VERSION = (
    "INSERT INTO finding_version (finding, version, state, body, changed_at) VALUES (%s, %s, %s, %s, %s)"
)
_CLOSE = "UPDATE finding SET state = 'closed', version = version + 1, changed_at = %s WHERE id = %s"


def keep(
    conn: psycopg.Connection,
    found: Iterable[Finding],
    kinds: Collection[str],
    now: datetime,
    *,
    lots: Collection[str] | None = None,
    late: bool = False,
    closing: bool = True,
) -> bool:
    """`lots`: in which the look was; None: everywhere. `late`: what is missing may still be told. `closing` false: the look was
    only at what is new, and closes nothing. True if anything changed."""
    fresh = {finding.id: finding for finding in found}
    asked = {"ids": list(fresh), "kinds": list(kinds), "lots": None if lots is None else list(lots)}
    standing = {row[0]: row[1:] for row in conn.execute(_STANDING, asked).fetchall()}
    shown_from = now + timedelta(hours=shipped().late_hours if late else 0)
    changed = False
    for identity, finding in fresh.items():
        version, state, body = standing.get(identity, (0, "", None))
        row = finding.row
        if state == "open" and body == row:
            continue
        kept = row | {
            "id": identity, "version": version + 1, "state": "open", "now": now, "shown_from": shown_from,
            "body": json.dumps(row["body"]),
        }  # fmt: skip
        conn.execute(_KEEP, kept)
        conn.execute(_VERSION, [identity, version + 1, "open", json.dumps(row), now])
        changed = True
    for identity, (version, state, body) in standing.items():
        if closing and identity not in fresh and state == "open":
            conn.execute(_CLOSE, [now, identity])
            conn.execute(_VERSION, [identity, version + 1, "closed", json.dumps(body), now])
            changed = True
    return changed
