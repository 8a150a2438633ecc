"""Gaps in devices' numbers as rows, what is asked again, what goes out, and totals that are true at any moment."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from ingest import accounting, closing, gaps, outbox
from ingest.closing import RANGES, RANGES_LEFT
from tests.documents import DOCS, fences
from tests.integration.lines import NOW, NOW_S, message, pack, registered, take
from tests.servers.databases import Database
from tests.servers.mosquitto import Broker
from tests.servers.waiting import wait_until

GAPS = (
    "SELECT boot, first_seq, last_seq, first_seen, filled_at, asks FROM sequence_gap ORDER BY boot, first_seq"
)
LATER = NOW + gaps.GRACE


@pytest.fixture
def ingest(database: Database) -> str:
    registered(database.service("ingest"))
    return database.service("ingest")


@pytest.fixture
def jobs(database: Database, ingest: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.service("jobs"), autocommit=True) as conn:
        yield conn


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.owner, autocommit=True) as conn:
        yield conn


def send(ingest: str, folder: Path, *numbers: int, boot: int = 1, now: datetime = NOW) -> None:
    take(
        ingest,
        folder,
        [
            message(pack([1.0], seq=seq, boot=boot, start_s=NOW_S - 90_000 * boot - 60 * seq))
            for seq in numbers
        ],
        now,
    )


def follow(conn: psycopg.Connection, now: datetime = LATER) -> list[tuple[Any, ...]]:
    with conn.transaction():
        gaps.step(conn, now)
    return conn.execute(GAPS.encode()).fetchall()


def test_a_gap_is_a_row_from_when_it_was_seen_to_when_it_was_filled(
    ingest: str, jobs: psycopg.Connection, tmp_path: Path
) -> None:
    send(ingest, tmp_path, 1, 2, 9)
    assert follow(jobs, NOW + gaps.GRACE / 2) == [], "it may be on its way by another worker"
    assert follow(jobs) == [(1, 3, 8, NOW, None, 1)]
    then = NOW + timedelta(minutes=5)
    send(ingest, tmp_path, 5, 6, now=then)
    assert follow(jobs, then + gaps.GRACE) == [
        (1, 3, 4, NOW, None, 2), (1, 5, 6, NOW, then, 1), (1, 7, 8, NOW, None, 2)
    ]  # fmt: skip
    last = NOW + timedelta(hours=2)
    send(ingest, tmp_path, 3, 4, 7, 8, 20, now=last)
    found = follow(jobs, last + gaps.GRACE)
    assert [row[1:5] for row in found] == [
        (3, 4, NOW, last), (5, 6, NOW, then), (7, 8, NOW, last), (10, 19, last, None)
    ]  # fmt: skip
    assert follow(jobs, last + gaps.GRACE) == found, "nothing new, nothing done"


def test_a_gap_that_closes_within_the_grace_is_none(
    ingest: str, jobs: psycopg.Connection, tmp_path: Path
) -> None:
    send(ingest, tmp_path, 1, 3)
    send(ingest, tmp_path, 2)
    assert follow(jobs) == []
    send(ingest, tmp_path, 2, boot=2)
    assert follow(jobs) == [(2, 1, 1, NOW, None, 1)], "numbers begin with 1 in every boot"


def test_what_the_batches_left_behind_is_what_is_missing(
    ingest: str, jobs: psycopg.Connection, tmp_path: Path
) -> None:
    """In any order, with repeats, followed at any time: open rows are the gaps, and every gap there was is in some row."""
    for step, numbers in enumerate([(4,), (9, 2), (2, 30, 12), (1,), (3, 10, 11), (31, 5, 29)]):
        now = NOW + timedelta(minutes=step)
        send(ingest, tmp_path, *numbers, now=now)
        if step % 2:
            follow(jobs, now + gaps.GRACE)
        row = jobs.execute(
            "SELECT int8multirange(int8range(1, upper(stored + refused))) - (stored + refused)"
            " = coalesce((SELECT range_agg(int8range(first_seq, last_seq, '[]')) FROM sequence_gap WHERE filled_at IS NULL), '{}')"
            " FROM device_sequence"
        ).fetchone()
        assert row == (True,) or not step % 2


def test_a_boot_of_which_nothing_is_held_has_no_gap(
    database: Database, ingest: str, jobs: psycopg.Connection, tmp_path: Path
) -> None:
    """A pack that could not be read was thought to be number 3 of boot 2, and read again it was another."""
    send(ingest, tmp_path, 1, 3)
    send(ingest, tmp_path, 3, boot=2)
    assert [row[:5] for row in follow(jobs)] == [(1, 2, 2, NOW, None), (2, 1, 2, NOW, None)]
    with psycopg.connect(database.owner) as owner:
        owner.execute("UPDATE device_sequence SET stored = '{}' WHERE boot = 2")
    send(ingest, tmp_path, 5, now=NOW + gaps.GRACE)
    found = follow(jobs, LATER + gaps.GRACE)
    assert [row[:5] for row in found] == [
        (1, 2, 2, NOW, None),
        (1, 4, 4, LATER, None),
        (2, 1, 2, NOW, LATER),
    ]


def test_a_device_is_asked_ever_later_and_then_no_more(
    ingest: str, jobs: psycopg.Connection, tmp_path: Path
) -> None:
    send(ingest, tmp_path, 1, 4, 8)
    now, asked_at = LATER, []
    for _ in range(60):
        follow(jobs, now)
        rows = jobs.execute("DELETE FROM outbox RETURNING topic, body").fetchall()
        if rows:
            asked_at.append(now - LATER)
            assert rows == [
                ("suyuan/v1/coop/room-1/cmd", {"resend": {"boot": 1, "ranges": [[2, 3], [5, 7]]}})
            ]
        now += timedelta(minutes=10)
    assert len(asked_at) == 1 + len(gaps.ASKS)
    assert asked_at == sorted(asked_at) and asked_at[0] == timedelta(0)


def test_the_device_hears_what_is_to_be_sent_again(
    database: Database, ingest: str, jobs: psycopg.Connection, mqtt_broker: Broker, tmp_path: Path
) -> None:
    heard: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    ready = threading.Event()
    device = mqtt.Client(CallbackAPIVersion.VERSION2, "room-1", protocol=mqtt.MQTTv5)
    device.on_message = lambda _client, _data, message: heard.put(json.loads(message.payload))
    device.on_subscribe = lambda *_: ready.set()
    device.connect("127.0.0.1", mqtt_broker.port)
    device.loop_start()
    device.subscribe("suyuan/v1/coop/room-1/cmd", qos=1)
    assert ready.wait(10)
    sender = outbox.Sender(mqtt_broker.url, "outbox-test")
    try:
        send(ingest, tmp_path, 1, 4)
        follow(jobs)
        with jobs.transaction():
            assert outbox.step(jobs, LATER, send=sender.send)
        said = heard.get(timeout=10)
        assert said["resend"] == {"boot": 1, "ranges": [[2, 3]]} and isinstance(said["id"], int)
        assert jobs.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
    finally:
        sender.stop()
        device.disconnect()
        device.loop_stop()


def test_what_the_broker_does_not_take_waits(ingest: str, jobs: psycopg.Connection, tmp_path: Path) -> None:
    send(ingest, tmp_path, 1, 4)
    follow(jobs)
    assert not outbox.step(jobs, LATER, send=lambda _messages: False)
    assert jobs.execute("SELECT count(*) FROM outbox").fetchone() == (1,)


def test_a_devices_account_is_the_same_before_and_after_it_is_folded(
    ingest: str, jobs: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seq in range(1, 8):
        send(ingest, tmp_path, seq)
        send(ingest, tmp_path, seq)
    take(ingest, tmp_path, [message(b"{", device="nobody"), message(pack([9.9], start_s=NOW_S - 90_060))])
    whole = (
        "SELECT device_id, sum(received), sum(stored), sum(duplicate), sum(conflict), sum(quarantined) FROM account"
        " GROUP BY device_id ORDER BY device_id"
    )
    wanted = jobs.execute(whole.encode()).fetchall()
    monkeypatch.setattr(accounting, "FOLDED_AT_ONCE", 4)
    monkeypatch.setattr(accounting, "FOLD_FROM", 1)
    seen = []
    while True:
        seen.append(jobs.execute("SELECT * FROM device_account ORDER BY device_id").fetchall())
        with jobs.transaction():
            if not accounting.step(jobs, NOW):
                break
    assert len(seen) > 3 and all(rows == wanted for rows in seen)
    assert jobs.execute("SELECT count(*) FROM account_unfolded").fetchone() == (0,)
    assert len(wanted) == 2 and all(row[1] == sum(row[2:]) for row in wanted)


def in_twos(owner: psycopg.Connection, ranges: int) -> None:
    """What is held of a device that counts in twos."""
    owner.execute(
        "INSERT INTO device_sequence (device_id, boot, stored) SELECT device.id, 1, numbers FROM device,"
        " (SELECT range_agg(int8range(2 * number - 1, 2 * number)) AS numbers FROM generate_series(1, %s) AS number) AS sent"
        " WHERE external_id = 'room-1'",
        [ranges],
    )


FEWER = RANGES - 10


@pytest.fixture
def every_second(owner: psycopg.Connection, ingest: str) -> int:
    """Nearly as many gaps as a device may have. Returns how many."""
    in_twos(owner, FEWER)
    return FEWER


@pytest.mark.editions("plain")
def test_a_device_that_counts_in_twos_is_followed(
    ingest: str, jobs: psycopg.Connection, tmp_path: Path, every_second: int
) -> None:
    send(ingest, tmp_path, 2 * every_second + 1)
    assert len(follow(jobs)) == every_second
    send(ingest, tmp_path, 2, 2 * every_second + 3, now=LATER)
    found = follow(jobs, LATER + gaps.GRACE)
    assert len(found) == every_second + 1 and sum(row[4] is None for row in found) == every_second


ON_NUMBERS = ("open_gaps_are_the_numbers_that_are_missing", "refused_numbers_are_those_in_quarantine")
INVARIANTS = {fence.after("invariant:"): fence.text for fence in fences(DOCS / "invariants.md")}


def held(conn: psycopg.Connection) -> tuple[Any, ...]:
    """known_from, and how many ranges are stored."""
    row = conn.execute(
        "SELECT known_from, (SELECT count(*) FROM unnest(stored)) FROM device_sequence WHERE boot = 1"
    ).fetchone()
    assert row is not None
    return row


@pytest.mark.editions("plain")
def test_what_is_kept_of_a_devices_numbers_has_an_end(
    owner: psycopg.Connection, ingest: str, jobs: psycopg.Connection, tmp_path: Path, every_second: int
) -> None:
    """Its lowest gaps are given up, its messages never; what its receipt names as held is held, before and after."""
    send(ingest, tmp_path, 2 * every_second + 1)
    follow(jobs)
    assert held(jobs) == (0, every_second + 1)
    send(ingest, tmp_path, *range(2 * every_second + 3, 2 * every_second + 43, 2), now=LATER)
    known_from, ranges = held(jobs)
    assert known_from > 0 and ranges == 1 + RANGES_LEFT, "what is held from 1 on, and the highest"
    found = follow(jobs, LATER + gaps.GRACE)
    given_up = jobs.execute(
        "SELECT max(last_seq), count(*) FROM sequence_gap WHERE given_up_at IS NOT NULL"
    ).fetchone()
    assert given_up is not None and given_up[0] < known_from and given_up[1] + RANGES_LEFT == len(found)
    late = [
        message(pack([5.0], seq=2, start_s=NOW_S - 60)),
        message(b'[{"n":"boot","v":1},{"n":"seq","v":4}]'),
    ]
    ((_, receipt),) = take(ingest, tmp_path, late, LATER).receipts
    assert (receipt.through, receipt.gaps[0]) == (1, (2, known_from)), "one gap, whatever comes of it"
    assert jobs.execute("SELECT count(*) FROM reading_store WHERE value = 5").fetchone() == (1,), (
        "it is stored"
    )
    assert follow(jobs, LATER + 2 * gaps.GRACE)[: len(found)] == found, "and opens nothing anew"
    for name in ON_NUMBERS:
        assert owner.execute(INVARIANTS[name].encode()).fetchall() == []


@pytest.mark.editions("plain")
def test_two_workers_that_give_up_at_once_call_nothing_missing_that_came(
    database: Database, owner: psycopg.Connection, ingest: str
) -> None:
    """The later one has read the row before the other's commit."""
    in_twos(owner, RANGES + 1)
    ((device,),) = owner.execute("SELECT device_id FROM device_sequence").fetchall()
    with psycopg.connect(ingest) as one, psycopg.connect(ingest, autocommit=True) as other:
        one.execute("UPDATE device_sequence SET stored = stored + '{[9001,9002),[9003,9004)}'")
        closing._give_up(one, [(device, 1)])
        second = threading.Thread(target=closing._give_up, args=(other, [(device, 1)]))
        second.start()
        waits = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        assert wait_until(lambda: owner.execute(waits).fetchone() is not None, 10, every_s=0.01)
        one.commit()
        second.join(20)
        assert not second.is_alive()
    first_known = 2 * (RANGES + 3 - RANGES_LEFT)  # the highest of the 2,003 ranges stay
    assert held(owner) == (first_known, 1 + RANGES_LEFT)


@pytest.mark.editions("plain")
def test_the_receipt_of_a_device_of_which_much_is_refused_stays_as_it_was(
    owner: psycopg.Connection, ingest: str, jobs: psycopg.Connection, tmp_path: Path
) -> None:
    """Every second message has a channel that is not registered: no gap, and two long rows."""
    in_twos(owner, RANGES + 1)
    owner.execute(
        "UPDATE device_sequence SET refused = int8multirange(int8range(1, %s)) - stored", [2 * RANGES + 2]
    )
    ((_, receipt),) = take(ingest, tmp_path, [message(pack([1.0], seq=2 * RANGES + 2))]).receipts
    assert (receipt.through, receipt.gaps) == (2 * RANGES + 2, ())
    ((_, receipt),) = take(ingest, tmp_path, [message(pack([1.0], seq=2 * RANGES + 3))]).receipts
    assert (receipt.through, receipt.gaps) == (2 * RANGES + 3, ())
    known_from, ranges = held(jobs)
    assert known_from > 2 * RANGES_LEFT and ranges <= RANGES_LEFT + 1


@pytest.mark.editions("plain")
def test_a_device_is_not_flooded_with_requests(
    ingest: str, jobs: psycopg.Connection, tmp_path: Path, every_second: int
) -> None:
    send(ingest, tmp_path, 2 * every_second + 1)
    while True:
        with jobs.transaction():
            if not gaps.step(jobs, LATER):
                break
    bodies = [body for (body,) in jobs.execute("SELECT body FROM outbox ORDER BY id").fetchall()]
    assert [len(body["resend"]["ranges"]) for body in bodies] == [gaps.RANGES]
    follow(jobs, LATER + gaps.ASKS[0])
    (body,) = jobs.execute("SELECT body FROM outbox ORDER BY id DESC LIMIT 1").fetchone() or ()
    assert body["resend"]["ranges"] != bodies[0]["resend"]["ranges"], "others have their turn"


@pytest.mark.editions("plain")
def test_a_receipt_has_an_end(ingest: str, tmp_path: Path, every_second: int) -> None:
    ((_, receipt),) = take(
        ingest, tmp_path, [message(pack([1.0], seq=2 * every_second + 1, start_s=NOW_S - 60))]
    ).receipts
    assert receipt.through == 1 and receipt.gaps[:2] == ((2, 2), (4, 4))
    assert 0 < len(receipt.gaps) <= 200
