from __future__ import annotations

from itertools import permutations

from ledger.genealogy import Placement, RecordedEvent, Say, placements
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


def said_by(*events: tuple[Say, RecordedEvent]) -> list[Placement]:
    """Each event by somebody who has that say about the logger."""
    says = {item.event.event_id: say for say, item in events}
    return placements([item for _, item in events], lambda device, item: says[item.event.event_id])


def test_what_others_claim_is_no_contradiction_of_the_owner() -> None:
    own = installed(10, TRUCK, channel="probe")
    for say in ("keeper", "guest", "nobody"):
        for claim in (installed(5, OTHER_TRUCK, channel="probe"), installed(30, OTHER_TRUCK)):
            found = said_by(("owner", own), (say, claim))
            assert [each for each in found if each.by_owner] == [
                Placement(LOGGER, "probe", TRUCK, None, at(10), None)
            ]
            assert all(
                each.end_ms is not None and each.end_ms <= at(10) for each in found if not each.by_owner
            )


def test_anothers_word_counts_where_the_owner_says_nothing() -> None:
    events = [
        ("keeper", installed(1, unit(1), channel="probe")),
        ("owner", installed(10, TRUCK, channel="probe")),
        ("owner", installed(20, TRUCK, channel="probe", removed=True)),
    ]
    found = said_by(*events)
    assert [(each.parent, each.start_ms, each.end_ms) for each in found] == [
        (unit(1), at(1), at(10)),
        (TRUCK, at(10), at(20)),
        (unit(1), at(20), None),
    ]


def test_who_has_the_parent_takes_the_owners_device_off_and_others_do_not() -> None:
    own, off = installed(10, unit(1)), installed(50, unit(1), removed=True)
    for say, end in (("keeper", at(50)), ("guest", None), ("nobody", None)):
        assert [each.end_ms for each in said_by(("owner", own), (say, off))] == [end]
    guests = said_by(("guest", own), ("guest", off))
    assert [(each.by_owner, each.end_ms) for each in guests] == [(False, at(50))]


def test_two_others_contradict_each_other_and_the_owner_ends_it() -> None:
    claims = ("keeper", installed(10, TRUCK)), ("keeper", installed(20, OTHER_TRUCK))
    assert all(each.conflicts == ((at(20), None),) for each in said_by(*claims))
    settled = said_by(*claims, ("owner", installed(30, OTHER_TRUCK)))
    assert [each.parent for each in settled if each.end_ms is None] == [OTHER_TRUCK]
