"""What comes with the package and stands beside every registry: limits, record duties, names of regions.

In the line: `coldchain/limits/*.json`, `coldchain/duties.json`, `registry/regions.json` -> here -> their tables.
Contract: a version of a rule that stands is never rewritten; names of regions are, since nothing is judged by them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib import resources

import psycopg

from ingest.coldchain.duties import Duty, load_duties
from ingest.coldchain.limits import Limit, load_limits
from ingest.registry.document import Name, RegionEntry
from ingest.registry.loading import REGISTERED, load_region, note_change


def load_shipped(conn: psycopg.Connection) -> None:
    """Limits, duties and regions of this release."""
    load_limit_versions(conn)
    load_duty_rules(conn)
    load_regions(conn)


def load_limit_versions(conn: psycopg.Connection, limits: Iterable[Limit] | None = None) -> None:
    """The shipped rules into `limit_version`; a version that stands is never rewritten."""
    for limit in load_limits() if limits is None else limits:
        written = conn.execute(
            "INSERT INTO limit_version (id, version, product, stages, positions, body)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (id, version) DO NOTHING",
            [
                limit.id,
                limit.version,
                limit.product,
                list(limit.stages),
                list(limit.positions),
                json.dumps(limit.snapshot()),
            ],
        )
        if written.rowcount:
            note_change(conn, "limit", f"{limit.id} {limit.version}")


_DUTY = """
INSERT INTO duty_rule (id, version, kind, place_kinds, max_interval_s, force, source, clause, verified, body)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (id, version) DO NOTHING
"""


def load_duty_rules(conn: psycopg.Connection, duties: Iterable[Duty] | None = None) -> None:
    """The shipped record duties into `duty_rule`."""
    for duty in load_duties() if duties is None else duties:
        conn.execute(
            _DUTY,
            [
                duty.id,
                duty.version,
                duty.kind,
                list(duty.place_kinds),
                duty.max_interval_s,
                duty.force,
                duty.source,
                duty.clause,
                duty.verified,
                json.dumps(duty.snapshot()),
            ],
        )


def load_regions(conn: psycopg.Connection) -> None:
    """The shipped names of regions in the place of those of an earlier release; what a registry document says of a code
    stands."""
    text = resources.files("ingest.registry").joinpath("regions.json").read_text(encoding="utf-8")
    pack = json.loads(text)
    conn.execute("DELETE FROM region WHERE source <> %s", [REGISTERED])
    registered = {code for (code,) in conn.execute("SELECT code FROM region")}
    for row in pack["regions"]:
        if row["code"] in registered:
            continue
        plain = {key: value for key, value in row.items() if key not in ("zh", "en")}
        entry = RegionEntry.model_validate(plain | {"name": Name(zh=row["zh"], en=row["en"])})
        load_region(conn, entry, pack["source"], verified=pack["verified"])
