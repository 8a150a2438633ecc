"""From a code to what it names here: goods, a vehicle with what is in it, a certificate's lots, or a foreign code's meaning.

In the line: reading.py's `Code` or `Trouble` -> `find` -> evidence.py. Contract: everything is looked up as the asker may see
it; what they may not see and what does not exist are the same answer, in the same words. A well-made code that is recorded
means itself, and so does a certificate's number; a lot's number alone is never the goods, but leads to them; else, and also
where it is not well made, a binding decides (a label was misprinted, a plate names a trailer).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

import psycopg

from trace_api.check.aliases import Bound, meanings
from trace_api.check.reading import Code, Trouble, kind_of, read
from trace_api.story import Name

RECENT: Final = timedelta(days=30)  # a trip is over in days; a truck's loads of last year are not looked for
MOST_UNITS: Final = 200
GOODS: Final = ("lot", "box", "unit")
_LOT_ALONE = re.compile(r"^\(10\)")


@dataclass(frozen=True, slots=True)
class Goods:
    """A lot, a box or a load unit that the asker may see something of."""

    uri: str
    bound: Bound | None = None


@dataclass(frozen=True, slots=True)
class Vehicle:
    """`loaded`: units and lots that went onto it lately, whether or not they still are, the newest first; `left_off`: how many
    more went before them."""

    uri: str
    loaded: tuple[str, ...]
    bound: Bound | None = None
    left_off: int = 0


@dataclass(frozen=True, slots=True)
class Scanned:
    """A certificate as its issuer keeps it. `replaced_by`: the number of the one in its place."""

    number: str
    status: Literal["valid", "void", "replaced"]
    replaced_by: str | None
    product: Name
    kilograms: float


@dataclass(frozen=True, slots=True)
class Document:
    """A certificate or another paper, and the goods it was named beside. `paper`: what it says itself, None where that is not
    shared with the asker."""

    uri: str
    goods: tuple[str, ...]
    paper: Scanned | None = None


@dataclass(frozen=True, slots=True)
class Numbered:
    uri: str
    product: Name | None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing the asker may see. `trouble`: what is wrong with the code itself, None where it could be somebody's. `lots`:
    which of those they may see has it for its number; the goods before them may be of another's."""

    value: str
    trouble: Trouble | None
    lots: tuple[Numbered, ...] = ()


Found = Goods | Vehicle | Document | Unknown


def find(conn: psycopg.Connection, text: str, now: datetime) -> Found:
    code = read(text)
    if isinstance(code, Code) and code.uri is not None:
        found = _named(conn, code.uri, None, now)
        if found is not None:
            return found
    if isinstance(code, Trouble) and not code.value:
        return Unknown("", code)
    paper = _by_number(conn, code.value)
    if paper is not None:
        return paper
    lots = _numbered(conn, code)
    if lots:
        return Unknown(code.value, Trouble("lot_only", code.value), lots)
    for bound in meanings(conn, code.value):
        found = _named(conn, bound.entity, bound, now)
        if found is not None:
            return found
    return Unknown(code.value, code if isinstance(code, Trouble) else None)


def _numbered(conn: psycopg.Connection, code: Code | Trouble) -> tuple[Numbered, ...]:
    """The lots that a number alone may mean: as it stands, or as a scanner says it without the product."""
    if isinstance(code, Trouble) and code.code != "lot_only":
        return ()
    rows = conn.execute(_NUMBERED, [_LOT_ALONE.sub("", code.value)])
    return tuple(Numbered(lot, Name(zh, en) if zh else None) for lot, zh, en in rows)


_NUMBERED = """
SELECT DISTINCT ON (lot) lot, product.name_zh, product.name_en
FROM lots_numbered(%s) AS lot LEFT JOIN asker_product AS product ON split_part(lot, '/10/', 1) = ANY (product.classes)
ORDER BY lot
"""


def is_seen(conn: psycopg.Connection, uri: str) -> bool:
    """Whether the asker may see anything of it: an event that names it, their own also before it has its position, or a
    place or vehicle."""
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM asker_mention WHERE identifier = %(uri)s AND role <> 'run')"
        " OR EXISTS (SELECT FROM event_mention WHERE identifier = %(uri)s AND role <> 'run')"
        " OR EXISTS (SELECT FROM asker_place WHERE id = %(uri)s)",
        {"uri": uri},
    ).fetchone()
    return row is not None and bool(row[0])


def _named(conn: psycopg.Connection, uri: str, bound: Bound | None, now: datetime) -> Found | None:
    if kind_of(uri) == "document":
        return _document(conn, uri)
    if not is_seen(conn, uri):
        # A box is known by its lot's events: 240 boxes have no 240 identifiers in them.
        lot = uri.partition("/21/")[0]
        if lot == uri or not is_seen(conn, lot):
            return None
    elif kind_of(uri) not in GOODS and _is_vehicle(conn, uri):
        loaded = _loaded(conn, uri, now)
        return Vehicle(uri, loaded[:MOST_UNITS], bound, len(loaded[MOST_UNITS:]))
    return Goods(uri, bound)


_IS_VEHICLE = """
SELECT EXISTS (SELECT FROM asker_place WHERE id = %(uri)s)
    OR EXISTS (SELECT FROM asker_event WHERE type = 'AggregationEvent' AND biz_step ~ '(^|[:/-])loading$'
               AND id = ANY (ARRAY(SELECT event FROM asker_mention WHERE identifier = %(uri)s AND role = 'parent'
                                   ORDER BY event DESC LIMIT 20)))
"""


def _is_vehicle(conn: psycopg.Connection, uri: str) -> bool:
    """Registered, or something was loaded onto it."""
    row = conn.execute(_IS_VEHICLE, {"uri": uri}).fetchone()
    return row is not None and bool(row[0])


_LOADED = """
SELECT DISTINCT ON (child.identifier) child.identifier, said.event_time
FROM (SELECT id, event_time FROM asker_event
      WHERE event_time > %(since)s AND type = 'AggregationEvent' AND biz_step ~ '(^|[:/-])loading$'
        AND id = ANY (ARRAY(SELECT event FROM asker_mention WHERE identifier = %(uri)s AND role = 'parent'
                            ORDER BY event DESC LIMIT 500))) AS said
JOIN asker_mention AS child ON child.event = said.id AND child.role = 'child'
ORDER BY child.identifier, said.event_time DESC
"""


def _loaded(conn: psycopg.Connection, vehicle: str, now: datetime) -> tuple[str, ...]:
    """The newest first."""
    rows = conn.execute(_LOADED, {"uri": vehicle, "since": now - RECENT}).fetchall()
    rows.sort(key=lambda row: row[1], reverse=True)
    return tuple(str(identifier) for identifier, _ in rows)


_GOODS_OF_EVENTS = """
SELECT DISTINCT identifier FROM asker_mention
WHERE role IN ('epc', 'class', 'output') AND event = ANY (ARRAY(
  SELECT event FROM asker_mention WHERE identifier = %s AND role = 'certificate' ORDER BY event DESC LIMIT 50))
LIMIT 50
"""


def _document(conn: psycopg.Connection, uri: str) -> Document | None:
    found = _papers(conn, "id", uri)
    if found is not None:
        return found
    rows = conn.execute(_GOODS_OF_EVENTS, [uri]).fetchall()
    return Document(uri, tuple(sorted(str(goods) for (goods,) in rows))) if rows else None


def _by_number(conn: psycopg.Connection, value: str) -> Document | None:
    """A certificate by the number printed on it."""
    return _papers(conn, "number", value)


_PAPERS = """
WITH seen AS (
  SELECT id, lot, number, status, replaced_by, product_zh, product_en, quantity_kg FROM published_certificate
  UNION SELECT id, lot, number, status, replaced_by, product_zh, product_en, quantity_kg FROM certificate)
SELECT paper.id, paper.lot, paper.number, paper.status, other.number, paper.product_zh, paper.product_en, paper.quantity_kg
FROM seen AS paper LEFT JOIN seen AS other ON other.id = paper.replaced_by
WHERE paper.{} = %s ORDER BY paper.id LIMIT 20
"""


def _papers(conn: psycopg.Connection, by: Literal["id", "number"], value: str) -> Document | None:
    """What several issuers gave one number is none of theirs alone: then only the goods are told."""
    rows = conn.execute(_PAPERS.format(by).encode(), [value]).fetchall()
    if not rows:
        return None
    uri, _, number, status, by_number, zh, en, kilograms = rows[0]
    alone = len({row[0] for row in rows}) == 1
    paper = Scanned(number, status, by_number, Name(zh, en), kilograms) if alone else None
    return Document(str(uri), tuple(sorted({str(row[1]) for row in rows})), paper)
