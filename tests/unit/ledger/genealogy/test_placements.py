from __future__ import annotations

from itertools import permutations

from ledger.genealogy import Placement, placements
from tests.unit.ledger.genealogy.said import LOGGER, OTHER_TRUCK, STORE, TRUCK, at, installed, unit


def test_installed_and_removed() -> None:
    events = [
        installed(10, TRUCK, channel="return_air", position_of_probe="return_air"),
        installed(50, TRUCK, channel="return_air", removed=True),
    ]
    assert placements(events) == [Placement(LOGGER, "return_air", TRUCK, "return_air", at(10), at(50))]


def test_a_placement_stays_open_until_it_is_removed() -> None:
    assert placements([installed(10, STORE)])[0].end_ms is None


def test_a_removal_without_a_channel_removes_them_all() -> None:
    events = [installed(1, TRUCK, channel=name) for name in ("door", "return_air")]
    found = placements([*events, installed(9, TRUCK, removed=True)])
    assert [(each.channel, each.end_ms) for each in found] == [("door", at(9)), ("return_air", at(9))]


def test_the_same_said_twice_is_one_placement() -> None:
    found = placements([installed(1, TRUCK, channel="door"), installed(5, TRUCK, channel="door")])
    assert [(each.start_ms, each.end_ms) for each in found] == [(at(1), None)]


def test_a_probe_that_is_moved_within_its_parent_is_a_new_placement() -> None:
    events = [
        installed(1, unit(1), channel="probe", position_of_probe="in_box"),
        installed(5, unit(1), channel="probe", position_of_probe="surface"),
    ]
    found = placements(events)
    assert [(each.probe_position, each.start_ms, each.end_ms) for each in found] == [
        ("in_box", at(1), at(5)),
        ("surface", at(5), None),
    ]
    assert not any(each.conflict for each in found)


def test_one_channel_at_two_parents_is_kept_twice_with_the_spell_of_the_contradiction() -> None:
    events = [
        installed(10, TRUCK, channel="probe"),
        installed(30, OTHER_TRUCK, channel="probe"),
        installed(50, TRUCK, channel="probe", removed=True),
    ]
    for order in permutations(events):
        found = placements(order)
        assert [each.parent for each in found] == [TRUCK, OTHER_TRUCK]
        assert all(each.conflicts == ((at(30), at(50)),) for each in found)


def test_a_whole_device_contradicts_each_of_its_channels() -> None:
    found = placements([installed(10, TRUCK), installed(30, OTHER_TRUCK, channel="probe")])
    assert all(each.conflicts == ((at(30), None),) for each in found)


def test_two_channels_at_two_parents_agree() -> None:
    found = placements([installed(10, TRUCK, channel="air"), installed(30, OTHER_TRUCK, channel="probe")])
    assert not any(each.conflict for each in found)


def test_moved_on_is_no_contradiction() -> None:
    events = [installed(10, TRUCK), installed(30, TRUCK, removed=True), installed(30, OTHER_TRUCK)]
    assert not any(each.conflict for each in placements(events))
