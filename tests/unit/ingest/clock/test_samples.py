"""Which messages become samples of their device's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ingest.clock.samples import SILENCE, Sample, Samples
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
    first = samples.heard(batch((7, 0, -900), (7, 10, -300), (8, 30, 0)))
    assert first.due == [Sample(7, NOW_MS + 10, NOW_MS - 300), Sample(8, NOW_MS + 30, NOW_MS)], (
        "the last of each"
    )
    assert samples.heard(batch((7, 0, -900))).due == [Sample(7, NOW_MS, NOW_MS - 900)], "nothing is committed"
    samples.written(first, NOW_MS)
    between = samples.heard(batch((7, 29 * MINUTE, 29 * MINUTE - 200)))
    assert between.due == []
    samples.written(between, NOW_MS + 29 * MINUTE)
    (later,) = samples.heard(batch((7, 31 * MINUTE, 31 * MINUTE - 900))).due
    assert later.delay_ms == 200, "the fastest since the last one"


def test_another_offset_is_news_within_a_minute() -> None:
    samples = Samples()
    samples.written(samples.heard(batch((7, 0, -100))), NOW_MS)
    ahead = samples.heard(batch((7, 30_000, 30_000 + 5_000)))
    assert ahead.due == []
    samples.written(ahead, NOW_MS + 30_000)
    later = samples.heard(batch((7, 61_000, 61_000 - 100)))
    assert [sample.delay_ms for sample in later.due] == [-5_000]
    samples.written(later, NOW_MS + 61_000)
    assert samples.heard(batch((7, 100_000, 100_000 - 100))).due == []


def test_what_came_again_or_has_no_sane_time_is_none() -> None:
    samples = Samples()
    assert samples.heard(batch((7, 0, -100), redelivered=True)) == SILENCE
    assert samples.heard(batch((7, 0, -100)), repeated={0}) == SILENCE
    never = -NOW_MS - 1  # no sent
    assert (
        samples.heard(batch((0, 0, -100), (7, 0, never), (7, 0, 2 * 86_400_000), (7, 0, -NOW_MS + 1)))
        == SILENCE
    )
