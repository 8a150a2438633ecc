"""Our logs and their witnesses, against a real database: what is asked, what is published, and what freezes a log."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from ledger.attestation import read_attested
from ledger.head_store import HeadStore
from ledger.http_exchange import Exchange, PeerAway
from ledger.keys import KeyStore
from ledger.published_log import read_published
from ledger.root_log import ROOT
from ledger.translog.checkpoint import open_checkpoint
from ledger.translog.cosignature import Cosigner, verify_cosignatures
from ledger.translog.note import parse_vkey
from ledger.translog.policy import open_witnessed, parse_policy
from ledger.witness import Witness
from ledger.witness_folder import TrustedLogs
from ledger.witness_list import InTwoLanguages, ListedWitness, WitnessList
from ledger.witness_store import WitnessStore
from ledger.witnessing import Witnessing, serve
from tests.integration.test_sequencer import NOW, Instance, instance

__all__ = ["instance"]
COOP = "xj-coop"


@dataclass
class Market:
    """A witness of somebody else's, without the network between. `away`: it does not answer."""

    witness: Witness
    store: WitnessStore
    key: Cosigner
    away: bool = False
    shows: bool = True
    asked: list[tuple[str, bytes]] = field(default_factory=list)
    altered: Callable[[Exchange, bytes], Exchange] = lambda answer, _body: answer

    def answer(self, path: str, body: bytes | None) -> Exchange:
        self.asked.append((path, body or b""))
        if self.away:
            raise PeerAway("Connection refused")
        if body is not None:
            said = self.witness.add_checkpoint(body)
        elif self.shows:
            said = self.witness.checkpoint(path.split("/")[1])
        else:
            return Exchange(404, "text/plain", b"")
        return self.altered(
            Exchange(said.status, said.content_type.partition(";")[0], said.body.encode()), body or b""
        )


@dataclass
class Bench:
    """An instance, its witnesses by name, and the time that all of them go by."""

    instance: Instance
    folder: Path
    now: datetime = NOW
    markets: dict[str, Market] = field(default_factory=dict)

    def add(self, name: str = "market.example/w", seed: bytes = b"m" * 32) -> Market:
        key = Cosigner.from_seed(name, seed)
        store = WitnessStore(self.folder / f"{len(self.markets)}.db")
        trusted = TrustedLogs(self.instance.folder / "log")
        witness = Witness(store, [key], trusted.current, lambda: int(self.now.timestamp()))
        self.markets[f"https://{name}"] = market = Market(witness, store, key)
        return market

    def listed(self) -> WitnessList:
        someone = InTwoLanguages("市场", "the market")
        witnesses = tuple(
            ListedWitness((market.key.verifier,), url, "independent", someone, None, "all")
            for url, market in self.markets.items()
        )
        return WitnessList(witnesses, min(1, len(witnesses)))

    def transport(self, url: str, body: bytes | None, _headers: Mapping[str, str]) -> Exchange:
        base = next(base for base in self.markets if url.startswith(base))
        return self.markets[base].answer(url.removeprefix(base), body)

    @contextmanager
    def witnessing(self) -> Iterator[Witnessing]:
        with self.instance.connect() as conn:
            made = Witnessing(
                conn,
                self.instance.folder,
                self.listed(),
                "https://a.example/log",
                self.transport,
                lambda: self.now,
            )
            with made.running():
                yield made

    def until(self, witnessing: Witnessing, reached: Callable[[], object]) -> None:
        """Steps until it is so; time stands meanwhile."""
        deadline = time.monotonic() + 20
        while not reached():
            assert time.monotonic() < deadline, "waited in vain"
            witnessing.step(0.02)

    def cosigned(self, organisation: str = COOP) -> dict[str, int]:
        """Witnesses whose cosignature of the published checkpoint verifies, with their times."""
        log = self.instance.log(organisation)
        opened = open_checkpoint(log.checkpoint, [parse_vkey(log.vkey)], origin=log.origin)
        keys = [market.key.verifier for market in self.markets.values()]
        found = verify_cosignatures(opened.note.text, opened.note.unverified, keys)
        return {one.cosigner.name: one.time for one in found}

    def sizes(self, market: Market) -> dict[str, int]:
        return {seen.origin.rpartition("/")[2]: seen.size for seen in market.store.all_seen()}

    def failures(self) -> dict[tuple[str, str], str]:
        with self.instance.connect() as conn:
            return {
                (each.party, each.organisation): each.failure
                for each in read_attested(conn, "witness")
                if each.failure is not None
            }

    def rows(self, query: str) -> list[tuple[object, ...]]:
        return self.instance.owner.execute(query.encode()).fetchall()


@pytest.fixture
def bench(instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    # The sequencer's tests have the same keys each time, and so one for all logs; a policy allows each key once.
    monkeypatch.setattr(Instance, "keys", property(lambda own: KeyStore(own.folder / "keys")))
    instance.fill()
    instance.run()
    folder = tmp_path / "witnesses"
    folder.mkdir()
    made = Bench(instance, folder)
    yield made
    for thread in threading.enumerate():
        if "_correspond" in thread.name:  # the one question that it may still be at
            thread.join(20)
    for market in made.markets.values():
        market.store.close()


def grow(bench: Bench, minutes: float = 1) -> None:
    bench.now += timedelta(minutes=minutes)
    bench.instance.add_event(int(bench.now.timestamp()) % 100_000)
    bench.instance.run(bench.now)


def test_cosignatures_stand_under_the_checkpoints_and_in_the_history(bench: Bench) -> None:
    one, two = bench.add(), bench.add("bureau.example/w", b"b" * 32)
    with bench.witnessing() as witnessing:
        logs = ("root", COOP, "hz-market")
        bench.until(witnessing, lambda: all(len(bench.cosigned(log)) == 2 for log in logs))
        assert bench.sizes(one) == bench.sizes(two) == {"root": 2, COOP: 5, "hz-market": 1}
        assert b"old 0\n" in one.asked[0][1]
        grow(bench)
        assert bench.cosigned() == {}, "the new checkpoint was published without waiting for them"
        bench.until(witnessing, lambda: len(bench.cosigned()) == len(bench.cosigned(ROOT)) == 2)
    kept = bench.rows(
        "SELECT organisation, tree_size, name FROM cosignature WHERE name NOT LIKE '%/clock' ORDER BY 1, 2, 3"
    )
    names = ("bureau.example/w", "market.example/w")
    sizes = [("hz-market", 1), ("root", 2), ("root", 3), (COOP, 5), (COOP, 6)]
    assert kept == [(*size, name) for size in sizes for name in names]
    assert bench.failures() == {}
    assert one.store.refused() == []


def test_the_root_is_cosigned_again_though_it_did_not_grow_and_the_clock_keeps_its_line(bench: Bench) -> None:
    market = bench.add()
    with bench.witnessing() as witnessing:
        bench.until(witnessing, lambda: bench.cosigned(ROOT) and bench.cosigned())
        for _ in range(4):
            bench.now += timedelta(seconds=26)
            bench.until(witnessing, lambda: bench.cosigned(ROOT)["market.example/w"] == bench.now.timestamp())
        bench.now += timedelta(seconds=20)
        asked = len(market.asked)
        witnessing.step(0.05)
        assert len(market.asked) == asked, "not more often than needed"
    log = bench.instance.log(ROOT)
    names = [line.split(" ")[1] for line in log.checkpoint.split("\n\n")[1].splitlines()]
    assert sorted(names) == [log.origin, f"{log.origin}/clock", "market.example/w"]
    assert bench.rows(
        "SELECT count(*) FROM cosignature WHERE name = 'market.example/w' AND organisation = 'root'"
    ) == [(1,)]


def test_a_witness_that_is_away_holds_up_nobody_and_is_said_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    good, away = bench.add(), bench.add("bureau.example/w", b"b" * 32)
    away.away = True
    caplog.set_level("INFO")
    with bench.witnessing() as witnessing:
        bench.until(witnessing, lambda: ("bureau.example/w", ROOT) in bench.failures())
        # What is still under way was asked of the logs as they are; time stands until it is answered.
        bench.until(witnessing, lambda: not any(each.waiting for each in witnessing._correspondents))
        since = bench.now
        for _ in range(5):
            grow(bench)
            bench.until(witnessing, lambda: bench.cosigned(ROOT) and bench.cosigned())
        assert set(bench.cosigned()) == {"market.example/w"}
        bench.until(witnessing, lambda: not witnessing._correspondents[1].waiting)
        assert bench.failures()["bureau.example/w", ROOT] == "Connection refused"
        assert {party for party, _ in bench.failures()} == {"bureau.example/w"}
        started = bench.rows("SELECT DISTINCT failing_since FROM attestation WHERE failing_since IS NOT NULL")
        assert started == [(since,)]
        assert len(away.asked) < 12, "asked again, and not each second"
        away.away = False
        bench.now += timedelta(minutes=2)
        bench.until(witnessing, lambda: len(bench.cosigned(ROOT)) == len(bench.cosigned()) == 2)
        assert bench.failures() == {}
    said = [record.getMessage() for record in caplog.records if record.name == "ledger.witnessing"]
    assert said == ["witness does not cosign", "witness cosigns again"]
    assert bench.sizes(good) == bench.sizes(away)


def test_a_slow_witness_holds_up_nobody(bench: Bench) -> None:
    gate = threading.Event()
    bench.add()
    slow = bench.add("bureau.example/w", b"b" * 32)

    def wait(answer: Exchange, _body: bytes) -> Exchange:
        gate.wait(30)
        return answer

    slow.altered = wait
    with bench.witnessing() as witnessing:
        for _ in range(3):
            bench.until(witnessing, lambda: bench.cosigned(ROOT) and bench.cosigned())
            grow(bench)
        assert len(slow.asked) == 1
        gate.set()
        bench.until(witnessing, lambda: not witnessing._correspondents[1].waiting)
        bench.now += timedelta(seconds=20)
        bench.until(witnessing, lambda: len(bench.cosigned(ROOT)) == len(bench.cosigned()) == 2)


def test_after_a_restart_only_what_grew_is_asked_about(bench: Bench) -> None:
    market = bench.add()
    with bench.witnessing() as witnessing:
        bench.until(witnessing, lambda: all(map(bench.cosigned, (ROOT, COOP, "hz-market"))))
    market.asked.clear()
    grow(bench)
    with bench.witnessing() as witnessing:
        bench.until(witnessing, lambda: bench.cosigned(ROOT) and bench.cosigned())
    assert sorted(body.split(b"\n")[0] for _, body in market.asked) == [b"old 2", b"old 5"]


def test_a_witness_that_forgot_is_shown_the_way_from_where_it_stands(bench: Bench) -> None:
    market = bench.add()
    with bench.witnessing() as witnessing:
        bench.until(witnessing, lambda: bench.cosigned(COOP))
        market.store.close()
        shutil.rmtree(bench.folder)
        bench.folder.mkdir()
        fresh = bench.add()  # the same name and key, and no memory
        bench.markets = dict.fromkeys(bench.markets, fresh)
        grow(bench)
        bench.until(witnessing, lambda: bench.cosigned(COOP))


def test_a_log_that_the_witness_does_not_know_is_an_alarm_and_no_more(bench: Bench) -> None:
    market = bench.add()
    market.witness._trusted = dict
    with bench.witnessing() as witnessing:
        bench.until(witnessing, lambda: len(bench.failures()) == 3)
    assert all("does not know this log" in reason for reason in bench.failures().values())
    assert HeadStore(bench.instance.folder / "heads").read(COOP).frozen is None  # type: ignore[union-attr]


def flapping(_answer: Exchange, body: bytes) -> Exchange:
    return Exchange(409, "text/x.tlog.size", b"0\n" if body.startswith(b"old 1\n") else b"1\n")


@pytest.mark.parametrize(
    ("altered", "reason"),
    [
        (lambda *_: Exchange(200, "text/plain", b"\xff"), "not UTF-8"),
        (lambda *_: Exchange(200, "text/plain", b""), "signature lines"),
        (lambda *_: Exchange(200, "text/plain", "— other.example AAAAAAAA\n".encode()), "other keys"),
        (lambda answer, _: Exchange(200, "", answer.body[:-9] + b"AAAAAAA=\n"), "does not verify"),
        (lambda *_: Exchange(409, "text/x.tlog.size", b"many\n"), "does not verify"),
        (lambda *_: Exchange(409, "text/x.tlog.size", b"9999\n"), "shows no checkpoint"),
        (lambda *_: Exchange(409, "text/x.tlog.size", b"1\n"), "shows no checkpoint"),
        (flapping, "another each time"),
        (lambda *_: Exchange(409, "text/plain", b""), "shows no checkpoint"),
        (lambda *_: Exchange(422, "text/plain", b""), "shows no checkpoint"),
        (lambda *_: Exchange(403, "text/plain", b""), "another key"),
        (lambda *_: Exchange(302, "text/plain", b""), "status 302"),
        (lambda *_: Exchange(500, "text/plain", b""), "status 500"),
    ],
)
def test_what_a_witness_answers_wrongly_is_an_alarm_and_freezes_nothing(
    bench: Bench, altered: Callable[[Exchange, bytes], Exchange], reason: str
) -> None:
    market = bench.add()
    market.altered, market.shows = altered, False
    with bench.witnessing() as witnessing:
        bench.until(witnessing, lambda: bench.failures())
    assert all(reason in said for said in bench.failures().values()), bench.failures()
    assert bench.cosigned(ROOT) == {}
    assert bench.rows("SELECT * FROM contradiction") == []
    assert HeadStore(bench.instance.folder / "heads").read(ROOT).frozen is None  # type: ignore[union-attr]


def test_a_cosignature_of_another_time_is_not_published(bench: Bench) -> None:
    market = bench.add()
    market.witness._now = lambda: int(bench.now.timestamp()) + 3600
    with bench.witnessing() as witnessing:
        bench.until(witnessing, lambda: bench.failures())
    assert "time of the cosignature" in bench.failures()["market.example/w", ROOT]
    assert bench.cosigned(ROOT) == {}


# --- behind or forked ---------------------------------------------------------------------------------------------


def copy_of(folder: Path, to: Path) -> None:
    shutil.copytree(folder, to)


def restore(bench: Bench, copy: Path) -> None:
    """The data folder as it was, and the database brought back to what that folder has signed for."""
    shutil.rmtree(bench.instance.folder)
    shutil.copytree(copy, bench.instance.folder)


@pytest.mark.parametrize("grows", [0, 3], ids=["behind", "forked"])
def test_a_log_that_was_restored_whole_freezes_itself_at_the_first_witness(
    bench: Bench, tmp_path: Path, grows: int
) -> None:
    """Database and head store are both of yesterday: nothing here can tell, and the witness can."""
    bench.add()
    copy = tmp_path / "yesterday"
    bench.instance.owner.execute("CREATE TABLE leaf_yesterday AS SELECT * FROM leaf")
    bench.instance.owner.execute("CREATE TABLE log_yesterday AS SELECT * FROM log")
    bench.instance.owner.execute("CREATE TABLE stream_yesterday AS SELECT * FROM stream_head")
    copy_of(bench.instance.folder, copy)
    grow(bench)
    with bench.witnessing() as witnessing:
        bench.until(witnessing, lambda: bench.cosigned(ROOT) and bench.cosigned())
    theirs = read_published(bench.instance.folder / "log", COOP)
    assert theirs is not None
    back_to_yesterday(bench)
    restore(bench, copy)
    for number in range(grows):
        bench.now += timedelta(seconds=1)
        bench.instance.add_event(5000 + number)
    bench.instance.run(bench.now)
    with bench.witnessing() as witnessing:
        bench.until(
            witnessing, lambda: bench.rows("SELECT 1 FROM contradiction WHERE organisation = 'xj-coop'")
        )
        asked = len(bench.markets["https://market.example/w"].asked)
        bench.now += timedelta(minutes=10)
        bench.until(witnessing, lambda: len(bench.markets["https://market.example/w"].asked) >= asked + 4)
        witnessing.step(0.2)  # asked again, it says the same, and that is kept once
    heads = HeadStore(bench.instance.folder / "heads")
    head = heads.read(COOP)
    assert head is not None and head.frozen is not None and "market.example/w shows" in head.frozen
    ((ours, shown),) = bench.rows("SELECT ours, theirs FROM contradiction WHERE organisation = 'xj-coop'")
    keys = theirs.keys
    for note in (ours, shown):
        open_checkpoint(str(note), keys, origin=theirs.origin)
    assert str(shown).encode() == theirs.note
    assert "market.example/w" in bench.failures()["market.example/w", COOP]
    bench.instance.add_event(9000)
    assert COOP in bench.instance.run(bench.now).refused
    assert bench.instance.log(COOP).tree_size == head.size, "nothing is signed any more"


def back_to_yesterday(bench: Bench) -> None:
    owner = bench.instance.owner
    for table in ("anchor", "cosignature", "checkpoint", "attestation", "leaf", "stream_head"):
        owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
        owner.execute(f"DELETE FROM {table}".encode())
    owner.execute("INSERT INTO leaf SELECT * FROM leaf_yesterday")
    owner.execute("INSERT INTO stream_head SELECT * FROM stream_yesterday")
    owner.execute(
        "UPDATE log SET tree_size = y.tree_size, epoch = y.epoch FROM log_yesterday y WHERE y.organisation = log.organisation"
    )
    for table in ("anchor", "cosignature", "checkpoint", "attestation", "leaf", "stream_head"):
        owner.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER".encode())


def test_a_witness_that_lies_about_a_fork_is_found_to_and_freezes_nothing(bench: Bench) -> None:
    """It refuses, and what it shows goes together with the log."""
    market = bench.add()
    with bench.witnessing() as witnessing:
        bench.until(witnessing, lambda: bench.cosigned(ROOT) and bench.cosigned())
        refusal = Exchange(422, "text/plain", b"no\n")
        market.altered = lambda answer, body: refusal if body else answer
        grow(bench)
        bench.until(witnessing, lambda: ("market.example/w", COOP) in bench.failures())
    assert "goes together with this log" in bench.failures()["market.example/w", COOP]
    assert bench.rows("SELECT * FROM contradiction") == []


# --- policy, process, rights --------------------------------------------------------------------------------------


def test_the_policy_names_logs_and_witnesses_and_a_stranger_can_verify_by_it(bench: Bench) -> None:
    bench.add()
    with bench.witnessing() as witnessing:
        bench.until(witnessing, lambda: bench.cosigned(ROOT))
    policy = parse_policy((bench.instance.folder / "log/policy").read_bytes())
    assert [(log.key.name, log.url) for log in policy.logs] == [
        ("log.example/root", "https://a.example/log/root"),
        ("log.example/hz-market", "https://a.example/log/hz-market"),
        ("log.example/xj-coop", "https://a.example/log/xj-coop"),
    ]
    opened, found = open_witnessed(bench.instance.log(ROOT).checkpoint, policy, origin="log.example/root")
    assert (opened.checkpoint.size, [one.cosigner.name for one in found]) == (2, ["market.example/w"])


def test_without_witnesses_there_is_a_policy_that_says_so(bench: Bench) -> None:
    with bench.witnessing() as witnessing:
        witnessing.step(0)
    assert (bench.instance.folder / "log/policy").read_text().endswith("quorum none\n")


@pytest.mark.whole_server
def test_of_two_processes_one_asks_and_the_other_takes_over(bench: Bench) -> None:
    market = bench.add()
    stops = [threading.Event(), threading.Event()]
    threads = [
        threading.Thread(
            target=serve,
            args=(
                bench.instance.connect,
                bench.instance.folder,
                bench.listed(),
                "",
                bench.transport,
                lambda: bench.now,
                stop,
            ),
            kwargs={"poll_s": 0.02, "retry_s": 0.02},
        )
        for stop in stops
    ]
    try:
        for thread in threads:
            thread.start()
        wait_until(lambda: bench.cosigned(ROOT) and bench.cosigned() and bench.cosigned("hz-market"))
        assert len([body for _, body in market.asked]) == 3
        stops[0].set()
        threads[0].join(20)
        grow(bench)

        def later() -> object:
            bench.now += timedelta(seconds=1)  # the root may have been asked about just before it grew
            return bench.cosigned(ROOT) and bench.cosigned()

        wait_until(later)
    finally:
        for stop, thread in zip(stops, threads, strict=True):
            stop.set()
            thread.join(20)


def wait_until(reached: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_what_contradicts_a_log_is_never_changed(bench: Bench) -> None:
    row = "INSERT INTO contradiction (organisation, witness, found_at, reason, ours, theirs) VALUES ('root', 'w', now(), 'r', 'o', 't')"
    with bench.instance.connect() as conn:
        conn.execute(row.encode())
        for statement in (
            "UPDATE contradiction SET ours = 'x'",
            "DELETE FROM contradiction",
            "TRUNCATE contradiction",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                conn.execute(statement.encode())
    with psycopg.connect(bench.instance.database.service("api"), autocommit=True) as conn:
        with pytest.raises(errors.InsufficientPrivilege):
            conn.execute(row.encode())
        assert conn.execute("SELECT count(*) FROM contradiction").fetchone() == (1,)
