"""Events, in order of their position, into what follows from them, and marks for the series they concern.

following.py   one step: the next events and what was registered, in transactions that stop at nothing
goods.py       where lots are and were, what they are made of, who took them in (`grants.py`)
devices.py     where devices sat
touching.py    marks on the series where goods or devices came or went
"""

from __future__ import annotations

from ingest.projection.following import step

__all__ = ["step"]
