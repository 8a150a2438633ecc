"""Columns are admitted as the messages of the same device would be."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.backfill.cells import admit
from ingest.backfill.frames import Form, Frame, Values
from ingest.registry import Device, Registry, Series, normalise
from ingest.wire.errors import WireError

NOW_MS = 1_800_000_000_000
SERIES = {
    "pulp": Series(1, "pulp", "temperature", "Cel", "degF", 5 / 9, -160 / 9, -40.0, 80.0),
    "air": Series(2, "air", "temperature", "Cel", None, 1.0, 0.0, -40.0, 80.0),
    "door": Series(3, "door", "boolean", "/"),
    "free": Series(4, "free", "voltage", "V"),
    "humidity": Series(5, "humidity", "humidity", "%RH", None, 1.0, 0.0, 0.0, 110.0),
    "position": Series(6, "position", "position", "deg"),
}


class Known(Registry):
    def __init__(self) -> None:
        super().__init__(lambda: 0.0)

    def device(self, external_id: str, scheme: str = "suyuan") -> Device | None:
        if (external_id, scheme) not in (("truck-1", "suyuan"), ("a84041000181c061", "lorawan")):
            return None
        return Device(7, "carrier", external_id, "giai", 60, SERIES, scheme)


def frame(
    channel: str, value: list[float], unit: str | None = None, device: str = "truck-1", ms: int = NOW_MS
) -> Frame:
    n = len(value)
    values = Values(channel, unit, np.array(value), np.ones(n, bool))
    return Frame(np.arange(2, n + 2), device, ms - np.arange(n) * 1000, [values], n, [])


@given(
    st.sampled_from(sorted(set(SERIES) - {"position"})),
    st.lists(
        st.floats(-1e6, 1e6) | st.sampled_from([-0.0, 0.0, 1.0, 41.0, 80.0, 80.1, -40.0]),
        min_size=1,
        max_size=20,
    ),
    st.booleans(),
)
def test_a_column_is_what_its_values_are_one_by_one(
    channel: str, values: list[float], canonical: bool
) -> None:
    """`normalise` is the slow reference: the same numbers to the last bit, and the same refusals."""
    series = SERIES[channel]
    unit = series.unit if canonical else None
    admitted, faults, readings = admit(frame(channel, values, unit), Known(), Form(), NOW_MS)
    want: dict[int, float] = {}
    for row, value in enumerate(values):
        try:
            want[row] = normalise(series, value, unit)
        except WireError:
            continue
    (found,) = admitted
    assert dict(zip(found.row.tolist(), map(repr, found.value.tolist()), strict=True)) == {
        row: repr(v) for row, v in want.items()
    }
    assert {fault.line - 2 for fault in faults} == set(range(len(values))) - set(want)
    assert readings == len(values) == len(found.row) + sum(fault.count for fault in faults)


def reasons(given: Frame, form: Form | None = None) -> list[tuple[str, int]]:
    _, faults, _ = admit(given, Known(), form or Form(), NOW_MS)
    return [(fault.reason, fault.count) for fault in faults]


def test_what_is_wrong_with_a_whole_column_is_said_once() -> None:
    assert reasons(frame("air", [1.0, 2.0], device="truck-9")) == [("unknown_device", 2)]
    assert reasons(frame("soil", [1.0, 2.0])) == [("unknown_channel", 2)]
    assert reasons(frame("air", [1.0, 2.0], "K")) == [("wrong_unit", 2)]
    assert reasons(frame("position", [1.0])) == [("wrong_kind", 1)]
    assert reasons(frame("air", [1.0]), Form(organisation="coop")) == [("foreign_device", 1)]
    assert reasons(frame("air", [1.0, 2.0], ms=1_420_070_400_000)) == [("impossible_time", 1)]
    assert reasons(frame("air", [1.0, 2.0, 3.0], ms=NOW_MS + 86_400_000 + 1000)) == [("impossible_time", 1)]
    assert reasons(frame("air", [1.0], ms=2**62)) == [("impossible_time", 1)], "a year that no calendar has"


def test_a_bare_per_cent_is_the_channels_own_and_a_scheme_may_be_named() -> None:
    assert reasons(frame("humidity", [50.0], "%")) == []
    assert reasons(frame("air", [5.0], device="lorawan:a84041000181c061")) == []
