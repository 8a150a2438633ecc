"""Organisations, places, products, devices and their series: what admission knows, and how it gets there.

`load` takes the registry document (docs/wire.md) and is repeatable. `Registry` is what a worker holds in memory:
read once, read again when a device is unknown (at most every few seconds, so that strangers cannot make us ask
the database per message), so that a device registered while ingest runs is known at its next message.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from pydantic import BaseModel, ConfigDict

from ingest.coldchain.limits import Limit, load_limits
from ledger.epcis.identifiers import canonical

SCHEME = "suyuan"


class RegistryError(ValueError):
    """The registry document cannot be taken. The message names the entry and what is wrong with it."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Name(_Entry):
    zh: str
    en: str


class OrganisationEntry(_Entry):
    id: str
    name: Name
    party: str
    kind: str
    publishes: bool = True


class PlaceEntry(_Entry):
    id: str
    organisation: str
    kind: str
    name: Name
    region: str | None = None
    lat: float | None = None
    lon: float | None = None
    time_zone: str = "Asia/Shanghai"


class ProductEntry(_Entry):
    id: str
    organisation: str | None = None
    name: Name
    rule_product: str
    net_content_kg: float | None = None
    classes: tuple[str, ...] = ()


class ChannelEntry(_Entry):
    channel: str
    quantity: str
    unit: str


class DeviceEntry(_Entry):
    id: str
    organisation: str
    giai: str
    model: str
    accuracy_c: float = 0.5
    interval_s: int
    channels: tuple[ChannelEntry, ...] = ()


class RegistryDocument(_Entry):
    organisations: tuple[OrganisationEntry, ...] = ()
    places: tuple[PlaceEntry, ...] = ()
    vehicles: tuple[PlaceEntry, ...] = ()
    products: tuple[ProductEntry, ...] = ()
    devices: tuple[DeviceEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Series:
    id: int
    channel: str
    quantity: str
    unit: str


@dataclass(frozen=True, slots=True)
class Device:
    id: int
    organisation: str
    external_id: str
    giai: str
    interval_s: int
    series: dict[str, Series] = field(default_factory=dict)


_DEVICES = """
SELECT device.id, device.organisation, device.external_id, device.giai, device.interval_s,
       series.id, series.channel, series.quantity, series.unit
FROM device LEFT JOIN series ON series.device_id = device.id
WHERE device.scheme = %s
"""


class Registry:
    """Devices by (scheme, external id) in memory. `monotonic`: seconds, for how often it may be read again."""

    def __init__(self, monotonic: Callable[[], float], refresh_s: float = 2.0) -> None:
        self._monotonic = monotonic
        self._refresh_s = refresh_s
        self._read_at: float | None = None
        self._devices: dict[str, Device] = {}
        self._organisations: frozenset[str] = frozenset()

    def refresh_for(self, conn: psycopg.Connection, wanted: Iterable[tuple[str, str | None]]) -> None:
        """Read again if a (device, channel) of `wanted` is unknown and the last reading is old enough."""
        if all(self._knows(external_id, channel) for external_id, channel in wanted):
            return
        if self._read_at is None or self._monotonic() - self._read_at >= self._refresh_s:
            self.read(conn)

    def _knows(self, external_id: str, channel: str | None) -> bool:
        device = self._devices.get(external_id)
        return device is not None and (channel is None or channel in device.series)

    def read(self, conn: psycopg.Connection) -> None:
        devices: dict[str, Device] = {}
        for row in conn.execute(_DEVICES, [SCHEME]):
            device = devices.setdefault(row[2], Device(*row[:5]))
            if row[5] is not None:
                device.series[row[6]] = Series(*row[5:])
        self._devices = devices
        self._organisations = frozenset(name for (name,) in conn.execute("SELECT id FROM organisation"))
        self._read_at = self._monotonic()

    def device(self, external_id: str) -> Device | None:
        return self._devices.get(external_id)

    def knows_organisation(self, organisation: str) -> bool:
        return organisation in self._organisations


def parse_registry(text: str | bytes) -> RegistryDocument:
    try:
        return RegistryDocument.model_validate_json(text)
    except ValueError as error:
        raise RegistryError(f"the registry document is not valid: {error}") from error


def load(conn: psycopg.Connection, document: RegistryDocument) -> None:
    """Write the document in the caller's transaction; existing rows get the new names, identities stay.

    What projected events rest on, and is new or other, is left to the projection in `registry_change`. Raises RegistryError.
    """
    for organisation in document.organisations:
        _load_organisation(conn, organisation)
    for place in (*document.places, *document.vehicles):
        _load_place(conn, place)
    for product in document.products:
        _load_product(conn, product, document.organisations)
    for device in document.devices:
        _load_device(conn, device)


def load_limit_versions(conn: psycopg.Connection, limits: Iterable[Limit] | None = None) -> None:
    """The shipped rules into `limit_version`; a version that stands is never rewritten."""
    for limit in load_limits() if limits is None else limits:
        written = conn.execute(
            "INSERT INTO limit_version (id, version, product, stages, positions, body)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (id, version) DO NOTHING",
            [
                limit.id,
                limit.version,
                limit.product,
                list(limit.stages),
                list(limit.positions),
                json.dumps(limit.snapshot()),
            ],
        )
        if written.rowcount:
            _note_change(conn, "limit", f"{limit.id} {limit.version}")


def load_token(conn: psycopg.Connection, organisation: str, token: str) -> None:
    conn.execute(
        "INSERT INTO api_token (sha256, organisation) VALUES (%s, %s) ON CONFLICT (sha256) DO NOTHING",
        [hashlib.sha256(token.encode()).digest(), organisation],
    )


def _load_organisation(conn: psycopg.Connection, entry: OrganisationEntry) -> None:
    _execute(
        conn,
        f"organisation {entry.id}",
        "INSERT INTO organisation (id, name_zh, name_en, party, kind, publishes) VALUES (%s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (id) DO UPDATE SET name_zh = EXCLUDED.name_zh, name_en = EXCLUDED.name_en,"
        " party = EXCLUDED.party, kind = EXCLUDED.kind, publishes = EXCLUDED.publishes",
        [entry.id, entry.name.zh, entry.name.en, canonical(entry.party), entry.kind, entry.publishes],
    )


def _load_place(conn: psycopg.Connection, entry: PlaceEntry) -> None:
    _execute(
        conn,
        f"place {entry.id}",
        "INSERT INTO place (id, organisation, kind, name_zh, name_en, region, latitude, longitude, time_zone)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (id) DO UPDATE SET kind = EXCLUDED.kind, name_zh = EXCLUDED.name_zh, name_en = EXCLUDED.name_en,"
        " region = EXCLUDED.region, latitude = EXCLUDED.latitude, longitude = EXCLUDED.longitude,"
        " time_zone = EXCLUDED.time_zone",
        [canonical(entry.id), entry.organisation, entry.kind, entry.name.zh, entry.name.en,
         entry.region, entry.lat, entry.lon, entry.time_zone],
    )  # fmt: skip


def _load_product(
    conn: psycopg.Connection, entry: ProductEntry, organisations: tuple[OrganisationEntry, ...]
) -> None:
    owner = entry.organisation or (organisations[0].id if organisations else None)
    classes = [canonical(item) for item in entry.classes]
    if entry.id.isdigit():
        classes.append(f"https://id.gs1.org/01/{entry.id.zfill(14)}")
    standing = conn.execute(
        "SELECT rule_product, net_content_kg, classes FROM product WHERE id = %s FOR UPDATE", [entry.id]
    ).fetchone()
    _execute(
        conn,
        f"product {entry.id}",
        "INSERT INTO product (id, organisation, name_zh, name_en, rule_product, net_content_kg, classes)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (id) DO UPDATE SET name_zh = EXCLUDED.name_zh, name_en = EXCLUDED.name_en,"
        " rule_product = EXCLUDED.rule_product, net_content_kg = EXCLUDED.net_content_kg, classes = EXCLUDED.classes",
        [
            entry.id,
            owner,
            entry.name.zh,
            entry.name.en,
            entry.rule_product,
            entry.net_content_kg,
            sorted(set(classes)),
        ],
    )
    before, after = set(standing[2] if standing else ()), set(classes)
    same_rule = standing is not None and standing[:2] == (entry.rule_product, entry.net_content_kg)
    for uri in sorted(before ^ after if same_rule else before | after):
        _note_change(conn, "product", uri)


def _load_device(conn: psycopg.Connection, entry: DeviceEntry) -> None:
    _check_interval(conn, entry)
    row = _execute(
        conn,
        f"device {entry.id}",
        "INSERT INTO device (organisation, scheme, external_id, giai, model, accuracy_c, interval_s)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (scheme, external_id) DO UPDATE SET model = EXCLUDED.model,"
        " accuracy_c = EXCLUDED.accuracy_c, interval_s = EXCLUDED.interval_s RETURNING id",
        [
            entry.organisation,
            SCHEME,
            entry.id,
            canonical(entry.giai),
            entry.model,
            entry.accuracy_c,
            entry.interval_s,
        ],
    ).fetchone()
    assert row is not None
    new_series = 0
    for channel in _joined(entry.channels):
        _check_unit(entry, channel)
        new_series += _execute(
            conn,
            f"channel {entry.id}/{channel.channel}",
            "INSERT INTO series (organisation, device_id, channel, quantity, unit) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (device_id, channel) DO NOTHING",
            [entry.organisation, row[0], channel.channel, channel.quantity, channel.unit],
        ).rowcount
    if new_series:
        _note_change(conn, "device", canonical(entry.giai))


_INTERVAL = """
SELECT interval_s, EXISTS (SELECT FROM reading_store JOIN series ON series.id = series_id WHERE series.device_id = device.id)
FROM device WHERE scheme = %s AND external_id = %s FOR UPDATE
"""


def _check_interval(conn: psycopg.Connection, entry: DeviceEntry) -> None:
    """How long a reading stands follows from the interval, and so does every excursion: another one would judge the
    readings that are there again. Until an interval has a validity, it stays once there are readings."""
    row = conn.execute(_INTERVAL, [SCHEME, entry.id]).fetchone()
    if row is not None and row[1] and row[0] != entry.interval_s:
        raise RegistryError(
            f"device {entry.id}: interval_s is {row[0]} and the device has readings that were judged by it, got"
            f" {entry.interval_s}; register the device under a new id, or leave its interval as it is"
        )


def _note_change(conn: psycopg.Connection, kind: str, identifier: str) -> None:
    conn.execute("INSERT INTO registry_change (kind, identifier) VALUES (%s, %s)", [kind, identifier])


def _check_unit(device: DeviceEntry, channel: ChannelEntry) -> None:
    """Limits are in °C: a temperature registered in another unit would be judged as if it were."""
    if channel.quantity == "temperature" and channel.unit != "Cel":
        raise RegistryError(
            f"channel {device.id}/{channel.channel}: temperature is registered in Cel, got {channel.unit!r}"
        )


def _joined(channels: tuple[ChannelEntry, ...]) -> tuple[ChannelEntry, ...]:
    """Latitude and longitude are one series, `position`, as the decoder joins them."""
    if not {"latitude", "longitude"} <= {channel.quantity for channel in channels}:
        return channels
    others = tuple(channel for channel in channels if channel.quantity not in ("latitude", "longitude"))
    return (*others, ChannelEntry(channel="position", quantity="position", unit="deg"))


def _execute(conn: psycopg.Connection, what: str, query: str, values: list[Any]) -> psycopg.Cursor[Any]:
    try:
        return conn.execute(query, values)
    except (psycopg.errors.IntegrityError, psycopg.errors.DataError) as error:
        raise RegistryError(f"{what}: {error.diag.message_primary}") from error
