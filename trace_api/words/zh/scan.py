"""`/scan`: the cooperative's acts, labels and certificates; in Chinese. The keys are those of `en/scan.py`: a test holds them equal."""

from __future__ import annotations

ZH: dict[str, str] = {}
