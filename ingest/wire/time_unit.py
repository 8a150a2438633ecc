"""A time in the wrong unit, recognised by what it would be in another one.

In the line: `senml`, `admission` -> here -> the sentence of a refusal. Contract: it only words what was refused anyway; nothing is
repaired, since a time that was guessed is no evidence.
"""

from __future__ import annotations

_FINER = ((1_000, "milliseconds"), (1_000_000, "microseconds"), (1_000_000_000, "nanoseconds"))


def mistaken_unit(time_ms: int, possible: range, base_ms: int | None = None) -> str | None:
    """What to say of an impossible time that is a possible one in another unit; None where it is not.

    `time_ms`: as it was read, UTC ms. `possible`: the times that can be, UTC ms. `base_ms`: what it was added to if it was small."""
    for factor, unit in _FINER:
        if time_ms // factor in possible:
            return f"counts {unit} since 1970: send seconds"
    if time_ms * 1_000 in possible:
        return "is a thousandth of a time of now, as seconds read as milliseconds: send seconds since 1970"
    if base_ms is not None and (time_ms - base_ms) * 1_000 in possible:
        return "is a thousandth of a time of now, and so small a time is relative to sent: send seconds since 1970"
    return None
