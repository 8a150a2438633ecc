"""Rows of a sheet -> what is to be registered: an organisation, a place, a device with its channels, a placement.

Contract: every row is in one item or has a fault. An item writes itself in the caller's transaction, through the same functions
as a registry document; what its cells leave open stays as it is registered. `Refused` names the column where one is to blame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote

import psycopg
from pydantic import BaseModel, ValidationError

from ingest.registry.document import DeviceEntry, OrganisationEntry, PlaceEntry, RegistryError
from ingest.registry.known import SCHEME
from ingest.registry.loading import compartment_id, load_device, load_organisation, load_parent, load_place
from ingest.registry.placing import Sitting, place
from ingest.registry.schemes import external_id
from ingest.registry.sheets.columns import Kind, heading_of
from ingest.registry.sheets.reading import moment, uri
from ingest.registry.sheets.table import Fault, Row, Table
from ledger.epcis.identifiers import canonical


class Refused(RegistryError):
    """What is wrong lies in `column` (a field's name, empty for the row as a whole)."""

    def __init__(self, column: str, detail: str) -> None:
        super().__init__(detail)
        self.column = column


Entry = TypeVar("Entry", bound=BaseModel)
Values = Mapping[str, Any]
"""A row's cells that are not empty, by field."""


class Write(Protocol):
    def __call__(self, conn: psycopg.Connection, zone: tzinfo, now: datetime) -> bool:
        """Whether anything was to be written; a placement that is recorded already is not. Raises RegistryError."""


@dataclass(frozen=True, slots=True)
class Item:
    """The first of its rows answers for it."""

    rows: tuple[Row, ...]
    write: Write


def items_of(table: Table, kind: Kind) -> tuple[list[Item], list[Fault]]:
    faults = list(table.faults)
    read: list[tuple[Row, Values]] = []
    for row in table.rows:
        values, found = _values(table, kind, row)
        faults += found
        if not found:
            read.append((row, values))
    if kind.name == "devices":
        return _devices(table, kind, read, faults)
    make: Callable[[Values], Write] = _MAKERS[kind.name]
    once = _once(table, kind, read, faults) if kind.name in ("organisations", "places") else read
    return [Item((row,), make(values)) for row, values in once], faults


def _once(
    table: Table, kind: Kind, read: Iterable[tuple[Row, Values]], faults: list[Fault]
) -> Iterator[tuple[Row, Values]]:
    """What stands in two rows has the second one refused: which of them is meant?"""
    seen: dict[tuple[object, ...], int] = {}
    for row, values in read:
        field = "id" if "id" in values else "code"
        key = (values.get("id"), values.get("parent") if field == "code" else None, values.get("code"))
        if key in seen:
            detail = f"stands in row {seen[key]} already; make one row of the two"
            faults.append(
                Fault(
                    table.name, row.number, heading_of(table, kind, field), str(values.get(field, "")), detail
                )
            )
        else:
            seen[key] = row.number
            yield row, values


def _values(table: Table, kind: Kind, row: Row) -> tuple[Values, list[Fault]]:
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for heading, cell in zip(table.header, row.cells, strict=True):
        column = kind.column(heading)
        assert column is not None  # `kind_of` saw to it
        if not cell:
            if column.required:
                faults.append(Fault(table.name, row.number, heading, "", "is empty, and every row needs it"))
            continue
        try:
            values[column.field] = column.read(cell)
        except ValueError as error:
            faults.append(Fault(table.name, row.number, heading, cell, str(error)))
    return values, faults


def _entry(model: type[Entry], values: Values) -> Entry:
    """The document's entry. Raises Refused with the first thing that is wrong."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        fields = [str(part) for part in first["loc"] if isinstance(part, str)]
        raise Refused(fields[-1] if fields else "", first["msg"]) from error


def _named(values: Values) -> dict[str, Any]:
    """Both names: a name in one language stands for both until the other is given."""
    rest = {field: value for field, value in values.items() if field not in ("name_zh", "name_en")}
    chinese = values.get("name_zh") or values.get("name_en")
    return rest | {"name": {"zh": chinese, "en": values.get("name_en") or chinese}}


# --- organisations and places ----------------------------------------------------------------------------------------


_ORGANISATION = """
SELECT name_zh, name_en, party, kind, publishes, region, gs1_prefix FROM organisation WHERE id = %s
"""


def _organisation(values: Values) -> Write:
    def write(conn: psycopg.Connection, zone: tzinfo, now: datetime) -> bool:
        standing = _standing(conn, _ORGANISATION, [values["id"]])
        load_organisation(conn, _entry(OrganisationEntry, _named(standing | dict(values))))
        return True

    return write


_PLACE = """
SELECT organisation, kind, name_zh, name_en, region, latitude AS lat, longitude AS lon, time_zone, parent FROM place WHERE id = %s
"""


def _place(values: Values) -> Write:
    def write(conn: psycopg.Connection, zone: tzinfo, now: datetime) -> bool:
        identity = _identity(values)
        standing = _standing(conn, _PLACE, [identity])
        _same_owner(conn, standing, values, f"place {identity}")
        given = _with_area({field: value for field, value in values.items() if field != "code"})
        entry = _entry(PlaceEntry, _named(standing | given | {"id": identity}))
        load_place(conn, entry)
        load_parent(conn, entry)
        return True

    return write


def _with_area(values: Values) -> dict[str, Any]:
    """A sheet says an area in mu; who wrote it there has not shown where they read it."""
    rest = {field: value for field, value in values.items() if field not in ("area_mu", "area_source")}
    if "area_mu" not in values:
        if "area_source" in values:
            raise Refused("area_source", "names the source of an area that the row does not have")
        return rest
    return rest | {"area_mu": {"value": values["area_mu"], "source": values.get("area_source")}}


def _identity(values: Values) -> str:
    """Its own URI, or that of a compartment of its parent."""
    if "code" in values and "parent" in values and "id" not in values:
        return compartment_id(values["parent"], values["code"])
    if "id" not in values or "code" in values:
        raise Refused("id", "want the place's own URI or GLN, or for a part its parent and code and no URI")
    return canonical(values["id"])


def _standing(conn: psycopg.Connection, query: str, key: Sequence[Any]) -> dict[str, Any]:
    """What is registered under this key, by field; empty where nothing is."""
    cursor = conn.execute(query, key)
    row = cursor.fetchone()
    names = [column.name for column in cursor.description or ()]
    return {name: value for name, value in zip(names, row or (), strict=False) if value is not None}


def _same_owner(conn: psycopg.Connection, standing: Values, values: Values, what: str) -> None:
    owner = values["organisation"]
    if standing and standing["organisation"] != owner:
        raise Refused(
            "organisation",
            f"{what} belongs to {standing['organisation']}; an import hands nothing over to {owner}",
        )
    if conn.execute("SELECT FROM organisation WHERE id = %s", [owner]).fetchone() is None:
        raise Refused("organisation", f"no organisation {owner!r} is registered; import it first")


# --- devices -----------------------------------------------------------------------------------------------------------

_OF_CHANNEL: Final = ("channel", "quantity", "unit", "scale", "offset", "minimum", "maximum")
_OF_CALIBRATION: Final = ("certificate", "laboratory", "calibrated_on", "due_on")
_DEVICE = """
SELECT organisation, giai, model, accuracy_c, interval_s, profile, independent FROM device WHERE scheme = %s AND external_id = %s
"""
_BOUNDS = """
SELECT channel, minimum, maximum FROM series JOIN device ON device.id = device_id WHERE scheme = %s AND external_id = %s
"""


def _devices(
    table: Table, kind: Kind, read: Iterable[tuple[Row, Values]], faults: list[Fault]
) -> tuple[list[Item], list[Fault]]:
    """Rows of one device are one item, wherever they stand: a channel or a certificate each."""
    grouped: dict[tuple[str, str], list[tuple[Row, Values]]] = {}

    def fault(row: Row, field: str, value: object, detail: str) -> Fault:
        return Fault(table.name, row.number, heading_of(table, kind, field), str(value), detail)

    for row, values in read:
        try:
            scheme = values.get("scheme", SCHEME)
            grouped.setdefault((scheme, external_id(scheme, values["device"])), []).append((row, values))
        except RegistryError as error:
            faults.append(fault(row, "device", values["device"], str(error)))
    found: list[Item] = []
    for key, rows in grouped.items():
        contradictions = [fault(*said) for said in _contradictions(rows)]
        faults += contradictions
        if not contradictions:
            of_it = tuple(row for row, _ in rows)
            found.append(Item(of_it, _device(key, [values for _, values in rows])))
    return found, faults


def _contradictions(rows: Sequence[tuple[Row, Values]]) -> Iterator[tuple[Row, str, object, str]]:
    """What one row says of the device and another says otherwise; a channel that stands twice, or by half."""
    said: dict[str, Any] = {}
    channels: set[str] = set()
    for row, values in rows:
        for field, value in _of_device(values).items():
            if said.setdefault(field, value) != value:
                yield row, field, value, f"another row of this device says {said[field]}"
        channel = values.get("channel")
        if channel in channels:
            yield row, "channel", channel, "stands twice for this device"
        if channel is not None:
            channels.add(channel)
        lacking = [field for field in ("channel", "quantity", "unit") if field not in values]
        if lacking and any(field in values for field in _OF_CHANNEL):
            yield row, lacking[0], "", "a channel needs its name, quantity and unit"
        unsaid = [field for field in _OF_CALIBRATION[:3] if field not in values]
        if unsaid and any(field in values for field in _OF_CALIBRATION):
            yield row, unsaid[0], "", "a calibration needs certificate, laboratory and day"


def _of_device(values: Values) -> dict[str, Any]:
    apart = ("device", *_OF_CHANNEL, *_OF_CALIBRATION)
    return {field: value for field, value in values.items() if field not in apart}


def _device(key: tuple[str, str], rows: Sequence[Values]) -> Write:
    def write(conn: psycopg.Connection, zone: tzinfo, now: datetime) -> bool:
        scheme, number = key
        standing = _standing(conn, _DEVICE, key)
        _same_owner(conn, standing, rows[0], f"device {number}")
        bounds = {channel: (low, high) for channel, low, high in conn.execute(_BOUNDS, key)}
        said: dict[str, Any] = {}
        for values in rows:
            said |= _of_device(values)
        giai = (
            said.get("giai") or standing.get("giai") or f"urn:suyuan:device:{scheme}:{quote(number, safe='')}"
        )
        if standing and giai != standing["giai"]:
            raise Refused(
                "giai", f"device {number} is registered as {standing['giai']}, and its events name it so"
            )
        entry = standing | said | {"id": number, "scheme": scheme, "giai": giai}
        entry["channels"] = [_channel(values, bounds) for values in rows if "channel" in values]
        entry["calibrations"] = [
            {field: values[field] for field in _OF_CALIBRATION if field in values}
            for values in rows
            if "certificate" in values
        ]
        load_device(conn, _entry(DeviceEntry, entry))
        return True

    return write


def _channel(values: Values, bounds: Mapping[str, tuple[float | None, float | None]]) -> dict[str, Any]:
    low, high = bounds.get(values["channel"], (None, None))
    return {"minimum": low, "maximum": high} | {
        field: values[field] for field in _OF_CHANNEL if field in values
    }


# --- placements ----------------------------------------------------------------------------------------------------------

_PLACED = """
SELECT giai, organisation, id FROM device WHERE scheme = %s AND external_id = %s
"""
_BOUND = """
SELECT DISTINCT entity FROM identifier_alias
WHERE key IN (alias_key('plate', %(code)s), alias_key('other', %(code)s)) AND key = alias_key(scheme, %(code)s) AND valid @> %(at)s::timestamptz
"""


def _placement(values: Values) -> Write:
    def write(conn: psycopg.Connection, zone: tzinfo, now: datetime) -> bool:
        installed = _time(values, "installed_at", zone)
        removed = _time(values, "removed_at", zone) if "removed_at" in values else None
        giai, organisation = _owned(conn, values)
        parent = _parent(conn, values, installed)
        sitting = Sitting(
            giai, values.get("channel"), parent, values.get("probe_position"), installed, removed
        )
        return place(conn, organisation, sitting, now) > 0

    return write


def _time(values: Values, field: str, zone: tzinfo) -> datetime:
    try:
        return moment(values[field], zone)
    except ValueError as error:
        raise Refused(field, str(error)) from error


def _owned(conn: psycopg.Connection, values: Values) -> tuple[str, str]:
    scheme = values.get("scheme", SCHEME)
    row = conn.execute(_PLACED, [scheme, external_id(scheme, values["device"])]).fetchone()
    if row is None:
        raise Refused(
            "device", f"no device {values['device']!r} of scheme {scheme} is registered; import it first"
        )
    channel = values.get("channel")
    query = "SELECT FROM series WHERE device_id = %s AND channel = %s"
    if channel is not None and conn.execute(query, [row[2], channel]).fetchone() is None:
        raise Refused(
            "channel",
            f"device {values['device']!r} has no channel {channel!r}; leave it empty for all of them",
        )
    return row[0], row[1]


def _parent(conn: psycopg.Connection, values: Values, at: datetime) -> str:
    """Its URI, by a label's digits or a code that is bound to it, such as a plate. A place or vehicle has to be registered: a
    sensor at a name nobody knows would measure nothing."""
    written = values["parent"]
    bound = [entity for (entity,) in conn.execute(_BOUND, {"code": written, "at": at})]
    try:
        parent = bound[0] if len(bound) == 1 else uri(written)
    except ValueError as error:
        raise Refused(
            "parent", f"{error}, or a code that is bound to a vehicle or place (aliases)"
        ) from error
    if "code" in values:
        parent = compartment_id(parent, values["code"])
    registered = parent if "code" in values else parent.split("/254/")[0]
    is_place = "/414/" in parent or "/8004/" in parent
    if is_place and conn.execute("SELECT FROM place WHERE id = %s", [registered]).fetchone() is None:
        raise Refused("parent", f"{registered} is no registered place or vehicle; import it first")
    return parent


_MAKERS: Final[Mapping[str, Callable[[Values], Write]]] = {
    "organisations": _organisation,
    "places": _place,
    "placements": _placement,
}
