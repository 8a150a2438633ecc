"""Windows: when one closes, what an amendment says, and that evidence of a reading breaks when the reading is altered."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ingest import sealing
from ingest.window_rows import cut
from ledger.entry import Entry, parse_entry, stream_pseudonym
from ledger.evidence import verify_evidence
from ledger.evidence_file import Evidence, WindowEvidence, build_window
from ledger.evidence_reading import read_evidence
from ledger.strict_json import read_json
from ledger.translog.verify import VerifyError
from ledger.window import WindowTree, window_secret
from ledger.window_body import Added, Listing, Missing, WindowBody
from tests.acceptance.instance import Instance
from tests.integration.lines import NOW, NOW_S, message, pack
from tests.integration.said import (
    REGISTRY,
    by_carrier,
    by_terminal,
    loaded,
    made,
    on_truck,
    packed,
    placed,
    room,
    truck,
)
from tests.servers.databases import Database

HOUR = timedelta(hours=1)
QUIET = timedelta(minutes=2)
COLD, WARM = 2.0, 8.0


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    instance = Instance(database, tmp_path)
    instance.register(REGISTRY)
    return instance


def seal(instance: Instance, now: datetime) -> None:
    instance.settle(now, consumers=("projection", "detection", "sealing"))


def windows(instance: Instance) -> list[tuple[Any, ...]]:
    """(start in hours before NOW, version, closed, readings) in the order of sealing."""
    rows = instance.rows("SELECT start_time, version, closed, readings FROM sealed_window ORDER BY id")
    return [((NOW - row[0]) / HOUR, *row[1:]) for row in rows]


def entries(instance: Instance, organisation: str = "coop") -> list[tuple[int, Entry, WindowBody]]:
    """The window entries of the published log, with their index."""
    log = instance.log(organisation)
    found = [(index, parse_entry(log.entry(index))) for index in range(log.tree_size)]
    return [(index, entry, WindowBody.read(entry.body)) for index, entry in found if entry.type == "window"]


def test_an_hour_closes_when_it_is_over_and_its_marks_are_quiet(instance: Instance) -> None:
    instance.take([room([COLD] * 90, 1.5, 1)], NOW)  # half of one hour, all of the next
    seal(instance, NOW)
    assert windows(instance) == [], "over, but touched this moment"
    seal(instance, NOW + QUIET - timedelta(seconds=1))
    assert windows(instance) == []
    seal(instance, NOW + QUIET)
    assert windows(instance) == [(2.0, 1, "hour", 30), (1.0, 1, "hour", 60)]


def test_an_hour_that_is_not_over_stays_open_however_quiet(instance: Instance) -> None:
    running = NOW + timedelta(minutes=30)
    instance.take([room([COLD] * 20, 0, 1)], running)
    seal(instance, running + QUIET)
    assert windows(instance) == []
    seal(instance, NOW + HOUR)
    assert windows(instance) == [(0.0, 1, "hour", 20)]


def test_an_excursion_closes_its_hours_at_once(instance: Instance) -> None:
    running = NOW + timedelta(minutes=50)
    instance.take([*by_terminal(made(10), placed(9)), room([COLD] * 5 + [WARM] * 40, 0, 1)], running)
    seal(instance, running)
    assert windows(instance) == [(0.0, 1, "excursion", 45)]
    ((index, _, body),) = entries(instance)
    assert (body.closed, body.count, body.amends) == ("excursion", 45, None)
    assert instance.rows("SELECT leaf_index FROM leaf WHERE sealed_window IS NOT NULL") == [(index,)]


def test_a_hand_over_closes_the_hour_so_far_of_what_measured_the_goods(instance: Instance) -> None:
    instance.take([*by_carrier(on_truck(9)), *by_terminal(made(10), placed(9), packed(8))], NOW)
    seal(instance, NOW)
    instance.take([room([COLD] * 20, 2.5, 1), truck([COLD] * 20, 2.5, 1)], NOW)
    instance.take(by_terminal(loaded(2.25)), NOW)
    seal(instance, NOW)
    assert sorted(windows(instance)) == [(3.0, 1, "hand_over", 20), (3.0, 1, "hand_over", 20)]
    assert [body.closed for name in ("coop", "carrier") for _, _, body in entries(instance, name)] == [
        "hand_over"
    ] * 2


def test_late_data_is_an_amendment_that_cites_the_leaf_before_and_lists_what_came(instance: Instance) -> None:
    instance.take([room([COLD, COLD, COLD], 3, 1)], NOW)
    seal(instance, NOW + QUIET)
    instance.take(
        [room([1.5], 3 - 0.5 / 60, 2), room([1.0, 0.5], 2.5, 3)], NOW + HOUR
    )  # one between, two behind
    seal(instance, NOW + HOUR + QUIET)
    instance.take([room([9.0], 3 - 0.25 / 60, 4)], NOW + 2 * HOUR)
    seal(instance, NOW + 2 * HOUR + QUIET)
    assert windows(instance) == [(3.0, 1, "hour", 3), (3.0, 2, "hour", 6), (3.0, 3, "hour", 7)]

    log = instance.log("coop")
    (first, _, whole), (second, entry, amended), (_, _, again) = entries(instance)
    assert whole.amends is None and whole.added is None
    assert amended.amends is not None and again.amends is not None
    assert (amended.amends.index, amended.amends.leaf) == (first, log.leaf_hash(first))
    assert (again.amends.index, again.amends.leaf) == (second, log.leaf_hash(second))
    assert _added(amended) == [1, 4, 5]
    assert _added(again) == [1]
    assert entry.prev == log.leaf_hash(first), "and the device's stream chains them as well"


def test_what_would_be_long_is_said_by_its_count_and_root(instance: Instance) -> None:
    instance.take([room([COLD], 3, 1)], NOW)
    seal(instance, NOW + QUIET)
    instance.take(
        [room([COLD] * 40, 2.9, 2 * number + 50, step_s=1) for number in range(40)][::-1], NOW + HOUR
    )
    instance.take([room([WARM] * 40, 2.5, 30, step_s=1)], NOW + HOUR)
    seal(instance, NOW + HOUR + QUIET)
    ((_, _, first), (_, entry, amended)) = entries(instance)
    assert first.missing.items == () and amended.added is not None
    assert amended.added == Listing.of([Added(place) for place in range(1, 81)]).collapsed()
    missing = [Missing(1, 2, 29), Missing(1, 31, 49), *(Missing(1, seq, seq) for seq in range(51, 128, 2))]
    assert amended.missing == Listing.of(missing).collapsed()
    assert len(entry.encode()) < 1000


def _added(body: WindowBody) -> list[int]:
    assert body.added is not None and body.added.items is not None
    return [item.position for item in body.added.items]


def test_an_unchanged_set_seals_nothing(instance: Instance) -> None:
    sent = room([COLD] * 30, 2, 1)
    instance.take([sent], NOW)
    seal(instance, NOW + QUIET)
    before = windows(instance)
    instance.take([sent], NOW + HOUR)  # the broker sends again
    seal(instance, NOW + 2 * HOUR)
    with instance.as_role("ingest") as conn:  # and a mark that changed nothing
        conn.execute(
            "INSERT INTO mark (consumer, created_at, reason, series_ids, from_times, to_times)"
            " SELECT 'sealing', %s, 'hand_over', ARRAY[series_id], ARRAY[min(time)], ARRAY[max(time)] FROM reading_store GROUP BY series_id",
            [NOW],
        )
    seal(instance, NOW + 3 * HOUR)
    assert windows(instance) == before
    assert instance.rows("SELECT * FROM open_window") == []


def test_a_missing_message_is_said_in_the_window(instance: Instance) -> None:
    instance.take([room([COLD], 3, 1), room([COLD], 2.9, 4)], NOW)
    seal(instance, NOW + QUIET)
    ((_, _, body),) = entries(instance)
    assert body.missing.items is not None
    assert [(item.boot, item.first, item.last) for item in body.missing.items] == [(1, 2, 3)]


def evidence_of(instance: Instance, position: int) -> Evidence:
    """Of one reading of the one window, from the table as it stands now."""
    ((index, entry, _),) = entries(instance)
    ((device, start),) = instance.rows("SELECT device_id, start_time FROM sealed_window")
    key = instance.keys.organisation_key("coop")
    stream = stream_pseudonym(key, "device", str(device))
    assert stream == entry.stream
    with instance.as_role("jobs") as conn:
        held = sealing.read_rows(conn, device, start)
    tree = WindowTree.of(window_secret(key, stream, round(start.timestamp() * 1000)), held)
    log = instance.log("coop")
    return Evidence((log.log_evidence(),), (build_window(log.leaf_evidence(index), tree, [position]),))


def test_evidence_of_a_reading_verifies_and_ends_with_an_alteration_in_the_table(instance: Instance) -> None:
    position = {"lat": 28.85, "lon": 120.7}
    seen = [{"n": name, "u": name, "t": NOW_S - 7000, "v": value} for name, value in position.items()]
    payload = (
        pack([2.0, 2.5, 3.0], start_s=NOW_S - 7200)[:-1] + b"," + repr(seen)[1:].replace("'", '"').encode()
    )
    instance.take([message(payload)], NOW)
    seal(instance, NOW + QUIET)
    trusted = {instance.log("coop").origin: instance.log("coop").vkey}
    for place in range(4):
        file = evidence_of(instance, place).to_json()
        assert verify_evidence(file, trusted).verified, place
    evidence = read_evidence(evidence_of(instance, 1).to_json())
    assert isinstance(evidence.items[0], WindowEvidence)
    shown = evidence.items[0].readings[0]
    lie = replace(shown, reading=replace(shown.reading, value=2.4))
    forged = replace(evidence, items=(replace(evidence.items[0], readings=(lie,)),))
    assert not verify_evidence(forged.to_json(), trusted).verified, "another value under the same proof"

    instance.alter("UPDATE reading_store SET value = 2.4 WHERE value = 2.5")
    for place in range(4):
        with pytest.raises(VerifyError, match="root of the window"):
            evidence_of(instance, place)
    assert verify_evidence(file, trusted).verified, "what was handed out before still holds"


# --- what must not be sealed over -------------------------------------------------------------------------------------

FAULTS = "SELECT version, fault FROM window_check WHERE fault IS NOT NULL"


@pytest.mark.editions("plain")
@pytest.mark.parametrize(
    ("lie", "truth", "said"),
    [
        ("UPDATE reading_store SET value = 1 WHERE value = 3", "UPDATE reading_store SET value = 3 WHERE value = 1", "altered"),
        ("DELETE FROM reading_store WHERE value = 3",
         "INSERT INTO reading_store SELECT series_id, time + INTERVAL '1 minute', 3, flags, batch_id FROM reading_store WHERE value = 2.5",
         "removed"),
        ("UPDATE sealed_window SET root = sha256(root)", None, "root: the table says"),
    ],
)  # fmt: skip
def test_late_data_does_not_seal_over_an_alteration(
    instance: Instance, lie: str, truth: str | None, said: str
) -> None:
    instance.take([room([2.0, 2.5, 3.0], 3, 1)], NOW)
    seal(instance, NOW + QUIET)
    (root,) = instance.rows("SELECT root FROM sealed_window")[0]
    instance.alter(lie)
    later = NOW + HOUR
    instance.take([room([2.2], 2.5, 2)], later)
    seal(instance, later + QUIET)
    assert windows(instance) == [(3.0, 1, "hour", 3)], "it is not amended"
    ((version, fault),) = instance.rows(FAULTS)
    assert version == 1 and said in fault
    if truth is None:
        instance.alter("UPDATE sealed_window SET root = %s", root)
    else:
        instance.alter(truth)
    seal(instance, later + HOUR)
    assert windows(instance) == [(3.0, 1, "hour", 3)], "it is looked at again after an hour"
    seal(instance, later + QUIET + HOUR)
    assert windows(instance) == [(3.0, 1, "hour", 3), (3.0, 2, "hour", 4)]
    assert instance.rows(FAULTS) == []


@pytest.mark.editions("plain")
@pytest.mark.parametrize("chance", [1, 2, 3])
def test_in_any_order_of_arrival_the_last_root_is_the_same(
    database: Database, tmp_path: Path, chance: int
) -> None:
    sent = [room([minute / 10], 3 - minute / 60, minute + 1) for minute in range(0, 90, 3)]
    roots = []
    for shuffled in (False, True):
        instance = Instance(database, tmp_path)
        if not shuffled:
            instance.register(REGISTRY)
            mixed = sent
        else:
            instance.alter(
                "TRUNCATE reading_store, batch_account, account_unfolded, mark, open_window, device_sequence"
            )
            instance.alter("DELETE FROM leaf WHERE sealed_window IS NOT NULL")
            instance.alter(
                "TRUNCATE window_check; DELETE FROM pending; UPDATE log SET tree_size = 0; DELETE FROM sealed_window"
            )
            mixed = list(sent)
            Random(chance).shuffle(mixed)
        for number in range(0, len(mixed), 7):
            now = NOW + number * HOUR
            instance.take(mixed[number : number + 7], now)
            instance.consume("sealing", now)
            instance.consume("sealing", now + QUIET)
        rows = instance.rows(
            "SELECT start_time, version, root, leaf_keys, body FROM sealed_window AS sealed JOIN pending ON sealed_window = sealed.id ORDER BY 1, 2"
        )
        roots.append({start: bytes(root) for start, _, root, _, _ in rows})
        held: dict[datetime, list[bytes]] = {}
        for start, version, _, kept, body in rows:
            keys, before = cut(bytes(kept), 24), held.get(start, [])
            said = WindowBody.read(read_json(bytes(body)), pending=True)
            assert set(before) < set(keys) and (said.added is None) == (version == 1)
            if said.added is not None:
                new = [place for place, key in enumerate(keys) if key not in before]
                assert said.added == Listing.of([Added(place) for place in new])
            held[start] = keys
    assert roots[0] == roots[1] and len(roots[0]) == 2


@pytest.mark.editions("plain")
def test_an_urgent_window_goes_before_all_that_wait(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "MOST", 1)
    running = NOW + timedelta(minutes=50)
    instance.take([*by_terminal(made(10), placed(9)), room([COLD] * 240, 5, 1)], NOW - HOUR)
    instance.take([room([WARM] * 40, 0, 2)], running)
    instance.settle(running, consumers=("projection", "detection"))
    instance.consume("sealing", running)
    assert windows(instance) == [(0.0, 1, "excursion", 40)]


def test_numbers_that_were_missing_before_the_hour_began_are_not_said_again(instance: Instance) -> None:
    steps = ("gaps", "sealing")
    instance.take([room([COLD], 3, 1), room([COLD], 2.9, 4)], NOW - 2.9 * HOUR)
    for hours in (2.8, 1.9):
        instance.settle(NOW - hours * HOUR, consumers=steps)
    instance.take([room([COLD], -25, 5), room([COLD], -25.1, 9)], NOW + 25.2 * HOUR)
    instance.settle(NOW + 25.3 * HOUR, consumers=steps)
    instance.settle(NOW + 27 * HOUR, consumers=steps)
    said = {}
    for _, _, body in entries(instance):
        assert body.missing.items is not None
        said[body.start_ms] = [(item.first, item.last) for item in body.missing.items]
    assert sorted(said.values()) == [[(2, 3)], [(6, 8)]], (
        "two were lost a day before that hour, and can be none of it"
    )
