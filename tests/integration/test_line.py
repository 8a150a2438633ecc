"""The line at the level of batches, on both editions, as ingest's own role: what goes in, where it ends, what adds up."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import pytest

from ingest import admission, decoding, rollups
from ingest.admission import window_at
from ingest.faults import FEW
from ingest.intake import Intake, Readings, Routes
from ingest.pipeline import FEW_READINGS, Message, commit, run
from ingest.readings import RowsLost
from ingest.registry import Registry
from tests.integration.lines import (
    NOW,
    NOW_S,
    account,
    adds_up,
    fail_on,
    harvest,
    line,
    message,
    pack,
    registered,
    take,
)
from tests.servers.databases import Database
from tests.servers.waiting import wait_until
from tests.unit.ingest.wire.writing import in_cbor


@pytest.fixture
def ingest(database: Database) -> str:
    registered(database.service("ingest"))
    return database.service("ingest")


def rows(conninfo: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo) as conn:
        return conn.execute(query.encode()).fetchall()


def test_a_pack_is_stored_and_receipted(ingest: str, tmp_path: Path) -> None:
    outcome = take(ingest, tmp_path, [message(pack([2.5, 2.6, -0.0]))])
    assert rows(ingest, "SELECT value FROM reading_store ORDER BY time") == [(2.5,), (2.6,), (0.0,)]
    ((device, receipt),) = outcome.receipts
    assert (device.external_id, receipt.boot, receipt.through, receipt.gaps) == ("room-1", 1, 1, ())
    assert account(ingest) == {"received": 3, "stored": 3, "duplicate": 0, "conflict": 0, "quarantined": 0}
    assert {row[0] for row in rows(ingest, "SELECT consumer FROM mark")} == {"detection", "sealing", "rollup"}


@pytest.mark.editions("plain")  # past the decoder there is one line
def test_a_pack_in_cbor_is_the_same_message(ingest: str, tmp_path: Path) -> None:
    """Sent in one form and again in the other: one message, stored once, receipted twice."""
    sent = pack([2.5, 2.6])
    again = in_cbor(json.loads(sent))
    for payload in (again, sent, again[:-1]):
        ((_, receipt),) = take(ingest, tmp_path, [message(payload)]).receipts
        assert (receipt.boot, receipt.through, receipt.gaps) == (1, 1, ())
    assert rows(ingest, "SELECT value FROM reading_store ORDER BY time") == [(2.5,), (2.6,)]
    assert account(ingest) == {"received": 5, "stored": 2, "duplicate": 2, "conflict": 0, "quarantined": 1}
    assert rows(ingest, "SELECT seq, reason FROM quarantine") == [(1, "truncated")]


def test_the_same_pack_twice_is_stored_once(ingest: str, tmp_path: Path) -> None:
    take(ingest, tmp_path, [message(pack([2.5, 2.6])), message(pack([2.5, 2.6]))])
    outcome = take(ingest, tmp_path, [message(pack([2.5, 2.6, 2.7]))])
    assert account(ingest) == {"received": 7, "stored": 3, "duplicate": 4, "conflict": 0, "quarantined": 0}
    assert outcome.receipts[0][1].through == 1, "the receipt is repeated for a duplicate"


def test_another_value_under_a_stored_key_is_a_conflict_and_the_stored_one_stands(
    ingest: str, tmp_path: Path
) -> None:
    take(ingest, tmp_path, [message(pack([2.5]))])
    take(ingest, tmp_path, [message(pack([9.9, 3.0], seq=2))])
    assert rows(ingest, "SELECT value FROM reading_store ORDER BY time") == [(2.5,), (3.0,)]
    ((reason, detail),) = rows(ingest, "SELECT reason, detail FROM quarantine")
    assert reason == "conflict"
    assert "2.5 is stored" in detail and "9.9 came" in detail
    assert account(ingest) == {"received": 3, "stored": 2, "duplicate": 0, "conflict": 1, "quarantined": 0}


def test_repeats_inside_a_batch_are_judged_against_what_is_stored(ingest: str, tmp_path: Path) -> None:
    take(ingest, tmp_path, [message(pack([1.0]))])
    take(
        ingest,
        tmp_path,
        [message(pack([2.0], seq=2)), message(pack([1.0], seq=3)), message(pack([2.0], seq=4))],
    )
    assert account(ingest) == {"received": 4, "stored": 1, "duplicate": 1, "conflict": 2, "quarantined": 0}


def test_gaps_are_in_the_receipt_until_they_are_filled(ingest: str, tmp_path: Path) -> None:
    take(ingest, tmp_path, [message(pack([1.0], seq=1)), message(pack([1.0], seq=4, start_s=NOW_S - 600))])
    late = take(ingest, tmp_path, [message(pack([1.0], seq=2, start_s=NOW_S - 1200))])
    assert (late.receipts[0][1].through, late.receipts[0][1].gaps) == (2, ((3, 3),))


POSITION = json.dumps(
    [
        {"n": "boot", "v": 1},
        {"n": "seq", "v": 1},
        {"bt": NOW_S - 60, "n": "lat", "u": "lat", "v": 28.85},
        {"bt": NOW_S - 60, "n": "lon", "u": "lon", "v": 120.7},
    ]
).encode()


def test_latitude_and_longitude_are_one_observation(ingest: str, tmp_path: Path) -> None:
    take(ingest, tmp_path, [message(POSITION)])
    take(ingest, tmp_path, [message(POSITION)])
    assert rows(ingest, "SELECT body FROM observation") == [({"latitude": 28.85, "longitude": 120.7},)]
    assert account(ingest) == {"received": 2, "stored": 1, "duplicate": 1, "conflict": 0, "quarantined": 0}


BAD = {
    "malformed_json": message(b"{not json"),
    "truncated": message(pack([1.0, 2.0])[:-9]),
    "not_a_number": message(b'[{"n":"ambient","u":"Cel","bt":1782000000,"v":NaN}]'),
    "malformed_senml": message(b'{"temperature": 4}'),
    "empty_pack": message(b'[{"n":"boot","v":1},{"n":"seq","v":1}]'),
    "unknown_device": message(pack([1.0]), device="room-99"),
    "foreign_topic": message(pack([1.0]), device="truck-1"),
    "unknown_channel": message(pack([1.0], channel="humidity")),
    "wrong_unit": message(json.dumps([{"n": "ambient", "u": "degF", "t": NOW_S, "v": 39.0}]).encode()),
    "impossible_time": message(pack([1.0], sent_s=0.0)),
    "too_large": message(b" " * 2_000_000 + b"[]"),
    "topic_not_utf8": Message(b"suyuan/v1/coop/\xff\xfe/readings", pack([1.0]), redelivered=False),
    "unknown_topic": Message(b"suyuan/v1/coop/room-1/gossip", pack([1.0]), redelivered=False),
    "invalid_event": message(
        json.dumps(
            harvest("urn:uuid:1")
            | {"epcList": ["https://id.gs1.org/00/095212340000000106"], "quantityList": []}
        ).encode(),
        kind="events",
    ),
    "malformed_event": message(b"[]", kind="events"),
}
OTHERS = {
    "sent in 2199": ("impossible_time", message(pack([1.0], sent_s=7_226_582_400.0))),
    "measured in 1970": ("impossible_time", message(pack([1.0], start_s=2.0**28 + 1))),
    "event in 1970": (
        "impossible_time",
        message(
            json.dumps(harvest("urn:uuid:2") | {"eventTime": "1970-01-01T00:00:00+00:00"}).encode(),
            kind="events",
        ),
    ),
    "event in 2199": (
        "impossible_time",
        message(
            json.dumps(harvest("urn:uuid:3") | {"eventTime": "2199-01-01T00:00:00+00:00"}).encode(),
            kind="events",
        ),
    ),
    "infinity": ("not_a_number", message(b'[{"n":"ambient","u":"Cel","bt":1782000000,"v":Infinity}]')),
    "1e999": ("not_a_number", message(b'[{"n":"ambient","u":"Cel","bt":1782000000,"v":1e999}]')),
    "deeply nested": ("malformed", message(b"[" * 100_000)),
    "deeply nested event": ("malformed", message(b'{"a":' * 100_000, kind="events")),
    "binary": ("malformed", message(bytes(range(256)))),
    "empty": ("", message(b"")),
    "a NUL in an event": (
        "",
        message(json.dumps(harvest("urn:uuid:4") | {"suyuan:note": "a\0b"}).encode(), kind="events"),
    ),
    "a lone surrogate": ("", message(b'[{"n":"\\ud800","v":1}]')),
    "raw reading of 2020": ("beyond_retention", message(pack([1.0], start_s=1_590_000_000))),
    "a huge integer": (
        "",
        message(b'[{"n":"boot","v":99999999999999999999999},{"n":"seq","v":1},{"n":"ambient","v":1}]'),
    ),
}


@pytest.mark.parametrize(("reason", "bad"), [*BAD.items(), *OTHERS.values()], ids=[*BAD, *OTHERS])
def test_bad_input_is_quarantined_with_a_reason_and_takes_nobody_with_it(
    ingest: str, tmp_path: Path, reason: str, bad: Message
) -> None:
    before, after = message(pack([1.0], seq=1)), message(pack([2.0], seq=2, start_s=NOW_S - 60))
    take(ingest, tmp_path, [before, bad, after])
    assert rows(ingest, "SELECT value FROM reading_store ORDER BY time") == [(1.0,), (2.0,)]
    ((found, detail, payload),) = rows(ingest, "SELECT reason, detail, payload FROM quarantine")
    assert found.startswith(reason)
    assert len(detail) > 15, "a sentence a person understands"
    assert len(payload) >= len(bad.payload), "nothing is lost"
    assert adds_up(account(ingest)) and account(ingest)["quarantined"] == 1


def test_events_are_recorded_once_and_other_content_is_a_conflict(ingest: str, tmp_path: Path) -> None:
    event, other = harvest("urn:uuid:a"), harvest("urn:uuid:a", quantity=99)
    take(ingest, tmp_path, [message(json.dumps(event).encode(), kind="events")])
    take(ingest, tmp_path, [message(json.dumps(item).encode(), kind="events") for item in (event, other)])
    assert rows(ingest, "SELECT count(*) FROM event") == [(1,)]
    assert account(ingest) == {"received": 3, "stored": 1, "duplicate": 1, "conflict": 1, "quarantined": 0}


def test_losing_one_message_inside_the_line_breaks_the_equation(
    ingest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Intake.readings

    def short(batch: Intake) -> Readings:
        rows = whole(batch)
        return Readings(*(getattr(rows, each.name)[1:] for each in dataclasses.fields(rows)))

    monkeypatch.setattr(Intake, "readings", short)
    take(ingest, tmp_path, [message(pack([1.0])), message(pack([2.0], seq=2, start_s=NOW_S - 60))])
    assert not adds_up(account(ingest))


POISON = """
CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.event_id = 'urn:uuid:poison' THEN RAISE EXCEPTION 'index row too large' USING ERRCODE = '54000'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER poison BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION poison();
"""


def test_what_the_database_refuses_is_bisected_down_to_one_message(
    database: Database, ingest: str, tmp_path: Path
) -> None:
    """An error that psycopg calls operational and that no retry mends: the batch must not wait for it for ever."""
    with psycopg.connect(database.owner) as owner:
        owner.execute(POISON)
    poison = message(json.dumps(harvest("urn:uuid:poison")).encode(), kind="events")
    good = [message(pack([1.0], seq=seq, start_s=NOW_S - 60 * seq)) for seq in range(1, 8)]
    take(ingest, tmp_path, [*good[:3], poison, *good[3:]])
    assert rows(ingest, "SELECT count(*) FROM reading_store") == [(7,)]
    ((reason, detail),) = rows(ingest, "SELECT reason, detail FROM quarantine")
    assert reason == "database_refused"
    assert "54000" in detail, "with its SQLSTATE"
    assert adds_up(account(ingest))


@pytest.mark.editions("plain")  # it is decided before the table
def test_a_message_keeps_the_time_of_its_receipt_when_its_batch_is_bisected(
    database: Database, ingest: str, tmp_path: Path
) -> None:
    """A batch gathers for as long as the database is away: it would be taken by a clock that is that much behind."""
    with psycopg.connect(database.owner) as owner:
        owner.execute(POISON)
    ours, later = line(tmp_path), NOW + timedelta(minutes=20)
    relative = b'[{"n": "ambient", "u": "Cel", "v": 1.0, "t": -10}]'
    with psycopg.connect(ingest) as conn:
        ours.registry.read(conn)
        (device,) = [found for found in (ours.registry.device("room-1"),) if found is not None]
        ours.clocks.ahead_ms[device.id] = 60_000
        batch, routes = Intake(NOW, ours.retention), Routes(ours.registry, ours.profiles)
        for payload, kind, when in (
            (json.dumps(harvest("urn:uuid:poison")).encode(), "events", NOW),
            (relative, "readings", later),
            (pack([2.0], start_s=later.timestamp(), sent_s=later.timestamp()), "readings", later),
        ):
            window = window_at(when, ours.retention, ours.clocks.ahead_ms)
            batch.take(message(payload, kind=kind), ours.registry, routes, window, lambda: None)
        commit(conn, ours, batch)
    assert rows(ingest, "SELECT reason FROM quarantine") == [("database_refused",)]
    assert rows(ingest, "SELECT value, time FROM reading_store ORDER BY time") == [
        (1.0, later - timedelta(seconds=10)), (2.0, later)
    ]  # fmt: skip


@pytest.mark.editions("plain")
def test_a_right_that_is_missing_is_no_messages_fault(
    database: Database, ingest: str, tmp_path: Path
) -> None:
    """An upgrade that was left in the middle would otherwise put all there is into quarantine, and let go what is beyond its budget."""
    with psycopg.connect(database.owner) as owner:
        owner.execute("REVOKE INSERT ON reading_store FROM suyuan_ingest")
    messages = [message(pack([1.0], seq=seq, start_s=NOW_S - 60 * seq)) for seq in range(1, 4)]
    try:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            take(ingest, tmp_path, messages)
    finally:
        with psycopg.connect(database.owner) as owner:
            owner.execute("GRANT INSERT ON reading_store TO suyuan_ingest")
    assert rows(ingest, "SELECT reason FROM quarantine") == []
    take(ingest, tmp_path, messages)
    assert account(ingest)["stored"] == 3


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        fail_on(patch, 7.25)
        yield


def seventh(number: int, device: str = "room-1") -> Message:
    """What our code fails on."""
    sent = pack([7.25], seq=number, start_s=NOW_S - 60 * number)
    if device == "truck-1":
        return message(sent.replace(b"ambient", b"return_air"), device, "carrier")
    return message(sent)


@pytest.mark.editions("plain")  # it is before the table
@pytest.mark.usefixtures("failing")
def test_what_our_own_code_fails_on_is_bisected_down_to_one_message(
    ingest: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Else the worker ends, starts again, gets the same batch again, and so on."""
    good = [message(pack([1.0], seq=seq, start_s=NOW_S - 60 * seq)) for seq in (1, 2, 4, 5)]
    outcome = take(ingest, tmp_path, [*good[:2], seventh(3), *good[2:]])
    assert rows(ingest, "SELECT count(*) FROM reading_store") == [(4,)]
    ((reason, seq, detail),) = rows(ingest, "SELECT reason, seq, detail FROM quarantine")
    assert (reason, seq) == ("decoder_fault", 3) and "ValueError('a fault of ours')" in detail
    assert outcome.receipts[-1][1].through == 5, "held, so that its device need not send it for ever"
    assert adds_up(account(ingest)) and outcome.records == (5, 4, 0, 0, 1)
    assert any(record.exc_info and "writing" in record.message for record in caplog.records)


@pytest.mark.editions("plain")
def test_what_everything_fails_on_does_not_empty_the_queue_into_quarantine(
    ingest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [seventh(seq, device) for seq in range(1, 7) for device in ("room-1", "truck-1")]
    with monkeypatch.context() as patch:
        fail_on(patch)
        with pytest.raises(ValueError, match="a fault of ours"):
            take(ingest, tmp_path, many)
        ours = line(tmp_path)  # one by one it ends the same
        with psycopg.connect(ingest) as conn:
            for each in many[:FEW]:
                run(conn, ours, [each], NOW)
            with pytest.raises(ValueError, match="a fault of ours"):
                run(conn, ours, [many[FEW]], NOW)
        assert rows(ingest, "SELECT reason, count(*) FROM quarantine GROUP BY 1") == [("decoder_fault", FEW)]
    take(ingest, tmp_path, many)
    assert account(ingest)["stored"] == len(many)


@pytest.mark.editions("plain")
@pytest.mark.usefixtures("failing")
def test_one_devices_messages_may_all_fail_and_stop_nobody(ingest: str, tmp_path: Path) -> None:
    take(ingest, tmp_path, [seventh(seq) for seq in range(1, FEW + 5)])
    assert account(ingest) == {"received": 14, "stored": 0, "duplicate": 0, "conflict": 0, "quarantined": 14}


@pytest.mark.editions("plain")
def test_what_is_no_messages_fault_refuses_none(ingest: str, tmp_path: Path) -> None:
    """A folder of keys that cannot be written: all that belongs into quarantine would be called a fault of ours."""
    folder = tmp_path / "keys"
    folder.write_text("no folder")
    messages = [message(pack([1.0])), message(b"{")]
    with pytest.raises(FileExistsError):
        take(ingest, folder, messages)
    assert rows(ingest, "SELECT count(*) FROM batch") == [(0,)]
    folder.unlink()
    folder.mkdir()
    take(ingest, folder, messages)
    assert account(ingest)["stored"] == account(ingest)["quarantined"] == 1


def test_a_pack_with_many_things_wrong_is_kept_once(ingest: str, tmp_path: Path) -> None:
    """Else 400 kB of unknown channels would be 8 GB of quarantine."""
    records = [{"n": "boot", "v": 1}, {"n": "seq", "v": 1}, {"n": "sent", "v": NOW_S}]
    unknown = [{"n": f"channel-{number}", "u": "Cel", "t": NOW_S - 60, "v": 1.0} for number in range(500)]
    take(ingest, tmp_path, [message(json.dumps(records + unknown).encode())])
    ((refused, detail),) = rows(ingest, "SELECT records, detail FROM quarantine")
    assert refused == 500 and "channel-0" in detail and "and 495 more" in detail
    assert adds_up(account(ingest)) and account(ingest)["quarantined"] == 500


@pytest.mark.parametrize(("room", "name"), [(decoding.senml, "decode"), (admission, "admit_pack")])
def test_a_fault_in_reading_quarantines_its_message_and_no_other(
    ingest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: ModuleType, name: str
) -> None:
    whole = getattr(room, name)

    def fails(*said: Any) -> object:
        if "7.25" in str(said):
            raise KeyError("a fault of ours")
        return whole(*said)

    monkeypatch.setattr(room, name, fails)
    outcome = take(ingest, tmp_path, [message(pack([7.25])), message(pack([2.0], seq=2))])
    assert rows(ingest, "SELECT value FROM reading_store") == [(2.0,)]
    assert rows(ingest, "SELECT reason, seq FROM quarantine") == [("decoder_fault", 1)]
    assert outcome.receipts[0][1].through == 2, "held, so that its device need not send it for ever"


def test_an_unreadable_pack_that_still_says_its_number_is_held_and_receipted(
    ingest: str, tmp_path: Path
) -> None:
    """Else a device that waits for its receipt would send it for ever."""
    broken = pack([1.0, 2.0], seq=1).replace(b'"v": 2.0', b'"v": NaN')
    outcome = take(ingest, tmp_path, [message(broken), message(pack([3.0], seq=2)[:-4])])
    assert outcome.receipts[0][1].through == 2
    assert rows(ingest, "SELECT reason, boot, seq FROM quarantine ORDER BY seq") == [
        ("not_a_number", 1, 1),
        ("truncated", 1, 2),
    ]
    assert rows(ingest, "SELECT stored::text, refused::text FROM device_sequence") == [("{}", "{[1,3)}")]


def test_one_bad_event_of_a_document_takes_no_other_with_it(ingest: str, tmp_path: Path) -> None:
    events = [harvest(f"urn:uuid:{name}") for name in "abc"]
    events[1]["eventTime"] = "22-07-2026"
    document = {"type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": "2026-06-20T12:00:00Z",
                "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"], "epcisBody": {"eventList": events}}  # fmt: skip
    take(ingest, tmp_path, [message(json.dumps(document).encode(), kind="events")])
    assert rows(ingest, "SELECT event_id FROM event ORDER BY 1") == [("urn:uuid:a",), ("urn:uuid:c",)]
    assert account(ingest) == {"received": 3, "stored": 2, "duplicate": 0, "conflict": 0, "quarantined": 1}


def test_a_text_where_a_number_belongs_is_refused(ingest: str, tmp_path: Path) -> None:
    """Both under one key could never be sealed."""
    both = [{"n": "ambient", "u": "Cel", "t": NOW_S, "v": 4.0}, {"n": "ambient", "t": NOW_S, "vs": "x"}]
    take(ingest, tmp_path, [message(json.dumps(both).encode())])
    assert rows(ingest, "SELECT count(*) FROM observation") == [(0,)]
    assert rows(ingest, "SELECT reason FROM quarantine") == [("wrong_kind",)]


def test_what_lies_far_apart_is_touched_apart(ingest: str, tmp_path: Path) -> None:
    """Nobody is to look at all that a device measured in a year because something of last year came beside something of now."""
    sent = [
        pack([2.5, 2.6], seq=1, start_s=NOW_S - 90_000, step_s=3600),
        pack([2.7], seq=2),
        pack([2.8], seq=3, start_s=NOW_S - 200 * 86_400),
    ]
    take(ingest, tmp_path, [message(each) for each in sent])
    touched = rows(
        ingest, "SELECT from_times, to_times, cardinality(series_ids) FROM mark WHERE consumer = 'rollup'"
    )
    hours = [timedelta(days=200), timedelta(hours=25), timedelta(hours=1)]
    ends = [timedelta(days=200), timedelta(hours=24), timedelta(hours=1)]
    assert touched == [([NOW - each for each in hours], [NOW - each for each in ends], 3)]


def test_numbers_that_no_sum_can_hold_are_refused(database: Database, ingest: str, tmp_path: Path) -> None:
    """Stored, two of them in one hour would stop the roll-ups of everybody."""
    sent = [
        message(pack([value], seq=seq, start_s=NOW_S - seq))
        for seq, value in enumerate([1.7e308, 1.7e308, 2.5], 1)
    ]
    take(ingest, tmp_path, sent)
    assert rows(ingest, "SELECT reason, records FROM quarantine") == [("value_out_of_range", 1)] * 2
    with psycopg.connect(database.service("jobs")) as conn:
        assert rollups.step(conn, NOW)


def test_a_new_channel_of_a_known_device_is_known_at_once(ingest: str, tmp_path: Path) -> None:
    worker = line(tmp_path)
    clock = itertools.count(0.0, 10.0)
    worker = dataclasses.replace(worker, registry=Registry(lambda: next(clock)))
    with psycopg.connect(ingest) as conn:
        run(conn, worker, [message(pack([1.0]))], NOW)
        conn.execute(
            "INSERT INTO series (organisation, device_id, channel, quantity, unit)"
            " SELECT 'coop', id, 'surface', 'temperature', 'Cel' FROM device WHERE external_id = 'room-1'"
        )
        conn.commit()
        run(conn, worker, [message(pack([2.0], seq=2, channel="surface"))], NOW)
    assert account(ingest)["stored"] == 2


LOSING = """
CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.value = 2 THEN RETURN NULL; END IF; RETURN NEW; END $$;
CREATE TRIGGER lose BEFORE INSERT ON reading_store FOR EACH ROW EXECUTE FUNCTION lose();
"""


@pytest.mark.editions("plain")
@pytest.mark.parametrize("more", [0, FEW_READINGS])
def test_a_row_that_the_database_loses_without_an_error_is_not_called_stored(
    database: Database, ingest: str, tmp_path: Path, more: int
) -> None:
    """With the statement that closes the batch, and by COPY."""
    with psycopg.connect(database.owner) as owner:
        owner.execute(LOSING)
    with pytest.raises(RowsLost, match=f"got {more + 1} rows"):
        take(ingest, tmp_path, [message(pack([1.0, 2.0, *([3.0] * more)], step_s=1))])
    for table in ("reading_store", "batch", "batch_account", "device_sequence", "mark"):
        assert rows(ingest, f"SELECT count(*) FROM {table}") == [(0,)], "nothing of the batch stands"


@pytest.mark.parametrize("more", [0, FEW_READINGS])
def test_two_workers_with_the_same_messages_wait_for_the_reading_before_they_have_the_number(
    ingest: str, tmp_path: Path, more: int
) -> None:
    """Few readings or many: taken in one order, so that neither holds what the other wants first."""
    take(ingest, tmp_path, [message(pack([1.0]))])
    same = [message(pack([2.0, *([3.0] * more)], seq=2, start_s=NOW_S - 1800, step_s=1))]
    with psycopg.connect(ingest) as first, ThreadPoolExecutor() as pool:
        first.execute(
            "INSERT INTO reading_store (series_id, time, value, flags, batch_id)"
            " SELECT series_id, to_timestamp(%s), 2.0, 0, batch_id FROM reading_store",
            [NOW_S - 1800],
        )
        second = pool.submit(take, ingest, tmp_path, same)
        assert wait_until(
            lambda: rows(ingest, "SELECT count(*) FROM pg_locks WHERE NOT granted") == [(1,)], 10
        )
        with psycopg.connect(ingest) as other:
            other.execute("SELECT FROM device_sequence FOR UPDATE NOWAIT")
        first.commit()
        second.result(timeout=20)
    assert account(ingest) == {
        "received": 2 + more,
        "stored": 1 + more,
        "duplicate": 1,
        "conflict": 0,
        "quarantined": 0,
    }
