"""The certificates behind goods: those that their events name, and those that were issued for their lots.

Contract: a paper that the asker may read is told whole; of one that an event only names they learn its number. A paper counts
for the lot that it was issued for: one event may name those of several.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from math import isfinite
from typing import Any

import psycopg

from ledger.epcis import vocabulary
from ledger.genealogy import Portion, RecordedEvent
from ledger.genealogy.facts import master_datum
from ledger.genealogy.names import uri
from trace_api.check.facts import Paper
from trace_api.story import Name


class Papers:
    """The certificates behind portions: by the events that name them, and by their lots."""

    def __init__(self, conn: psycopg.Connection, portions: Iterable[Portion]) -> None:
        self._named = {portion.name: dict(_named_papers(portion)) for portion in portions}
        ids = sorted({name for names in self._named.values() for name in names})
        lots = sorted({portion.lot for portion in portions})
        self._rows: dict[str, tuple[Any, ...]] = {}
        self._of_lot: dict[str, list[str]] = {}
        for row in conn.execute(_CERTIFICATES, {"ids": ids, "lots": lots}):
            self._rows[row[0]] = row
            self._of_lot.setdefault(row[4], []).append(row[0])

    def of(self, portion: Portion, names: Mapping[str, Name]) -> tuple[Paper, ...]:
        """Those that count first, the newest first."""
        told = {name: item for name, item in self._named[portion.name].items() if name not in self._rows}
        found = [_recorded(self._rows[identity], names) for identity in self._ids(portion)]
        found += [_named(name, item, names) for name, item in told.items()]
        rank = {"valid": 0, "named": 1, "replaced": 2, "void": 3}
        return tuple(sorted(found, key=lambda paper: (rank[paper.status], -_seconds(paper.issued_at))))

    def _ids(self, portion: Portion) -> list[str]:
        return self._of_lot.get(portion.lot, [])

    def of_others(self, portion: Portion) -> tuple[str, ...]:
        """The numbers of those that its events name and that are for another lot."""
        rows = [self._rows[name] for name in self._named[portion.name] if name in self._rows]
        return tuple(str(row[1]) for row in rows if row[4] != portion.lot)


_CERTIFICATES = """
SELECT id, number, kind, status, lot, quantity_kg, issued_at, organisation, replaced_by FROM published_certificate
WHERE id = ANY (%(ids)s) OR lot = ANY (%(lots)s)
UNION
SELECT id, number, kind, status, lot, quantity_kg, issued_at, organisation, replaced_by FROM certificate
WHERE id = ANY (%(ids)s) OR lot = ANY (%(lots)s)
"""


def _named_papers(portion: Portion) -> Iterator[tuple[str, RecordedEvent]]:
    """The newest event first and the oldest last, which says most: it is the one that issued the paper."""
    for item in reversed(portion.journey):
        for name in item.event.certification_info or ():
            yield uri(name), item
        for trade in item.event.biz_transaction_list:
            if trade.type is not None and vocabulary.biz_transaction_type(trade.type) == "cert":
                yield uri(trade.biz_transaction), item


def _recorded(row: tuple[Any, ...], names: Mapping[str, Name]) -> Paper:
    _, number, kind, status, _, quantity, issued_at, organisation, replaced_by = row
    return Paper(number, kind, status, quantity, issued_at, names.get(organisation), replaced_by)


def _named(name: str, item: RecordedEvent, names: Mapping[str, Name]) -> Paper:
    """A paper that an event names: what the event itself carries of it, if the asker sees that."""
    printed = name.rstrip("/").rpartition("/")[2]
    carried = master_datum(item.event, "certificate")
    told = (
        {str(key).rpartition("/")[2]: value for key, value in carried.items()}
        if isinstance(carried, dict)
        else {}
    )
    if uri(str(told.get("certificateId", ""))) != name:
        return Paper(printed, "named", "named", None, item.event.event_time, names.get(item.organisation))
    kind = told.get("certificateKind")
    status = told.get("status")
    return Paper(
        printed,
        kind if kind in ("producer", "buyer", "producer_card") else "named",
        status if status in ("valid", "void", "replaced") else "named",
        number(told.get("quantityKg")),
        item.event.event_time,
        names.get(item.organisation),
    )


def number(value: object) -> float | None:
    """What an event says in a field of its own, where it is a finite number."""
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if isfinite(found) else None


def _seconds(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0
