"""One number for when an event happened: the same order as `facts.effective`, for whoever keeps links as rows.

In the line: facts -> here -> the trace index. Contract: the key of an event rests on its own component alone, the events that
hang together through goods, so that it is the same whichever others are read along. Of events at one instant and of one step
those come first that name only what carries one load after another, whose order among themselves says nothing.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from ledger.genealogy.facts import Fact

EVER: Final = (1 << 63) - 1
STEP_BITS: Final = 4
RANK_BITS: Final = 16
_GOODS: Final = 1 << (RANK_BITS - 1)


def moment_ms(key: int) -> int:
    """UTC milliseconds."""
    return key >> (STEP_BITS + RANK_BITS)


def sort_keys(facts: Sequence[Fact], goods: Callable[[Fact], Collection[str]]) -> list[int]:
    """By ordinal; each below 2^63 until the year 2248. `goods`: what the event names, without what is shared by many loads."""
    component = _components(facts, goods)
    together: defaultdict[tuple[int, int], list[Fact]] = defaultdict(list)
    for fact in facts:
        together[fact.ms, fact.step_order].append(fact)
    keys = [0] * len(facts)
    for (ms, step), some in together.items():
        met: defaultdict[str, int] = defaultdict(int)
        for fact in some:
            name = component(fact)
            if name is None:
                rank = int.from_bytes(hashlib.sha256(fact.name.encode()).digest()[:2]) % _GOODS
            else:
                rank = _GOODS + min(met[name], _GOODS - 1)
                met[name] += 1
            keys[fact.ordinal] = (((ms << STEP_BITS) + step) << RANK_BITS) + rank
    return keys


def _components(
    facts: Iterable[Fact], goods: Callable[[Fact], Collection[str]]
) -> Callable[[Fact], str | None]:
    """Which of its names stands for all that hang together with an event; None where it names no goods."""
    above: dict[str, str] = {}

    def top(name: str) -> str:
        while above.setdefault(name, name) != name:
            above[name] = name = above[above[name]]
        return name

    first: dict[int, str] = {}
    for fact in facts:
        for name in goods(fact):
            above[top(name)] = top(first.setdefault(fact.ordinal, name))

    def component(fact: Fact) -> str | None:
        name = first.get(fact.ordinal)
        return None if name is None else top(name)

    return component
