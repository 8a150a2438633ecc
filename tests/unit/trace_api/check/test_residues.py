"""Rows of residue tests: which of them still say something."""

from __future__ import annotations

from trace_api.check.residues import standing


def row(lot: str, outcome: str, kind: str = "rapid", sample: str | None = "S-1") -> dict[str, str | None]:
    return {
        "id": "1",
        "organisation": "market",
        "lot": lot,
        "kind": kind,
        "sample": sample,
        "outcome": outcome,
    }


def test_a_result_takes_the_place_of_its_sample_and_of_nothing_else() -> None:
    waiting, positive, negative = row("A", "pending"), row("A", "positive"), row("A", "negative")
    assert standing([waiting, positive]) == [positive]
    assert standing([positive, negative]) == [positive, negative], "a second screen lifts nothing"
    sent = row("A", "pending", "laboratory")
    assert standing([waiting, positive, sent]) == [positive, sent], (
        "the screen is what the laboratory looks at"
    )


def test_one_number_over_two_lots_is_a_result_of_each() -> None:
    rows = [row("A", "positive"), row("B", "positive"), row("A", "pending"), row("B", "negative")]
    assert standing(rows) == rows
