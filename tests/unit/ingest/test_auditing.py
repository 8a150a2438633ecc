"""A sealed hour held against a table that somebody changed: what was altered, removed or inserted is named, and no more."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.auditing import Fault, Version, compare, hour_of, outside
from ingest.window_rows import leaf_keys, leaf_prefixes
from ledger.entry import stream_pseudonym
from ledger.window import Rows, WindowTree, observations, readings, window_secret

KEY = b"k" * 32
DEVICE = 7
START = datetime(2026, 6, 19, 5, tzinfo=UTC)
START_MS = round(START.timestamp() * 1000)
SERIES = [bytes([number]) * 15 + b"\0" for number in (1, 2, 200)]

Cell = tuple[int, int]
cells = st.dictionaries(
    st.tuples(st.integers(0, 2), st.integers(0, 3_599_999)),
    st.floats(-80, 80),
    min_size=1,
    max_size=30,
)


def table(values: dict[Cell, float]) -> Rows:
    """Series 2 are texts, whose hash stands for a value."""
    parts = []
    for (series, at), value in values.items():
        if series == 2:
            parts.append(observations(SERIES[2], [START_MS + at], [struct.pack(">d", value) * 4], [0]))
        else:
            parts.append(readings(SERIES[series], [START_MS + at], [value], [0]))
    return np.concatenate([observations(bytes(16), [], [], []), *parts])


def sealed(values: dict[Cell, float]) -> tuple[Version, bytes, int]:
    secret = window_secret(KEY, stream_pseudonym(KEY, "device", str(DEVICE)), START_MS)
    tree = WindowTree.of(secret, table(values))
    keys, prefixes = b"".join(leaf_keys(tree)), leaf_prefixes(tree)
    version = Version(1, "coop", DEVICE, START, 1, tree.size, tree.root_hash, keys, prefixes, 0, None)
    return version, tree.root_hash, tree.size


def named(faults: list[Fault]) -> set[tuple[str, Cell]]:
    return {
        (fault.kind, (SERIES.index(fault.series), fault.time_ms - START_MS))
        for fault in faults
        if fault.series is not None and fault.time_ms is not None
    }


def held(values: dict[Cell, float], version: tuple[Version, bytes, int]) -> set[tuple[str, Cell]]:
    hour = hour_of(KEY, DEVICE, START, table(values))
    faults = [*compare(hour, *version), *outside(hour, version[0])]
    assert all(fault.series is not None for fault in faults)
    return named(faults)


@given(cells, cells, st.data())
@settings(max_examples=120, deadline=None)
def test_whatever_is_done_to_the_table_is_named(
    was: dict[Cell, float], more: dict[Cell, float], data: st.DataObject
) -> None:
    version = sealed(was)
    assert held(was, version) == set()
    fate = data.draw(st.lists(st.sampled_from("kkar"), min_size=len(was), max_size=len(was)))
    there, expected = {}, set()
    for (cell, value), what in zip(was.items(), fate, strict=True):
        if what == "r":
            expected.add(("removed", cell))
        else:
            there[cell] = value + 1.25 if what == "a" else value
            expected |= {("altered", cell)} if what == "a" else set()
    for cell, value in more.items():
        if cell not in was:
            there[cell] = value
            expected.add(("inserted", cell))
    assert held(there, version) == expected


@given(cells, cells)
@settings(max_examples=60, deadline=None)
def test_a_version_before_late_data_holds_with_what_it_knew(
    was: dict[Cell, float], later: dict[Cell, float]
) -> None:
    whole = later | was
    hour = hour_of(KEY, DEVICE, START, table(whole))
    assert compare(hour, *sealed(was)) == [] == compare(hour, *sealed(whole))
    assert outside(hour, sealed(whole)[0]) == []


def test_values_that_can_be_no_leaf_are_alterations() -> None:
    was = {(0, at): float(at) for at in range(4)}
    version = sealed(was)
    rows = table(was)
    rows["value"][2] = np.nan
    twice = np.concatenate([rows, rows[:1]])
    assert named(compare(hour_of(KEY, DEVICE, START, twice), *version)) == {
        ("altered", (0, 0)),
        ("altered", (0, 2)),
    }


@pytest.mark.parametrize(
    ("keys", "prefixes", "said"),
    [
        (lambda keys: keys, lambda _: None, "before leaf prefixes were kept"),
        (lambda keys: keys[:-24], lambda prefixes: prefixes[:-4], "names 4 readings, its entry 5"),
        (lambda keys: keys, lambda prefixes: prefixes, "altered as well"),
        (lambda _: b"", lambda _: None, "does not say which readings"),
    ],
)
def test_who_alters_what_is_kept_as_well_is_found_out_by_the_root(
    keys: object, prefixes: object, said: str
) -> None:
    """They cannot make the prefix of a lie without the organisation's key, but they can take one away, or know an old one."""
    was = {(0, at): float(at) for at in range(5)}
    version, root, count = sealed(was)
    lie, *_ = sealed(was | {(0, 3): 9.0})
    kept = keys(version.keys), prefixes(lie.prefixes)  # type: ignore[operator]
    forged = Version(1, "coop", DEVICE, START, 1, len(kept[0]) // 24 or 5, root, *kept, 0, None)
    there = table(was | {(0, 3): 9.0})
    (fault,) = compare(hour_of(KEY, DEVICE, START, there), forged, root, count)
    assert fault.kind == "unnamed" and said in fault.detail


def test_the_rows_order_is_nothing() -> None:
    was = {(number % 3, Random(number).randrange(3_600_000)): float(number) for number in range(50)}
    version = sealed(was)
    mixed = list(was.items())
    Random(3).shuffle(mixed)
    assert compare(hour_of(KEY, DEVICE, START, table(dict(mixed))), *version) == []
