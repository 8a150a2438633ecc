"""`/scan`: the cooperative's acts, labels and certificates; in English. The keys are those of `zh/scan.py`: a test holds them equal."""

from __future__ import annotations

EN: dict[str, str] = {}
