"""What hangs together with a test is told by the names that people know."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from trace_api.holds import proposals, telling
from trace_api.story import Name
from trace_api.words import Words

G = "https://id.gs1.org/414"
SITE = f"{G}/9521234001010"


def test_a_plot_is_told_by_its_name_else_by_its_sites() -> None:
    behind = proposals.Behind(
        "https://x.example/lot/1",
        0.5,
        (f"{SITE}/254/P01", f"{SITE}/254/P02", f"{G}/9521234009009/254/P03"),
        (),
    )
    tested = proposals.Tested(
        UUID(int=1), "https://x.example/lot/2", None, datetime(2026, 7, 1, tzinfo=UTC), False, (behind,), ()
    )
    assert telling.plots([tested]) == set(behind.plots)
    sites = {SITE: Name("东魁基地", "Dongkui orchard"), f"{SITE}/254/P01": Name("三号棚", "Shed three")}
    (shown,) = telling.tested_view(tested, Words("zh"), sites, may_hold=False, may_decide=False).behind
    assert "三号棚" in shown.notes[0] and "东魁基地 P02" in shown.notes[1]
    assert SITE not in " ".join(shown.notes) and "P03" in shown.notes[2]
