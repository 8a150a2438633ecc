"""One bayberry lot through the whole chain: where its portions are after every one of the 35 events.

The table was written by hand from the events and from EVENTS.md's sequence. A letter is a portion; a line
says how it stands from that event on.

a  what was picked and never weighed in          C  the 12 boxes that the gate refused
b  what was weighed in, after the correction     D  the sample of 0.5 kg, a quarter of a box
M  the 240 boxes of the packhouse run            E  six boxes for the shop      F  five of them, sold
B  the 48 boxes on the pallet                    G  29 boxes destroyed after the recall
N  the 96 boxes of grade B                       K  what was culled
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from itertools import pairwise
from random import Random

import pytest

from ledger.epcis.events import parse_document
from ledger.genealogy import Genealogy, Portion, RecordedEvent, effective, placements, portions, replay
from tests.vectors import count_vectors, vector_path

G = "https://id.gs1.org"
O = "https://suyuan.example/xj-coop"  # noqa: E741
P01 = f"{O}/class/yangmei-dongkui.260618-P01"
MIXED = f"{G}/01/09521234000204/10/DK260618A"
OTHERS = (f"{G}/01/09521234000204/10/DK260618B", f"{O}/class/yangmei-cull.260618-L2-1")

# event, portion, quantity, inside (innermost first), at, stage, held by, marks or (end)
TABLE = """
01  a   86.5   -             1010/P01  field       -       -
02  a  127.5   -             1010/P01  field       -       -
35  a   10     -             1010/P01  field       -       -
35  b  117.5   -             2017      collected   coop    -
04  a   10     -             2031      precooling  -       -
04  b  117.5   -             2031      precooling  coop    -
05  a   10     -             2031      cold        -       -
05  b  117.5   -             2031      cold        coop    -
06  a   10     -             2031      cold        -       (transformed)
06  b  117.5   -             2031      cold        coop    (transformed)
06  M  240     -             2024      cold        coop    -
06  N   96     -             2024      cold        coop    -
06  K   24.5   -             2024      cold        coop    -
07  M  192     -             2024      cold        coop    -
07  B   48     105           2024      cold        coop    -
08  B   48     105           2024      cold        coop    -
09  B   48     105           2048      cold        coop    -
10  B   48     105<07.REAR   -         loaded      5001    -
11  B   48     105<07.REAR   -         loaded      5001    -
12  B   48     105<07.REAR   -         loaded      5100    -
13  B   48     105           6015      loaded      5100    -
14  B   48     105<31        -         loaded      5100    -
15  B   48     105<31        -         loaded      5100    -
16  B   48     105<31        3007      arrived     5100    -
17  B   48     105           3021      arrived     5100    -
18  B   48     105           3021      arrived     5100    -
19  B   36     105           3021      arrived     5100    -
19  C   12     -             3021      arrived     5100    -
20  C   12     273           3021      arrived     5100    -
21  C   12     273           3021      arrived     5100    non_sellable_other
22  B   36     105           3106/B12  stall       3106    -
23  C   11.75  273           3021      arrived     5100    non_sellable_other
23  D    0.25  273           3021      arrived     5100    (sampling)
24  B   36     105           3106/B12  stall       3106    unavailable
25  B   36     105           3106/B12  stall       3106    -
26  B   36     -             3106/B12  stall       3106    -
27  B   30     -             3106/B12  stall       3106    -
27  E    6     341           3106/B12  stall       3106    -
28  E    6     341           -         stall       4011    -
29  E    6     341           4011      shelf       4011    -
30  E    1     341           4011      shelf       4011    -
30  F    5     341           4011      shelf       4011    (retail_selling)
31  B   30     -             3106/B12  stall       3106    recalled
32  E    1     341           -         shelf       3106    -
33  B    1     -             3106/B12  stall       3106    recalled
33  G   29     -             3106/B12  stall       3106    (destroying)
"""
ORDER = [1, 2, 35, *range(4, 34)]


@cache
def events() -> tuple[RecordedEvent, ...]:
    text = vector_path("own/yangmei-lot.jsonld").read_text(encoding="utf-8")
    document = parse_document(json.loads(text))
    return tuple(RecordedEvent(number, "xj-coop", each) for number, each in enumerate(document.events))


@cache
def genealogy() -> Genealogy:
    return replay(events())


def number_of(recorded: RecordedEvent) -> int:
    assert recorded.event.event_id is not None
    return int(recorded.event.event_id[-3:])


def short(uri: str | None) -> str:
    if uri is None:
        return "-"
    if uri == f"{G}/417/9521234002000":
        return "coop"
    if "/8004/" in uri:
        return uri.rsplit("TRAILER", 1)[1]
    if "/00/" in uri:
        return uri[-3:]
    number, _, door = uri.partition("/254/")
    return number[-4:] + (f"/{door}" if door else "")


def row(portion: Portion) -> tuple[str, ...]:
    inside = [short(each.value) for each in portion.containers if each.end_ms == portion.end_ms]
    state = f"({portion.ending})" if portion.ending else ",".join(sorted(portion.marks)) or "-"
    where = short(portion.place)
    held = short(portion.holder)
    return f"{portion.quantity:g}", "<".join(inside) or "-", where, str(portion.stage), held, state


def table_after(event: int) -> list[tuple[str, ...]]:
    """The state that the table gives once that event, and all before it, have happened."""
    standing = {}
    for line in TABLE.strip().splitlines():
        number, name, *state = line.split()
        if ORDER.index(int(number)) <= ORDER.index(event):
            standing[name] = tuple(state)
    return sorted(standing.values())


@pytest.mark.parametrize("event", ORDER)
def test_portions_after_every_event(event: int) -> None:
    happened = effective(events())[: ORDER.index(event) + 1]
    assert number_of(happened[-1]) == event
    found = replay(happened)
    assert sorted(
        row(each) for name in (P01, MIXED, *OTHERS) for each in found.portions(name)
    ) == table_after(event)
    count_vectors()


def test_before_the_correction_all_of_it_was_weighed_in() -> None:
    weighed = portions(P01, events()[:3])
    assert [(each.quantity, each.stage) for each in weighed] == [(127.5, "collected")]
    count_vectors()


# The containers after every event that changes what is in them: what is on or in each, innermost first.
UNITS = """
07  105: 48
08  105: 48 and the logger
10  105: 48 and the logger  07.REAR: 105
13  105: 48 and the logger
14  105: 48 and the logger  31: 105
17  105: 48 and the logger
19  105: 36 and the logger
20  105: 36 and the logger  273: 12
23  105: 36 and the logger  273: 11.75
26  105: the logger  273: 11.75
27  105: the logger  273: 11.75  341: 6
30  105: the logger  273: 11.75  341: 1
"""


@pytest.mark.parametrize("event", ORDER)
def test_containers_after_every_event(event: int) -> None:
    happened = effective(events())[: ORDER.index(event) + 1]
    found = replay(happened)
    logger = {short(each.parent) for each in placements(happened) if each.end_ms is None}
    told = ""
    for line in UNITS.strip().splitlines():
        number, _, contents = line.partition("  ")
        told = contents if ORDER.index(int(number)) <= ORDER.index(event) else told
    held = []
    for name, node in sorted(found.stock.nodes.items(), key=lambda each: ("/00/" not in each[0], each[0])):
        goods = sum(each.quantity or 0 for each in node.parcels.values())
        things = [f"{goods:g}"] if goods else []
        things += [short(each) for each in node.nodes]
        things += ["the logger"] if short(name) in logger else []
        if things:
            held.append(f"{short(name)}: {' and '.join(things)}")
    assert "  ".join(held) == told
    count_vectors()


def test_after_the_35th_event_the_first_weighing_never_was() -> None:
    """In the order of recording: the declaration and the corrective event came last, when all else had happened."""
    before, declared, after = (replay(events()[:count]) for count in (33, 34, 35))
    weighed = [
        sorted(each.quantity or 0 for each in found.portions(P01)) for found in (before, declared, after)
    ]
    assert weighed == [[127.5], [127.5], [10, 117.5]]
    stages = [
        {span.value for each in found.portions(P01) for span in each.stages}
        for found in (before, declared, after)
    ]
    assert ["collected" in each for each in stages] == [True, False, True]
    count_vectors()


def test_any_order_of_arrival_gives_the_same() -> None:
    for seed in range(20):
        shuffled = list(events())
        Random(seed).shuffle(shuffled)
        arrived = replay(replace(each, position=number) for number, each in enumerate(shuffled))
        assert [_timeless(each) for each in arrived.portions(MIXED)] == [
            _timeless(each) for each in genealogy().portions(MIXED)
        ]
        assert arrived.presence() == genealogy().presence()
    count_vectors()


def _timeless(portion: Portion) -> Portion:
    def without(item: RecordedEvent) -> RecordedEvent:
        return replace(item, position=None)

    return replace(
        portion,
        journey=tuple(map(without, portion.journey)),
        set_by={mark: tuple(map(without, items)) for mark, items in portion.set_by.items()},
        stopped_by=portion.stopped_by and without(portion.stopped_by),
    )


def test_the_refused_boxes_have_the_history_of_the_pallet_before_the_split() -> None:
    refused = next(each for each in genealogy().portions(MIXED) if each.quantity == 11.75)
    assert [short(each.value) for each in refused.containers] == ["105", "07.REAR", "31", "273"]
    assert [each.value for each in refused.stages] == ["cold", "loaded", "arrived"]
    assert [number_of(each) for each in refused.journey] == [*range(6, 22)]
    assert refused.came_from is not None
    count_vectors()


def test_stays_are_surroundings_and_leave_no_time_out_or_twice() -> None:
    accepted = next(
        each for each in genealogy().portions(MIXED) if each.marks == {"recalled"} and not each.ending
    )
    stays = [(short(each.place), each.kind) for each in accepted.stays]
    assert stays == [
        ("2024", "biz_location"),
        ("105", "container"),
        ("2048", "biz_location"),
        ("07.REAR", "container"),
        ("6015", "read_point"),
        ("31", "container"),
        ("3021", "biz_location"),
        ("3106/B12", "biz_location"),
    ]
    outside = [each for each in accepted.stays if short(each.place) != "105"]
    assert all(one.end_ms == other.start_ms for one, other in pairwise(outside))
    count_vectors()


def test_seven_inputs_with_their_shares() -> None:
    inputs = genealogy().portions(MIXED)[0].inputs
    assert [(each.lot[-3:], each.quantity) for each in inputs] == [
        ("P09", 210),
        ("P01", 127.5),
        ("P20", 120.5),
        ("P04", 90),
        ("P07", 64),
        ("P12", 55),
        ("P15", 33),
    ]
    assert sum(each.share or 0.0 for each in inputs) == pytest.approx(1.0)
    assert inputs[1].share == pytest.approx(127.5 / 700)
    used = {name for each in inputs if each.lot == P01 for name in each.portions}
    assert used == {each.name for each in genealogy().portions(P01)}
    count_vectors()


def test_the_one_count_that_does_not_add_up_is_flagged() -> None:
    found = [(each.kind, each.event[-3:], each.said, each.known) for each in genealogy().discrepancies]
    assert found == [("more_than_known", "031", 31.0, 30.0)]
    count_vectors()


def test_the_logger_on_the_pallet() -> None:
    (placement,) = placements(events())
    assert (short(placement.parent), placement.probe_position, placement.end_ms) == ("105", "in_box", None)
    count_vectors()


def test_no_yard_and_no_store_surrounds_what_is_in_a_truck() -> None:
    found = {(short(each.holder), each.stage) for each in genealogy().presence() if each.lot == MIXED}
    assert ("31", "loaded") in found
    assert ("31", "arrived") in found
    assert ("2048", "cold") in found
    assert not {
        (place, stage) for place, stage in found if place == "3007" or (place, stage) == ("2048", "loaded")
    }
    count_vectors()


HARVEST = [1, 2, 35, 4, 5, 6]
ROAD = [*range(7, 19)]  # from the packing of the pallet to its inspection at the market
TRACES = {
    # The 48 boxes of the pallet, with all that was split from them later; nothing of the other 192.
    ("105", "back"): [*HARVEST, *ROAD, *range(19, 34)],
    ("105", "forward"): [6, *ROAD, *range(19, 34)],
    # The refused boxes: the pallet's history until the split, nothing of it after.
    ("273", "back"): [*HARVEST, *ROAD, 19, 20, 21, 23],
    ("273", "forward"): [6, *ROAD, 19, 20, 21, 23],
    # The shop's boxes: 19 is the pallet's while they were on it; the refused boxes' way from there is not theirs.
    ("341", "back"): [*HARVEST, *ROAD, 19, 22, 24, 25, 26, 27, 28, 29, 30, 32],
    ("341", "forward"): [6, *ROAD, 22, 24, 25, 26, 27, 28, 29, 30, 32],
}


@pytest.mark.parametrize(("tail", "direction"), TRACES)
def test_trace_of_a_unit(tail: str, direction: str) -> None:
    name = next(each for each in genealogy().stock.nodes if "/00/" in each and each.endswith(tail))
    found = genealogy().trace(name, direction)  # type: ignore[arg-type]
    assert [number_of(each) for each in found.events] == TRACES[tail, direction]
    assert not found.truncated
    count_vectors()


def test_trace_of_a_field_reaches_the_shop_and_of_the_mixed_lot_every_field() -> None:
    forward = genealogy().trace(P01, "forward")
    assert [number_of(each) for each in forward.events] == ORDER
    assert {"105", "273", "341"} <= {short(name) for name in forward.identifiers if "/00/" in name}
    back = genealogy().trace(MIXED, "back")
    assert sum(name.startswith(f"{O}/class/yangmei-dongkui.") for name in back.identifiers) == 7
    count_vectors()


def test_trace_of_the_other_grade_stops_at_the_run() -> None:
    other = f"{G}/01/09521234000204/10/DK260618B"
    assert [number_of(each) for each in genealogy().trace(other, "both").events] == HARVEST
    count_vectors()
