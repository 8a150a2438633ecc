"""What a code is to those who hold goods."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from trace_api.acts.stock import Stock
from trace_api.scan.standing import Holding, Part, Standing

AT = datetime(2026, 6, 18, tzinfo=UTC)
LOT, UNIT, TRUCK = (
    "https://id.gs1.org/01/09521234000204/10/A",
    "https://id.gs1.org/00/1",
    "https://id.gs1.org/8004/9",
)


def test_goods_are_found_by_lot_by_unit_and_by_the_vehicle_they_are_on() -> None:
    part = Part(LOT, "A", "", None, 40, None, "loaded")
    on_it = Holding(UNIT, (part,), None, TRUCK, None, frozenset(), AT)
    standing = Standing(cast(Stock, None), {}, (on_it,))
    assert [standing.about(code) for code in (LOT, UNIT, TRUCK, "B")] == [(on_it,)] * 3 + [()]
