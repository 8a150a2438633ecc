"""The quick way admits what the plain way admits, or declines: any pack, byte for byte the same rows."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest import quick
from ingest.admission import FLAG_SERVER_TIME, admit_pack, window_at
from ingest.quick import Route, Rows
from ingest.registry import Device, Series
from ingest.wire import senml
from ingest.wire.errors import WireError

NOW = datetime(2026, 6, 19, 2, 0, 5, tzinfo=UTC)
NOW_S = NOW.timestamp()
WINDOW = window_at(NOW, timedelta(days=1096))
DEVICE = Device(
    7, "carrier-1", "truck-1", "https://id.gs1.org/8004/95212340TRUCK1", 60,
    {
        "return_air": Series(1, "return_air", "temperature", "Cel"),
        "door": Series(2, "door", "boolean", "/"),
        "humidity": Series(3, "humidity", "humidity", "%RH"),
        "label": Series(4, "label", "text", ""),
        "position": Series(5, "position", "position", "deg"),
        "truck-1/odd": Series(6, "truck-1/odd", "temperature", "Cel"),
        "fahrenheit": Series(9, "fahrenheit", "temperature", "Cel", "degF", 5 / 9, -160 / 9),
        "bounded": Series(10, "bounded", "temperature", "Cel", minimum=-40, maximum=85),
        "altitude": Series(8, "altitude", "altitude", "lat"),
    },
)  # fmt: skip
ROUTE = Route.of(DEVICE)

names = st.sampled_from(["return_air", "door", "humidity", "label", "odd", "altitude", "", "boot", "seq", "sent",
                         "truck-1/return_air", "truck-1:door", "truck-1/odd", "unknown",
                         "fahrenheit", "bounded"])  # fmt: skip
numbers = st.one_of(
    st.sampled_from([0, 1, -0.0, 2.5, 1e308, 2**53, 2**53 - 1, 10**30, 0.5, -1, NOW_S, 7_226_582_400]),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
)
times = st.one_of(
    st.sampled_from([0, -60, 60.0005, NOW_S, NOW_S - 3600.123, 2**28, 2**28 - 1, 1e9, 1e13, NOW_S + 9e4]),
    numbers,
)
records = st.fixed_dictionaries(
    {},
    optional={
        "n": names, "v": numbers, "t": times, "u": st.sampled_from(["Cel", "degF", "%RH", "/", "", "lat"]),
        "bn": st.sampled_from(["", "truck-1/", "truck-1:", "truck-2/"]), "bt": times, "bu": st.sampled_from(["Cel", "%RH", ""]),
        "bv": numbers, "vb": st.booleans(), "vs": st.just("x"), "s": numbers, "bver": st.sampled_from([5, 10, 11]), "other": numbers,
    },
)  # fmt: skip
ordinary = st.fixed_dictionaries(
    {
        "n": st.sampled_from(["return_air", "humidity"]),
        "v": numbers,
        "t": st.sampled_from([-60, NOW_S - 7.5, NOW_S]),
    }
)
said = st.sampled_from([[], [{"n": "boot", "v": 3}, {"n": "seq", "v": 17}], [{"n": "sent", "v": NOW_S - 1.25}],
                        [{"n": "boot", "v": 3}, {"n": "seq", "v": 17}, {"n": "sent", "v": NOW_S - 1.25}]])  # fmt: skip
packs = st.tuples(said, st.lists(st.one_of(records, ordinary), max_size=6)).map(
    lambda parts: [*parts[0], *parts[1]]
)


def plainly(payload: bytes) -> tuple[Any, ...] | None:
    """What the plain way admits of a pack in which it finds nothing wrong, as the columns of the quick one."""
    try:
        pack = senml.decode(payload, DEVICE.external_id, WINDOW.received_ms)
    except WireError:
        return None
    admitted = admit_pack(0, pack, DEVICE, WINDOW)
    if admitted.refusals or admitted.observations:
        return None
    assert all(reading.flags in (0, FLAG_SERVER_TIME) for reading in admitted.readings)
    numbers = tuple(-1 if each is None else each for each in (pack.boot, pack.seq, pack.sent_ms))
    return (
        [reading.series for reading in admitted.readings],
        [reading.time_ms for reading in admitted.readings],
        [repr(reading.value) for reading in admitted.readings],
        (*numbers, len(pack.records)),
        any(reading.flags for reading in admitted.readings),
    )


@settings(max_examples=600, deadline=None)
@given(packs)
@example(
    [
        {"n": "boot", "v": 1},
        {"n": "seq", "v": 2},
        {"bn": "truck-1/", "bt": NOW_S - 60, "n": "return_air", "v": -0.0},
    ]
)
@example([{"n": "return_air", "v": 1, "t": NOW_S}, {"n": "sent", "v": NOW_S}, {"n": "return_air", "v": 1}])
def test_what_it_takes_is_what_the_plain_way_admits(pack: list[dict[str, Any]]) -> None:
    payload = json.dumps(pack).encode()
    rows = Rows([99], [99], [99.0], [1])
    found = quick.take(payload, ROUTE, WINDOW, rows)
    if found is None:
        assert (rows.series, rows.time_ms, rows.value) == ([99], [99], [99.0]), "declined, and nothing added"
        return
    series, times_ms, values, numbers, server_time = plainly(payload) or (None,) * 5
    assert not server_time
    assert (rows.series[1:], rows.time_ms[1:], [repr(value) for value in rows.value[1:]]) == (
        series,
        times_ms,
        values,
    )
    assert tuple(found) == numbers


def test_ordinary_packs_go_the_quick_way() -> None:
    """Else the property above would hold of a function that declines everything."""
    said = [{"n": "boot", "v": 3}, {"n": "seq", "v": 17}, {"n": "sent", "v": NOW_S}]
    for records in (
        [{"n": "return_air", "u": "Cel", "v": 2, "t": -60}, {"n": "door", "vb": True}],
        [{"bt": NOW_S, "bu": "Cel", "n": "return_air", "v": 2.31}, {"n": "return_air", "v": 2.4, "t": -60}],
        [{"bn": "truck-1/", "n": "humidity", "u": "%RH", "v": 91.5}],
    ):
        rows = Rows()
        assert quick.take(json.dumps(said + records).encode(), ROUTE, WINDOW, rows) == (
            3, 17, round(NOW_S * 1000), len(records)
        )  # fmt: skip
        assert len(rows.series) == len(records)


def test_a_name_that_is_too_long_with_its_base_is_left_to_the_plain_way() -> None:
    name = "x" * 252
    device = Device(1, "coop", "room-1", "giai", 60, {name: Series(1, name, "temperature", "Cel")})
    payload = b'[{"bn":"room-1/","n":"%s","v":1,"t":1781834340}]' % name.encode()
    assert quick.take(payload, Route.of(device), WINDOW, Rows()) is None
