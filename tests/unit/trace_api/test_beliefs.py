"""What counts of marks for who sees less of the goods than the projection did."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import psycopg

from ledger.genealogy import RecordedEvent, digest, judged, replay
from tests.unit.ledger.genealogy import test_custody as chain
from tests.unit.ledger.genealogy.said import SHOP, gone, made, some, unit
from tests.unit.ledger.genealogy.test_custody import A, by
from tests.unit.ledger.genealogy.test_marks import REGISTERED, marked
from trace_api.beliefs import read_belief


class Rows:
    """A connection that answers every question with these rows."""

    def __init__(self, events: list[RecordedEvent]) -> None:
        self._rows: list[tuple[Any, ...]] = [
            (
                each.event.position,
                each.lot,
                digest(each.portion),
                [digest(name) for name in each.known_as],
                list(each.word.set),
                list(each.word.unset),
                each.word.speaks,
            )
            for each in judged(replay(events), REGISTERED)
        ]

    def execute(self, _query: bytes, values: list[list[int]]) -> list[tuple[Any, ...]]:
        return [row for row in self._rows if row[0] in values[0]]


def test_who_does_not_see_the_packing_hears_the_makers_recall_beside_anothers_share_of_the_lot() -> None:
    recalled = marked("coop", 33, set="recalled", what=some(A))
    hidden = [*chain.PACKED, *by("coop", gone(32, "retail_selling", unit(2)))]
    shown = [*chain.GROWN, *chain.WEIGHED, *chain.RUN, *by("shop", made(25, A, 5, where=SHOP)), *recalled]
    told = [replace(item, position=number) for number, item in enumerate([*shown, *hidden], 1)]
    conn = cast(psycopg.Connection, Rows(told))
    stock = replay(told[: len(shown)], belief=read_belief(conn, "published", told[: len(shown)]))
    found = {portion.journey[0].organisation: set(portion.marks) for portion in stock.portions(A)}
    assert found == {"coop": {"recalled"}, "shop": set()}
