"""Every kind of finding is told in both languages, from the evidence that its judgement leaves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from ingest.health import judging
from ingest.health.thresholds import KINDS, shipped
from trace_api.devices import Finding, _json, told
from trace_api.words import LANGUAGES, Words

RULES = shipped()
NOW = 1_781_950_000_000
TIMES = NOW - 60_000 * np.arange(59, -1, -1)
LOOSE = np.where(np.arange(60) % 20 == 10, -127.0, 3.0)
HOURS = NOW + 3_600_000 * np.arange(-168, 0)

JUDGED: Mapping[str, judging.Judgement] = {
    "silent": judging.silent(NOW, NOW - 3_600_000, NOW, 60, RULES.silent),
    "stuck": judging.stuck(
        TIMES, np.full(60, 4.1), NOW - 50_000_000, RULES.stuck, RULES.stuck.quantities["temperature"]
    ),
    "jumping": judging.jumping(TIMES, LOOSE, 0.5, RULES.jumping, RULES.jumping.quantities["temperature"]),
    "drifting": judging.drifting(
        HOURS, np.linspace(0, 5, 168), {8: np.zeros(168)}, 0.3, {8: 0.3}, RULES.drifting
    ),
    "low_battery": judging.low_battery(
        TIMES[:3], np.full(3, 7.0), 3, RULES.low_battery.quantities["battery_level"]
    ),
    "clock_skew": judging.clock_skew(-900_000.0, 3.0, 12, NOW, RULES.clock_skew),
}
EVIDENCE = {
    "silent": "900|15", "stuck": "4.1", "jumping": "-127.0", "drifting": "1.2", "low_battery": "7.0", "clock_skew": "900.0",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_told_with_its_evidence_and_what_to_do(kind: str) -> None:
    judged = JUDGED[kind]
    assert isinstance(judged, judging.Finding)
    evidence: Mapping[str, Any] = judged.evidence
    finding = Finding("coop", "room-1", "ambient", kind, datetime(2026, 6, 20, tzinfo=UTC), None, evidence)
    for language in LANGUAGES:
        said, todo = told(finding, Words(language))
        assert any(value in said for value in EVIDENCE[kind].split("|")), said
        assert len(todo) > 8
    both = _json(finding)
    assert set(both["words"]) == set(both["todo"]) == set(LANGUAGES)
