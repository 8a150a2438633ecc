"""Mass balance: what the events of a walk claim that cannot all be so.

In the line: lineage.replay() -> here -> `finding`, `lot_account`, `lot_making`. Contract: pure; the same events in any order
give the same findings, and a declared error takes back what hung on its event. What is not known makes a rule mute and never
loud: a quantity that nobody said is listed in `cannot`, and no finding rests on a guess of the walk about which boxes were
meant. A run is judged as a whole, over all events of its transformationID.

    scales.py   what is weighed      runs.py   lots.py   packed.py   places.py   the rules
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from ledger.genealogy.balance.lots import before_made, more_than_made
from ledger.genealogy.balance.packed import packed_twice
from ledger.genealogy.balance.places import kilometres, two_places
from ledger.genealogy.balance.runs import of_runs
from ledger.genealogy.balance.scales import (
    KINDS,
    Allowance,
    Balance,
    Imbalance,
    Kind,
    Making,
    Rules,
    Scales,
    Severity,
    Spot,
    is_cull,
)
from ledger.genealogy.lineage import Genealogy

__all__ = [
    "KINDS",
    "Allowance",
    "Balance",
    "Imbalance",
    "Kind",
    "Making",
    "Rules",
    "Severity",
    "Spot",
    "balance",
    "is_cull",
    "kilometres",
]


def balance(
    genealogy: Genealogy,
    allowance: Callable[[str], Allowance],
    rules: Rules | None = None,
    spots: Mapping[str, Spot] | None = None,
) -> Balance:
    """`allowance`: of a lot. `spots`: where places are, by their URI."""
    scales = Scales(genealogy, allowance, rules or Rules(), spots or {})
    found = [
        *of_runs(scales),
        *before_made(scales),
        *more_than_made(scales),
        *packed_twice(scales),
        *two_places(scales),
    ]
    lots = {lot: frozenset(kinds) for lot, kinds in scales.cannot.items() if kinds}
    return Balance(tuple(_one_each(found)), tuple(scales.makings), lots)


def _one_each(found: Iterable[Imbalance]) -> Iterator[Imbalance]:
    """Of one kind and subject the one that is furthest off."""
    worst: dict[tuple[str, str], Imbalance] = {}
    for each in found:
        key = each.kind, each.subject
        if key not in worst or each.said - each.known > worst[key].said - worst[key].known:
            worst[key] = each
    yield from (worst[key] for key in sorted(worst))
