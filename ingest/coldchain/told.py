"""What is told of a leg whose readings may not be seen: how long and how far, never when.

In the line: the database looks at the readings of somebody who keeps them to themselves and answers for one leg ->
`Told` -> timeline, exposure, verdict, which judge it as they would judge the readings. Contract: durations in
milliseconds; of each run of unknown or possibly exceeded time only its length is known, and whether it touches the
leg's beginning or end, since it may go on in the leg beside it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ingest.coldchain.excursions import BoolArray, IntArray

Run = tuple[int, bool]
"""(duration_ms, unknown); what is not unknown may be beyond the limit."""
Block = tuple[Run, ...]
NO_BLOCK: Final[Block] = ()


@dataclass(frozen=True, slots=True)
class ToldUnder:
    """Under one limit, with the sensors' accuracy weighed or without: what was beyond for certain in all and at the
    longest, of the worst sensor; whether any reading was, and whether there was any; the blocks of runs that were not
    surely in range."""

    certain_ms: int
    longest_certain_ms: int
    surely_out: bool
    measured: bool
    head: Block
    inner: tuple[Block, ...]
    tail: Block

    def line(self, whole_ms: int) -> tuple[IntArray, BoolArray, BoolArray]:
        """The leg in pieces: durations, unknown, maybe. In-range time stands between the blocks, in equal parts."""
        blocks = [self.head, *self.inner, self.tail]
        rest = whole_ms - sum(took for block in blocks for took, _ in block)
        between = [rest // (len(blocks) - 1)] * (len(blocks) - 1)
        between[-1] += rest - sum(between)
        pieces: list[tuple[int, bool, bool]] = []
        for block, after in zip(blocks, [*between, 0], strict=True):
            pieces += [(took, unknown, not unknown) for took, unknown in block]
            pieces.append((after, False, False))
        durations, unknown, maybe = zip(*pieces, strict=True)
        return np.array(durations, np.int64), np.array(unknown, np.bool_), np.array(maybe, np.bool_)


@dataclass(frozen=True, slots=True)
class ToldLimit:
    """`area_c_min`: °C beyond x measured minutes."""

    plain: ToldUnder
    weighed: ToldUnder
    area_c_min: float


@dataclass(frozen=True, slots=True)
class Told:
    """Of one leg; minutes and extremes are of the positions that its limits name. `limits`: by id and version."""

    measured_ms: int
    min_c: float | None
    max_c: float | None
    limits: Mapping[tuple[str, int], ToldLimit]

    def under(self, key: tuple[str, int], weighed: bool) -> ToldUnder | None:
        found = self.limits.get(key)
        return None if found is None else found.weighed if weighed else found.plain


def parse_under(said: Mapping[str, Any]) -> ToldUnder:
    """As the database says it (`asker_leg`)."""
    runs = said["runs"]
    return ToldUnder(
        certain_ms=int(said["certain_ms"]),
        longest_certain_ms=int(said["longest_ms"]),
        surely_out=bool(said["surely_out"]),
        measured=bool(said["measured"]),
        head=_block(runs["head"]),
        inner=tuple(_block(block) for block in runs["inner"]),
        tail=_block(runs["tail"]),
    )


def _block(said: Iterable[tuple[int, bool]]) -> Block:
    return tuple((int(took), bool(unknown)) for took, unknown in said)
