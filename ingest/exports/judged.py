"""A column of an export and the judgement of it -> JSON: what `suyuan judge --json` prints, and what is answered of a file handed in."""

from __future__ import annotations

from typing import Any

import numpy as np

from ingest.coldchain.logged import Excursion, Logged
from ingest.exports.exported import Column, Export, Line


def document(export: Export, column: Column, found: Logged) -> dict[str, Any]:
    """docs/judge.md says what each field is."""
    verdict = found.verdict
    return {
        "verdict": verdict.state,
        "readings": found.readings,
        "minutes_observed": _rounded(found.minutes_observed),
        "minutes_unobserved": _rounded(found.minutes_unobserved),
        "min_c": _rounded(found.min_c),
        "max_c": _rounded(found.max_c),
        "mean_c": _rounded(found.mean_c),
        "mean_kinetic_temperature_c": _rounded(found.mean_kinetic_c),
        "excursions": [_excursion(export.line, each) for each in found.excursions],
        "limits": [
            {
                "id": one.limit.id,
                "verdict": one.state,
                "minutes_at_least": _rounded(one.minutes_at_least),
                "minutes_at_most": _rounded(one.minutes_at_most),
                "verified": one.limit.verified,
                "source": one.limit.source,
            }
            for one in verdict.by_limit
        ],
        "reasons": [
            {"code": reason.code, "zh": reason.text.zh, "en": reason.text.en} for reason in verdict.reasons
        ],
        "way_out": None
        if verdict.way_out is None
        else {
            "code": verdict.way_out.code,
            "zh": verdict.way_out.text.zh,
            "en": verdict.way_out.text.en,
        },
        "life": None
        if found.life is None
        else {
            "used_days": [_rounded(found.life.used_at_least), _rounded(found.life.used_at_most)],
            "left_days": [_rounded(found.life.left_at_least), _rounded(found.life.left_at_most)],
        },
        "column": column.name,
        "unit": column.unit,
        "interval_minutes": _rounded(found.interval_ms / 60_000),
        "faults": dict(column.faults),
        "notes": list(export.notes),
    }


def written(line: Line, time_ms: int | None) -> str | None:
    """As the export has it; every moment of an excursion is one of its rows."""
    return None if time_ms is None else line.written(int(np.searchsorted(line.time_ms, time_ms)))


def _excursion(line: Line, found: Excursion) -> dict[str, Any]:
    run = found.run
    return {
        "limit_id": found.limit.id,
        "start": written(line, run.start_ms),
        "trigger": written(line, run.trigger_ms),
        "end": written(line, run.end_ms),
        "minutes_at_least": _rounded(run.minutes_at_least),
        "minutes_at_most": _rounded(run.minutes_at_most),
        "extreme_c": _rounded(run.extreme_c),
        "closed_by": run.closed_by,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
