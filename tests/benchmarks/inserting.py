"""The insert line of ours as a process: decode, admit, store, commit, acknowledge, and nothing else of the worker.

The worker's own threads and functions, with a commit that writes readings alone: no account, numbers, marks or receipts.
Settings as for `suyuan ingest`.
"""

from __future__ import annotations

import time
from functools import partial

import psycopg

from deploy.database_url import connect
from deploy.services.process import now, stop_event
from deploy.settings import Settings
from ingest import readings
from ingest.intake import Intake
from ingest.pipeline import Line, Outcome
from ingest.quarantine import MonthlyKeys
from ingest.registry import Registry
from ingest.subscriber import Subscriber
from ingest.worker import Committer, Gatherer

CLIENT = "bench-inserting"


class Inserter(Committer):
    def _commit(self, batch: Intake) -> None:
        conn = self._connection.get()
        with conn.transaction():
            readings.store(conn, 0, batch.readings(), around=False)
        self._told(batch, Outcome((), ()))


def main() -> None:
    settings, stop = Settings(), stop_event(follow_parent=True)
    line = Line(CLIENT, Registry(time.monotonic), MonthlyKeys(settings.keys_dir), settings.retention)
    subscriber = Subscriber(settings.mqtt_url, CLIENT, settings.mqtt_share_group or None)
    opened = partial(connect, settings.database_url, CLIENT)

    def told(batch: Intake, _outcome: Outcome) -> None:
        subscriber.acknowledge(batch.messages)

    committer = Inserter(opened, line, told, subscriber.wake, stop)
    committer.start()
    subscriber.start()
    try:
        Gatherer(subscriber.arrived, opened, line, now, stop).run(committer)
    finally:
        committer.finish()
        subscriber.stop()


if __name__ == "__main__":
    try:
        main()
    except psycopg.OperationalError as error:
        raise SystemExit(str(error)) from error
