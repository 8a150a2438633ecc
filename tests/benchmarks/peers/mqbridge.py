"""mq-bridge 1.2, from PyPI: MQTT into PostgreSQL by a Rust engine, with upserts and dead letters.

Set as its own pages advise: "Performance tuning" has `insert_query` for the fastest INSERT, batches of up to a few thousand
rows, `concurrency` for a fast local sink, and `retry` with `dlq` behind it; "Delivery guarantees" has ON CONFLICT on a unique
key for effectively-once. Manual acknowledgement is its default.
It makes one statement of many rows only where VALUES holds nothing but its tokens, and a probe's name is no number, nor are
seconds a time: so it writes row by row. `helped()` is the same with what its pages do not mention, two assignment casts in its
database that turn the one into the other: the fastest that we know how to make it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import psycopg

from simulators.load.plan import Plan
from tests.benchmarks.ground import TOPICS, Ground, started
from tests.benchmarks.peers import cache
from tests.benchmarks.racing import Ran, drain
from tests.servers.databases import Database

VERSION = "1.2.0"
CLIENT = "bench-mq-bridge"
BATCH_SIZE, CONCURRENCY = 2_000, 4
QUEUE = 4_000  # as many as the broker has in flight
_INSERT = (
    "INSERT INTO reading_store (series_id, time, value) VALUES ({series}, {time}, ${{payload:value}})"
    " ON CONFLICT (series_id, time) DO UPDATE SET value = EXCLUDED.value"
)
_SERIES, _TIME = "${payload:series_id}", "${payload:time}"
_CASTS = """
CREATE FUNCTION probe_number(name text) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
  $$ BEGIN RETURN int4in(textout(substr(name, 2))); END $$;
CREATE CAST (text AS integer) WITH FUNCTION probe_number(text) AS ASSIGNMENT;
CREATE CAST (double precision AS timestamptz) WITH FUNCTION to_timestamp(double precision) AS ASSIGNMENT;
"""
_DEFAULTS = "ALTER TABLE reading_store ALTER flags SET DEFAULT 0, ALTER batch_id SET DEFAULT 0"
_ROUTE = """
import json, signal, sys
import mq_bridge
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
route = mq_bridge.Route.from_config(json.load(open(sys.argv[1])))
route.start()
signal.sigwait([signal.SIGTERM])
route.stop()
route.join()
"""


def installed() -> MqBridge:
    """Raises NotInstalled."""
    return MqBridge(cache.kept(f"mq-bridge-{VERSION}", _build) / "venv" / "bin" / "python")


def helped() -> MqBridge:
    """Raises NotInstalled."""
    plain = installed()
    return MqBridge(
        plain.python, "mq-bridge, with casts", f"{plain.settings}, two casts in its database", casts=True
    )


def _build(folder: Path) -> None:
    what = f"mq-bridge {VERSION}"
    cache.run(what, [sys.executable, "-m", "venv", "venv"], folder)
    pip = ["-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    cache.run(what, [str(folder / "venv" / "bin" / "python"), *pip, f"mq-bridge=={VERSION}"], folder)


@dataclass
class MqBridge:
    python: Path
    name: str = "mq-bridge"
    settings: str = (
        f"{VERSION}: upsert by insert_query with ON CONFLICT DO UPDATE, dlq after retry, batch_size {BATCH_SIZE},"
        f" concurrency {CONCURRENCY}, MQTT 3.1.1, manual acknowledgement, queue_capacity {QUEUE}"
    )
    client: str = CLIENT
    topics: tuple[str, ...] = (TOPICS,)
    casts: bool = False

    def run(self, ground: Ground, plan: Plan) -> Ran:
        return drain(self, ground, plan)

    def prepare(self, _ground: Ground, database: Database, plan: Plan) -> int:
        with psycopg.connect(database.owner) as conn:
            conn.execute(_DEFAULTS)
            if self.casts:
                conn.execute(_CASTS)
        return (plan.messages - 1) % plan.devices + 1

    @contextmanager
    def running(self, ground: Ground, database: Database) -> Iterator[Popen[bytes]]:
        config = ground.folder / "mq-bridge.json"
        config.write_text(json.dumps(_route(ground, database, self._insert())))
        command = [str(self.python), "-c", _ROUTE, str(config)]
        with started(command, {}, ground.folder / "mq-bridge.log") as process:
            yield process

    def _insert(self) -> str:
        if self.casts:
            return _INSERT.format(series=_SERIES, time=_TIME)
        return _INSERT.format(series=f"substr({_SERIES}, 2)::integer", time=f"to_timestamp({_TIME})")


def _route(ground: Ground, database: Database, insert: str) -> dict[str, Any]:
    mapping = {"series_id": "$[3].n", "time": "$[3].bt", "value": "$[3].v"}
    return {
        "batch_size": BATCH_SIZE,
        "concurrency": CONCURRENCY,
        "startup_timeout_ms": 60_000,
        "input": {
            "mqtt": {
                "url": ground.broker.url, "topic": TOPICS, "client_id": CLIENT, "protocol": "v3", "qos": 1,
                "clean_session": False, "queue_capacity": QUEUE,
            }
        },
        "output": {
            "middlewares": [
                {"transform": {"mapping": mapping}},
                {"retry": {"max_attempts": 5}},
                {"dlq": {"endpoint": {"file": {"path": str(ground.folder / "mq-bridge-dead.jsonl")}}}},
            ],
            "sqlx": {
                "url": database.owner.replace("postgresql://", "postgres://"), "table": "reading_store",
                "insert_query": insert,
            },
        },
    }  # fmt: skip
