"""Whole numbers that somebody wrote into an address or a form."""

from __future__ import annotations


def whole(text: str, most: int) -> int | None:
    """0 to `most`, in ASCII digits; None for everything else: `int` takes digits of every script, and breaks at 4,300 of them."""
    if not text.isascii() or not text.isdigit() or len(text) > len(str(most)):
        return None
    value = int(text)
    return value if value <= most else None
