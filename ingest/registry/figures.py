"""Figures of products and plots that the rules of docs/radar.md need: each with its source, or marked as read by nobody.

In the line: `document` -> here -> `figure`. Contract: what an entry does not name stays as it is registered. Projected findings
rest on a product's figures, so a change of them is left to the projection (`registry_change`); those on plots are looked at in turn.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

from ingest.registry.document import FigureEntry, PlaceEntry, ProductEntry

M2_PER_MU = 2000 / 3
"""A mu (亩) is a fifteenth of a hectare."""

_FIGURE = """
INSERT INTO figure AS kept (subject, name, organisation, value, source, verified) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (subject, name) DO UPDATE SET value = EXCLUDED.value, source = EXCLUDED.source, verified = EXCLUDED.verified
WHERE (kept.value, kept.source, kept.verified) IS DISTINCT FROM (EXCLUDED.value, EXCLUDED.source, EXCLUDED.verified)
RETURNING 1
"""


def load_product_figures(conn: psycopg.Connection, entry: ProductEntry, organisation: str) -> bool:
    """True if any is new or other."""
    given = {} if entry.figures is None else dict(entry.figures)
    return _load(conn, entry.id, organisation, given)


def load_area(conn: psycopg.Connection, place: str, entry: PlaceEntry) -> None:
    if entry.area_m2 is not None:
        _load(conn, place, entry.organisation, {"area_m2": entry.area_m2})
    elif entry.area_mu is not None:
        in_m2 = entry.area_mu.model_copy(update={"value": entry.area_mu.value * M2_PER_MU})
        _load(conn, place, entry.organisation, {"area_m2": in_m2})


def _load(
    conn: psycopg.Connection, subject: str, organisation: str, given: Mapping[str, FigureEntry | None]
) -> bool:
    changed = False
    for name, figure in given.items():
        if figure is not None:
            values = [subject, name, organisation, figure.value, figure.source, figure.verified]
            changed |= conn.execute(_FIGURE, values).fetchone() is not None
    return changed
