"""Readings from files, through the command as somebody types it: on both editions, down to the account and the checkpoint."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ingest.backfill import checkpoint, delimited, running
from ingest.backfill.frames import FileError, Form
from tests.acceptance.instance import Instance
from tests.documents import REPOSITORY, invariants
from tests.integration.lines import NOW, account, adds_up, line, message, pack, registered, take
from tests.integration.running import suyuan
from tests.servers.databases import Database
from tests.servers.waiting import wait_until
from tests.vectors import count_vectors, vector_path

HELD = [
    invariants()[name]
    for name in (
        "account_adds_up",
        "every_message_is_accounted_for",
        "what_is_accounted_as_stored_is_there",
        "what_is_accounted_as_refused_is_in_quarantine",
        "measuring_times_are_possible",
        "a_file_adds_up",
    )
]
LONG_AGO = datetime(2019, 6, 18, tzinfo=UTC)


@dataclass
class Place:
    database: Database
    folder: Path

    @property
    def ingest(self) -> str:
        return self.database.service("ingest")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"SUYUAN_DATABASE_URL": self.ingest, "SUYUAN_DATA_DIR": str(self.folder / "data")}
        done = suyuan(environment, "ingest", "file", *arguments)
        self.holds()
        return done

    def take(self, *arguments: str) -> dict[str, Any]:
        done = self.run(*arguments, "--json")
        assert done.stdout, done.stderr
        (found,) = json.loads(done.stdout)["files"]
        return {
            name: found[name] for name in ("readings", "stored", "duplicate", "refused", "reasons", "error")
        }

    def write(self, name: str, text: str, encoding: str = "utf-8") -> str:
        path = self.folder / name
        path.write_bytes(text.encode(encoding))
        return str(path)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database.owner) as conn:
            return conn.execute(query.encode()).fetchall()

    def readings(self) -> list[tuple[Any, ...]]:
        return self.rows(
            "SELECT external_id, channel, extract(epoch FROM time)::float8, value FROM reading_store"
            " JOIN series ON series.id = series_id JOIN device ON device.id = device_id ORDER BY 1, 2, 3"
        )

    def holds(self) -> None:
        for query in HELD:
            assert self.rows(query) == [], query


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Place:
    registered(database.service("ingest"))
    return Place(database, tmp_path)


def good(readings: int, duplicate: int = 0) -> dict[str, Any]:
    stored = readings - duplicate
    return {
        "readings": readings,
        "stored": stored,
        "duplicate": duplicate,
        "refused": 0,
        "reasons": {},
        "error": None,
    }


def wide(rows: int, start: datetime = LONG_AGO) -> str:
    lines = ["time,ambient,door"]
    for n in range(rows):
        lines.append(f"{(start + timedelta(minutes=n)).isoformat()},{n % 70 / 10},{n % 2}")
    return "\n".join(lines)


def test_a_wide_file_older_than_the_retention(place: Place) -> None:
    file = place.write("years.csv", wide(1000))
    tried = place.run(file, "--device", "room-1", "--dry-run")
    assert "2,000 of them good, 2,000 older than they are kept" in tried.stdout
    assert "older than SUYUAN_RETENTION_DAYS (1096), the oldest of 2019-06-18" in tried.stderr
    days = int(tried.stderr.partition("at least ")[2].partition(",")[0])
    assert timedelta(days=days - 1) < datetime.now(UTC) - LONG_AGO < timedelta(days=days)
    assert place.take(file, "--device", "room-1") == good(2000)
    assert place.readings()[:2] == [
        ("room-1", "ambient", LONG_AGO.timestamp(), 0.0),
        ("room-1", "ambient", LONG_AGO.timestamp() + 60, 0.1),
    ]
    assert {row[0] for row in place.rows("SELECT consumer FROM mark")} >= {"detection", "sealing", "rollup"}
    assert place.rows("SELECT count(*) FROM device_sequence") == [(0,)]
    again = place.run(file, "--device", "room-1")
    assert (
        again.returncode == 0
        and "was taken in on" in again.stdout
        and "2,000 readings are known" in again.stdout
    )
    assert place.take(file, "--device", "room-1", "--again") == good(2000, duplicate=2000)
    assert adds_up(account(place.ingest))


@pytest.mark.editions("plain")
def test_only_what_is_older_than_it_is_kept_is_said_to_be(place: Place) -> None:
    """In columns and in packs; refused ones count nowhere."""
    now = datetime.now(UTC).replace(microsecond=0)
    mixed = [now - timedelta(days=days) for days in (2000, 1100, 1090, 1)]
    text = (
        "time,ambient\n"
        + "".join(f"{when.isoformat()},2.5\n" for when in mixed)
        + "2001-01-01T00:00:00Z,2.5\n"
    )
    packs = [pack([2.5], seq=None, start_s=when.timestamp() + 5, sent_s=None).decode() for when in mixed[1:]]
    said = place.run(
        place.write("mixed.csv", text),
        place.write("packs.json", "\n".join(packs)),
        "--device",
        "room-1",
        "--json",
    )
    assert [each["older_than_retention"] for each in json.loads(said.stdout)["files"]] == [2, 1]
    assert said.stderr.count("are older than SUYUAN_RETENTION_DAYS") == 2
    young = place.run(place.write("young.csv", wide(3, now - timedelta(days=1))), "--device", "room-1")
    assert "older" not in young.stdout + young.stderr


@pytest.mark.editions("plain")
def test_what_came_by_mqtt_is_a_duplicate_of_the_file(place: Place) -> None:
    take(place.ingest, place.folder, [message(pack([2.5, 2.6]))])
    start = (NOW - timedelta(hours=1)).strftime("%Y-%m-%d %H:%M")
    file = place.write(
        "same.csv",
        f"device,time,channel,value,unit\nroom-1,{start},ambient,2.5,Cel\nroom-1,{start}:30,ambient,36.5,K\n",
    )
    assert place.take(file, "--time-zone", "UTC") | {"reasons": None} == {
        "readings": 2, "stored": 0, "duplicate": 1, "refused": 1, "reasons": None, "error": None,
    }  # fmt: skip


@pytest.mark.editions("plain")
def test_chinese_headings_in_gb18030_and_local_times(place: Place) -> None:
    text = "设备编号;采集时间;冷藏温度(℃);door\nroom-1;2021/6/18 8:05;3.5;\nroom-1;2021/6/18 8:06;--;1\n"
    file = place.write("export.csv", text, "gb18030")
    assert "say where the clock stood" in place.take(file, "--channel", "冷藏温度=ambient")["error"]
    assert place.take(file, "--channel", "冷藏温度=ambient", "--time-zone", "Asia/Shanghai") == good(2)
    when = datetime(2021, 6, 18, 0, 5, tzinfo=UTC).timestamp()
    assert place.readings() == [("room-1", "ambient", when, 3.5), ("room-1", "door", when + 60, 1.0)]


@pytest.mark.editions("plain")
def test_what_is_wrong_is_named_with_its_line_and_takes_nobody_with_it(place: Place) -> None:
    file = place.write(
        "bad.csv",
        "time,device,ambient,humidity\n"
        "2019-06-18T00:00:00Z,room-1,2.5,\n"
        "2019-06-18T00:01:00Z,room-1,warm,\n"
        "yesterday,room-1,2.5,\n"
        "2019-06-18T00:03:00Z,room-1,2.5\n"
        "2019-06-18T00:04:00Z,room-99,2.5,\n"
        "2019-06-18T00:05:00Z,room-1,-300,\n"
        "2009-06-18T00:06:00Z,room-1,2.5,\n"
        "2019-06-18T00:07:00Z,room-1,nan,55\n"
        "2019-06-18T00:08:00Z,room-1,1_0,\n"
        "2019-06-18T00:09:00Z,room-1,2.7,\n",
    )
    report = place.folder / "refused.csv"
    tried = place.run(file, "--dry-run")
    assert tried.returncode == 1 and "12 readings" not in tried.stdout and place.readings() == []
    assert place.rows("SELECT count(*) FROM backfill") == [(0,)]
    done = place.run(file, "--refused", str(report))
    assert done.returncode == 1 and "bad.csv:6 ambient: unknown_device" in done.stderr
    with report.open(encoding="utf-8-sig", newline="") as opened:
        said = {(int(row["line"]), row["reason"]) for row in csv.DictReader(opened)}
    assert said == {
        (3, "not_a_number"), (4, "malformed_time"), (5, "malformed_row"), (6, "unknown_device"), (7, "value_out_of_range"),
        (8, "impossible_time"), (9, "not_a_number"), (9, "unknown_channel"), (10, "not_a_number"),
    }  # fmt: skip
    assert [row[3] for row in place.readings()] == [2.5, 2.7]
    assert place.rows("SELECT readings, stored, refused FROM backfill") == [(11, 2, 9)]


def test_a_contradiction_lies_in_quarantine_and_can_be_looked_at(place: Place) -> None:
    place.take(place.write("one.csv", wide(10)), "--device", "room-1")
    file = place.write("two.csv", wide(10).replace(",0.3,", ",6.3,"))
    found = place.take(file, "--device", "room-1")
    assert (found["duplicate"], found["refused"], found["reasons"]) == (19, 1, {"conflict": 1})
    assert "two.csv:5: conflict" in place.run(file, "--device", "room-1", "--again").stderr
    ((detail,),) = place.rows("SELECT DISTINCT detail FROM quarantine")
    assert "0.3 is stored, 6.3 came" in detail
    assert adds_up(account(place.ingest))


@pytest.mark.editions("plain")
def test_a_run_that_is_killed_goes_on_and_doubles_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the middle of a transaction, and between two."""
    monkeypatch.setattr(delimited, "READINGS", 100)
    path = Path(place.write("long.csv", wide(500)))
    form = Form(device="room-1")
    key = checkpoint.key_of(path, form, "csv")

    def through(most: int) -> None:
        worker = replace(line(place.folder), worker=running.WORKER)
        with psycopg.connect(place.ingest, autocommit=True) as conn:
            worker.registry.read(conn)
            begun = checkpoint.begin(conn, key, path.name, NOW)
            for number, _ in enumerate(running.take_in(conn, worker, path, form, key, begun, lambda: NOW), 1):
                place.holds()
                if number == most:
                    break

    through(3)
    assert place.rows("SELECT through, readings, stored FROM backfill") == [(150, 300, 300)]
    advance = checkpoint.advance

    def dies(*arguments: Any) -> None:
        advance(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(checkpoint, "advance", dies)
        with pytest.raises(KeyboardInterrupt):
            through(9)
    assert place.rows("SELECT through, readings, stored FROM backfill") == [(150, 300, 300)]
    through(99)
    assert place.rows("SELECT through, readings, stored, duplicate FROM backfill") == [(500, 1000, 1000, 0)]
    assert len(place.readings()) == 1000


@pytest.mark.editions("plain")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_command_that_was_stopped_goes_on(place: Place, how: signal.Signals) -> None:
    """kill -9 or Ctrl-C at some moment in the middle of it."""
    rows = 150_000
    file = place.write("years.csv", wide(rows))
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("SUYUAN_", "PG"))
    }
    environment |= {"SUYUAN_DATABASE_URL": place.ingest, "SUYUAN_DATA_DIR": str(place.folder / "data")}
    command = [sys.executable, "-m", "deploy", "ingest", "file", file, "--device", "room-1"]
    running_one = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Tests that a shell began in the background have the signal ignored, and hand that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert wait_until(
        lambda: place.rows("SELECT through FROM backfill WHERE through > 0") != [], 60, every_s=0.01
    )
    running_one.send_signal(how)
    _, said = running_one.communicate(timeout=60)
    if how == signal.SIGINT:
        assert (
            running_one.returncode == 130 and b"the same command goes on" in said and b"Traceback" not in said
        )
    place.holds()
    ((through,),) = place.rows("SELECT through FROM backfill")
    assert 0 < through < rows, "it was stopped in the middle"
    found = place.take(file, "--device", "room-1")
    assert found == good(2 * (rows - through)), "only the rest is read, and none of it was there"
    assert place.rows("SELECT count(*) FROM reading_store") == [(2 * rows,)]


@pytest.mark.editions("plain")
def test_what_follows_a_commit_follows(database: Database, tmp_path: Path) -> None:
    """Old hours are sealed and rolled up like any other."""
    registered(database.service("ingest"))
    instance, later = Instance(database, tmp_path), NOW + timedelta(minutes=5)
    path = tmp_path / "old.csv"
    path.write_text(wide(120), encoding="utf-8")
    form = Form(device="room-1")
    key = checkpoint.key_of(path, form, "csv")
    with instance.as_role("ingest") as conn:
        worker = line(tmp_path)
        worker.registry.read(conn)
        begun = checkpoint.begin(conn, key, path.name, NOW)
        list(running.take_in(conn, worker, path, form, key, begun, lambda: NOW))
    instance.settle(later)
    assert instance.rows("SELECT hour, n FROM reading_1h ORDER BY series_id, hour") == [
        (LONG_AGO, 60), (LONG_AGO + timedelta(hours=1), 60), (LONG_AGO, 60), (LONG_AGO + timedelta(hours=1), 60),
    ]  # fmt: skip
    assert instance.rows("SELECT start_time, readings FROM sealed_window ORDER BY 1") == [
        (LONG_AGO, 120), (LONG_AGO + timedelta(hours=1), 120),
    ]  # fmt: skip


@pytest.mark.editions("plain")
def test_two_runs_of_one_file_at_once_count_it_once(place: Place) -> None:
    path = Path(place.write("once.csv", wide(10)))
    form = Form(device="room-1")
    key = checkpoint.key_of(path, form, "csv")
    worker = line(place.folder)
    with psycopg.connect(place.ingest, autocommit=True) as conn:
        worker.registry.read(conn)
        begun = checkpoint.begin(conn, key, path.name, NOW)
        list(running.take_in(conn, worker, path, form, key, begun, lambda: NOW))
        with pytest.raises(FileError, match="somebody else"):
            list(running.take_in(conn, worker, path, form, key, begun, lambda: NOW))
    place.holds()


def packed(seq: int, value: float) -> str:
    return pack(
        [value, value + 1],
        seq=seq,
        start_s=LONG_AGO.timestamp() + 600 * seq,
        sent_s=LONG_AGO.timestamp() + 1e5,
    ).decode()


def test_packs_one_a_line(place: Place) -> None:
    """A spool of a gateway: with topics, numbers, and something that is refused."""
    text = "\n".join([f"suyuan/v1/coop/room-1/readings {packed(n, 2.0)}" for n in (1, 2, 4)])
    file = place.write("spool.txt", f"{text}\nsuyuan/v1/coop/room-1/readings {packed(5, 2.0)[:-9]}\n")
    assert place.take(file) | {"reasons": None} == {
        "readings": 7, "stored": 6, "duplicate": 0, "refused": 1, "reasons": None, "error": None,
    }  # fmt: skip
    assert place.rows("SELECT stored::text, refused::text FROM device_sequence") == [
        ("{[1,3),[4,5)}", "{[5,6)}")
    ]
    bare = place.write("bare.jsonl", packed(1, 2.0).replace("[", '[{"bn": "room-1/"}, ', 1))
    assert place.take(bare) == good(2, duplicate=2)
    timeless = '[{"n": "ambient", "v": 2.5, "t": -60}]'
    mixed = place.write("mixed.jsonl", f"{timeless}\n{packed(1, 2.0)}\n{timeless}\n")
    assert place.take(mixed, "--device", "room-1") == good(2, duplicate=2) | {
        "readings": 4, "refused": 2, "reasons": {"malformed_time": 2}
    }  # fmt: skip
    alone = place.write("alone.jsonl", timeless)
    assert place.take(alone, "--device", "room-1", "--dry-run")["reasons"] == {"malformed_time": 1}
    assert place.take(alone, "--device", "room-1")["reasons"] == {"malformed_time": 1}


@pytest.mark.editions("plain")
def test_what_is_no_file_of_readings_says_what_to_do(place: Place) -> None:
    for name, data, said in (
        ("book.xlsx", b"PK\x03\x04 and more", "save the sheet as CSV"),
        ("old.xls", b"\xd0\xcf\x11\xe0 and more", "save the sheet as CSV"),
        ("empty.csv", b"\xef\xbb\xbf\r\n", "holds nothing"),
        ("bytes.csv", bytes(range(256)) * 2, "neither UTF-8 nor GB18030"),
    ):
        (place.folder / name).write_bytes(data)
        done = place.run(str(place.folder / name), "--device", "room-1")
        assert done.returncode == 2 and said in done.stderr and done.stderr.count(name) == 1
    fine = place.write("fine.csv", wide(1))
    done = place.run(fine, "--device", "room-1", "--refused", str(place.folder / "nowhere" / "refused.csv"))
    assert done.returncode == 2 and "--refused" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.editions("plain")
@pytest.mark.parametrize("layout", ["wide", "long"])
def test_parquet(place: Place, layout: str) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    moments = [LONG_AGO + timedelta(minutes=n) for n in range(4)]
    columns: dict[str, Any] = {"timestamp": moments, "ambient": [1.5, None, float("nan"), 4.0]}
    if layout == "long":
        columns = {
            "timestamp": moments,
            "device": ["room-1"] * 4,
            "channel": ["ambient"] * 4,
            "value": columns["ambient"],
        }
    pq.write_table(pa.table(columns), place.folder / "years.parquet", row_group_size=2)
    found = place.take(
        str(place.folder / "years.parquet"), *(("--device", "room-1") if layout == "wide" else ())
    )
    assert (found["stored"], found["reasons"]) == (2, {"not_a_number": 1})
    assert [row[2:] for row in place.readings()] == [
        (LONG_AGO.timestamp(), 1.5),
        (LONG_AGO.timestamp() + 180, 4.0),
    ]


@pytest.mark.editions("plain")
@pytest.mark.parametrize("folder", ["qtag", "fridgetag"])
def test_exports_of_loggers(place: Place, folder: str) -> None:
    (path,) = vector_path(f"coldchain/{folder}").glob("*.txt")
    count_vectors()
    found = place.take(
        str(path), "--device", "room-1", "--channel", "temperature=ambient", "--time-zone", "Asia/Shanghai"
    )
    text = path.read_text()
    rows = [row.split("\t") for row in text[text.index("\nData:") :].splitlines()[3:] if row.startswith("\t")]
    there = [row for row in rows if row[2].strip("-.")]
    assert found == good(len(there)) and len(there) > 100
    assert [row[3] for row in place.readings()] == [float(row[2]) for row in there]
