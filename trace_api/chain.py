"""One lot, unit or box with everything that hangs together with it, read once as the public sees it.

Contract: one snapshot; read as `suyuan_public`, so what is not published is not in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import psycopg

from ingest.coldchain.limits import Limit, Text, parse_limit
from ledger import recorded
from ledger.epcis.identifiers import Identifier, IdentifierError, parse
from ledger.genealogy import Genealogy, Portion, Span, replay
from trace_api.problems import Problem
from trace_api.story import Name, Site

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
READINGS_AT_ONCE = 100_000  # published_readings gives no more of them in one answer


@dataclass(frozen=True, slots=True)
class Product:
    id: str
    name: Name
    rule_product: str
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sensor:
    """A temperature series as placed: where (`parent`), at which position, from when to when (UTC ms, None open)."""

    series: int
    uuid: str
    organisation: str
    device: int
    model: str
    accuracy_c: float
    interval_ms: int
    parent: str
    position: str
    since_ms: int
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class Hidden:
    """What a chain does not cover: `events` recorded by organisations that do not publish, the first at `since_ms`.

    From then on nobody outside knows where the goods are, so what the sensors of any place measured is not theirs.
    """

    events: int
    since_ms: int

    code: ClassVar = "chain_hidden"
    text: ClassVar = Text("这批货的部分经过没有公开", "Part of this chain is not published")

    @property
    def numbers(self) -> Mapping[str, float]:
        return {"events": self.events}


@dataclass(frozen=True)
class Chain:
    """`identifier`: what was asked for. `portions`: those that answer for it."""

    identifier: Identifier
    genealogy: Genealogy
    portions: tuple[Portion, ...]
    products: tuple[Product, ...]
    sites: Mapping[str, Site]
    organisations: Mapping[str, Name]
    sensors: Mapping[str, tuple[Sensor, ...]]
    limits: tuple[Limit, ...]

    def product_of(self, lot: str) -> Product | None:
        matches = [
            (len(uri), product)
            for product in self.products
            for uri in product.classes
            if lot == uri or lot.startswith((uri + "/", uri + "."))
        ]
        return max(matches, key=lambda pair: pair[0])[1] if matches else None


def identify(text: str) -> Identifier:
    """Raises Problem 400 with what is wrong with the code and what to do."""
    try:
        return parse(text)
    except IdentifierError as error:
        raise Problem(
            400, "Not a code we can read", f"{error}. Check the digits, or scan the code again."
        ) from error


def read_chain(conn: psycopg.Connection, identifier: Identifier) -> Chain:
    """Raises Problem 404 where nothing published is known of it, 413 where too much hangs together."""
    seeds = {identifier.uri} | ({identifier.lot} if identifier.lot else set())
    try:
        connected = recorded.connected(conn, seeds, recorded.PUBLISHED)
    except recorded.TooMuch as error:
        raise Problem(413, "Too much hangs together", str(error)) from error
    products = _products(conn)
    genealogy = replay(connected.events, _net_content(conn))
    portions = tuple(genealogy.portions_answering(identifier.uri))
    if not connected.events or not portions:
        raise Problem(
            404,
            "Nothing is recorded under this code",
            "Check the code. If the goods are new, their records may not have arrived yet: try again in a minute.",
        )
    parents = {
        stay.place
        for lot in genealogy.lots()
        for portion in genealogy.portions(lot)
        for stay in portion.stays
    }
    named = parents | {
        place for fact in genealogy.facts for place in (fact.read_point, fact.biz_location) if place
    }
    return Chain(
        identifier,
        genealogy,
        portions,
        products,
        _sites(conn, named),
        _organisations(conn),
        _sensors(conn, parents),
        _limits(conn),
    )


def read_curve(
    conn: psycopg.Connection, sensor: Sensor, start_ms: int, end_ms: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Times (int64[n], UTC ms) and values (float64[n], °C) of a published series, with two intervals of margin."""
    margin = 2 * sensor.interval_ms
    since_ms, until_ms = start_ms - margin, end_ms + margin
    rows: list[tuple[int, float]] = []
    while True:
        page = conn.execute(
            "SELECT (extract(epoch FROM time) * 1000)::bigint, value FROM published_readings(%s, %s, %s)",
            [sensor.series, to_datetime(since_ms), to_datetime(until_ms)],
        ).fetchall()
        rows += page
        if len(page) < READINGS_AT_ONCE:
            break
        since_ms = page[-1][0] + 1  # times are whole milliseconds, each once in a series
    return np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.float64)


def read_hidden(conn: psycopg.Connection, named: Iterable[Span]) -> Hidden | None:
    """What organisations that do not publish recorded of these goods and containers while it concerned us; None: nothing."""
    asked = list(named)
    row = conn.execute(
        "SELECT events, (extract(epoch FROM earliest) * 1000)::bigint"
        " FROM published_hidden(%s::text[], %s::timestamptz[], %s::timestamptz[])",
        [
            [span.value for span in asked],
            [to_datetime(span.start_ms) for span in asked],
            [None if span.end_ms is None else to_datetime(span.end_ms) for span in asked],
        ],
    ).fetchone()
    return None if row is None else Hidden(*row)


def to_datetime(time_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=time_ms)


def _products(conn: psycopg.Connection) -> tuple[Product, ...]:
    rows = conn.execute(
        "SELECT id, name_zh, name_en, rule_product, classes FROM published_product ORDER BY id"
    )
    return tuple(Product(row[0], Name(row[1], row[2]), row[3], tuple(row[4])) for row in rows)


def _net_content(conn: psycopg.Connection) -> dict[str, float]:
    rows = conn.execute(
        "SELECT unnest(classes), net_content_kg FROM published_product WHERE net_content_kg IS NOT NULL"
    )
    return {str(uri): float(kilograms) for uri, kilograms in rows}


def _sites(conn: psycopg.Connection, ids: Iterable[str]) -> dict[str, Site]:
    rows = conn.execute(
        "SELECT id, name_zh, name_en, kind, region, latitude, longitude, time_zone FROM published_place WHERE id = ANY (%s)",
        [sorted(ids)],
    )
    return {row[0]: Site(row[0], Name(row[1], row[2]), *row[3:]) for row in rows}


def _organisations(conn: psycopg.Connection) -> dict[str, Name]:
    return {
        row[0]: Name(row[1], row[2])
        for row in conn.execute("SELECT id, name_zh, name_en FROM published_organisation")
    }


_SENSORS = """
SELECT series.id, series.uuid::text, series.organisation, series.device_id, series.model, series.accuracy_c, series.interval_s * 1000,
       placement.parent, placement.probe_position,
       (extract(epoch FROM lower(placement.valid)) * 1000)::bigint, (extract(epoch FROM upper(placement.valid)) * 1000)::bigint
FROM published_placement AS placement JOIN published_series AS series ON series.id = placement.series_id
WHERE placement.parent = ANY (%s) AND NOT placement.conflict AND series.quantity = 'temperature'
ORDER BY placement.parent, series.id
"""


def _sensors(conn: psycopg.Connection, parents: Iterable[str]) -> dict[str, tuple[Sensor, ...]]:
    found: dict[str, list[Sensor]] = {}
    row: tuple[Any, ...]
    for row in conn.execute(_SENSORS, [sorted(parents)]):
        found.setdefault(row[7], []).append(Sensor(*row))
    return {parent: tuple(sensors) for parent, sensors in found.items()}


def _limits(conn: psycopg.Connection) -> tuple[Limit, ...]:
    return tuple(
        parse_limit(body) for (body,) in conn.execute("SELECT body FROM published_limit ORDER BY id, version")
    )
