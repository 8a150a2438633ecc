"""What the doctor says of retention."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from deploy.doctor.findings import Mark
from deploy.doctor.retention import State, judged

NOW = datetime(2026, 6, 20, 12, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEEP = timedelta(days=100)


def ago(days: int) -> datetime:
    return NOW - timedelta(days=days)


@pytest.mark.parametrize(
    ("state", "mark", "said"),
    [
        (State(EPOCH, None, None), Mark.OK, "will be kept for 100 days"),
        (State(EPOCH, None, ago(1)), Mark.OK, "will be kept"),
        (State(EPOCH, None, ago(9)), Mark.WARN, "none since before 2026-03-07 was dropped"),
        (State(ago(103), None, ago(300)), Mark.OK, "for 100 days: since 2026-03-09"),
        (State(ago(110), None, ago(300)), Mark.WARN, "none since before"),
        (State(ago(110), ago(109), ago(300)), Mark.OK, "a legal hold keeps raw readings since 2026-03-03"),
        (State(ago(110), ago(50), ago(300)), Mark.WARN, "none since before"),
    ],
)
def test_retention_that_lags_is_said(state: State, mark: Mark, said: str) -> None:
    found = judged(state, NOW, KEEP)
    assert found.mark == mark and said in found.text
