"""The trace index: what a trace of connected lots follows, as rows that functions of the database walk.

In the line: the one walk over connected lots -> `ledger.genealogy.tracked` -> here -> the `trace_...` tables (deploy/schema/
0032_trace.sql). Contract: the rows are those of the events that were read, whatever was there before; of what the walk does not
know in full (the other loads of a truck) nothing is touched; only what differs is written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from ledger.genealogy import Genealogy, RecordedEvent, base_vehicle, touches
from ledger.genealogy.facts import Fact
from ledger.genealogy.keys import sort_keys
from ledger.genealogy.names import identify, is_class
from ledger.genealogy.tracked import Known, Tracked, tracked
from ledger.recorded import GOODS_ROLES, Connected

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Table:
    """`types`: of its columns, as arrays are cast to. `key`: the number of its first columns that tell a row by. `read`: how a
    row is read, if not by its columns."""

    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    key: int
    read: str = ""

    @property
    def reading(self) -> str:
        return self.read or ", ".join(self.columns)

    @property
    def writing(self) -> list[str]:
        return [f"row.{name}::bigint[]" if name == "runs" else f"row.{name}" for name in self.columns]


_NAMED = _Table("trace_named", ("name", "at", "event"), ("int", "bigint", "bigint"), 3)
_INSIDE = _Table(
    "trace_inside",
    ("child", "parent", "first", "last", "event"),
    ("int", "int", "bigint", "bigint", "bigint"),
    3,
)
_RUN = _Table(
    "trace_run",
    ("run", "output", "name", "within", "first", "last", "event", "made", "quantity", "uom", "share"),
    (
        "bigint",
        "boolean",
        "int",
        "boolean",
        "bigint",
        "bigint",
        "bigint",
        "bigint",
        "float8",
        "text",
        "float8",
    ),
    3,
)
_RUN_EVENT = _Table("trace_run_event", ("run", "at", "event"), ("bigint", "bigint", "bigint"), 3)
_EDGE = _Table(
    "trace_edge",
    ("event", "source", "target", "beside", "told"),
    ("bigint", "int", "int", "boolean", "text"),
    3,
)
_PORTION = _Table("trace_portion", ("lot", "place", "parcel", "body"), ("int", "int", "bigint", "text"), 2)
# An array of arrays comes apart wholly in unnest: each goes as its text.
_PARCEL = _Table(
    "trace_parcel",
    ("id", "lot", "origin", "origin_steps", "steps", "runs", "became"),
    ("bigint", "int", "bigint", "int", "int", "text", "bigint"),
    1,
    "id, lot, origin, origin_steps, steps, runs::text, became",
)
_STEP = _Table("trace_step", ("parcel", "number", "at", "event"), ("bigint", "int", "bigint", "bigint"), 2)
_SPELL = _Table(
    "trace_spell",
    ("parcel", "unit", "entered", "gone", "event"),
    ("bigint", "int", "bigint", "bigint", "bigint"),
    3,
)
_SAME = _Table("trace_same", ("name", "other"), ("int", "int"), 2)
_IN_UNIT = _Table(
    "trace_in_unit",
    ("unit", "parcel", "first", "entered", "latest", "gone"),
    ("int", "bigint", "int", "bigint", "bigint", "bigint"),
    2,
)


def project(
    conn: psycopg.Connection, genealogy: Genealogy, concerned: Connected, ids: Mapping[int | None, int]
) -> None:
    """`ids`: of the events, by position."""
    goods = {item.position: _goods(item, concerned) for item in concerned.events}
    own = {
        position for position, names in goods.items() if not names or not names.isdisjoint(concerned.followed)
    }
    rows = _rows(genealogy, concerned, ids, goods, own)
    names = {mention.identifier for item in concerned.events for mention in touches(item.event)}
    numbers = _numbers(conn, names | {spell.unit for spell in rows.spells})
    mine = [ids[position] for position in own]
    _write_links(conn, rows, numbers, _Concerned.of(concerned, names, numbers), mine)
    _write_parcels(conn, rows, numbers, [numbers[name] for name in names & concerned.lots])


@dataclass(frozen=True, slots=True)
class _Concerned:
    """By number: all that is named, and of it what was followed; `known`: that, and what carried it."""

    named: list[int]
    followed: list[int]
    known: list[int]

    @classmethod
    def of(cls, concerned: Connected, names: set[str], numbers: Mapping[str, int]) -> _Concerned:
        known = names & (concerned.followed | concerned.carriers)
        return cls(
            [numbers[name] for name in names],
            [numbers[name] for name in known & concerned.followed],
            [numbers[name] for name in known],
        )


def _write_links(
    conn: psycopg.Connection,
    rows: Tracked,
    numbers: Mapping[str, int],
    concerned: _Concerned,
    mine: Sequence[int],
) -> None:
    named: set[Row] = {(numbers[row.name], *row[1:]) for row in rows.named}
    _write(conn, _NAMED, named, "name = ANY (%s) AND event = ANY (%s)", [concerned.named, mine])
    same: set[Row] = {(numbers[row.name], numbers[row.other]) for row in rows.same}
    _write(conn, _SAME, same, "name = ANY (%s)", [concerned.followed])
    inside: set[Row] = {(numbers[row.child], numbers[row.parent], *row[2:]) for row in rows.inside}
    _write(conn, _INSIDE, inside, "child = ANY (%s) AND event = ANY (%s)", [concerned.followed, mine])
    runs: set[Row] = {(row.run, row.output, numbers[row.name], *row[3:]) for row in rows.run_names}
    _write(conn, _RUN, runs, "run = ANY (%s)", [mine])
    _write(conn, _RUN_EVENT, set(rows.run_events), "run = ANY (%s)", [mine])
    edges: set[Row] = {
        (row.event, numbers[row.source], numbers[row.target], row.beside, row.told) for row in rows.edges
    }
    # A truck is emptied by one event of many loads, each of which is walked alone.
    among = "event = ANY (%s) AND (beside OR source = ANY (%s) AND target = ANY (%s))"
    _write(conn, _EDGE, edges, among, [mine, concerned.known, concerned.known])


def _write_parcels(
    conn: psycopg.Connection, rows: Tracked, numbers: Mapping[str, int], lots: Sequence[int]
) -> None:
    standing = conn.execute("SELECT id FROM trace_parcel WHERE lot = ANY (%s)", [list(lots)]).fetchall()
    parcels = sorted({row.id for row in rows.parcels} | {identity for (identity,) in standing})
    fresh: set[Row] = {(row.id, numbers[row.lot], *row[2:5], _array(row.runs), row.became) for row in rows.parcels}  # fmt: skip
    _write(conn, _PARCEL, fresh, "id = ANY (%s)", [parcels])
    _write(conn, _STEP, set(rows.steps), "parcel = ANY (%s)", [parcels])
    spells: set[Row] = {(row.parcel, numbers[row.unit], *row[2:]) for row in rows.spells}
    _write(conn, _SPELL, spells, "parcel = ANY (%s)", [parcels])
    in_unit: set[Row] = {(numbers[row.unit], *row[1:]) for row in rows.in_unit}
    _write(conn, _IN_UNIT, in_unit, "parcel = ANY (%s)", [parcels])
    portions: set[Row] = {(numbers[row.lot], *row[1:]) for row in rows.portions if row.lot in numbers}
    _write(conn, _PORTION, portions, "lot = ANY (%s)", [list(lots)])


def _rows(
    genealogy: Genealogy,
    concerned: Connected,
    ids: Mapping[int | None, int],
    goods: Mapping[int | None, frozenset[str]],
    own: Collection[int | None],
) -> Tracked:
    def goods_of(fact: Fact) -> Collection[str]:
        return goods[fact.recorded.position]

    facts = genealogy.facts
    known = Known(
        at=sort_keys(facts, goods_of),
        events=[ids[fact.recorded.position] for fact in facts],
        mine={fact.ordinal for fact in facts if fact.recorded.position in own},
        names=concerned.followed | concerned.carriers,
        followed=concerned.followed,
        lots=concerned.lots,
    )
    return tracked(genealogy, known)


def _goods(item: RecordedEvent, concerned: Connected) -> frozenset[str]:
    """What the event names, without what carries one load after another."""
    named = {mention.identifier for mention in touches(item.event) if mention.role in GOODS_ROLES}
    return frozenset(named - concerned.carriers)


_INSERT_NAMES = """
INSERT INTO trace_name (name, scheme, vehicle, is_class)
SELECT fresh.name, fresh.scheme, base.id, fresh.is_class
FROM unnest(%s::text[], %s::text[], %s::text[], %s::boolean[]) AS fresh (name, scheme, base, is_class)
LEFT JOIN trace_name AS base ON base.name = fresh.base
ON CONFLICT (name) DO NOTHING
"""


def _numbers(conn: psycopg.Connection, names: Iterable[str]) -> dict[str, int]:
    """Of identifiers, given to those that have none yet; with the trailers of compartments."""
    bases: dict[str, str | None] = {}
    for name in names:
        part: str | None = name
        while part is not None and part not in bases:
            part = bases.setdefault(part, base_vehicle(part))
    wanted = sorted(bases)
    found = _numbered(conn, wanted)
    missing = [name for name in wanted if name not in found]
    if missing:
        for depth in range(1 + max(name.count(".") for name in missing)):
            some = [name for name in missing if _parts_of(name, bases) == depth]
            if some:
                columns = zip(
                    *((name, identify(name).scheme, bases[name], is_class(name)) for name in some),
                    strict=True,
                )
                conn.execute(_INSERT_NAMES, [list(column) for column in columns])
        found |= _numbered(conn, missing)
    return found


def _parts_of(name: str, bases: Mapping[str, str | None]) -> int:
    base = bases[name]
    return 0 if base is None else 1 + _parts_of(base, bases)


def _numbered(conn: psycopg.Connection, names: Sequence[str]) -> dict[str, int]:
    rows = conn.execute("SELECT name, id FROM trace_name WHERE name = ANY (%s)", [list(names)])
    return {str(name): int(number) for name, number in rows}


def _write(
    conn: psycopg.Connection, table: _Table, fresh: set[Row], concerned: str, values: Sequence[Any]
) -> None:
    """`concerned`: which standing rows the fresh ones take the place of."""
    standing: set[Row] = set(
        conn.execute(
            f"SELECT {table.reading} FROM {table.name} WHERE {concerned}".encode(),  # noqa: S608
            list(values),
        )
    )
    gone, come = standing - fresh, fresh - standing
    unnested = (
        f"unnest({', '.join(f'%s::{kind}[]' for kind in table.types)}) AS row ({', '.join(table.columns)})"
    )
    if gone:
        same = " AND ".join(f"own.{name} = row.{name}" for name in table.columns[: table.key])
        query = f"DELETE FROM {table.name} AS own USING {unnested} WHERE {same}"  # noqa: S608
        conn.execute(query.encode(), _columns(gone))
    if come:
        taken = ", ".join(table.writing)
        query = f"INSERT INTO {table.name} ({', '.join(table.columns)}) SELECT {taken} FROM {unnested}"  # noqa: S608
        conn.execute(query.encode(), _columns(come))


def _columns(rows: Iterable[Row]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _array(numbers: Iterable[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"
