"""`/audit`: breaches and record duties; in Chinese. The keys are those of `en/audit.py`: a test holds them equal."""

from __future__ import annotations

ZH: dict[str, str] = {}
