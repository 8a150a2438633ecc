"""`/check`: the market's four checks; in Chinese. The keys are those of `en/check.py`: a test holds them equal."""

from __future__ import annotations

ZH: dict[str, str] = {}
