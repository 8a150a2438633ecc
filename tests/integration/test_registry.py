"""What is registered is what the line works by: units and ranges, parts of places, and changes while workers run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from ingest.registry import Registry, RegistryError, load, parse_registry
from tests.integration.lines import REGISTRY
from tests.servers.databases import Database

LOGGER = {
    "id": "logger-1", "organisation": "coop", "giai": "https://id.gs1.org/8004/95212340LOG1", "model": "L1", "interval_s": 300,
    "channels": [{"channel": "pulp", "quantity": "temperature", "unit": "degF", "minimum": -40, "maximum": 80}],
}  # fmt: skip
TRAILER = {
    "id": "https://id.gs1.org/8004/95212340REEFER07", "organisation": "carrier", "kind": "trailer", "name": {"zh": "车厢", "en": "Body"},
    "compartments": [{"code": "FRONT", "name": {"zh": "前仓", "en": "Front"}}, {"code": "REAR", "name": {"zh": "后仓", "en": "Rear"}}],
}  # fmt: skip
STORE = "https://id.gs1.org/414/9521234002048"


def document(**parts: list[dict[str, Any]]) -> bytes:
    return json.dumps(REGISTRY | parts).encode()


@pytest.fixture
def ingest(database: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.service("ingest")) as conn:
        load(conn, parse_registry(document()))
        conn.commit()
        yield conn


def register(conn: psycopg.Connection, **parts: list[dict[str, Any]]) -> None:
    with conn.transaction():
        load(conn, parse_registry(document(**parts)))


def known(conn: psycopg.Connection, *changes: dict[str, Any]) -> dict[str, Any]:
    """`logger-1` with these changes, registered and read as a worker does."""
    registry = Registry(lambda: 0.0)
    for change in changes:
        register(conn, devices=[LOGGER | change])
    registry.read(conn)
    device = registry.device("logger-1")
    assert device is not None
    return {"device": device, **device.series}


def probe(**changes: Any) -> dict[str, Any]:
    return {"channels": [LOGGER["channels"][0] | changes]}  # type: ignore[dict-item]


def test_a_worker_knows_how_a_channel_is_stored(ingest: psycopg.Connection) -> None:
    pulp = known(ingest, {})["pulp"]
    assert (pulp.unit, pulp.original_unit, pulp.scale, pulp.offset) == ("Cel", "degF", 5 / 9, -160 / 9)
    assert (pulp.minimum, pulp.maximum) == (-40, 80)
    registry = Registry(lambda: 0.0)
    registry.read(ingest)
    room = registry.device("room-1")
    assert room is not None
    assert (room.series["ambient"].minimum, room.series["ambient"].maximum) == (-273.15, None), (
        "of the quantity"
    )
    assert (room.series["door"].minimum, room.series["door"].maximum, room.series["door"].as_sent) == (
        0,
        1,
        True,
    )


def test_devices_of_other_schemes_are_told_apart(ingest: psycopg.Connection) -> None:
    eui = LOGGER | {
        "scheme": "lorawan",
        "id": "A84041000181C061",
        "profile": "dragino-lht65",
        "independent": True,
    }
    register(ingest, devices=[eui])
    registry = Registry(lambda: 0.0)
    registry.read(ingest)
    assert registry.device("a84041000181c061") is None
    found = registry.device("a84041000181c061", "lorawan")
    assert found is not None and (found.scheme, found.profile) == ("lorawan", "dragino-lht65")
    assert ingest.execute("SELECT independent FROM device WHERE scheme = 'lorawan'").fetchone() == (True,)
    with pytest.raises(RegistryError, match="16 hexadecimal digits"):
        register(ingest, devices=[eui | {"id": "truck-7"}])


def test_a_unit_is_put_right_until_there_are_readings(ingest: psycopg.Connection) -> None:
    assert known(ingest, probe(unit="Cel"), probe(unit="degF"))["pulp"].original_unit == "degF"
    ingest.execute(
        "INSERT INTO reading_store SELECT id, '2026-06-19', 2.5, 0, 1 FROM series WHERE channel = 'pulp'"
    )
    ingest.commit()
    with pytest.raises(RegistryError, match=r"stored as temperature in Cel from degF"):
        register(ingest, devices=[LOGGER | probe(unit="Cel")])
    moved = known(ingest, probe(minimum=-30, maximum=None))["pulp"]
    assert (moved.original_unit, moved.minimum, moved.maximum) == ("degF", -30, None), "its range, always"


def test_what_was_registered_before_units_were_one_loads_again(ingest: psycopg.Connection) -> None:
    """It holds hectopascals, whatever a pressure is stored in today."""
    pressure = LOGGER | {"channels": [{"channel": "air", "quantity": "pressure", "unit": "hPa"}]}
    register(ingest, devices=[pressure])
    ingest.execute("UPDATE series SET unit = 'hPa', original_unit = NULL, scale = 1 WHERE channel = 'air'")
    ingest.execute(
        "INSERT INTO reading_store SELECT id, '2026-06-19', 1013, 0, 1 FROM series WHERE channel = 'air'"
    )
    ingest.commit()
    register(ingest, devices=[pressure])
    assert ingest.execute(
        "SELECT unit, original_unit, scale FROM series WHERE channel = 'air'"
    ).fetchone() == ("hPa", None, 1)


def test_compartments_and_rooms_are_places_of_their_own(ingest: psycopg.Connection) -> None:
    room = {"id": "https://suyuan.example/coop/place/room-2", "organisation": "coop", "kind": "cold_store",
            "name": {"zh": "二号间", "en": "Room 2"}, "parent": STORE}  # fmt: skip
    store = REGISTRY["places"][0] | {"compartments": [{"code": "A1", "name": {"zh": "甲间", "en": "Room A"}}]}  # type: ignore[operator]
    register(ingest, places=[room, store], vehicles=[TRAILER])
    found = dict(ingest.execute("SELECT id, parent FROM place").fetchall())
    assert found == {
        STORE: None,
        f"{STORE}/254/A1": STORE,
        room["id"]: STORE,
        TRAILER["id"]: None,
        f"{TRAILER['id']}.FRONT": TRAILER["id"],
        f"{TRAILER['id']}.REAR": TRAILER["id"],
    }

    kinds = "SELECT kind, count(*) FROM place WHERE parent IS NOT NULL GROUP BY kind ORDER BY kind"
    assert ingest.execute(kinds).fetchall() == [("cold_store", 2), ("compartment", 2)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"parent": "https://id.gs1.org/414/9521234002079"}, "is not registered"),
        ({"parent": STORE}, "lies in no part of its own"),
        ({"parent": f"{STORE}/254/A1", "compartments": [{"code": "A1", "name": {"zh": "甲", "en": "A"}}]}, "lies in no part"),
    ],
)  # fmt: skip
def test_a_place_lies_in_something_else(
    ingest: psycopg.Connection, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(RegistryError, match=said):
        register(ingest, places=[REGISTRY["places"][0] | change])  # type: ignore[operator]


@pytest.mark.whole_server
def test_a_worker_reads_again_what_changed_and_nothing_else(
    database: Database, ingest: psycopg.Connection
) -> None:
    clock = [0.0]
    registry = Registry(lambda: clock[0])
    reads = 0

    class Counted(Registry):
        def read(self, conn: psycopg.Connection) -> None:
            nonlocal reads
            reads += 1
            super().read(conn)

    registry = Counted(lambda: clock[0])

    def follow(conn: psycopg.Connection) -> None:
        if registry.is_due():
            registry.refresh(conn)

    with psycopg.connect(database.service("ingest"), autocommit=True) as worker:
        follow(worker)
        for second in range(1, 20):
            clock[0] = float(second)
            follow(worker)
        registry.refresh(worker)
        assert reads == 1, "nothing was registered"
        with psycopg.connect(database.owner) as owner:
            owner.execute("UPDATE device SET organisation = 'carrier' WHERE external_id = 'room-1'")
            owner.execute("UPDATE series SET maximum = 30 WHERE channel = 'ambient'")
            clock[0] += 5
            follow(worker)
            assert reads == 1, "not yet committed"
        follow(worker)
        assert reads == 1, "asked within two seconds"
        clock[0] += 2
        follow(worker)
        device = registry.device("room-1")
        assert reads == 2 and device is not None
        assert (device.organisation, device.series["ambient"].maximum) == ("carrier", 30)


def test_the_version_rises_once_for_a_transaction(ingest: psycopg.Connection) -> None:
    def version() -> int:
        row = ingest.execute("SELECT version FROM registry_version").fetchone()
        assert row is not None
        return int(row[0])

    before = version()
    ingest.commit()
    register(
        ingest, devices=[LOGGER, LOGGER | {"id": "logger-2", "giai": "https://id.gs1.org/8004/95212340LOG2"}]
    )
    assert version() == before + 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ingest.execute("UPDATE registry_version SET version = 0")


@pytest.mark.editions("plain")
def test_a_registry_is_loaded_beside_years_of_readings(
    ingest: psycopg.Connection, database: Database
) -> None:
    """Whether a series has some is asked of an index, and only where it matters: never by going through all there are."""
    register(ingest, devices=[LOGGER])
    ingest.commit()
    with psycopg.connect(database.owner) as conn:
        conn.execute(
            "INSERT INTO reading_store (series_id, time, value, flags, batch_id) SELECT 990000 + n % 2,"
            " '2026-06-01'::timestamptz + n * interval '1 s', 1, 0, 1 FROM generate_series(1, 40000) AS n"
        )
    with psycopg.connect(database.owner, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE reading_store")
        read = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'reading_store'"
        before = conn.execute(read).fetchone()
        register(ingest, devices=[LOGGER])
        register(ingest, devices=[LOGGER | probe(unit="Cel") | {"interval_s": 60}])
        ingest.execute("SELECT pg_stat_force_next_flush()")
        ingest.commit()
        assert conn.execute(read).fetchone() == before
