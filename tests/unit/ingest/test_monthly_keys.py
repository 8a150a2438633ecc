"""The keys of quarantine: made once, never by reading, and gone when they were thrown away."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest.quarantine import KeyGone, MonthlyKeys, due


def test_what_is_encrypted_can_be_read_by_who_has_the_folder(tmp_path: Path) -> None:
    stored = MonthlyKeys(tmp_path).encrypt("2026-06", b"what a person typed")
    assert b"person" not in stored
    assert MonthlyKeys(tmp_path).decrypt("2026-06", stored) == b"what a person typed"
    assert MonthlyKeys(tmp_path).months() == ["2026-06"]


def test_reading_makes_no_key(tmp_path: Path) -> None:
    with pytest.raises(KeyGone, match="is missing"):
        MonthlyKeys(tmp_path).decrypt("2026-06", bytes(40))
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_was_thrown_away_is_not_made_anew(tmp_path: Path) -> None:
    keys = MonthlyKeys(tmp_path)
    stored = keys.encrypt("2026-06", b"x")
    keys.throw_away("2026-06")
    for attempt in (lambda: keys.decrypt("2026-06", stored), lambda: keys.encrypt("2026-06", b"y")):
        with pytest.raises(KeyGone, match="was thrown away"):
            attempt()
    assert keys.months() == []


def test_a_month_is_due_when_it_is_over_for_long_enough() -> None:
    months = ["2025-11", "2025-12", "2026-01", "2026-12"]
    assert due(months, 12, datetime(2026, 12, 31, tzinfo=UTC)) == ["2025-11"]
    assert due(months, 12, datetime(2027, 1, 1, tzinfo=UTC)) == ["2025-11", "2025-12"]
