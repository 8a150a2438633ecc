"""A world as others meet it: repeatable bytes, honest packs, the registry document, the faults it
declares."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest

from simulators import places
from simulators.world import BROKEN, STRANGER, Message, World
from tests.unit.simulators.field_detector import records_of
from tests.unit.simulators.worlds import A_WORLD_TO_NOW, MORNING, messages, world

NOW = MORNING + A_WORLD_TO_NOW


def digest(sent: list[Message]) -> str:
    whole = hashlib.sha256()
    for message in sent:
        whole.update(f"{message.topic} {message.at.isoformat()} ".encode() + message.payload)
    return whole.hexdigest()


def device_of(message: Message) -> str:
    return message.topic.split("/")[3]


def test_the_same_seed_and_start_give_the_same_bytes_in_whatever_order_one_asks() -> None:
    asked_first = World(7, MORNING)
    asked_first.truth_until(NOW + timedelta(hours=5))
    list(asked_first.messages(MORNING + timedelta(hours=3)))
    assert digest(list(asked_first.messages(NOW))) == digest(messages())
    assert asked_first.truth_until(NOW) == world(7).truth_until(NOW)


def test_another_seed_and_another_start_give_other_worlds() -> None:
    short = MORNING + timedelta(hours=3)
    ours = digest(messages(7, short))
    assert digest(list(World(8, MORNING).messages(short))) != ours
    assert digest(list(World(7, MORNING + timedelta(hours=1)).messages(short))) != ours


def test_a_naive_start_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        World(1, MORNING.replace(tzinfo=None))


def test_messages_come_in_the_order_of_sending_and_their_number_suits_a_demo() -> None:
    sent = messages()
    assert all(a.at <= b.at for a, b in pairwise(sent))
    assert 4000 <= len(sent) <= 6000
    assert 20_000 <= sum(m.records for m in sent if m.kind == "readings") <= 40_000
    assert sum(m.records for m in sent if m.kind == "events") > 80


def test_asking_for_more_only_adds() -> None:
    some = list(world().messages(MORNING + timedelta(hours=20)))
    assert messages()[: len(some)] == some


def test_the_world_goes_on_after_now() -> None:
    later = [m for m in messages(7, NOW + timedelta(hours=6)) if m.at >= NOW]
    alive = {device_of(m) for m in later}
    assert {"stall-1", "shop-1", "coldstore-1", "stall-terminal"} <= alive
    assert "truck-1" not in alive


def test_packs_count_from_one_without_holes_but_for_what_was_lost() -> None:
    a_world = world()
    seqs: dict[str, list[int]] = {}
    for message in messages():
        if message.kind in ("readings", "bad_payload"):
            body = records_of(message.payload)
            assert [record["n"] for record in body[:3]] == ["boot", "seq", "sent"]
            assert body[0]["v"] == a_world.boot
            seqs.setdefault(device_of(message), []).append(body[1]["v"])
    lossy = a_world.plan.lost[0]
    for device, numbers in seqs.items():
        missing = set(range(1, max(numbers) + 1)) - set(numbers)
        assert numbers == sorted(numbers)
        assert len(missing) == 0 if device != lossy else 2 <= len(missing) <= 5, (device, missing)


def test_times_and_values_of_a_pack_are_those_of_a_device() -> None:
    for message in messages():
        if message.kind != "readings":
            continue
        base, times = 0.0, []
        for record in records_of(message.payload)[3:]:
            base = record.get("bt", base)
            times.append(base + record.get("t", 0.0))
            if record.get("u") == "Cel":
                assert -15.0 < record["v"] < 40.0
                assert math.isclose(record["v"] * 10, round(record["v"] * 10), abs_tol=1e-6)
        assert times == sorted(times)
        assert all(-2.0 < message.at.timestamp() - at < 3600.0 for at in times)


def test_without_signal_packs_wait_and_leave_together() -> None:
    waits = []
    for message in messages():
        if device_of(message) == "truck-1" and message.kind == "readings":
            records = records_of(message.payload)
            last = records[3]["bt"] + max(record.get("t", 0.0) for record in records[3:])
            waits.append(message.at.timestamp() - last)
    assert max(waits) > 600.0
    assert sorted(waits)[len(waits) // 2] < 120.0


def test_the_trucks_drive_from_xianju_to_hangzhou_and_have_no_fix_in_the_tunnel() -> None:
    track = []
    for message in messages():
        if device_of(message) == "truck-1" and message.kind == "readings":
            fields = {"lat": [], "lon": []}  # type: dict[str, list[float]]
            for record in records_of(message.payload)[3:]:
                if record["n"] in fields:
                    fields[record["n"]].append(record["v"])
            track += list(zip(fields["lat"], fields["lon"], strict=True))
    assert places.distance_km(track[0], (28.837, 120.718)) < 1.0
    assert places.distance_km(track[-1], (30.357, 120.107)) < 1.0
    steps = [places.distance_km(a, b) for a, b in pairwise(track)]
    assert max(steps) > 4.0  # six kilometres of tunnel
    assert sum(step > 2.0 for step in steps) == 1


@pytest.mark.parametrize("device", ["coldstore-1", "logger-01"])
def test_late_hand_over_changes_sent_and_nothing_else(device: str) -> None:
    message = next(m for m in messages() if m.kind == "readings" and device_of(m) == device)
    late = message.sent_at(NOW)
    before, after = records_of(message.payload), records_of(late.payload)
    assert after[2]["v"] == pytest.approx(NOW.timestamp() + message.clock_s, abs=0.001)
    assert before[:2] + before[3:] == after[:2] + after[3:]
    assert late.sent_at(message.at).payload == message.payload


def test_one_device_sends_cbor_and_a_number_is_the_same_in_it() -> None:
    packs = [m for m in messages() if m.kind == "readings" and not m.payload.startswith(b"[")]
    assert {device_of(message) for message in packs} == {"logger-01"} and len(packs) > 30
    for record in records_of(packs[0].payload)[3:]:
        assert record["v"] == float(f"{record['v']:.1f}"), "the double of its one decimal"


def test_declared_faults_are_sent_and_counted() -> None:
    kinds = Counter(m.kind for m in messages())
    assert kinds["unknown_device"] == kinds["bad_payload"] == 1
    assert world().quarantined_expected(NOW) == 2
    assert world().quarantined_expected(MORNING) == 0
    bad = next(m for m in messages() if m.kind == "bad_payload")
    assert device_of(bad) == BROKEN
    assert b"NaN" in bad.payload
    assert STRANGER not in {device["id"] for device in world().registry()["devices"]}


def test_the_registry_document_is_whole() -> None:
    document = world().registry()
    owners = {organisation["id"] for organisation in document["organisations"]}
    for entry in (*document["places"], *document["vehicles"], *document["devices"]):
        assert entry["organisation"] in owners
    devices = {device["id"]: device for device in document["devices"]}
    assert len(devices) == len(document["devices"])
    assert len({device["giai"] for device in document["devices"]}) == len(devices)
    for message in messages():
        if message.kind == "unknown_device":
            continue
        _, _, organisation, device, _ = message.topic.split("/")
        assert devices[device]["organisation"] == organisation
        if message.kind == "readings":
            channels = {channel["channel"] for channel in devices[device]["channels"]}
            assert {record["n"] for record in records_of(message.payload)[3:]} <= channels


def test_the_sample_boxes_came_on_both_trucks_and_are_on_the_shelf() -> None:
    failing, sound = world().sample_boxes()
    assert (failing.truck, sound.truck) == ("truck-2", "truck-1")
    assert world().sample_box() == (failing.gtin, failing.lot, failing.serial)
    assert failing.serial != sound.serial
