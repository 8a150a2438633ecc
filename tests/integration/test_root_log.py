"""The root log against a real database: the organisations' checkpoints in it, when they come, and its clock."""

from datetime import timedelta

import psycopg
import pytest
from psycopg import errors

from ledger.cosigning import add_cosignatures
from ledger.entry import Entry, log_pseudonym, parse_entry, stream_pseudonym
from ledger.entry_bodies import CheckpointAnchor
from ledger.log import Log
from ledger.log_files import LogFiles
from ledger.reader import LogReader
from ledger.root_log import ROOT, ask_anchor
from ledger.translog.checkpoint import open_checkpoint
from ledger.translog.cosignature import Cosigner, cosigned_at, parse_cosigner_vkey, verify_cosignatures
from ledger.translog.note import parse_vkey, split_note
from ledger.translog.verify import verify_inclusion
from tests.integration.test_sequencer import NOW, ORGANISATIONS, Instance, check_log, instance

__all__ = ["instance"]
MINUTE = timedelta(minutes=1)


def anchors(instance: Instance) -> list[tuple[str, int]]:
    """Origin and size of each checkpoint in the root log, as its published entries say."""
    log = instance.log(ROOT)
    found = [CheckpointAnchor.read(entry.body) for entry in entries(log)]
    return [(anchor.checkpoint.origin, anchor.checkpoint.size) for anchor in found]


def entries(log: LogReader) -> list[Entry]:
    return [parse_entry(log.entry(index)) for index in range(log.tree_size)]


def test_every_log_is_anchored_in_the_root(instance: Instance) -> None:
    instance.fill()
    instance.run()
    check_log(instance, ROOT)
    root = instance.log(ROOT)
    assert (root.origin, sorted(anchors(instance))) == (
        "log.example/root",
        [("log.example/hz-market", 1), ("log.example/xj-coop", 5)],
    )
    for index, entry in enumerate(entries(root)):
        anchor = CheckpointAnchor.read(entry.body)
        origin = anchor.checkpoint.origin
        assert entry.type == "anchor"
        assert entry.org == log_pseudonym(root.origin)
        assert entry.stream == stream_pseudonym(instance.keys.organisation_key(ROOT), "log", origin)
        log = instance.log(origin.rpartition("/")[2])
        assert anchor.note == log.checkpoint
        assert (
            open_checkpoint(anchor.note, [parse_vkey(log.vkey)], origin=origin).checkpoint.root_hash
            == log.root_hash
        )
        verify_inclusion(
            root.leaf_hash(index), index, root.tree_size, root.inclusion_proof(index), root.root_hash
        )


def test_a_log_comes_in_once_a_minute_however_much_it_grows(instance: Instance) -> None:
    for second in range(0, 60, 20):
        instance.add_event(second)
        instance.run(NOW + timedelta(seconds=second))
    assert anchors(instance) == [("log.example/xj-coop", 1)]
    instance.run(NOW + MINUTE)
    assert anchors(instance) == [("log.example/xj-coop", 1), ("log.example/xj-coop", 3)]
    instance.run(NOW + 10 * MINUTE)
    assert len(anchors(instance)) == 2, "it has not grown"


def test_within_one_reign_too(instance: Instance) -> None:
    clock = [NOW]
    with instance.connect() as conn:
        sequencer = instance.sequencer(conn)
        sequencer._now = lambda: clock[0]
        sequencer.take_over()
        for number, minutes in enumerate((0, 0.5, 1, 1.5, 2)):
            clock[0] = NOW + minutes * MINUTE
            instance.add_event(number)
            while sequencer.step():
                continue
    assert [size for _, size in anchors(instance)] == [1, 3, 5]


def test_a_clock_that_goes_back_stops_no_anchor_and_makes_no_flood(instance: Instance) -> None:
    instance.add_event(0)
    instance.run(NOW + timedelta(days=1))
    clock = [NOW]
    with instance.connect() as conn:
        sequencer = instance.sequencer(conn)
        sequencer._now = lambda: clock[0]
        sequencer.take_over()
        for number in range(1, 4):
            instance.add_event(number)
            while sequencer.step():
                continue
            clock[0] += timedelta(seconds=1)
    assert [size for _, size in anchors(instance)] == [1, 2]
    times = [entry.rec for entry in entries(instance.log(ROOT))]
    assert times == sorted(times)


@pytest.mark.parametrize("role", ["ingest", "jobs", "api"])
def test_who_asks_gets_it_at_once(instance: Instance, role: str) -> None:
    instance.add_event(0)
    instance.run()
    instance.add_event(1)
    instance.add_event(2, "hz-market")
    instance.run()
    assert len(anchors(instance)) == 2
    with psycopg.connect(instance.database.service(role)) as conn:
        ask_anchor(conn, "xj-coop", NOW)
        ask_anchor(conn, "xj-coop", NOW)
    instance.run()
    assert anchors(instance)[2:] == [("log.example/xj-coop", 2)]
    assert instance.rows("SELECT * FROM anchor_request") == []
    with psycopg.connect(instance.database.service(role)) as conn:
        ask_anchor(conn, "xj-coop", NOW)
    instance.run()
    assert len(anchors(instance)) == 3, "it is there already"
    assert instance.rows("SELECT * FROM anchor_request") == []


def test_a_shopper_asks_for_what_is_published_alone(instance: Instance) -> None:
    instance.owner.execute("UPDATE organisation SET publishes = (id = 'xj-coop')")
    with psycopg.connect(instance.database.service("public")) as conn:
        for organisation in (*ORGANISATIONS, "nobody", "xj-coop"):
            conn.execute("SELECT published_anchor_request(%s)", [organisation])
    assert instance.rows("SELECT organisation FROM anchor_request") == [("xj-coop",)]


def test_which_leaf_holds_which_checkpoint_is_written_down(instance: Instance) -> None:
    instance.fill()
    instance.run()
    want = instance.rows("SELECT * FROM anchor ORDER BY 1")
    assert [(row[1], row[2]) for row in want] == [("hz-market", 1), ("xj-coop", 5)]
    instance.owner.execute("DELETE FROM anchor")
    instance.run()
    assert instance.rows("SELECT * FROM anchor ORDER BY 1") == want


def test_no_organisation_is_called_root(instance: Instance) -> None:
    with pytest.raises(errors.CheckViolation):
        instance.owner.execute(
            "INSERT INTO organisation (id, name_zh, name_en, party, kind) VALUES ('root', '', '', 'r', 'packer')"
        )


def test_the_sequencer_speaks_for_the_root_and_for_no_organisation(instance: Instance) -> None:
    pend = (
        "INSERT INTO pending (organisation, type, stream_kind, stream_id, body, created_at)"
        " VALUES (%s, %s, 'party', 'x', '{}', now())"
    )
    with instance.connect() as conn:
        for organisation, kind in (("root", "anchor"), ("xj-coop", "key"), ("xj-coop", "freeze")):
            conn.execute(pend, [organisation, kind])
        for kind in ("event", "window", "verdict", "correction"):
            with pytest.raises(errors.InsufficientPrivilege):
                conn.execute(pend, ["xj-coop", kind])


# --- the clock, and who else signs --------------------------------------------------------------------------------


def clock_of(instance: Instance) -> int:
    """What the published root checkpoint says of when it was the current one, verified."""
    files = LogFiles(instance.folder / "log" / ROOT)
    key = parse_cosigner_vkey((files.read("clock.vkey") or b"").decode().strip())
    assert key.name == "log.example/root/clock"
    text, lines = split_note(instance.log(ROOT).checkpoint)
    (said,) = verify_cosignatures(text, lines, [key])
    return said.time


def test_the_roots_clock_goes_on_without_growth(instance: Instance) -> None:
    instance.fill()
    instance.run()
    seconds = int(NOW.timestamp())
    assert clock_of(instance) == seconds
    for later, want in ((29, 0), (30, 30), (59, 30), (60, 60), (-3600, 60)):
        instance.run(NOW + timedelta(seconds=later))
        assert clock_of(instance) == seconds + want, later
    assert instance.log(ROOT).tree_size == 2
    assert instance.rows("SELECT tree_size FROM cosignature ORDER BY 1") == [(0,), (2,)], (
        "the first of each size is kept"
    )


def test_the_clock_does_not_run_back_when_the_log_grows(instance: Instance) -> None:
    instance.add_event(0)
    instance.run(NOW + MINUTE)
    instance.add_event(1, "hz-market")
    instance.run(NOW)
    assert instance.log(ROOT).tree_size == 2
    assert clock_of(instance) == int((NOW + MINUTE).timestamp())


def test_a_witness_signs_beside_the_clock(instance: Instance) -> None:
    instance.fill()
    instance.run()
    witness = Cosigner.from_seed("witness.example/w", bytes(32))
    root = instance.log(ROOT)
    with instance.connect() as conn:
        sequencer = instance.sequencer(conn)
        sequencer.take_over()
        log: Log = sequencer._held[ROOT].log
    line = witness.cosign(root.head, 7)
    assert add_cosignatures(log, root.tree_size, [line])
    assert not add_cosignatures(log, root.tree_size + 1, [line])
    instance.run(NOW + MINUTE)
    text, lines = split_note(instance.log(ROOT).checkpoint)
    assert [line.name for line in lines] == [
        "log.example/root",
        "log.example/root/clock",
        "witness.example/w",
    ]
    assert [cosigned_at(line.signature) for line in lines[1:]] == [int((NOW + MINUTE).timestamp()), 7]
    assert len(verify_cosignatures(text, lines, [witness.verifier])) == 1
    instance.add_event(8)
    instance.run(NOW + 2 * MINUTE)
    assert "witness" not in instance.log(ROOT).checkpoint, "it did not sign this one"
