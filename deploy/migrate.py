"""Brings a database to the schema this release speaks, and refuses to serve any other.

The schema is `schema/NNNN_*.sql`, forward only, applied in order by yoyo (docs/decisions/0003-migrations.md).
Contract: one migration at a time (an advisory lock), each file in its own transaction, and a service
that finds an older or newer schema stops with `SchemaMismatch` naming both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib.resources import as_file, files
from urllib.parse import quote, urlencode

import psycopg
import yoyo
from psycopg.conninfo import conninfo_to_dict

from deploy.database_url import connect
from ingest.retention import MARGIN

ADVISORY_LOCK = 0x5359_0001  # "SY", migrations
SERVICE_ROLES = ("ingest", "jobs", "sequencer", "api", "public")


class SchemaMismatch(RuntimeError):
    """The database's schema is not this release's. Run `suyuan migrate` with the owner's URL, or start the matching release."""


def migrate(conninfo: str) -> list[str]:
    """Apply what is missing; returns the names applied. `conninfo` is the owner's, as libpq writes it or a URL."""
    with _alone(conninfo), as_file(files("deploy") / "schema") as folder:
        backend = yoyo.get_backend(_yoyo_url(conninfo))
        try:
            # The advisory lock above already makes us the only one; a lock row left by a killed migration is stale.
            backend.break_lock()
            missing = backend.to_apply(yoyo.read_migrations(str(folder)))
            backend.apply_migrations(missing)
            return [migration.id for migration in missing]
        finally:
            backend.connection.close()


def schema_in_code() -> list[str]:
    return sorted(
        entry.name.removesuffix(".sql")
        for entry in (files("deploy") / "schema").iterdir()
        if entry.name.endswith(".sql")
    )


def check_schema(conn: psycopg.Connection) -> None:
    """Raises SchemaMismatch unless the database carries exactly the migrations of this release."""
    found = conn.execute("SELECT to_regclass('schema_applied') IS NOT NULL").fetchone()
    applied: list[str] = []
    if found is not None and found[0]:
        applied = [name for (name,) in conn.execute("SELECT name FROM schema_applied ORDER BY name")]
    wanted = schema_in_code()
    if applied == wanted:
        return
    newer, missing = sorted(set(applied) - set(wanted)), sorted(set(wanted) - set(applied))
    if newer:
        raise SchemaMismatch(
            f"the database is newer than this release: it has {newer[-1]}, we know {wanted[-1]}; start the newer release"
        )
    raise SchemaMismatch(
        f"the database lacks {missing[0]}; run `suyuan migrate` with the owner's database URL"
    )


def edition(conn: psycopg.Connection) -> str:
    """`plain`, `timescale-apache` or `timescale-community`: asked of the server, never assumed."""
    row = conn.execute(
        "SELECT current_setting('timescaledb.license', true) FROM pg_extension WHERE extname = 'timescaledb'"
    ).fetchone()
    if row is None:
        return "plain"
    return "timescale-community" if row[0] == "timescale" else "timescale-apache"


# The policy's own configuration names the aggregate by number, so only its start is replaced.
_LOOK_BACK = """
SELECT alter_job(job_id, config => config || jsonb_build_object('start_offset', %(reach)s::interval::text))
FROM timescaledb_information.jobs
WHERE proc_name = 'policy_refresh_continuous_aggregate'
  AND hypertable_name IN (SELECT unnest(ARRAY[view_name, materialization_hypertable_name])  -- which of them: by version
                          FROM timescaledb_information.continuous_aggregates WHERE view_name = 'reading_1h')
  AND (config ->> 'start_offset')::interval IS DISTINCT FROM %(reach)s::interval
"""


# As far as something went the horizon stays: what is left there is not all that there was.
_LOWER = """
UPDATE reading_horizon SET whole_since = lower.whole_since
FROM (SELECT greatest(date_trunc('day', now() - %(kept)s::interval, 'UTC'), (SELECT max(before) FROM retention_run)) AS whole_since) AS lower
WHERE reading_horizon.whole_since > lower.whole_since
"""


def follow_retention(conn: psycopg.Connection, retention: timedelta) -> None:
    """Where readings are to be kept for longer, lower their horizon as far as nothing was dropped. As the owner.

    And let the community edition's refresh of `reading_1h` look back as far as readings may come late, and a day.
    Shorter, and hours that late readings change stay as they were. Longer than readings are kept, and a refresh finds
    hours without readings and takes them away, which the roll-up is there to outlive.
    """
    conn.execute(_LOWER, {"kept": retention + MARGIN})
    if edition(conn) == "timescale-community":
        conn.execute(_LOOK_BACK, {"reach": retention + timedelta(days=1)})


@contextmanager
def _alone(conninfo: str) -> Iterator[None]:
    with connect(conninfo, "migrate", autocommit=True) as conn:
        conn.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
        yield


def _yoyo_url(conninfo: str) -> str:
    """yoyo takes only URLs; a socket directory travels as the `host` query argument."""
    parts = {key: str(value) for key, value in conninfo_to_dict(conninfo).items()}
    host, query = parts.pop("host", ""), {}
    if host.startswith("/"):
        query["host"], host = host, ""
    user, password = quote(parts.pop("user", ""), safe=""), parts.pop("password", None)
    secret = "" if password is None else ":" + quote(password, safe="")
    port = ":" + parts.pop("port") if "port" in parts and host else ""
    if "port" in parts:
        query["port"] = parts.pop("port")
    name = quote(parts.pop("dbname", user), safe="")
    query |= parts
    return f"postgresql+psycopg://{user}{secret}@{host}{port}/{name}" + (
        f"?{urlencode(query)}" if query else ""
    )
