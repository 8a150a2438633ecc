"""What the pages say in English, a file for each kind of reader. A key stands in one of them only."""

from __future__ import annotations

from trace_api.words.en import (
    acts,
    alerts,
    audit,
    check,
    devices,
    evidence,
    findings,
    holds,
    recall,
    scan,
    shopper,
    trace,
    witness,
    work,
)

AREAS = (
    shopper.EN, work.EN, scan.EN, check.EN, audit.EN, acts.EN, devices.EN, evidence.EN, witness.EN,
    holds.EN, findings.EN, recall.EN, trace.EN, alerts.EN,
)  # fmt: skip
EN = {key: sentence for area in AREAS for key, sentence in area.items()}
if len(EN) != sum(map(len, AREAS)):
    raise RuntimeError("two files of words have the same key")
