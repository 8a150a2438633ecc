"""`/check`: the market's four checks; in English. The keys are those of `zh/check.py`: a test holds them equal."""

from __future__ import annotations

EN: dict[str, str] = {}
