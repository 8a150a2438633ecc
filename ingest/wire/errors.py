"""What can be wrong with a message, in words for the person who reads the quarantine."""

from __future__ import annotations


class WireError(ValueError):
    """The message cannot be understood. `reason` is a stable code (docs/wire.md lists all), `detail` a sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
