"""The verdict, in SQL: what was published against what the database holds, and the account against both.

Contract: reads as the database's owner, writes nothing but a temporary table. Each rule gives the sentences of what breaks
it, none where it holds; a missing message is named. The rows themselves are counted first: `device_sequence` and `account`
are what the line says of itself, and are held against them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from tests.chaos.known import LONGITUDE, Known

NAMED = 5  # of what breaks a rule, so many are named; the rest is counted

_PUBLISHED = """
CREATE TEMPORARY TABLE published (
  device text, boot bigint, seq bigint, topic text, channel text, time timestamptz, value float8, fate text,
  PRIMARY KEY (topic, boot, seq)
)
"""

# Where each published message is, by the rows alone. One may lie in quarantine twice: sent twice, refused twice.
_FOUND = f"""
CREATE TEMPORARY TABLE found AS
SELECT published.*, device.id AS device_id,
       device.id IS NOT NULL AND split_part(published.topic, '/', 3) = device.organisation AS known,
       store.series_id IS NOT NULL OR seen.series_id IS NOT NULL AS stored,
       coalesce(store.value, (seen.body->>'latitude')::float8) AS holds, refused.topic IS NOT NULL AS quarantined
FROM published
LEFT JOIN device ON device.scheme = 'suyuan' AND device.external_id = published.device
LEFT JOIN series ON series.device_id = device.id AND series.channel = published.channel
LEFT JOIN reading_store AS store
  ON store.series_id = series.id AND store.time = published.time AND published.fate = 'stored'
LEFT JOIN observation AS seen
  ON seen.series_id = series.id AND seen.time = published.time AND published.fate = 'stored'
  AND seen.body->>'longitude' = '{LONGITUDE}'
LEFT JOIN (SELECT DISTINCT topic, boot, seq FROM quarantine) AS refused
  ON refused.topic = convert_to(published.topic, 'UTF8') AND refused.boot = published.boot AND refused.seq = published.seq
"""

_MESSAGE = "format('%s boot %s seq %s', device, boot, seq)"

RULES = {
    "lost: neither stored nor in quarantine": f"SELECT {_MESSAGE} FROM found WHERE NOT stored AND NOT quarantined",
    "in both: stored and in quarantine": f"SELECT {_MESSAGE} FROM found WHERE stored AND quarantined",
    "in the wrong place": f"SELECT {_MESSAGE} || ', want ' || fate FROM found WHERE stored <> (fate = 'stored') AND (stored OR quarantined)",
    "stored with another value": f"SELECT {_MESSAGE} || format(', got %s, want %s', holds, value) FROM found WHERE stored AND holds <> value",
    "stored, and never published": """
        SELECT format('series %s at %s', store.series_id, store.time)
        FROM (SELECT series_id, time FROM reading_store UNION ALL SELECT series_id, time FROM observation) AS store
        JOIN series ON series.id = store.series_id
        LEFT JOIN found ON found.device_id = series.device_id AND found.channel = series.channel AND found.time = store.time
             AND found.fate = 'stored'
        WHERE found.device IS NULL""",
    "distinct(stored) + distinct(quarantined) is not what was published": """
        SELECT format('%s: %s + %s, want %s', coalesce(device, 'in all'), count(*) FILTER (WHERE stored),
                      count(*) FILTER (WHERE quarantined), count(*))
        FROM found GROUP BY ROLLUP (device)
        HAVING count(*) FILTER (WHERE stored) + count(*) FILTER (WHERE quarantined) <> count(*)""",
    "received is not stored + duplicate + conflict + quarantined": """
        SELECT format('device %s: %s, want %s + %s + %s + %s', coalesce(device_id::text, 'in all'), sum(received), sum(stored),
                      sum(duplicate), sum(conflict), sum(quarantined))
        FROM account GROUP BY ROLLUP (device_id)
        HAVING sum(received) <> sum(stored) + sum(duplicate) + sum(conflict) + sum(quarantined)""",
    "the account is not what the tables hold": """
        SELECT format('device %s: account %s stored and %s refused, tables %s and %s', device_id,
                      coalesce(said.stored, 0), coalesce(said.refused, 0), coalesce(held.rows, 0), coalesce(lies.records, 0))
        FROM (SELECT device_id, sum(stored) AS stored, sum(conflict) + sum(quarantined) AS refused FROM account GROUP BY device_id) AS said
        FULL JOIN (
          SELECT device_id, count(*) AS rows
          FROM (SELECT series_id FROM reading_store UNION ALL SELECT series_id FROM observation) AS row JOIN series ON series.id = row.series_id
          GROUP BY device_id) AS held USING (device_id)
        FULL JOIN (SELECT coalesce(device_id, 0) AS device_id, sum(records) AS records FROM quarantine GROUP BY 1) AS lies USING (device_id)
        WHERE coalesce(said.stored, 0) <> coalesce(held.rows, 0) OR coalesce(said.refused, 0) <> coalesce(lies.records, 0)""",
    "the account is not what entered": """
        SELECT format('batches %s messages, account %s records', entered, received)
        FROM (SELECT sum(messages) AS entered FROM batch) AS batches, (SELECT sum(received) AS received FROM account) AS accounts
        WHERE entered IS DISTINCT FROM received""",
    "held, and its number is not": """
        SELECT format('%s boot %s seq %s: stored %s, quarantined %s, numbers %s and %s', device, boot, seq, found.stored, found.quarantined,
                      coalesce(held.stored @> seq, false), coalesce(held.refused @> seq, false))
        FROM found LEFT JOIN device_sequence AS held USING (device_id, boot)
        WHERE known AND (found.stored AND held.stored @> seq IS NOT TRUE OR found.quarantined AND held.refused @> seq IS NOT TRUE)""",
    "stored, and no mark covers it": """
        WITH covered AS (
          SELECT consumer, series, range_agg(tstzrange(first, last, '[]')) AS during
          FROM mark, unnest(series_ids, from_times, to_times) AS touched (series, first, last) GROUP BY consumer, series
        ), stored AS (SELECT series_id, time FROM reading_store UNION ALL SELECT series_id, time FROM observation)
        SELECT format('series %s at %s for %s', series_id, time, consumers.consumer)
        FROM stored CROSS JOIN (SELECT DISTINCT consumer FROM mark) AS consumers
        LEFT JOIN covered ON covered.consumer = consumers.consumer AND covered.series = stored.series_id
        WHERE covered.during IS NULL OR NOT covered.during @> time""",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`broken`: for each rule that does not hold, what breaks it. The numbers count messages."""

    broken: dict[str, list[str]]
    published: int
    stored: int
    quarantined: int
    duplicates: int

    def sentences(self) -> list[str]:
        return [
            f"{rule} ({len(found)}): {'; '.join(found[:NAMED])}{'; …' if len(found) > NAMED else ''}"
            for rule, found in self.broken.items()
        ]


def load(conn: psycopg.Connection, published: Iterable[Known]) -> None:
    """Tells the checker, in its own session, what was published. Each message once, however often it was sent."""
    conn.execute(_PUBLISHED)
    with (
        conn.cursor() as cursor,
        cursor.copy(
            "COPY published (device, boot, seq, topic, channel, time, value, fate) FROM STDIN"
        ) as copy,
    ):
        for each in published:
            copy.write_row(
                [
                    each.device,
                    each.boot,
                    each.seq,
                    each.topic,
                    each.channel,
                    _timestamp(each.time_s),
                    each.value,
                    each.fate,
                ]
            )
    conn.execute("ANALYZE published")


def _timestamp(time_s: int | None) -> str | None:
    return None if time_s is None else datetime.fromtimestamp(time_s, UTC).isoformat()


def check(conn: psycopg.Connection) -> Verdict:
    """After `load`, as often as wanted."""
    conn.execute("DROP TABLE IF EXISTS pg_temp.found")
    conn.execute(_FOUND)
    conn.execute("ANALYZE found")
    broken = {rule: [row[0] for row in conn.execute(sql)] for rule, sql in RULES.items()}
    counted = conn.execute(
        "SELECT count(*), count(*) FILTER (WHERE stored), count(*) FILTER (WHERE quarantined),"
        " (SELECT coalesce(sum(duplicate), 0) FROM account) FROM found"
    ).fetchone()
    assert counted is not None
    return Verdict({rule: found for rule, found in broken.items() if found}, *map(int, counted))


def lost(conn: psycopg.Connection) -> int:
    """How many published messages are nowhere: the first rule alone."""
    conn.execute("DROP TABLE IF EXISTS pg_temp.found")
    conn.execute(_FOUND)
    row = conn.execute("SELECT count(*) FROM found WHERE NOT stored AND NOT quarantined").fetchone()
    assert row is not None
    return int(row[0])
