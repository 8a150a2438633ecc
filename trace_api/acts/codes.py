"""Which thing a scanned or typed code names, for whoever acts on it.

Contract: gives a canonical identifier, or raises Refused with what is wrong with the code and what to do. A lot's number
alone is looked for among what we named ourselves: others may use the same number for other goods. It comes before what
anybody bound the code to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import psycopg

from ledger import recorded
from ledger.epcis.identifiers import canonical
from ledger.genealogy.names import identify, lot_of, product_of
from trace_api.acts.refusals import Refused, refuse
from trace_api.check.reading import Code, Trouble, read

_TROUBLES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "torn": ("code_torn", ("have", "want")),
    "digits": ("code_torn", ("have", "want")),
    "check_digit": ("code_check_digit", ("got", "expected")),
    "product_only": ("product_only", ()),
}


def resolve(conn: psycopg.Connection, text: str, field: str | None = None) -> str:
    """The canonical identifier of what was scanned or typed."""
    found = read(text)
    if isinstance(found, Code) and found.uri is not None:
        return found.uri
    own = _numbered(conn, found.value)
    if len(own) > 1:
        raise refuse("ambiguous_number", field, status=422, code=found.value, count=len(own))
    named = own[0] if own else _bound(conn, found.value)
    if named is None:
        raise _unreadable(found, field)
    return named


def _unreadable(found: Code | Trouble, field: str | None) -> Refused:
    if isinstance(found, Trouble) and found.code in _TROUBLES:
        code, names = _TROUBLES[found.code]
        facts: dict[str, Any] = {name: found.facts[name] for name in names}
        return refuse(code, field, status=422, **facts)
    if isinstance(found, Code):
        return refuse("no_such_number", field, status=422, code=found.value[:60])
    return refuse("code_unreadable", field, status=422, code=found.value[:60])


def _bound(conn: psycopg.Connection, value: str) -> str | None:
    """A plate, an old label, a code that somebody bound to what they saw."""
    row = conn.execute("SELECT entity FROM resolve_alias(%s) LIMIT 1", [value]).fetchone() if value else None
    return None if row is None else canonical(row[0])


_NUMBERED = """
SELECT DISTINCT mention.identifier FROM event JOIN event_mention AS mention ON mention.event = event.id
WHERE event.organisation = current_organisation() AND mention.role = ANY (%(roles)s)
  AND (right(mention.identifier, length(%(number)s) + 4) = '/10/' || %(number)s
       OR right(mention.identifier, length(%(number)s) + 1) = '.' || %(number)s)
ORDER BY 1 LIMIT 5
"""


def _numbered(conn: psycopg.Connection, number: str) -> list[str]:
    if not 2 <= len(number) <= 40:
        return []
    rows = conn.execute(_NUMBERED, {"roles": list(recorded.GOODS_ROLES), "number": number})
    return [str(identifier) for (identifier,) in rows]


def label(uri: str) -> str:
    """What stands on the label, for a sentence: the lot number, the SSCC, the last of an address."""
    parts = identify(uri).parts
    if "10" in parts:
        return parts["10"]
    if len(parts) == 1:
        return next(iter(parts.values()))
    lot = uri.removeprefix(
        f"{product_of(uri)}."
    )  # of a class of ours: `260618-P01`, without the product before the dot
    return lot if lot != uri else uri.rstrip("/").rpartition("/")[2] or uri


def is_unit(uri: str) -> bool:
    """A load unit by its name: an SSCC, a returnable one, or a unit that its owner numbers by address."""
    return identify(uri).scheme in ("sscc", "grai") or "/obj/" in uri


def lot_named(uri: str) -> str:
    """The lot that a code means: a box stands for its lot."""
    return lot_of(uri) or uri
