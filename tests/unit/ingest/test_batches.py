"""How much a worker takes at once: what has arrived, within a bound of messages and one of bytes."""

from __future__ import annotations

import queue
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from ingest.intake import Intake
from ingest.pipeline import Line, Message
from ingest.quarantine import MonthlyKeys
from ingest.registry import Registry
from ingest.subscriber import Arrived
from ingest.worker import BATCH_BYTES, MESSAGES, Gatherer
from ledger.persons import Vault

TOPIC = b"suyuan/v1/coop/logger-1/gossip"  # of no kind that there is: nobody asks the registry


class Asked(Registry):
    def is_due(self) -> bool:
        return False


def nowhere() -> psycopg.Connection:
    raise AssertionError("nothing here needs the database")


class Committer:
    """Always free, unless a test says otherwise; what is handed over is seen."""

    def __init__(self, stop: threading.Event, expected: int) -> None:
        self.idle = threading.Event()
        self.fault: BaseException | None = None
        self.idle.set()
        self.taken: list[int] = []
        self._stop, self._expected = stop, expected

    def hand_over(self, batch: Intake) -> None:
        self.taken.append(len(batch.messages))
        if sum(self.taken) == self._expected:
            self._stop.set()


def sizes(payloads: list[bytes]) -> list[int]:
    arrived: Arrived = queue.SimpleQueue()
    for payload in payloads:
        arrived.put([Message(TOPIC, payload, False)])
    stop = threading.Event()
    line = Line(
        "test",
        Asked(lambda: 0.0),
        MonthlyKeys(Path("never")),
        timedelta(days=1),
        Vault.with_keys_in(Path("never")),
    )
    committer = Committer(stop, len(payloads))
    Gatherer(arrived, nowhere, line, lambda: datetime.now(UTC), stop).run(committer)
    assert arrived.empty()
    return committer.taken


class Ended:
    fault: BaseException | None = ConnectionError("paho")


def test_a_worker_ends_with_a_thread_of_its_own() -> None:
    stop = threading.Event()
    line = Line(
        "test",
        Asked(lambda: 0.0),
        MonthlyKeys(Path("never")),
        timedelta(days=1),
        Vault.with_keys_in(Path("never")),
    )
    gatherer = Gatherer(Arrived(), nowhere, line, lambda: datetime.now(UTC), stop, [Ended()])
    with pytest.raises(ConnectionError):
        gatherer.run(Committer(stop, 1))


def test_a_batch_ends_with_the_message_that_reaches_16_mib() -> None:
    assert BATCH_BYTES == 16 * 2**20
    half, rest = bytes(BATCH_BYTES // 2), bytes(BATCH_BYTES // 2 - 1)
    assert sizes([half, rest, half, half, half]) == [3, 2]
    assert sizes([bytes(BATCH_BYTES + 1), b"", b""]) == [1, 2], "one that is too big by itself goes alone"


def test_a_batch_ends_with_its_two_thousandth_message() -> None:
    assert sizes([b"x"] * (2 * MESSAGES + 1)) == [MESSAGES, MESSAGES, 1] == [2000, 2000, 1]


def test_what_arrives_while_the_last_batch_commits_is_the_next_batch() -> None:
    arrived: Arrived = queue.SimpleQueue()
    stop = threading.Event()
    line = Line(
        "test",
        Asked(lambda: 0.0),
        MonthlyKeys(Path("never")),
        timedelta(days=1),
        Vault.with_keys_in(Path("never")),
    )
    committer = Committer(stop, 1 + 7)
    gatherer = Gatherer(arrived, nowhere, line, lambda: datetime.now(UTC), stop)
    arrived.put([Message(TOPIC, b"alone", False)])
    handed, whole = threading.Event(), committer.hand_over

    def busy(batch: Intake) -> None:
        committer.idle.clear()
        whole(batch)
        handed.set()

    committer.hand_over = busy  # type: ignore[method-assign]
    thread = threading.Thread(target=gatherer.run, args=(committer,), daemon=True)
    thread.start()
    assert handed.wait(5), "a message that comes alone waits for nothing"
    for number in range(7):
        arrived.put([Message(TOPIC, b"%d" % number, False)])
    committer.idle.set()
    arrived.put([])
    thread.join(5)
    assert sum(committer.taken) == 8 and committer.taken[0] == 1
