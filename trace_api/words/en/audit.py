"""`/audit`: breaches and record duties; in English. The keys are those of `zh/audit.py`: a test holds them equal."""

from __future__ import annotations

EN: dict[str, str] = {}
