"""The registry document into its tables: organisations, places, products, devices with their series, codes seen in the field.

In the line: `document` -> here -> tables. Contract: in the caller's transaction and repeatable; existing rows get the new
names, identities stay. What projected events rest on, and is new or other, is left to the projection in `registry_change`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date
from typing import Any

import psycopg

from ingest.registry.channels import has_readings, load_channels
from ingest.registry.document import (
    AliasEntry,
    CalibrationEntry,
    DeviceEntry,
    OrganisationEntry,
    PlaceEntry,
    ProductEntry,
    RegionEntry,
    RegistryDocument,
    RegistryError,
)
from ingest.registry.figures import load_area, load_product_figures
from ingest.registry.schemes import external_id
from ledger.epcis.identifiers import canonical

REGISTERED = "registry document"


def load(conn: psycopg.Connection, document: RegistryDocument) -> list[str]:
    """Write the document in the caller's transaction; returns what it says and does not change, a sentence each. Raises
    RegistryError."""
    alone(conn)
    left = [*_left(conn, document)]
    for organisation in document.organisations:
        load_organisation(conn, organisation)
    places = (*document.places, *document.vehicles)
    for place in places:
        load_place(conn, place)
    for place in places:
        load_parent(conn, place)
    for product in document.products:
        _load_product(conn, product, document.organisations)
    for device in document.devices:
        load_device(conn, device)
    for alias in document.aliases:
        _load_alias(conn, alias)
    conn.execute("DELETE FROM region WHERE code = ANY (%s)", [[region.code for region in document.regions]])
    for region in document.regions:
        load_region(conn, region, REGISTERED, verified=False)
    return left


_IDENTITY = "SELECT organisation, giai FROM device WHERE scheme = %s AND external_id = %s"


def _left(conn: psycopg.Connection, document: RegistryDocument) -> Iterator[str]:
    """Who owns a device or place, and a device's URI, are not rewritten: events and readings rest on them."""
    for device in document.devices:
        number = external_id(device.scheme, device.id)
        for owner, giai in conn.execute(_IDENTITY, [device.scheme, number]):
            if owner != device.organisation:
                yield f"device {device.id} stays with {owner}; a document hands nothing over to {device.organisation}"
            if giai != canonical(device.giai):
                yield f"device {device.id} stays {giai}, as its events name it; got {device.giai}"
    for place in (*document.places, *document.vehicles):
        for (owner,) in conn.execute("SELECT organisation FROM place WHERE id = %s", [canonical(place.id)]):
            if owner != place.organisation:
                yield f"place {place.id} stays with {owner}; a document hands nothing over to {place.organisation}"


REGISTERING = 0x5359_0200  # "SY", registering


def alone(conn: psycopg.Connection) -> None:
    """One registration at a time, to the end of the transaction: two that name the same devices in another order would
    otherwise wait for each other."""
    conn.execute("SELECT pg_advisory_xact_lock(%s)", [REGISTERING])


def load_token(conn: psycopg.Connection, organisation: str, token: str) -> None:
    """Raises RegistryError for an organisation that is not registered."""
    _execute(
        conn,
        f"token for {organisation}",
        "INSERT INTO api_token (sha256, organisation) VALUES (%s, %s) ON CONFLICT (sha256) DO NOTHING",
        [hashlib.sha256(token.encode()).digest(), organisation],
    )


_ORGANISATION = """
INSERT INTO organisation (id, name_zh, name_en, party, kind, publishes, region, gs1_prefix) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET name_zh = EXCLUDED.name_zh, name_en = EXCLUDED.name_en, party = EXCLUDED.party, kind = EXCLUDED.kind,
  publishes = EXCLUDED.publishes, region = EXCLUDED.region, gs1_prefix = EXCLUDED.gs1_prefix
"""


def load_organisation(conn: psycopg.Connection, entry: OrganisationEntry) -> None:
    values = [entry.id, entry.name.zh, entry.name.en, canonical(entry.party), entry.kind, entry.publishes,
              entry.region, entry.gs1_prefix]  # fmt: skip
    _execute(conn, f"organisation {entry.id}", _ORGANISATION, values)


_PLACE = """
INSERT INTO place (id, organisation, kind, name_zh, name_en, region, latitude, longitude, time_zone)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET kind = EXCLUDED.kind, name_zh = EXCLUDED.name_zh, name_en = EXCLUDED.name_en, region = EXCLUDED.region,
  latitude = EXCLUDED.latitude, longitude = EXCLUDED.longitude, time_zone = EXCLUDED.time_zone
"""


def load_place(conn: psycopg.Connection, entry: PlaceEntry) -> None:
    """The place and its compartments; `load_parent` says of what it is part, once that stands."""
    _execute(
        conn,
        f"place {entry.id}",
        _PLACE,
        [canonical(entry.id), entry.organisation, entry.kind, entry.name.zh, entry.name.en,
         entry.region, entry.lat, entry.lon, entry.time_zone],
    )  # fmt: skip
    load_area(conn, canonical(entry.id), entry)
    for compartment in entry.compartments:
        part = PlaceEntry(
            id=compartment_id(entry.id, compartment.code),
            organisation=entry.organisation,
            kind=compartment.kind or ("compartment" if "/8004/" in canonical(entry.id) else entry.kind),
            name=compartment.name,
            region=entry.region,
            lat=entry.lat,
            lon=entry.lon,
            time_zone=entry.time_zone,
            parent=entry.id,
        )
        load_place(conn, part)
        load_parent(conn, part)


def compartment_id(place: str, code: str) -> str:
    """The URI of a part: of a vehicle its GIAI with a suffix, of a location its GLN with an extension. Raises RegistryError."""
    whole = canonical(place)
    if "/8004/" in whole:
        return f"{whole}.{code}"
    if "/414/" in whole and "/254/" not in whole:
        return f"{whole}/254/{code}"
    raise RegistryError(
        f"place {place}: compartments are named after a GIAI or GLN; register the part as a place with this parent"
    )


_ABOVE = """
WITH RECURSIVE above (id, steps) AS (
  SELECT parent, 1 FROM place WHERE id = %(parent)s
  UNION SELECT place.parent, steps + 1 FROM above JOIN place ON place.id = above.id WHERE steps < 100
)
SELECT %(place)s = %(parent)s OR EXISTS (SELECT FROM above WHERE id = %(place)s)
"""


def load_parent(conn: psycopg.Connection, entry: PlaceEntry) -> None:
    parent = None if entry.parent is None else canonical(entry.parent)
    values = {"place": canonical(entry.id), "parent": parent}
    circle = conn.execute(_ABOVE, values).fetchone() if parent else None
    if circle is not None and circle[0]:
        raise RegistryError(
            f"place {entry.id}: its parent {entry.parent} is part of it; a place lies in no part of its own"
        )
    if parent is not None and conn.execute("SELECT FROM place WHERE id = %s", [parent]).fetchone() is None:
        raise RegistryError(
            f"place {entry.id}: its parent {entry.parent} is not registered; register that first"
        )
    query = "UPDATE place SET parent = %(parent)s WHERE id = %(place)s AND parent IS DISTINCT FROM %(parent)s"
    _execute(conn, f"place {entry.id}", query, values)


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
    other_figures = owner is not None and load_product_figures(conn, entry, owner)
    before, after = set(standing[2] if standing else ()), set(classes)
    same_rule = standing is not None and standing[:2] == (entry.rule_product, entry.net_content_kg)
    same_rule = same_rule and not other_figures
    for uri in sorted(before ^ after if same_rule else before | after):
        note_change(conn, "product", uri)


_DEVICE = """
INSERT INTO device (organisation, scheme, external_id, giai, model, accuracy_c, interval_s, profile, independent)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (scheme, external_id) DO UPDATE SET model = EXCLUDED.model, accuracy_c = EXCLUDED.accuracy_c, interval_s = EXCLUDED.interval_s,
  profile = EXCLUDED.profile, independent = EXCLUDED.independent
RETURNING id, organisation
"""


def load_device(conn: psycopg.Connection, entry: DeviceEntry) -> None:
    number = external_id(entry.scheme, entry.id)
    _check_interval(conn, entry, number)
    row = _execute(
        conn,
        f"device {entry.id}",
        _DEVICE,
        [entry.organisation, entry.scheme, number, canonical(entry.giai), entry.model, entry.accuracy_c,
         entry.interval_s, entry.profile, entry.independent],
    ).fetchone()  # fmt: skip
    assert row is not None
    if load_channels(conn, f"{entry.id}", row[0], row[1], entry.channels):
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


_INTERVAL = "SELECT id, interval_s FROM device WHERE scheme = %s AND external_id = %s FOR UPDATE"
_SERIES = "SELECT id FROM series WHERE device_id = %s ORDER BY id"


def _check_interval(conn: psycopg.Connection, entry: DeviceEntry, number: str) -> None:
    """How long a reading stands follows from the interval, and so does every excursion: another one would judge the
    readings that are there again. Until an interval has a validity, it stays once there are readings."""
    row = conn.execute(_INTERVAL, [entry.scheme, number]).fetchone()
    if row is None or row[1] == entry.interval_s:
        return
    if any(has_readings(conn, series) for (series,) in conn.execute(_SERIES, [row[0]]).fetchall()):
        raise RegistryError(
            f"device {entry.id}: interval_s is {row[1]} and the device has readings that were judged by it, got"
            f" {entry.interval_s}; register the device under a new id, or leave its interval as it is"
        )


def note_change(conn: psycopg.Connection, kind: str, identifier: str) -> None:
    conn.execute("INSERT INTO registry_change (kind, identifier) VALUES (%s, %s)", [kind, identifier])


# What the database says of these is of no help to who wrote the document.
_SAID = {
    "organisation_id_check": "an organisation's id is 1 to 63 of a-z, 0-9 and '-'",
    "organisation_party_key": "another organisation has this party",
    "place_organisation_fkey": "its organisation is not registered; register that first",
    "device_organisation_fkey": "its organisation is not registered; register that first",
    "product_organisation_fkey": "its organisation is not registered; register that first",
    "api_token_organisation_fkey": "no organisation of that id is registered",
    "identifier_alias_organisation_fkey": "its organisation is not registered; register that first",
    "device_giai_key": "another device has this giai",
}


def _execute(
    conn: psycopg.Connection, what: str, query: str, values: list[Any] | dict[str, Any]
) -> psycopg.Cursor[Any]:
    try:
        return conn.execute(query, values)
    except (psycopg.errors.IntegrityError, psycopg.errors.DataError) as error:
        said = _SAID.get(error.diag.constraint_name or "", error.diag.message_primary)
        raise RegistryError(f"{what}: {said}") from error


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
