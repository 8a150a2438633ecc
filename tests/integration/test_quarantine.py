"""Quarantine: its replay down the same line, its budget, and what a person sees of it; on both editions, as ingest's role."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ingest import decoding, pipeline
from ingest.admission import window_at
from ingest.budget import Budget
from ingest.intake import Intake, Routes
from ingest.pipeline import Message
from ingest.registry import load, parse_registry
from ingest.replay import Choice, Replayed, chosen, replay
from ingest.sparkplug import taking
from ingest.sparkplug.stored import KnownBirths
from tests.documents import invariants
from tests.integration.lines import (
    NOW,
    NOW_S,
    REGISTRY,
    account,
    adds_up,
    harvest,
    line,
    message,
    pack,
    registered,
)
from tests.integration.running import suyuan
from tests.servers.databases import Database
from tests.unit.ingest.wire.sparkplug_writing import metric, payload

LATER = NOW + timedelta(days=3)
HELD = [
    invariants()[name]
    for name in (
        "account_adds_up",
        "every_message_is_accounted_for",
        "what_is_accounted_as_stored_is_there",
        "what_is_accounted_as_refused_is_in_quarantine",
        "refused_numbers_are_those_in_quarantine",
        "a_replay_is_of_the_moment_it_came",
        "measuring_times_are_possible",
    )
]


@dataclasses.dataclass
class Place:
    """A database with the small registry in it, and a folder for keys."""

    database: Database
    folder: Path

    @property
    def ingest(self) -> str:
        return self.database.service("ingest")

    def take(self, *messages: Message, budget: Budget | None = None) -> None:
        with psycopg.connect(self.ingest) as conn:
            pipeline.run(
                conn, dataclasses.replace(line(self.folder), budget=budget or Budget()), messages, NOW
            )
        self.holds()

    def replay(self, choice: Choice | None = None) -> Replayed:
        result = Replayed()
        with psycopg.connect(self.ingest, autocommit=True) as conn:
            for each in replay(conn, line(self.folder), chosen(conn, choice or Choice()), LATER):
                result.add(each)
                self.holds()
        return result

    def register(self, device: dict[str, Any]) -> None:
        with psycopg.connect(self.ingest) as conn:
            load(conn, parse_registry(json.dumps(REGISTRY | {"devices": [device]})))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database.owner) as conn:
            return conn.execute(query.encode()).fetchall()

    def holds(self) -> None:
        for query in HELD:
            assert self.rows(query) == [], query

    @property
    def open(self) -> list[tuple[Any, ...]]:
        return self.rows("SELECT reason, records FROM quarantine_open ORDER BY id")


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Place:
    registered(database.service("ingest"))
    return Place(database, tmp_path)


HUMID = {
    "id": "room-1", "organisation": "coop", "giai": "https://id.gs1.org/8004/95212340ROOM1", "model": "T1", "accuracy_c": 0.3,
    "interval_s": 60,
    "channels": [{"channel": "ambient", "quantity": "temperature", "unit": "Cel"}, {"channel": "humidity", "quantity": "humidity", "unit": "%RH"}],
}  # fmt: skip
ROOM_9 = HUMID | {"id": "room-9", "giai": "https://id.gs1.org/8004/95212340ROOM9"}
PARTLY = json.dumps(
    [
        {"n": "boot", "v": 1}, {"n": "seq", "v": 1}, {"n": "sent", "v": NOW_S},
        {"bt": NOW_S - 60, "n": "ambient", "u": "Cel", "v": 2.5},
        {"n": "humidity", "u": "%RH", "v": 91}, {"n": "humidity", "u": "%RH", "v": 92, "t": 1},
        {"n": "ambient", "u": "K", "v": 275, "t": 2},
    ]
).encode()  # fmt: skip


def test_a_device_that_was_registered_later(place: Place) -> None:
    """Also: a relative time means what it meant when the message came."""
    relative = json.dumps([{"n": "ambient", "u": "Cel", "v": 2.5, "t": -60}]).encode()
    place.take(message(pack([2.5, 2.6]), device="room-9"), message(relative, device="room-9"))
    assert place.replay().unchanged == 2 and place.open == [("unknown_device", 2), ("unknown_device", 1)]
    place.register(ROOM_9)
    first = place.replay()
    assert (first.taken, first.reasons, first.rows) == (2, {}, [1, 2])
    assert place.rows("SELECT extract(epoch FROM max(time))::bigint FROM reading_store") == [
        (int(NOW_S) - 60,)
    ]
    assert account(place.ingest) == {
        "received": 3,
        "stored": 3,
        "duplicate": 0,
        "conflict": 0,
        "quarantined": 0,
    }
    assert place.rows("SELECT stored::text, refused::text FROM device_sequence") == [("{[1,2)}", "{}")]
    assert place.replay().rows == [], "replayed is replayed"
    assert place.rows("SELECT count(*) FROM quarantine") == [(2,)], "no row is ever deleted"
    assert place.rows("SELECT DISTINCT replayed_at, outcome FROM quarantine_replay") == [(LATER, "taken")]
    assert place.rows("SELECT DISTINCT created_at FROM mark") == [(LATER,)], (
        "a seal waits until it is quiet now"
    )
    assert place.rows("SELECT count(*) FROM mark WHERE consumer = 'detection'") == [(1,)], (
        "what follows a commit follows"
    )


def test_a_partly_refused_pack(place: Place) -> None:
    """One reason is mended, the other is not: what stood is a duplicate, what is mended is stored, the rest keeps a row."""
    place.take(message(PARTLY))
    assert place.open == [("unknown_channel", 2), ("wrong_unit", 1)]
    place.register(HUMID)
    (row,) = place.rows("SELECT id FROM quarantine WHERE reason = 'unknown_channel'")
    found = place.replay(Choice(ids=row))
    assert (found.partly, found.reasons, found.rows) == (2, {"wrong_unit": 1}, [1, 2]), (
        "a message goes down the line once"
    )
    assert place.open == [("wrong_unit", 1)]
    assert account(place.ingest) == {
        "received": 5,
        "stored": 3,
        "duplicate": 1,
        "conflict": 0,
        "quarantined": 1,
    }
    assert place.rows("SELECT stored::text, refused::text FROM device_sequence") == [("{[1,2)}", "{[1,2)}")]
    before = place.rows("SELECT count(*) FROM batch")
    assert place.replay().unchanged == 1 and place.rows("SELECT count(*) FROM batch") == before


def test_a_message_is_replayed_as_of_its_own_moment_and_not_its_batchs(place: Place) -> None:
    """A batch gathers for as long as the last one commits; what has relative times and no `sent` rests on the message's moment."""
    said = [{"n": "ambient", "v": 2.5, "t": -60}, {"n": "humidity", "v": 91, "t": -60}]
    worker = line(place.folder)
    batch, routes = Intake(NOW, worker.retention), Routes(worker.registry, worker.profiles)
    with psycopg.connect(place.ingest) as conn:
        worker.registry.read(conn)
        for seconds in (0, 3):
            window = window_at(NOW + timedelta(seconds=seconds), worker.retention)
            batch.take(message(json.dumps(said).encode()), worker.registry, routes, window, lambda: None)
        conn.commit()
        pipeline.commit(conn, worker, batch)
    place.register(HUMID)
    assert place.replay().taken == 2
    assert account(place.ingest) == {
        "received": 6,
        "stored": 4,
        "duplicate": 2,
        "conflict": 0,
        "quarantined": 0,
    }
    assert place.rows("SELECT count(DISTINCT time) FROM reading_store") == [(2,)]


def test_equal_messages_of_one_batch_count_as_often_as_they_came(place: Place) -> None:
    place.take(*[message(pack([2.5]), device="room-9")] * 3)
    place.register(ROOM_9)
    assert place.replay().taken == 3
    assert account(place.ingest) == {
        "received": 3,
        "stored": 1,
        "duplicate": 2,
        "conflict": 0,
        "quarantined": 0,
    }


def test_a_conflict_is_found_again(place: Place) -> None:
    place.take(message(pack([2.5])))
    place.take(message(pack([9.9], seq=2)))
    found = place.replay(Choice(reason="conflict"))
    assert (found.unchanged, found.reasons) == (1, {"conflict": 1})
    assert place.open == [("conflict", 1)] and account(place.ingest)["conflict"] == 1


def test_a_number_is_refused_while_any_row_of_it_is_open(place: Place) -> None:
    """The device sent the same number with two payloads; one of them can be mended."""
    place.take(message(pack([1.0], channel="humidity")))
    place.take(message(pack([1.0])[:-9]))
    place.register(HUMID)
    wrong_unit = place.replay(Choice(reason="unknown_channel"))
    assert wrong_unit.refused == 1 and place.open == [("truncated", 1), ("wrong_unit", 1)]
    assert place.rows("SELECT stored::text, refused::text FROM device_sequence") == [("{}", "{[1,2)}")]


def test_a_number_that_was_another_messages_is_a_gap(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that failed took 2 for the message's number, and once it was mended reads 3."""
    place.take(message(pack([1.0], seq=1)))
    with monkeypatch.context() as failing:
        failing.setattr("ingest.wire.senml.decode", lambda *_: {}[0])
        failing.setattr("ingest.wire.senml.identity_of_unreadable", lambda _: (1, 2))
        place.take(message(pack([2.0], seq=3, start_s=NOW_S - 60)))
    assert place.replay().taken == 1
    assert place.rows("SELECT stored::text, refused::text FROM device_sequence") == [("{[1,2),[3,4)}", "{}")]
    assert (LATER,) in place.rows("SELECT created_at FROM sequence_mark"), "the device is asked for 2"


def test_an_event_whose_recording_failed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = message(
        json.dumps(harvest("urn:uuid:0e1c7d36-5f1e-4b7e-9d0a-4a7f3c0c8a11")).encode(), kind="events"
    )
    with monkeypatch.context() as broken:
        for name in ("record_all", "record"):
            broken.setattr(pipeline, name, lambda *_, **__: 1 / 0)
        place.take(sent)
    assert place.open == [("decoder_fault", 1)]
    assert place.replay().taken == 1
    assert place.rows("SELECT received_at FROM event") == [(NOW,)], "recorded as of when it came"
    place.take(sent)
    assert account(place.ingest) == {
        "received": 2,
        "stored": 1,
        "duplicate": 1,
        "conflict": 0,
        "quarantined": 0,
    }


def test_old_readings_are_taken_once_the_retention_is_longer(place: Place) -> None:
    place.take(
        message(pack([2.5], start_s=NOW_S - 1200 * 86400)), message(pack([3.5], start_s=0.0, sent_s=0, seq=2))
    )
    assert place.open == [("beyond_retention", 1), ("impossible_time", 1)]
    with psycopg.connect(place.ingest, autocommit=True) as conn:
        longer = dataclasses.replace(line(place.folder), retention=timedelta(days=2000))
        results = list(replay(conn, longer, chosen(conn, Choice()), LATER))
    assert [(each.taken, each.unchanged) for each in results] == [(1, 1)]
    place.holds()


def test_a_sparkplug_message_waits_for_the_birth_that_reads_it(place: Place) -> None:
    """And is taken in part, where the birth is there and a channel is not."""
    probe = {
        "scheme": "sparkplug", "id": "plant/gw1", "organisation": "coop", "giai": "https://id.gs1.org/8004/95212340GW1",
        "model": "edge", "interval_s": 60, "channels": [{"channel": "pulp", "quantity": "temperature", "unit": "Cel"}],
    }  # fmt: skip
    place.register(probe)

    def hear(kind: str, *metrics: bytes, seq: int, at_ms: int) -> None:
        said = Message(
            f"spBv1.0/plant/{kind}/gw1".encode(),
            payload(*metrics, timestamp=at_ms, seq=seq),
            redelivered=False,
        )
        with psycopg.connect(place.ingest) as conn:
            taking.take(conn, line(place.folder), [said], NOW, KnownBirths())
        place.holds()

    at_ms = round(NOW_S * 1000) - 60_000
    both = (metric(None, 2.5, "Double", alias=1), metric(None, 91.0, "Double", alias=2))
    hear("NDATA", *both, seq=4, at_ms=at_ms)
    place.take(refused(2))
    found = place.replay()
    assert (found.taken, found.unchanged) == (0, 2) and place.open[0] == ("before_birth", 2)
    names = (metric("pulp", 3.0, "Double", alias=1), metric("humid", 90.0, "Double", alias=2))
    hear("NBIRTH", *names, seq=0, at_ms=at_ms + 5)
    place.register(HUMID | {"channels": [{"channel": "humidity", "quantity": "temperature", "unit": "Cel"}]})
    found = place.replay(Choice(reason="before_birth"))
    assert (found.partly, found.reasons) == (1, {"unknown_channel": 1})
    assert place.rows("SELECT value FROM reading_store WHERE value = 2.5") == [(2.5,)]
    assert ("unknown_channel", 1) in place.open and place.replay().taken == 1


def test_a_crash_leaves_whole_batches_done_and_the_rest_open(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 4):
        place.take(message(pack([2.5], seq=number, start_s=NOW_S - 60 * number), device="room-9"))
    place.register(ROOM_9)
    killed = psycopg.connect(place.ingest, autocommit=True)
    steps = replay(killed, line(place.folder), chosen(killed, Choice()), LATER)
    assert next(steps).taken == 1
    # In the middle of the second: everything is written and nothing committed.
    write = pipeline.write_again

    def dies(*arguments: Any) -> None:
        write(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(pipeline, "write_again", dies)
        with pytest.raises(KeyboardInterrupt):
            next(steps)
    killed.close()
    place.holds()
    assert len(place.open) == 2
    assert place.replay().taken == 2 and place.open == []
    assert account(place.ingest)["stored"] == 3


def test_two_at_once_take_each_row_once(place: Place) -> None:
    for number in range(1, 13):
        place.take(message(pack([2.5], seq=number, start_s=NOW_S - 60 * number), device="room-9"))
    place.register(ROOM_9)
    results = [Replayed(), Replayed()]

    def work(result: Replayed, batches: Sequence[Sequence[int]]) -> None:
        with psycopg.connect(place.ingest, autocommit=True) as conn:
            for each in replay(conn, line(place.folder), batches, LATER):
                result.add(each)

    with psycopg.connect(place.ingest, autocommit=True) as conn:
        batches = chosen(conn, Choice())
    threads = [threading.Thread(target=work, args=(result, batches)) for result in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    place.holds()
    assert sum(result.taken for result in results) == 12 and place.open == []


# --- the budget -------------------------------------------------------------------------------------------------------


def refused(seq: int, device: str = "room-1", organisation: str = "coop") -> Message:
    return message(pack([1.0, 2.0], seq=seq, channel="humidity"), device=device, organisation=organisation)


def test_beyond_the_budget_messages_are_counted_and_let_go(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.take(*(refused(seq) for seq in range(1, 4)), budget=Budget(rows=2))
    place.take(message(pack([2.5], seq=4)), refused(5), budget=Budget(rows=2))
    assert place.rows(
        "SELECT kept_rows, let_go_messages, let_go_records, last_reason FROM quarantine_day WHERE device_id <> 0"
    ) == [(2, 2, 4, "unknown_channel")]
    assert caplog.messages.count("beyond the budget of quarantine") == 1, "and not with every batch"
    assert place.rows("SELECT refused::text, let_go::text FROM device_sequence") == [
        ("{[1,4),[5,6)}", "{[3,4),[5,6)}")
    ]
    found = account(place.ingest)
    assert adds_up(found) and found["quarantined"] == 8, "what was let go is counted as quarantined"
    place.register(HUMID | {"channels": [{"channel": "humidity", "quantity": "temperature", "unit": "Cel"}]})
    assert place.replay().taken == 2
    assert place.rows("SELECT refused::text FROM device_sequence") == [("{[3,4),[5,6)}",)], (
        "lost is not gained by a replay"
    )


def test_budgets_are_of_a_device_and_in_bytes(place: Place) -> None:
    small = Budget(size_bytes=len(refused(1).payload) * 2 - 1)
    place.take(refused(1), refused(2), message(pack([1.0], channel="x"), "truck-1", "carrier"), budget=small)
    assert place.rows("SELECT kept_rows, let_go_messages FROM quarantine_day ORDER BY device_id") == [
        (1, 1),
        (1, 0),
    ]


def test_strangers_share_a_budget_and_cannot_make_themselves_another(place: Place) -> None:
    strangers = [refused(1, f"room-{n}", f"nobody-{n}") for n in range(9)] + [
        refused(1, "room-77"),
        refused(1, "room-78"),
    ]
    place.take(*strangers, budget=Budget(rows=1))
    assert place.rows("SELECT organisation, kept_rows, let_go_messages FROM quarantine_day ORDER BY 1") == [
        ("", 1, 8),
        ("coop", 1, 1),
    ]


def test_workers_at_once_keep_no_more_than_the_budget(place: Place) -> None:
    messages = [[refused(100 * worker + seq) for seq in range(1, 31)] for worker in range(3)]

    def work(mine: list[Message]) -> None:
        with psycopg.connect(place.ingest) as conn:
            for each in mine:
                pipeline.run(
                    conn, dataclasses.replace(line(place.folder), budget=Budget(rows=40)), [each], NOW
                )

    threads = [threading.Thread(target=work, args=(mine,)) for mine in messages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    place.holds()
    assert place.rows("SELECT kept_rows, let_go_messages FROM quarantine_day") == [(40, 50)]
    assert place.rows("SELECT count(*) FROM quarantine") == [(40,)]


# --- the command --------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(place: Place) -> Any:
    environment = {
        "SUYUAN_DATABASE_URL": place.ingest,
        "SUYUAN_DATA_DIR": str(place.folder),
        "COLUMNS": "200",
    }

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return suyuan(environment | more, "quarantine", *arguments)

    return run


@pytest.mark.editions("plain")
def test_the_command_lists_shows_and_replays(
    place: Place, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyed = line(place.folder / "keys")
    broken = {b"broken": True}
    decode = decoding.senml.decode

    def fails(payload: bytes, *rest: Any) -> Any:
        if broken and b"77.5" in payload:
            raise ZeroDivisionError("our fault")
        return decode(payload, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(decoding.senml, "decode", fails)
        # `quick` reads an ordinary pack by itself, so the pack is no ordinary one.
        odd = pack([77.5]).replace(b'"n": "ambient"', b'"n": "ambient", "ut": 60')
        with psycopg.connect(place.ingest) as conn:
            pipeline.run(conn, keyed, [message(odd), refused(2)], NOW)
    listed = json.loads(command("list", "--json").stdout)
    assert {row["reason"]: row["rows"] for row in listed["reasons"]} == {
        "decoder_fault": 1,
        "unknown_channel": 1,
    }
    shown = command(
        "list",
        "--reason",
        "decoder_fault",
        "--device",
        "room-1",
        "--organisation",
        "coop",
        "--since",
        "2026-06-20",
    )
    assert "our fault" in shown.stdout and "unknown_channel" not in shown.stdout
    assert "Nothing lies there" in command("list", "--until", "2026-06-20").stdout
    (row,) = (each["id"] for each in listed["rows"] if each["reason"] == "decoder_fault")
    seen = command("show", str(row)).stdout
    assert '{"n": "ambient", "ut": 60' in seen and "-> a fault of ours" in seen
    without = command("show", str(row), SUYUAN_DATA_DIR=str(place.folder / "elsewhere"))
    assert "is missing" in without.stdout and "77.5" not in without.stdout, (
        "the database alone tells nobody what was sent"
    )
    assert command("replay").returncode == 2, "never everything by omission"
    done = command("replay", "--all", "--json")
    assert (done.returncode, json.loads(done.stdout)["taken"], json.loads(done.stdout)["reasons"]) == (
        1,
        1,
        {"unknown_channel": 2},
    )
    again = command("replay", str(row))
    assert again.returncode == 0 and "not replayed again" in again.stdout
    assert "taken" in command("list", "--state", "replayed").stdout
    assert command("show", "999").returncode == 1
    place.holds()


@pytest.mark.editions("plain")
def test_what_was_mistyped_is_no_empty_quarantine(place: Place, command: Any) -> None:
    with psycopg.connect(place.ingest) as conn:
        pipeline.run(conn, line(place.folder / "keys"), [refused(1), refused(2)], NOW)
    detail = json.loads(command("list", "--json").stdout)["rows"][0]["detail"]
    assert detail in command("list", COLUMNS="40").stdout, "whole, however narrow the terminal"
    for arguments, said in (
        (("replay", "1", "998", "999"), "no row 998, 999"),
        (("replay", "--reason", "unknown_chanel"), "ever refused as 'unknown_chanel'"),
        (("list", "--reason", "unknown_chanel"), "ever refused as 'unknown_chanel'"),
    ):
        done = command(*arguments)
        assert done.returncode == 1 and said in done.stderr, arguments
    assert command("show", "99999999999999999999").returncode == 2
    assert "of what was asked for" in command("list", "--reason", "wrong_unit").stdout
    without = command("replay", "--all", SUYUAN_DATA_DIR=str(place.folder / "elsewhere"))
    assert without.returncode == 1 and without.stdout.count("is missing") == 1, "said once for all of them"
    assert place.open == [("unknown_channel", 2), ("unknown_channel", 2)]


@pytest.mark.editions("plain")
def test_a_key_that_was_thrown_away_is_gone(place: Place, command: Any) -> None:
    with psycopg.connect(place.ingest) as conn:
        pipeline.run(conn, line(place.folder / "keys"), [refused(1)], NOW)
    key = place.folder / "keys" / "quarantine-2026-06.key"
    assert "No month is old enough" in command("forget", SUYUAN_QUARANTINE_MONTHS="1200").stdout
    assert command("forget", "--before", "2026-07").returncode == 1 and key.stat().st_size == 32, "it asks"
    assert "threw away the key of 2026-06" in command("forget", "--before", "2026-07", "--yes").stdout
    assert key.stat().st_size == 0
    assert "was thrown away" in command("show", "1").stdout
    place.register(HUMID)
    done = command("replay", "--all")
    assert done.returncode == 1 and "was thrown away" in done.stdout
    place.holds()
    assert place.open == [("unknown_channel", 2)]


def test_other_roles_do_not_look_into_it(place: Place) -> None:
    for role in ("api", "public", "sequencer", "jobs"):
        with (
            psycopg.connect(place.database.service(role)) as conn,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            conn.execute("SELECT FROM quarantine_open")
    place.take(refused(1))
    with psycopg.connect(place.database.service("jobs")) as conn:
        assert conn.execute("SELECT reason, rows, records FROM quarantine_count").fetchall() == [
            ("unknown_channel", 1, 2)
        ]
