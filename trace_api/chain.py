"""One lot, unit or box with everything that hangs together with it, read once as the public or as who asks sees it.

Contract: one snapshot. With the eye `PUBLIC`, read as `suyuan_public`, what is not published is not in it; with `ASKER`,
read as `suyuan_api` for a person or an organisation, it holds what the database lets them see besides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import psycopg

from ingest.coldchain.limits import Limit, Text, parse_limit
from ingest.coldchain.told import Told, ToldLimit, parse_under
from ledger import recorded
from ledger.epcis.codes import read_code
from ledger.epcis.identifiers import RESOLVER, Identifier, IdentifierError, parse
from ledger.genealogy import Genealogy, Portion, RecordedEvent, Span, no_orders, replay
from trace_api.as_of import AsOf
from trace_api.beliefs import read_belief
from trace_api.problems import Problem
from trace_api.recalls.standing import read_orders
from trace_api.story import Name, Site

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_ALIAS = 300
READINGS_AT_ONCE = 100_000  # published_readings gives no more of them in one answer


@dataclass(frozen=True, slots=True)
class Eye:
    """Whose eyes the database is read with: its views and functions begin with `views`."""

    views: Literal["published", "asker"]
    shelf: recorded.Shelf

    def sql(self, query: str) -> bytes:
        """The query over `seen_...` as this eye has it."""
        return query.replace("seen_", f"{self.views}_").encode()


PUBLIC = Eye("published", recorded.PUBLISHED)
ASKER = Eye("asker", recorded.ASKER)
# With what the asker recorded this moment: who acts looks at what they just did.
ASKER_NOW = Eye("asker", recorded.ASKER_NOW)


@dataclass(frozen=True, slots=True)
class Product:
    id: str
    name: Name
    rule_product: str
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sensor:
    """A temperature series as placed: where (`parent`), at which position, from when to when (UTC ms, None open).
    `readable`: whether its readings may be read; of the others one is told minutes and extremes."""

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
    readable: bool = True


@dataclass(frozen=True, slots=True)
class Hidden:
    """What a chain does not cover: `events` that who asks may not see, recorded by organisations that do not publish, the
    first at `since_ms`.

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
    """`identifier`: what was asked for. `portions`: those that answer for it. Empty where everybody asks: `why`, by
    position, why who asks sees an event; `taken`, by position of the event, what who asks took in, and how deep they look.
    `as_of`: None for now.
    """

    identifier: Identifier
    genealogy: Genealogy
    portions: tuple[Portion, ...]
    products: tuple[Product, ...]
    sites: Mapping[str, Site]
    organisations: Mapping[str, Name]
    sensors: Mapping[str, tuple[Sensor, ...]]
    limits: tuple[Limit, ...]
    eye: Eye = PUBLIC
    why: Mapping[int | None, recorded.Why] = field(default_factory=dict)
    taken: Mapping[int | None, int | None] = field(default_factory=dict)
    as_of: AsOf | None = None

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
        return read_code(text)
    except IdentifierError as error:
        raise Problem(
            400, "Not a code we can read", f"{error}. Check the digits, or scan the code again."
        ) from error


_MEANING: Mapping[str, bytes] = {
    "published": b"SELECT entity FROM published_code(%s, %s)",
    "asker": b"SELECT entity FROM resolve_code(%s, %s)",
}


def meaning(conn: psycopg.Connection, text: str, eye: Eye, at: datetime | None = None) -> Identifier | None:
    """What somebody else's code was bound to: now, or else last, or at that time. None where nobody bound it. A label with a
    key of the standard's may have been bound as it was scanned, or by the name it carries."""
    values = dict.fromkeys([text.strip()])
    with suppress(IdentifierError):
        uri = read_code(text).uri
        values |= dict.fromkeys([uri, uri.removeprefix(f"{RESOLVER}/")])
    for value in values:
        if value and len(value) <= LONGEST_ALIAS and "\0" not in value:
            row = conn.execute(_MEANING[eye.views], [value, at]).fetchone()
            if row is not None:
                return parse(row[0])
    return None


def named_chain(
    conn: psycopg.Connection,
    text: str,
    eye: Eye = PUBLIC,
    at: datetime | None = None,
    as_of: AsOf | None = None,
    *,
    named_only: bool = False,
) -> Chain:
    """The chain of whatever a code names. One that is recorded means itself; else, and also where it is no code
    of the standard's, what it was bound to. Raises Problem as `identify` and `read_chain` do."""
    try:
        return read_chain(conn, identify(text), eye, as_of=as_of, named_only=named_only)
    except Problem as problem:
        bound = meaning(conn, text, eye, at) if problem.status in (400, 404) else None
        if bound is None:
            raise
    return read_chain(conn, bound, eye, as_of=as_of, named_only=named_only)


def read_chain(
    conn: psycopg.Connection,
    identifier: Identifier,
    eye: Eye = PUBLIC,
    beside: Iterable[str] = (),
    as_of: AsOf | None = None,
    *,
    named_only: bool = False,
) -> Chain:
    """`beside`: canonical codes that are read along, whether they hang together with it or not. `named_only`: events that name it
    will do, where no goods answer for it. Raises Problem 404 where nothing
    that the eye sees is known of any of them, 413 where too much hangs together."""
    others = [identify(code) for code in beside]
    named = [identifier, *others]
    seeds = {each.uri for each in named} | {each.lot for each in named if each.lot}
    try:
        connected = recorded.connected(conn, seeds, eye.shelf)
    except recorded.TooMuch as error:
        raise Problem.said(413, "trace_too_much") from error
    products = _products(conn, eye)
    events = connected.events if as_of is None else _known(connected.events, as_of)
    belief = read_belief(conn, eye.views, events, _asker(conn, eye), as_of is not None)
    orders = no_orders if as_of is not None else read_orders(conn, connected.lots)
    genealogy = replay(events, _net_content(conn, eye), belief, orders)
    portions = tuple(genealogy.portions_answering(identifier.uri))
    answers = any(genealogy.portions_answering(each.uri) for each in named)
    if not answers and not (named_only and genealogy.names(identifier.uri)):
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
    places = parents | {
        place for fact in genealogy.facts for place in (fact.read_point, fact.biz_location) if place
    }
    return Chain(
        identifier,
        genealogy,
        portions,
        products,
        read_sites(conn, places, eye),
        read_organisations(conn, eye),
        _sensors(conn, parents, eye),
        _limits(conn, eye),
        eye,
        connected.why,
        {} if eye is PUBLIC else _taken(conn, list(connected.why)),
        as_of,
    )


def _known(events: Iterable[RecordedEvent], as_of: AsOf) -> tuple[RecordedEvent, ...]:
    return tuple(item for item in events if item.position is not None and item.position <= as_of.position)


def read_curve(
    conn: psycopg.Connection,
    sensor: Sensor,
    start_ms: int,
    end_ms: int,
    eye: Eye = PUBLIC,
    as_of: AsOf | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Times (int64[n], UTC ms) and values (float64[n], °C) of a readable series, with two intervals of margin."""
    found, known = "seen_readings(%s, %s, %s)", list[datetime]()
    if as_of is not None:
        found, known = "seen_readings_known(%s, %s, %s, %s)", [as_of.time]
    query = eye.sql(f"SELECT (extract(epoch FROM time) * 1000)::bigint, value FROM {found}")  # noqa: S608
    margin = 2 * sensor.interval_ms
    since_ms, until_ms = start_ms - margin, end_ms + margin
    rows: list[tuple[int, float]] = []
    while True:
        page = conn.execute(
            query,
            [sensor.series, to_datetime(since_ms), to_datetime(until_ms), *known],
        ).fetchall()
        rows += page
        if len(page) < READINGS_AT_ONCE:
            break
        since_ms = page[-1][0] + 1  # times are whole milliseconds, each once in a series
    return np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.float64)


def read_hidden(conn: psycopg.Connection, named: Iterable[Span], eye: Eye = PUBLIC) -> Hidden | None:
    """What was recorded of these goods and containers while it concerned us and may not be seen; None: nothing."""
    asked = list(named)
    row = conn.execute(
        eye.sql(
            "SELECT events, (extract(epoch FROM earliest) * 1000)::bigint"
            " FROM seen_hidden(%s::text[], %s::timestamptz[], %s::timestamptz[])"
        ),
        [
            [span.value for span in asked],
            [to_datetime(span.start_ms) for span in asked],
            [None if span.end_ms is None else to_datetime(span.end_ms) for span in asked],
        ],
    ).fetchone()
    return None if row is None else Hidden(*row)


def _taken(conn: psycopg.Connection, positions: Sequence[int | None]) -> dict[int | None, int | None]:
    """Row-level security leaves of the grants one's own."""
    rows = conn.execute(
        "SELECT leaf.position, given.depth FROM lot_grant AS given JOIN leaf ON leaf.event = given.event"
        " WHERE leaf.position = ANY (%s)",
        [positions],
    )
    return {int(position): depth for position, depth in rows}


_TOLD = """
SELECT limit_id, limit_version, measured_ms, minimum, maximum, degree_minutes, judged
FROM asker_leg(%s, %s, %s, %s::text[], %s::integer[])
"""


def read_told(
    conn: psycopg.Connection, series: Sequence[int], start_ms: int, end_ms: int, limits: Sequence[Limit]
) -> Told | None:
    """Minutes and extremes of a leg with readings that may not be seen; None where not even those are told."""
    found: dict[tuple[str, int], ToldLimit] = {}
    whole: tuple[int, float | None, float | None] | None = None
    keys = [limit.key for limit in limits]
    span = to_datetime(start_ms), to_datetime(end_ms)
    asked = [list(series), *span, [key[0] for key in keys], [key[1] for key in keys]]
    for name, version, measured_ms, least, most, area, judged in conn.execute(_TOLD, asked):
        if name is None:
            whole = measured_ms, least, most
        else:
            plain, weighed = parse_under(judged["plain"]), parse_under(judged["weighed"])
            found[name, version] = ToldLimit(plain, weighed, area)
    return None if whole is None else Told(*whole, found)


def _asker(conn: psycopg.Connection, eye: Eye) -> str | None:
    row = None if eye is PUBLIC else conn.execute("SELECT current_organisation()").fetchone()
    return None if row is None else row[0]


def to_datetime(time_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=time_ms)


def _products(conn: psycopg.Connection, eye: Eye) -> tuple[Product, ...]:
    rows = conn.execute(
        eye.sql("SELECT id, name_zh, name_en, rule_product, classes FROM seen_product ORDER BY id")
    )
    return tuple(Product(row[0], Name(row[1], row[2]), row[3], tuple(row[4])) for row in rows)


def _net_content(conn: psycopg.Connection, eye: Eye) -> dict[str, float]:
    rows = conn.execute(
        eye.sql("SELECT unnest(classes), net_content_kg FROM seen_product WHERE net_content_kg IS NOT NULL")
    )
    return {str(uri): float(kilograms) for uri, kilograms in rows}


def read_sites(conn: psycopg.Connection, ids: Iterable[str], eye: Eye) -> dict[str, Site]:
    rows = conn.execute(
        eye.sql(
            "SELECT id, name_zh, name_en, kind, region, latitude, longitude, time_zone FROM seen_place"
            " WHERE id = ANY (%s)"
        ),
        [sorted(ids)],
    )
    return {row[0]: Site(row[0], Name(row[1], row[2]), *row[3:]) for row in rows}


def read_organisations(
    conn: psycopg.Connection, eye: Eye, among: Iterable[str] | None = None
) -> dict[str, Name]:
    """`among`: None for all that the eye sees."""
    rows = conn.execute(
        eye.sql(
            "SELECT id, name_zh, name_en FROM seen_organisation WHERE %(among)s::text[] IS NULL OR id = ANY (%(among)s)"
        ),
        {"among": None if among is None else list(among)},
    )
    return {row[0]: Name(row[1], row[2]) for row in rows}


_SENSORS = """
SELECT series.id, series.uuid::text, series.organisation, series.device_id, series.model, series.accuracy_c, series.interval_s * 1000,
       placement.parent, placement.probe_position,
       (extract(epoch FROM lower(placement.valid)) * 1000)::bigint, (extract(epoch FROM upper(placement.valid)) * 1000)::bigint{readable}
FROM seen_placement AS placement JOIN seen_series AS series ON series.id = placement.series_id
WHERE placement.parent = ANY (%s) AND NOT placement.conflict AND series.quantity = 'temperature'
ORDER BY placement.parent, series.id
"""


def _sensors(conn: psycopg.Connection, parents: Iterable[str], eye: Eye) -> dict[str, tuple[Sensor, ...]]:
    query = eye.sql(_SENSORS.format(readable="" if eye is PUBLIC else ", series.readable"))
    found: dict[str, list[Sensor]] = {}
    row: tuple[Any, ...]
    for row in conn.execute(query, [sorted(parents)]):
        found.setdefault(row[7], []).append(Sensor(*row))
    return {parent: tuple(sensors) for parent, sensors in found.items()}


def _limits(conn: psycopg.Connection, eye: Eye) -> tuple[Limit, ...]:
    rows = conn.execute(eye.sql("SELECT body FROM seen_limit ORDER BY id, version"))
    return tuple(parse_limit(body) for (body,) in rows)
