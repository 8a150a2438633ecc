"""The registry document into its tables: organisations, places, products, devices with their series, codes seen in the field.

In the line: `document` -> here -> tables. Contract: in the caller's transaction and repeatable; existing rows get the new
names, identities stay. What projected events rest on, and is new or other, is left to the projection in `registry_change`.
"""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Any

import psycopg

from ingest.registry.document import (
    AliasEntry,
    CalibrationEntry,
    ChannelEntry,
    DeviceEntry,
    OrganisationEntry,
    PlaceEntry,
    ProductEntry,
    RegionEntry,
    RegistryDocument,
    RegistryError,
)
from ingest.registry.known import SCHEME
from ledger.epcis.identifiers import canonical

REGISTERED = "registry document"


def load(conn: psycopg.Connection, document: RegistryDocument) -> None:
    """Write the document in the caller's transaction. Raises RegistryError."""
    for organisation in document.organisations:
        _load_organisation(conn, organisation)
    for place in (*document.places, *document.vehicles):
        _load_place(conn, place)
    for product in document.products:
        _load_product(conn, product, document.organisations)
    for device in document.devices:
        _load_device(conn, device)
    for alias in document.aliases:
        _load_alias(conn, alias)
    conn.execute("DELETE FROM region WHERE code = ANY (%s)", [[region.code for region in document.regions]])
    for region in document.regions:
        load_region(conn, region, REGISTERED, verified=False)


def load_token(conn: psycopg.Connection, organisation: str, token: str) -> None:
    conn.execute(
        "INSERT INTO api_token (sha256, organisation) VALUES (%s, %s) ON CONFLICT (sha256) DO NOTHING",
        [hashlib.sha256(token.encode()).digest(), organisation],
    )


_ORGANISATION = """
INSERT INTO organisation (id, name_zh, name_en, party, kind, publishes, region, gs1_prefix) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET name_zh = EXCLUDED.name_zh, name_en = EXCLUDED.name_en, party = EXCLUDED.party, kind = EXCLUDED.kind,
  publishes = EXCLUDED.publishes, region = EXCLUDED.region, gs1_prefix = EXCLUDED.gs1_prefix
"""


def _load_organisation(conn: psycopg.Connection, entry: OrganisationEntry) -> None:
    values = [entry.id, entry.name.zh, entry.name.en, canonical(entry.party), entry.kind, entry.publishes,
              entry.region, entry.gs1_prefix]  # fmt: skip
    _execute(conn, f"organisation {entry.id}", _ORGANISATION, values)


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
        note_change(conn, "product", uri)


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
    for channel in joined(entry.channels):
        _check_unit(entry, channel)
        new_series += _execute(
            conn,
            f"channel {entry.id}/{channel.channel}",
            "INSERT INTO series (organisation, device_id, channel, quantity, unit) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (device_id, channel) DO NOTHING",
            [entry.organisation, row[0], channel.channel, channel.quantity, channel.unit],
        ).rowcount
    if new_series:
        note_change(conn, "device", canonical(entry.giai))
    for calibration in entry.calibrations:
        _load_calibration(conn, entry, row[0], calibration)


_CALIBRATION = """
INSERT INTO calibration (device_id, certificate, laboratory, calibrated_on, due_on) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (device_id, certificate) DO UPDATE SET laboratory = EXCLUDED.laboratory, calibrated_on = EXCLUDED.calibrated_on, due_on = EXCLUDED.due_on
"""


def _load_calibration(
    conn: psycopg.Connection, device: DeviceEntry, device_id: int, entry: CalibrationEntry
) -> None:
    values = [device_id, entry.certificate, entry.laboratory, entry.calibrated_on, entry.due_on]
    _execute(conn, f"calibration {device.id}/{entry.certificate}", _CALIBRATION, values)


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


def note_change(conn: psycopg.Connection, kind: str, identifier: str) -> None:
    conn.execute("INSERT INTO registry_change (kind, identifier) VALUES (%s, %s)", [kind, identifier])


def _check_unit(device: DeviceEntry, channel: ChannelEntry) -> None:
    """Limits are in °C: a temperature registered in another unit would be judged as if it were."""
    if channel.quantity == "temperature" and channel.unit != "Cel":
        raise RegistryError(
            f"channel {device.id}/{channel.channel}: temperature is registered in Cel, got {channel.unit!r}"
        )


def joined(channels: tuple[ChannelEntry, ...]) -> tuple[ChannelEntry, ...]:
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


_BOUND = """
SELECT entity FROM identifier_alias WHERE scheme = %s AND key = alias_key(%s, %s) AND upper_inf(valid)
"""

_ALIAS = """
INSERT INTO identifier_alias (scheme, value, entity, organisation, valid) VALUES (%s, %s, %s, %s, tstzrange(now(), NULL))
"""


def _load_alias(conn: psycopg.Connection, entry: AliasEntry) -> None:
    """A code is bound once: to bind it to something else, its old binding must have ended."""
    entity = canonical(entry.entity)
    bound = conn.execute(_BOUND, [entry.scheme, entry.scheme, entry.value]).fetchone()
    if bound is not None and bound[0] != entity:
        raise RegistryError(
            f"alias {entry.scheme} {entry.value}: stands for {bound[0]}, got {entity}; end that binding first"
        )
    if bound is None:
        values = [entry.scheme, entry.value, entity, entry.organisation]
        _execute(conn, f"alias {entry.scheme} {entry.value}", _ALIAS, values)


_REGION = """
INSERT INTO region (code, name_zh, name_en, level, valid, successor, source, verified) VALUES (%s, %s, %s, %s, daterange(%s, %s), %s, %s, %s)
"""


def load_region(conn: psycopg.Connection, entry: RegionEntry, source: str, *, verified: bool) -> None:
    values: list[str | bool | date | None] = [entry.code, entry.name.zh, entry.name.en, entry.level, entry.valid_from,
                                              entry.valid_to, entry.successor, source, verified]  # fmt: skip
    _execute(conn, f"region {entry.code}", _REGION, values)
