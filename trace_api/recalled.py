"""Which recalls a shopper must be told of on the page of a lot or a box.

In the line: `published_recall` and the marks of the portions -> here -> telling.py -> the banner on top of the page. Contract: read as
the public; a recall shows from its order on, and stays to be told of after its end; a drill never shows; the share of a mixed lot is the
one of the recall's own document.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from ledger.genealogy import Portion
from trace_api.chain import Chain
from trace_api.recalls.shares import Went, shares
from trace_api.story import Amount, Name, Recall, RecallPart, RecallState

_STANDING = """
SELECT recall::text, max(level), max(reason_zh), max(reason_en), max(issued_at), max(by_zh), max(by_en), max(department), max(state),
       bool_or(portion IS NULL), published_recall_seed(recall, lot)
FROM published_recall WHERE lot = %s GROUP BY recall, lot ORDER BY max(issued_at) DESC
"""
_RUNS = (
    "SELECT run::text, lot, part, reached, seed, outputs FROM published_recall_runs(%s, %s) ORDER BY run, lot"
)
_ENDED = """
SELECT recall::text, state, issued_at, closed_at, by_zh, by_en, department FROM published_recall_ended WHERE lot = %s ORDER BY closed_at DESC
"""


@dataclass(frozen=True, slots=True)
class _Order:
    id: str
    level: int
    reason: Name
    since: datetime
    by: Name | None
    department: str | None
    state: str
    whole: bool
    seed: bool  # it was asked from this lot, and not reached through a run


def recalls_of(conn: psycopg.Connection, chain: Chain, lot: str, main: Portion) -> tuple[Recall, ...]:
    """Of a lot or a box, the newest first."""
    ended = {row[0]: row for row in conn.execute(_ENDED, [lot])}
    box = "21" in chain.identifier.parts
    answering = [main] if box else [each for each in chain.portions if each.end_ms is None] or [main]
    found = [
        each
        for order in _orders(conn, lot)
        if (each := _standing(conn, order, answering, box, lot, ended)) is not None
    ]
    found += list(_said_only(answering, chain, bool(found)))
    withdrawn = [_withdrawn(row) for row in ended.values() if row[1] == "withdrawn"]
    return (*found, *withdrawn)


def bare_recalls(conn: psycopg.Connection, lot: str) -> tuple[Recall, ...]:
    """Of a lot of which nothing else is published: those who have it at home are told all the same."""
    ended = {row[0]: row for row in conn.execute(_ENDED, [lot])}
    standing = [
        _of_inputs(conn, each, lot, ended)
        if each.whole and not each.seed
        else _recall(each, "all" if each.whole else "part", None, (), ended)
        for each in _orders(conn, lot)
    ]
    return (*standing, *(_withdrawn(row) for row in ended.values() if row[1] == "withdrawn"))


def _orders(conn: psycopg.Connection, lot: str) -> list[_Order]:
    return [_order(row) for row in conn.execute(_STANDING, [lot])]


def _order(row: tuple[Any, ...]) -> _Order:
    by = Name(row[5] or "", row[6] or "") if row[5] or row[6] else None
    return _Order(row[0], row[1], Name(row[2], row[3]), row[4], by, row[7], row[8], row[9], row[10])


def _standing(
    conn: psycopg.Connection,
    order: _Order,
    answering: Sequence[Portion],
    box: bool,
    lot: str,
    ended: dict[str, tuple[Any, ...]],
) -> Recall | None:
    """None for a box that is in another part of the lot."""
    concerned = [each for each in answering if order.whole or _is_of(each, order.id)]
    if box and not concerned:
        return None
    if not order.seed and len(concerned) == len(answering):
        return _of_inputs(conn, order, lot, ended)
    part: RecallPart = "box" if box else "all" if len(concerned) == len(answering) else "part"
    amounts = tuple(Amount(each.quantity, each.uom) for each in concerned if each.quantity is not None)
    return _recall(order, part, None, amounts if part == "part" else (), ended)


def _of_inputs(
    conn: psycopg.Connection, order: _Order, lot: str, ended: dict[str, tuple[Any, ...]]
) -> Recall:
    """Of a lot that is recalled for what went into it."""
    rows = conn.execute(_RUNS, [order.id, lot]).fetchall()
    went = [
        Went(run, name, part, reached, tuple(outputs)) for run, name, part, reached, _seed, outputs in rows
    ]
    share = shares(went, [row[1] for row in rows if row[4]]).get(lot)
    return _recall(order, "inputs", share, (), ended)


def _is_of(portion: Portion, recall: str) -> bool:
    return any(item.event.event_id == f"urn:uuid:{recall}" for item in portion.set_by.get("recalled", ()))


def _recall(
    order: _Order,
    part: RecallPart,
    share: float | None,
    amounts: tuple[Amount, ...],
    ended: dict[str, tuple[Any, ...]],
) -> Recall:
    row = ended.get(order.id)
    state: RecallState = "completed" if order.state == "completed" else "open"
    return Recall(state, order.level, order.by, order.department, order.since, order.reason, part, share, amounts,
                  None if row is None else row[3])  # fmt: skip


def _said_only(answering: Sequence[Portion], chain: Chain, told: bool) -> Iterator[Recall]:
    """A recall that somebody said by an event and ordered nowhere here: there is no more to tell of it."""
    setters = [item for each in answering for item in each.set_by.get("recalled", ())]
    if told or not setters:
        return
    first = min(setters, key=lambda item: item.event.event_time)
    marked = [each for each in answering if "recalled" in each.marks]
    part: RecallPart = "all" if len(marked) == len(answering) else "part"
    by = chain.organisations.get(first.organisation)
    yield Recall("open", None, by, None, first.event.event_time, None, part, None, (), None)


def _withdrawn(row: tuple[Any, ...]) -> Recall:
    by = Name(row[4] or "", row[5] or "") if row[4] or row[5] else None
    return Recall("withdrawn", None, by, row[6], row[2], None, "all", None, (), row[3])
