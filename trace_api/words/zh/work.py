"""What all working pages share: the frame, signing in, accounts, forms; in Chinese. The keys are those of `en/work.py`: a test holds them equal."""

from __future__ import annotations

ZH: dict[str, str] = {}
