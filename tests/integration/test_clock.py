"""The device's time, ours, and the corrected one: samples in the line, a model beside it, and what it is used for."""

from __future__ import annotations

import dataclasses
import json
import struct
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ingest.clock import Samples
from ingest.pipeline import Line, Message
from tests.acceptance.instance import Instance
from tests.integration.lines import NOW, NOW_S, account, adds_up, harvest, message, pack
from tests.integration.said import REGISTRY, by_terminal, made, placed
from tests.servers.databases import Database
from tests.servers.session import Servers

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
FAST_S = 2 * 3600.0


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    made = Instance(database, tmp_path)
    made.register(REGISTRY)
    return made


def sampling(instance: Instance) -> Line:
    """A worker as the service makes it; its registry is asked at every batch."""
    worker = dataclasses.replace(instance.worker(), samples=Samples())
    worker.registry._refresh_s = 0.0
    return worker


def said(at: datetime, seq: int, ahead_s: float, measured_s: float = -30.0, **more: Any) -> Message:
    """A pack that leaves the room's sensor at `at`, whose clock is ahead; one reading, measured before."""
    clock_s = at.timestamp() + ahead_s
    return message(pack([4.0], seq=seq, start_s=clock_s + measured_s, sent_s=clock_s, **more))


def fast_device(instance: Instance, worker: Line, packs: int = 4) -> datetime:
    """A clock two hours fast, heard every half hour until `NOW`; returns when it was last heard."""
    at = NOW - 31 * MINUTE * packs
    for seq in range(1, packs + 1):
        at += 31 * MINUTE
        instance.take([said(at, seq, FAST_S)], at + timedelta(milliseconds=300), worker)
    instance.settle(at, consumers=("clock",))
    return at


CLOCKS = "SELECT round(offset_ms)::bigint, drift_ppm, samples, lower_inf(valid), upper_inf(valid) FROM device_clock ORDER BY first_at"


def test_what_messages_say_of_their_clock_becomes_a_model(instance: Instance) -> None:
    worker = sampling(instance)
    fast_device(instance, worker)
    assert instance.rows(CLOCKS) == [(-7_199_700, 0.0, 4, True, True)]
    sent = said(NOW - HOUR, 5, FAST_S)
    late = Message(sent.topic, sent.payload, redelivered=True)
    instance.take([late], NOW + HOUR, worker)
    assert instance.one("SELECT count(*) FROM clock_sample") == 4, "what the broker sent again waited with it"
    instance.take([said(NOW - 31 * MINUTE * 2, 3, FAST_S)], NOW + 2 * HOUR, worker)
    assert instance.one("SELECT count(*) FROM clock_sample") == 4, "and so did what is stored already"


def test_a_known_clock_may_be_five_minutes_ahead_and_no_more(instance: Instance) -> None:
    worker = sampling(instance)
    instance.take([said(NOW - 3 * HOUR, 99, 20 * 3600.0, boot=7)], NOW - 3 * HOUR)  # nothing is known: a day
    assert account(instance.database.owner)["quarantined"] == 0
    now = fast_device(instance, worker)
    good = said(now, 5, FAST_S, measured_s=240.0)
    event = harvest("urn:uuid:ahead") | {"eventTime": (now + 3 * HOUR).isoformat()}
    bad = [said(now, 6, FAST_S, measured_s=360.0), said(now, 7, FAST_S + 400.0), *by_terminal(event)]
    instance.take([good, *bad], now, worker)
    refused = instance.rows("SELECT reason, seq, detail FROM quarantine ORDER BY seq NULLS LAST")
    assert [row[:2] for row in refused] == [
        ("impossible_time", 6), ("impossible_time", 7), ("impossible_time", None)
    ]  # fmt: skip
    assert "126.0 minutes ahead of our clock, this device's clock can be 125.0 at most" in refused[0][2]
    assert adds_up(account(instance.database.owner))


def test_a_clock_that_is_set_is_followed(instance: Instance) -> None:
    """Right again: taken at once. Further ahead: refused, until its messages have said so; nothing is lost for it."""
    worker = sampling(instance)
    at = fast_device(instance, worker) + 5 * MINUTE
    instance.take([said(at, 5, 0.0), said(at, 6, FAST_S, measured_s=0.0)], at, worker)
    assert account(instance.database.owner)["quarantined"] == 0
    instance.take([said(at + MINUTE, 7, 3 * 3600.0)], at + 2 * MINUTE, worker)
    assert instance.rows("SELECT seq, reason FROM quarantine") == [(7, "impossible_time")]
    instance.settle(at + 3 * MINUTE, consumers=("clock",))
    instance.take([said(at + 4 * MINUTE, 8, 3 * 3600.0)], at + 4 * MINUTE, worker)
    assert instance.one("SELECT count(*) FROM quarantine") == 1


def test_a_reading_has_its_own_time_and_the_corrected_one(instance: Instance) -> None:
    worker = sampling(instance)
    at = fast_device(instance, worker, packs=8)
    for seq in range(9, 13):  # set right, which for its clock is two hours back
        at += 31 * MINUTE
        instance.take([said(at, seq, 0.0)], at + timedelta(milliseconds=300), worker)
    instance.settle(at, consumers=("clock",))
    query = "SELECT time, corrected_at, clock_certain FROM reading_corrected JOIN device ON device.id = device_id ORDER BY corrected_at"
    with instance.as_role("api") as conn:
        assert conn.execute(query.encode()).fetchall() == [], "no organisation is named"
        conn.execute("SELECT set_config('suyuan.org', 'coop', false)")
        rows = conn.execute(query.encode()).fetchall()
        plain = conn.execute("SELECT count(*) FROM reading").fetchone()
    assert plain == (len(rows),) == (12,)
    begun = NOW - 31 * MINUTE * 7
    for place, (time, corrected, certain) in enumerate(rows):
        true = begun + place * 31 * MINUTE - timedelta(seconds=30)
        assert abs(corrected - true) < timedelta(seconds=1)
        assert time == true + (timedelta(seconds=FAST_S) if place < 8 else timedelta(0)), "never rewritten"
        assert not certain or place < 8
    assert {certain for _, _, certain in rows} == {True, False}, "the clock showed two hours twice"


def test_the_model_can_be_dropped_and_made_again(instance: Instance) -> None:
    worker, chance = sampling(instance), Random(4)
    at, seq = NOW - timedelta(days=20), 0
    for ahead_s in (0.0, -4000.0, 90.0, 700.0):
        for _ in range(chance.randint(60, 200)):
            at, seq = at + 31 * MINUTE, seq + 1
            delay = timedelta(milliseconds=chance.randint(5, 900))
            instance.take([said(at, seq, ahead_s)], at + delay, worker)
            if chance.random() < 0.1:
                instance.settle(at, consumers=("clock",))
    instance.settle(at, consumers=("clock",))
    kept = "SELECT device_id, valid, anchor, offset_ms, drift_ppm, seen, first_at, last_at, samples FROM device_clock ORDER BY first_at"
    before = instance.rows(kept)
    assert len(before) >= 4
    with instance.as_role("jobs") as conn:
        conn.execute("DELETE FROM device_clock")
        conn.execute("UPDATE clock_sample SET fitted = false")
    instance.settle(at, consumers=("clock",))
    assert instance.rows(kept) == before


IMPOSSIBLE = {
    "milliseconds": (NOW_S * 1000, "counts milliseconds since 1970"),
    "microseconds": (NOW_S * 1e6, "counts microseconds since 1970"),
    "thousandth": (NOW_S / 1000, "is a thousandth of a time of now"),
    "1970": (2.0**28 + 1, "before 2015"),
    "2199": (7_226_582_400.0, "more than a day ahead"),
    "2e14": (2e14, "more than a day ahead"),
}


@pytest.mark.parametrize("start_s", [each[0] for each in IMPOSSIBLE.values()], ids=list(IMPOSSIBLE))
def test_an_impossible_time_is_refused_by_name_and_makes_no_chunk(instance: Instance, start_s: float) -> None:
    (told,) = [words for value, words in IMPOSSIBLE.values() if value == start_s]
    instance.take([message(pack([4.0], seq=1))], NOW)
    chunks = "SELECT show_chunks('reading_store')::text ORDER BY 1"
    timescale = instance.database.edition != "plain"
    before = instance.rows(chunks) if timescale else []
    mixed = json.loads(pack([4.0], seq=2, start_s=NOW_S - 60))
    mixed.append({"n": "ambient", "u": "Cel", "t": start_s, "v": 5.0})
    as_sent = [{"n": "boot", "v": 1}, {"n": "seq", "v": 3}, {"n": "sent", "v": start_s}, {"n": "ambient", "v": 4.0, "t": NOW_S}]  # fmt: skip
    instance.take([message(json.dumps(each).encode()) for each in (mixed, as_sent)], NOW)
    refused = instance.rows("SELECT seq, reason, detail FROM quarantine ORDER BY seq")
    assert [row[:2] for row in refused] == [(2, "impossible_time"), (3, "impossible_time")]
    assert told in refused[0][2]
    assert instance.one("SELECT count(*) FROM reading_store") == 2, "its neighbour in the pack is stored"
    assert (instance.rows(chunks) if timescale else []) == before
    assert adds_up(account(instance.database.owner))


# --- late and out of order is normal ----------------------------------------------------------------------------------

BEGUN = NOW - 20 * HOUR


def day_of_the_room() -> list[Message]:
    """A pack every ten minutes for eighteen hours, with two warm stretches, one over an hour's end."""
    packs = []
    for seq in range(1, 109):
        start = BEGUN + (seq - 1) * 10 * MINUTE
        warm = 30 <= seq < 36 or 70 <= seq < 73
        values = [(9.0 if warm else 2.0) + place / 100 + seq / 1000 for place in range(10)]
        packs.append(
            message(
                pack(
                    values,
                    seq=seq,
                    start_s=start.timestamp(),
                    sent_s=(start + 10 * MINUTE).timestamp(),
                )
            )
        )
    return packs


OUTCOMES = {
    "excursions": "SELECT external_id, channel, limit_id, state, start_time, trigger_time, end_time, closed_by, extreme, minutes_at_least,"
    " minutes_at_most, degree_minutes FROM excursion JOIN series ON series.id = series_id JOIN device ON device.id = device_id"
    " WHERE state IN ('open', 'closed') ORDER BY 1, 2, 3, 5",
    "roll-ups": "SELECT external_id, channel, hour, n, total, reading_1h.minimum, reading_1h.maximum, first_at, last_at FROM reading_1h"
    " JOIN series ON series.id = series_id JOIN device ON device.id = device_id ORDER BY 1, 2, 3",
}


def sealed(instance: Instance) -> list[tuple[Any, ...]]:
    """The last version of each window: its hour, how many readings, and of what times."""
    rows = instance.rows(
        "SELECT DISTINCT ON (device_id, start_time) external_id, start_time, readings, leaf_keys FROM sealed_window"
        " JOIN device ON device.id = device_id ORDER BY device_id, start_time, version DESC"
    )
    return [
        (*row[:3], sorted(struct.unpack_from(">q", row[3], at + 16) for at in range(0, len(row[3]), 24)))
        for row in rows
    ]


def test_a_day_that_comes_late_and_shuffled_ends_as_one_that_came_in_order(
    servers: Servers, instance: Instance, tmp_path: Path
) -> None:
    """Excursions, roll-ups and seals; what was sealed before the rest came is amended."""
    told = by_terminal(made(20), placed(20))
    instance.take(told, NOW - 19 * HOUR)
    for packed in day_of_the_room():
        sent_s = json.loads(packed.payload)[2]["v"]
        instance.take([packed], NOW + timedelta(seconds=sent_s - NOW_S))
    instance.settle(NOW)

    with servers.template(instance.database.edition).clone() as other:
        mixed = Instance(other, tmp_path / "mixed")
        mixed.register(REGISTRY)
        mixed.take(told, NOW - 19 * HOUR)
        late = day_of_the_room()
        Random(4).shuffle(late)
        for place in range(0, len(late), 18):
            now = NOW + place * MINUTE
            mixed.take(late[place : place + 18], now)
            mixed.settle(now + 3 * MINUTE)
        mixed.settle(NOW + 2 * HOUR)
        for what, query in OUTCOMES.items():
            assert mixed.rows(query) == instance.rows(query) != [], what
        assert sealed(mixed) == sealed(instance) != []
        assert mixed.one("SELECT count(*) FROM sealed_window WHERE version > 1") > 0, "late for a seal, too"
        assert adds_up(account(other.owner))
