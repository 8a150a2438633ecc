"""Times as files write them: every form gives the same moment, and none is guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.backfill.frames import FileError
from ingest.backfill.times import NEVER, parse

SHANGHAI = ZoneInfo("Asia/Shanghai")
MOMENT = datetime(2021, 6, 18, 0, 5, tzinfo=UTC)
MS = round(MOMENT.timestamp() * 1000)


@pytest.mark.parametrize(
    "text",
    [
        "2021-06-18T00:05:00Z", "2021-06-18 08:05", "2021-06-18 08:05:00.000", "2021-06-18T08:05:00+08:00", "2021-06-17T19:05:00-0500",
        "2021-06-18 08:05+08:00",
        "2021/6/18 8:05", "2021年6月18日 8:05", "2021.06.18 08:05:00", "1623974700", "1623974700.000", "1623974700000",
    ],
)  # fmt: skip
def test_every_form_is_the_same_moment(text: str) -> None:
    """Alone, as a column of its own, and among others."""
    assert parse([text], SHANGHAI)[0].tolist() == [MS]
    assert parse(["2021-06-18T00:05:00Z", text, "2021/06/18 08:05"], SHANGHAI)[0].tolist()[::2] == [MS, MS]


NONE = [
    "",
    "now",
    "NaT",
    "2021-06",
    "2021-13-01 00:00",
    "2021-06-18",
    "18.06.2021 08:05",
    "12",
    "-5",
    "nan",
    "1e30",
]


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_time_is_none(text: str) -> None:
    assert parse([text], SHANGHAI)[0].tolist() == [NEVER]
    assert parse([text, "2021-06-18 08:05"], SHANGHAI)[0].tolist() == [NEVER, MS]


def test_a_local_time_needs_a_zone() -> None:
    with pytest.raises(FileError, match="--time-zone"):
        parse(["2021-06-18 08:05"], None)
    assert parse(["2021-06-18 08:05+08:00", "1623974700"], None)[0].tolist() == [MS, NEVER]


def test_an_hour_that_is_twice_or_never_is_refused() -> None:
    """Berlin, 2021: 28 March 02:30 does not exist, 31 October 02:30 is twice."""
    berlin = ZoneInfo("Europe/Berlin")
    texts = ["2021-03-28 02:30", "2021-03-28 03:30", "2021-10-31 02:30", "2021-10-31 03:30"]
    found = parse(texts, berlin)[0]
    assert (found == NEVER).tolist() == [True, False, True, False]
    assert found[1] == round(datetime(2021, 3, 28, 1, 30, tzinfo=UTC).timestamp() * 1000)


@given(st.lists(st.datetimes(datetime(2015, 1, 1), datetime(2035, 1, 1)), min_size=1, max_size=30))
def test_a_column_is_what_its_cells_are(moments: list[datetime]) -> None:
    """numpy's way and the way of single cells agree with datetime's own, to the millisecond."""
    cut = [moment.replace(microsecond=moment.microsecond // 1000 * 1000) for moment in moments]
    texts = [moment.isoformat(sep=" ", timespec="milliseconds") for moment in cut]
    want = [
        (moment.replace(tzinfo=SHANGHAI) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
        for moment in cut
    ]
    whole = parse(texts, SHANGHAI)[0]
    mixed = parse([*texts, "2021/6/18 8:05"], SHANGHAI)[0][:-1]
    placed = parse([f"{text}+08:00" for text in texts], None)[0]
    assert whole.tolist() == mixed.tolist() == placed.tolist() == want
    assert whole.dtype == np.int64


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_none(text: str) -> None:
    assert len(parse([text], SHANGHAI)[0]) == len(parse([text, text], SHANGHAI)[0]) - 1 == 1
