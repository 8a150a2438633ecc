"""What stands on the labels of an act, from the act as it is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest

from trace_api.acts import PastAct
from trace_api.acts.registered import Product, Registered
from trace_api.scan.done_page import made_by
from trace_api.scan.printing import labels_of
from trace_api.story import Name
from trace_api.words import Words

AT = datetime(2026, 6, 18, 1, 30, tzinfo=UTC)
LOT = "https://id.gs1.org/01/09521234000204/10/DK260618A"
UNIT = "https://id.gs1.org/00/195212340000000014"
SERIALS = [{"lot": LOT, "first": "00000001", "last": "00000012"}]


class Shelf:
    """The one product, of 2 kg a box."""

    def product_of_lot(self, lot: str) -> Product:
        return Product("yangmei", "xj-coop", Name("杨梅", "bayberry"), 2.0, (lot.partition("/10/")[0],))


@pytest.mark.parametrize(
    ("kind", "serials", "packed"),
    [("pack", SERIALS, [("包装日期", "2026-06-18")]), ("split", [], []), ("refuse_part", [], [])],
)
def test_a_unit_label_counts_the_boxes_that_went_in(
    kind: str, serials: list[dict[str, str]], packed: list[tuple[str, str]]
) -> None:
    done: Mapping[str, Any] = {"at": AT.isoformat(), "lots": [LOT], "units": [UNIT], "serials": serials}
    past = PastAct(UUID(int=1), kind, AT, None, (), {"asked": {"boxes": 12}, "done": done}, None)
    registered = cast(Registered, Shelf())
    (label,) = labels_of(made_by(past, {}), "units", Words("zh"), registered, "", "https://trace.example")
    assert label.facts == (("批次", "DK260618A"), ("箱数", "12 箱"), ("净含量", "24 kg"), *packed)


def test_of_what_people_call_a_lot_the_label_shows_what_can_be_printed() -> None:
    done: Mapping[str, Any] = {"at": AT.isoformat(), "lots": [LOT], "units": [], "serials": []}
    past = PastAct(UUID(int=1), "register_batch", AT, None, (), {"asked": {"kg": 80}, "done": done}, None)
    registered = cast(Registered, Shelf())
    for called, printed in (("🍒3号棚上午", ("名称", "3号棚上午")), ("🍒", None)):
        made = made_by(past, {LOT: called})
        (label,) = labels_of(made, "lots", Words("zh"), registered, "", "https://trace.example")
        assert [fact for fact in label.facts if fact[0] == "名称"] == ([printed] if printed else [])
