"""A load's messages are what they are said to be: read by the line's own decoders, which share no code with the plan."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.registry import parse_registry
from ingest.wire import epcis, senml
from simulators.load.log import numbers
from simulators.load.plan import (
    BREACH_C,
    HIGHEST_C,
    Breach,
    Plan,
    events_payload,
    payloads,
    placing,
    registry,
    started,
)

NOW = datetime(2026, 6, 20, 12, tzinfo=UTC)
NOW_MS = round(NOW.timestamp() * 1000)


def plan(devices: int = 3, messages: int = 20, pack: int = 1, channels: int = 1, **more: object) -> Plan:
    told = {
        "devices": devices,
        "messages": messages,
        "pack": pack,
        "channels": channels,
        "boot": 77,
        "start_ms": 0,
    }
    made = Plan.of(told | more)
    return Plan.of(made.describe() | {"start_ms": started(messages, devices, made.span_s, NOW)})


def decoded(of: Plan, index: int) -> senml.Pack:
    return senml.decode(payloads(of)(index, NOW.timestamp()), of.device(index % of.devices), NOW_MS)


shapes = st.builds(plan, st.integers(1, 7), st.integers(1, 40), st.integers(1, 60), st.integers(1, 5))


@settings(max_examples=40)
@given(shapes)
def test_every_message_is_the_one_that_its_index_says(of: Plan) -> None:
    seen: Counter[tuple[str, int, int]] = Counter()
    keys: Counter[tuple[str, str, int]] = Counter()
    for index in range(of.messages):
        pack = decoded(of, index)
        device = of.device(index % of.devices)
        assert pack.boot is not None and pack.seq is not None
        seen[device, pack.boot, pack.seq] += 1
        keys.update((device, record.channel, record.time_ms) for record in pack.records)
        assert len(pack.records) == of.pack
    known = {
        (device, boot, seq) for device, boot, last in numbers(of, of.messages) for seq in range(1, last + 1)
    }
    assert set(seen) == known and max(seen.values()) == 1
    assert len(keys) == of.messages * of.pack, "no two readings share a key"
    assert max(time_ms for _, _, time_ms in keys) <= NOW_MS


def test_a_message_made_again_measures_the_same() -> None:
    of = plan(pack=5)
    first, again = (senml.decode(payloads(of)(4, at), of.device(1), NOW_MS) for at in (1.7e9, 1.7e9 + 60))
    assert first.records == again.records


def test_a_breach_begins_where_it_is_said_to() -> None:
    of = plan(messages=30, breaches=[{"device": 1, "seq": 4}])
    assert of.breaches == (Breach(1, 4),)
    for index in range(of.messages):
        pack = decoded(of, index)
        (record,) = pack.records
        assert pack.seq is not None and isinstance(record.value, float)
        warm = index % of.devices == 1 and pack.seq >= 4
        assert record.value >= BREACH_C if warm else record.value <= HIGHEST_C


def test_the_registry_has_every_device_and_channel() -> None:
    of = plan(devices=4, pack=6, channels=3)
    document = parse_registry(json.dumps(registry(of)))
    registered = {device.id: {channel.channel for channel in device.channels} for device in document.devices}
    for number in range(4):
        named = {of.channel(number, each) for each in range(3)}
        assert (
            {record.channel for record in decoded(of, number).records}
            == named
            == registered[of.device(number)]
        )


def test_what_places_the_devices_are_events() -> None:
    of = plan(devices=4)
    said = epcis.decode(events_payload(placing(of, range(3)), NOW))
    assert [type(event).__name__ for event in said.events] == [
        "TransformationEvent",
        *["AssociationEvent"] * 3,
    ]


@pytest.mark.parametrize("messages", range(9))
def test_the_last_number_of_each_device(messages: int) -> None:
    of = plan(devices=3)
    counted = Counter(index % 3 for index in range(messages))
    assert [of.last_seq(number, messages) for number in range(3)] == [counted[number] for number in range(3)]
