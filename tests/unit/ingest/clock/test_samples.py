"""Which messages become samples of their device's clock."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

from ingest.clock.samples import Sample, Samples
from ingest.intake import Intake
from ingest.message import Message

NOW = datetime(2026, 6, 20, 12, 0, tzinfo=UTC)
NOW_MS = round(NOW.timestamp() * 1000)
MINUTE = 60_000


def batch(*heard: tuple[int, int, int], redelivered: bool = False) -> Intake:
    """Of (device, received, sent), in ms from NOW."""
    made = Intake(NOW, timedelta(days=1))
    for device, received, sent in heard:
        made.device.append(device)
        made.received_ms.append(NOW_MS + received)
        made.sent_ms.append(NOW_MS + sent)
        made.messages.append(Message(b"", b"", redelivered))
    return made


def test_the_first_message_of_a_device_is_one_and_the_next_half_an_hour_is_none() -> None:
    samples = Samples()
    first = samples.due(batch((7, 0, -900), (7, 10, -300), (8, 30, 0)))
    assert first == [Sample(7, NOW_MS + 10, NOW_MS - 300), Sample(8, NOW_MS + 30, NOW_MS)], "the last of each"
    assert samples.due(batch((7, 0, -900))) == [first[0]], "until they are committed they are due"
    samples.written(first, NOW_MS)
    assert samples.due(batch((7, 29 * MINUTE, 29 * MINUTE - 200))) == []
    (later,) = samples.due(batch((7, 31 * MINUTE, 31 * MINUTE - 900)))
    assert later.delay_ms == 200, "the fastest since the last one"


def test_another_offset_is_news_within_a_minute() -> None:
    samples = Samples()
    samples.written(samples.due(batch((7, 0, -100))), NOW_MS)
    assert samples.due(batch((7, 30_000, 30_000 + 5_000))) == []
    (ahead,) = samples.due(batch((7, 61_000, 61_000 - 100)))
    assert ahead.delay_ms == -5_000
    samples.written([ahead], NOW_MS + 61_000)
    assert samples.due(batch((7, 100_000, 100_000 - 100))) == []


def test_what_came_again_or_has_no_sane_time_is_none() -> None:
    samples = Samples()
    assert samples.due(batch((7, 0, -100), redelivered=True)) == []
    assert samples.due(batch((7, 0, -100)), repeated={0}) == []
    never = -NOW_MS - 1  # no sent
    assert samples.due(batch((0, 0, -100), (7, 0, never), (7, 0, 2 * 86_400_000), (7, 0, -NOW_MS + 1))) == []


def test_a_batch_of_many_devices_costs_little() -> None:
    """The line has about 16 us for a message: this may take a fortieth of it."""
    samples = Samples()
    full = batch(*((device, place, place - 200) for place in range(4) for device in range(1, 501)))
    samples.written(samples.due(full), NOW_MS)
    best = min(_timed(samples, full) for _ in range(20))
    assert best / 2_000 < 2e-6, json.dumps({"s_a_message": best / 2_000})


def _timed(samples: Samples, full: Intake) -> float:
    begun = time.perf_counter()
    samples.due(full)
    return time.perf_counter() - begun
