"""Windows: the tree by columns against the leaf by leaf, salts, summaries, and bodies that always fit an
entry.
"""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger.entry import Entry, parse_entry
from ledger.errors import EntryError
from ledger.strict_json import strict
from ledger.translog.merkle import Tree, leaf_hash
from ledger.translog.verify import verify_inclusion
from ledger.window import (
    Rows,
    WindowReading,
    WindowTree,
    body_hash,
    observations,
    reading_salt,
    readings,
    window_secret,
)
from ledger.window_body import MAX_BODY_SIZE, MAX_LISTED, Amends, Missing, WindowBody, list_tree, summaries

SECRET = window_secret(bytes(32), bytes(16), 1_782_000_000_000)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def hours(draw: st.DrawFn) -> Rows:
    keys = draw(
        st.lists(
            st.tuples(st.integers(0, 3), st.integers(0, 3_599_999)), min_size=1, max_size=30, unique=True
        )
    )
    parts = []
    for number, time in keys:
        series, flags = bytes([number]) * 16, [draw(st.integers(0, 0xFFFF))]
        if number == 3:
            parts.append(observations(series, [time], [body_hash({"at": time})], flags))
        else:
            parts.append(readings(series, [time], [draw(FLOATS)], flags))
    return np.concatenate(parts)


@settings(deadline=None)
@given(hours(), st.randoms())
def test_the_tree_by_columns_is_the_tree_leaf_by_leaf(rows: Rows, random: Any) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)
    window = WindowTree.of(SECRET, rows[order])
    shown = [window.reading(at) for at in range(window.size)]
    assert [(r.series, r.time_ms) for r in shown] == sorted(
        (r["series"].tobytes(), int(r["time"])) for r in rows
    )
    assert window.root_hash == Tree.of([reading.leaf() for reading in shown]).root_hash
    assert window.root_hash == WindowTree.of(SECRET, rows).root_hash
    for at, reading in enumerate(shown):
        assert reading.salt == reading_salt(SECRET, reading.series, reading.time_ms)
        verify_inclusion(leaf_hash(reading.leaf()), at, window.size, window.proof(at), window.root_hash)


@settings(deadline=None)
@given(hours())
@example(readings(bytes(16), [0, 1], [0.0, 1.8e305], [0, 0]))
def test_summaries_hold_every_reading_and_are_tight(rows: Rows) -> None:
    window = WindowTree.of(SECRET, rows)
    found = {summary.series: summary for summary in summaries(window)}
    assert sum(summary.count for summary in found.values()) == window.size
    assert all(a.series < b.series for a, b in pairwise(summaries(window)))
    for summary in found.values():
        mine = [r for at in range(window.size) if (r := window.reading(at)).series == summary.series]
        assert (summary.first_ms, summary.last_ms) == (mine[0].time_ms, mine[-1].time_ms)
        values = [reading.value for reading in mine if reading.value is not None]
        assert all(summary.holds(value) for value in values)
        if values and summary.min_milli is not None:
            assert summary.min_milli == math.floor(min(values) * 1000.0)
        if not values:
            assert (summary.min_milli, summary.max_milli) == (None, None)


def test_extremes_are_floor_and_ceiling_of_the_double_product() -> None:
    rows = readings(bytes(16), [0, 1, 2], [2.31, -1.0055, 4.0001], [0, 0, 0])
    (summary,) = summaries(WindowTree.of(SECRET, rows))
    assert (summary.min_milli, summary.max_milli) == (-1006, 4001)
    assert not summary.holds(4.0011)
    assert not summary.holds(-1.0061)


def test_minus_zero_is_zero() -> None:
    one, other = (WindowTree.of(SECRET, readings(bytes(16), [5], [value], [0])) for value in (0.0, -0.0))
    assert one.root_hash == other.root_hash


@pytest.mark.parametrize(
    "rows",
    [
        readings(bytes(16), [1], [math.nan], [0]),
        readings(bytes(16), [1], [math.inf], [0]),
        readings(bytes(16), [1, 1], [2, 3], [0, 0]),
    ],
)
def test_what_cannot_be_sealed_is_refused(rows: Rows) -> None:
    with pytest.raises(EntryError, match="window: got"):
        WindowTree.of(SECRET, rows)


def test_a_reading_has_a_value_or_a_body() -> None:
    for value, body in ((None, None), (1.0, bytes(32))):
        with pytest.raises(EntryError, match="either a value"):
            WindowReading(0, bytes(16), 0, value, 0, bytes(32), body).leaf()
    with pytest.raises(EntryError, match="position 0"):
        WindowReading(0, bytes(16), 2**63, 1.0, 0, bytes(32)).leaf()


def test_an_empty_window_tells_what_is_missing() -> None:
    window = WindowTree.of(SECRET, readings(bytes(16), [], [], []))
    body = WindowBody.of(window, 0, 10, "hour", [Missing(1, 1, 60)])
    assert WindowBody.read(body.value()) == body
    assert (body.count, body.series.count) == (0, 0)


def test_another_start_gives_other_salts() -> None:
    assert window_secret(bytes(32), bytes(16), 0) != window_secret(bytes(32), bytes(16), 1)


def crowd(series: int) -> WindowTree:
    rows = [readings(bytes([at]) * 16, [10**12 + at], [at * 1e9], [0]) for at in range(series)]
    return WindowTree.of(SECRET, np.concatenate(rows))


def wide(series: int, count: int) -> WindowTree:
    """Series whose extremes have as many digits as an entry takes."""
    times, values = 10**12 + np.arange(count), np.full(count, -8999999999999.5)
    rows = [readings(bytes([at]) * 16, times, values, np.zeros(count)) for at in range(series)]
    return WindowTree.of(SECRET, np.concatenate(rows))


@pytest.mark.parametrize("count", [1, MAX_LISTED, MAX_LISTED + 1, 200])
def test_a_list_beyond_32_items_is_its_count_and_root(count: int) -> None:
    window = crowd(count)
    body = WindowBody.of(window, 10**12, 10**12 + 500, "excursion")
    assert (body.series.items is None) == (count > MAX_LISTED)
    assert body.series.count == count
    assert body.series.root == list_tree(summaries(window)).root_hash
    again = WindowBody.read(body.value())
    assert again == body


@pytest.mark.parametrize("missing", [0, 5, 32, 33])
@pytest.mark.parametrize("series", [1, 32, 33])
@pytest.mark.parametrize("added", [None, 20, 32, 40])
def test_every_body_fits_its_entry(series: int, missing: int, added: int | None) -> None:
    window = wide(series, 50)
    ranges = [Missing(2**53 - 1 - at, 2**53 - 9, 2**53 - 1) for at in range(missing)]
    positions = None if added is None else list(range(added))
    body = WindowBody.of(window, 10**12, 10**12 + 50, "hand_over", ranges, added=positions)
    assert WindowBody.read(body.value(), pending=True) == body
    if added is not None:
        with pytest.raises(EntryError, match="amends and added"):
            WindowBody.read(body.value())
        body = body.amending(Amends(2**53 - 1, bytes(32)))
    assert len(strict(body.value())) <= MAX_BODY_SIZE
    entry = Entry(
        "window", bytes(16), bytes(16), 2**53 - 1, bytes(32), 2**53 - 1, body.value(), bytes(32), bytes(64)
    )
    assert WindowBody.read(parse_entry(entry.encode()).body) == body
    hidden = [
        name
        for name in ("series", "missing", "added")
        if (held := getattr(body, name)) and held.items is None
    ]
    assert ("missing" in hidden) >= (missing > MAX_LISTED)
    assert ("added" in hidden) >= (added is not None and added > MAX_LISTED)


def test_the_longest_list_goes_first() -> None:
    ranges = [Missing(2**53 - 1, 2**53 - 9, 2**53 - 1 - at) for at in range(12)]
    window = wide(32, 9)
    body = WindowBody.of(window, 10**12, 10**12 + 50, "hour", ranges[:1])
    assert body.series.items is not None
    body = WindowBody.of(window, 10**12, 10**12 + 50, "hour", ranges)
    assert body.series.items is None
    assert body.missing.items == tuple(ranges)


def test_an_amending_window_lists_what_it_adds() -> None:
    before = crowd(3)
    rows = np.concatenate([before.rows, readings(bytes([1]) * 16, [5], [1.0], [0])])
    after = WindowTree.of(SECRET, rows)
    assert after.added_since(before.tree.leaf_hashes) == (1,)
    assert after.added_since(set(after.tree.leaf_hashes)) == ()


def good_body() -> dict[str, Any]:
    body = WindowBody.of(crowd(2), 10**12, 10**12 + 9, "hour", [Missing(1, 2, 3)], added=[1])
    return body.amending(Amends(4, bytes(32))).value()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("window", [5, 5]),
        ("window", [0, 5, 6]),
        ("window", [10**12 + 1, 10**12 + 9]),
        ("closed", "noon"),
        ("count", 3),
        ("count", -1),
        ("count", True),
        ("root", "AA=="),
        ("series", [1]),
        ("series", {"count": 1}),
        ("missing", [[1, 3, 2]]),
        ("missing", [[1, 2]]),
        ("missing", None),
        ("added", [2]),
        ("added", [1, 0]),
        ("added", [1, 1]),
        ("added", list(range(33))),
        ("amends", {"index": 0.5, "leaf": ""}),
        ("amends", None),
        ("extra", 1),
    ],
)
def test_a_body_that_is_not_one_is_refused(name: str, value: Any) -> None:
    WindowBody.read(good_body())
    with pytest.raises(EntryError):
        WindowBody.read({**good_body(), name: value})


def test_series_out_of_order_or_twice_are_refused() -> None:
    body = good_body()
    with pytest.raises(EntryError, match="series: want each once"):
        WindowBody.read({**body, "series": body["series"][::-1]})
    with pytest.raises(EntryError, match="series: want each once"):
        WindowBody.read({**body, "series": [body["series"][0]] * 2})


def test_amends_and_added_come_together() -> None:
    for name in ("amends", "added"):
        body = good_body()
        del body[name]
        with pytest.raises(EntryError):
            WindowBody.read(body)


def test_a_summary_without_extremes_holds_any_value() -> None:
    (summary,) = summaries(WindowTree.of(SECRET, readings(bytes(16), [0, 1], [1e300, -1e300], [0, 0])))
    assert (summary.min_milli, summary.max_milli) == (None, None)
    assert summary.holds(1e300)
    assert not replace(summary, max_milli=5).holds(1e306)
