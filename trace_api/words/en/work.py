"""What all working pages share: the frame, signing in, accounts, forms; in English. The keys are those of `zh/work.py`: a test holds them equal."""

from __future__ import annotations

EN: dict[str, str] = {}
