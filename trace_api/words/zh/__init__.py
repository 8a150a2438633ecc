"""What the pages say in Chinese, a file for each kind of reader. A key stands in one of them only."""

from __future__ import annotations

from trace_api.words.zh import (
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
    shopper.ZH, work.ZH, scan.ZH, check.ZH, audit.ZH, acts.ZH, devices.ZH, evidence.ZH, witness.ZH,
    holds.ZH, findings.ZH, recall.ZH, trace.ZH, alerts.ZH,
)  # fmt: skip
ZH = {key: sentence for area in AREAS for key, sentence in area.items()}
if len(ZH) != sum(map(len, AREAS)):
    raise RuntimeError("two files of words have the same key")
