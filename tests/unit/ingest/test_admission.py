"""Records that no table can hold: refused alone, and not by the database with all that came beside them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from ingest.admission import admit_pack, window_at
from ingest.registry import Device, Series
from ingest.wire.senml import Measured, Pack

NOW = datetime(2026, 6, 20, 12, 0, tzinfo=UTC)
TIME_MS = round(NOW.timestamp() * 1000) - 60_000
DEVICE = Device(
    1, "coop", "room-1", "urn:d:1", 60,
    {
        "note": Series(1, "note", "text", ""),
        "position": Series(2, "position", "position", "deg"),
        "ambient": Series(3, "ambient", "temperature", "Cel"),
    },
)  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Measured("note", None, TIME_MS, None, text="a\0b"), "unsupported_value"),
        (Measured("position", "deg", TIME_MS, None, position=(math.nan, 120.7)), "value_out_of_range"),
        (Measured("position", "deg", TIME_MS, None, position=(28.8, math.inf)), "value_out_of_range"),
    ],
)
def test_what_no_table_can_hold_takes_nobody_with_it(bad: Measured, reason: str) -> None:
    good = Measured("ambient", "Cel", TIME_MS, 2.5)
    pack = Pack(None, None, None, False, (bad, good))
    admitted = admit_pack(0, pack, DEVICE, window_at(NOW, timedelta(days=30)))
    assert [refusal.reason for refusal in admitted.refusals] == [reason]
    assert [reading.value for reading in admitted.readings] == [2.5] and not admitted.observations
