"""What is wrong with devices: silent, stuck, jumping, drifting, low on battery, off by their clock; docs/health.md.

`looking` reads what is recent of a device and its series, `judging` (pure) says what it is, `findings` keeps it.
"""

from ingest.health.looking import step

__all__ = ["step"]
