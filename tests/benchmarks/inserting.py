"""The insert line of ours as a process: decode, admit, store, commit, acknowledge, and nothing else of the worker.

The worker's own session, gatherer and table, with a committer that writes readings alone: no account, numbers, marks or
receipts. Settings as for `suyuan ingest`.
"""

from __future__ import annotations

import queue
import threading
from functools import partial

import psycopg

from deploy.database_url import connect
from deploy.services.ingest import line_of
from deploy.services.process import now, stop_event
from deploy.settings import Settings
from ingest import readings
from ingest.intake import Intake
from ingest.subscriber import Subscriber
from ingest.worker import Gatherer

CLIENT = "bench-inserting"


class Inserter:
    """Takes a whole batch, as the worker's committer does, and says when it is free again."""

    def __init__(self, conn: psycopg.Connection, subscriber: Subscriber) -> None:
        self._conn, self._subscriber = conn, subscriber
        self._batches: queue.SimpleQueue[Intake | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.idle = threading.Event()
        self.idle.set()
        self.fault: BaseException | None = None
        self._thread.start()

    def hand_over(self, batch: Intake) -> None:
        self.idle.clear()
        self._batches.put(batch)

    def finish(self) -> None:
        self._batches.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while (batch := self._batches.get()) is not None:
                with self._conn.transaction():
                    readings.store(self._conn, 0, readings.judge(batch.readings()), around=False)
                self._subscriber.acknowledge(batch.messages)
                self.idle.set()
                self._subscriber.wake()
        except BaseException as error:
            self.fault = error
            self.idle.set()
            self._subscriber.wake()


def main() -> None:
    settings, stop = Settings(), stop_event(follow_parent=True)
    opened = partial(connect, settings.database_url, CLIENT)
    subscriber = Subscriber(settings.mqtt_url, CLIENT, settings.mqtt_share_group or None)
    gatherer = Gatherer(subscriber.arrived, opened, line_of(settings, CLIENT), now, stop)
    with opened() as conn:
        inserter = Inserter(conn, subscriber)
        subscriber.start()
        try:
            gatherer.run(inserter)
        finally:
            inserter.finish()
            subscriber.stop()


if __name__ == "__main__":
    main()
