"""Test data that no one here wrote: where it is, and how many of its cases really ran.

Place in the line: beside it; tests ask for a folder or a file by its name under `SUYUAN_VECTORS` (default
`../shared/vectors`, seen from the repository) and count each case as it runs. The last lines of a run give
the sums.

Contract: where the folder is absent, as in a user's clone, its tests are skipped and say so. Where it is
there, a run of the whole suite fails if a folder ran fewer cases than its floor: a case that is no longer
collected, or a loop that ends early, would otherwise pass unseen.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

# Cases that a whole run must reach, by folder. Raise a number in the commit that adds cases; lower one only
# with a reason in the commit.
FLOORS: dict[str, int] = {
    "coldchain": 16,
    "coldchain/fridgetag": 6,
    "coldchain/qtag": 124,
    "epcis/event-hash": 180,
    "epcis/gs1": 1100,
    "epcis/openepcis": 417,
    "epcis/oracles": 71,
    "iot/cayennelpp": 33,
    "iot/lorawan": 7,
    "iot/senml": 35,
    "iot/sparkplug": 105,
    "iot/teltonika": 25,
    "ledger/extracted": 56,
    "ledger/jcs": 12,
    "ledger/merkle": 196,
    "ledger/tessera": 62,
    "own": 83,
}

_ABSENT = "SUYUAN_VECTORS (default: ../shared/vectors) names no folder that is here"
_ran: Counter[str] = Counter()
_last_asked_by: dict[str, str] = {}


def vectors_folder() -> Path:
    """`SUYUAN_VECTORS`, or the folder that lies beside the repository. It may not be there."""
    named = os.environ.get("SUYUAN_VECTORS")
    return Path(named) if named else Path(__file__).parents[2] / "shared" / "vectors"


def vector_path(name: str) -> Path:
    """A file or folder of the test data, such as `ledger/merkle`. Works in a test and at module level.

    Skips where there is no test data at all; raises FileNotFoundError where there is some, but not this.
    """
    folder = vectors_folder()
    if not folder.is_dir():
        pytest.skip(_ABSENT, allow_module_level=True)
    path = folder / name
    if not path.exists():
        raise FileNotFoundError(f"the test data has no {name}: {path}")
    inner = name if path.is_dir() else str(Path(name).parent)
    _last_asked_by[_asker()] = "/".join(Path(inner).parts[:2])
    return path


def count_vectors(n: int = 1) -> None:
    """To be called once for each case that really ran; `n` for a loop over cases. It counts for the folder,
    at most two levels deep, that the calling module asked for last."""
    _ran[_last_asked_by.get(_asker(), "elsewhere")] += n


def ran() -> dict[str, int]:
    """Cases by folder, in this process and those that told it theirs."""
    return dict(_ran)


def add(told: Mapping[str, int]) -> None:
    """What another process of the run counted."""
    _ran.update(told)


def report() -> str:
    """One line: how many cases ran, in all and by folder."""
    if not vectors_folder().is_dir():
        return f"vectors: 0 cases ran; {_ABSENT}"
    by_folder = ", ".join(f"{folder} {n}" for folder, n in sorted(_ran.items()))
    return f"vectors: {_ran.total()} cases ran" + (f" ({by_folder})" if by_folder else "")


def shortfalls() -> list[str]:
    """One line for each folder that ran fewer cases than its floor; none where there is no test data."""
    if not vectors_folder().is_dir():
        return []
    return [
        f"vectors: {folder} ran {_ran[folder]} cases, want at least {floor}"
        for folder, floor in sorted(FLOORS.items())
        if _ran[folder] < floor
    ]


def _asker() -> str:
    """The module that called the function that calls this."""
    return str(sys._getframe(2).f_globals.get("__name__"))
