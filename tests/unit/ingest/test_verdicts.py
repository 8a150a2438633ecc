"""Which version of an excursion's judgement is sealed, and when; and that its salts are the key's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingest.verdicts import GROWTH_APART, QUIET, Judged, due_at, salts

SEALED = datetime(2026, 6, 19, 6, tzinfo=UTC)
COMPUTED = SEALED + timedelta(minutes=20)
OPEN = {"state": "open", "minutes_at_least": 40.0, "extreme": 8.0, "start_time": "a", "version": 1}
CLOSED = OPEN | {"state": "closed"}


@pytest.mark.parametrize(
    ("before", "after", "due"),
    [
        (None, OPEN, COMPUTED),
        (OPEN, OPEN | {"minutes_at_least": 60.0, "version": 9}, None),
        (OPEN, OPEN | {"minutes_at_least": 81.0}, SEALED + GROWTH_APART),
        (OPEN, OPEN | {"extreme": 9.0}, SEALED + GROWTH_APART),
        (OPEN, OPEN | {"start_time": "b"}, SEALED + GROWTH_APART),
        (OPEN, CLOSED, COMPUTED + QUIET),
        (CLOSED, OPEN, COMPUTED + QUIET),
        (CLOSED, CLOSED | {"version": 7, "computed_at": "later"}, None),
        (CLOSED, CLOSED | {"minutes_at_least": 40.5}, COMPUTED + QUIET),
        (CLOSED, CLOSED | {"state": "void"}, COMPUTED + QUIET),
    ],
)
def test_what_is_new_is_sealed_when_it_has_settled(
    before: dict[str, Any] | None, after: dict[str, Any], due: datetime | None
) -> None:
    assert due_at(Judged("coop", 1, 1, 2, COMPUTED, after, before, before and SEALED)) == due


def test_each_field_of_each_version_has_a_salt_of_its_own() -> None:
    names = ["state", "extreme", "rule"]
    made = [salts(key, excursion, version, names) for key in (b"a" * 32, b"b" * 32) for excursion in (1, 2) for version in (1, 2)]  # fmt: skip
    assert {len(salt) for each in made for salt in each} == {16}
    assert len({salt for each in made for salt in each}) == 8 * 3
    assert salts(b"a" * 32, 1, 1, names[::-1]) == made[0], "in the order of the tree, whatever the names'"
