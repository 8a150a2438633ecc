"""Certificates behind goods: which of those that an event names are for this lot."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from trace_api.check.papers import Papers

ISSUED = datetime(2026, 6, 19, tzinfo=UTC)
OURS, THEIRS = "https://suyuan.example/coop/bt/HGZ-1", "https://suyuan.example/coop/bt/HGZ-2"


def portion(lot: str) -> Any:
    """Made in a run with another lot: one event names the papers of both."""
    event = SimpleNamespace(certification_info=[OURS, THEIRS], biz_transaction_list=[])
    return SimpleNamespace(name=lot, lot=lot, journey=[SimpleNamespace(event=event, organisation="coop")])


def test_the_certificate_of_another_lot_does_not_count() -> None:
    rows = [
        (OURS, "HGZ-1", "producer", "valid", "A", 500.0, ISSUED, "coop", None),
        (THEIRS, "HGZ-2", "producer", "valid", "B", 900.0, ISSUED, "coop", None),
    ]
    conn: Any = SimpleNamespace(execute=lambda *_: rows)
    papers = Papers(conn, [portion("A")])
    assert [paper.number for paper in papers.of(portion("A"), {})] == ["HGZ-1"]
    assert papers.of_others(portion("A")) == ("HGZ-2",)
