"""Capture over HTTP: documents of 500 events from a client process, until all their jobs have ended, against one bare COPY of the
very same bytes.

Everything on this machine: the client, `suyuan api`, two processes of `suyuan capture`, and PostgreSQL, which syncs every commit
to the disk it is on. An event counts once it stands in the record and waits for its place in the log; both are counted afterwards.
The reference is one COPY and one synced commit for each document, of the events' canonical bytes into a table with a key.
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from deploy.stack.ports import free_port
from ledger.epcis.identifiers import check_digit, lot_uri, sscc_uri
from tests.acceptance.instance import Instance, token
from tests.benchmarks.ground import NotCounted
from tests.benchmarks.measuring import seconds, short
from tests.conftest import build_service_environment
from tests.documents import REPOSITORY
from tests.integration.said import GTIN, REGISTRY, STORE, TRUCK
from tests.servers.databases import Database, Template
from tests.servers.folders import session_folder
from tests.servers.plain import PlainServer
from tests.servers.waiting import wait_until

DOCUMENTS, EVENTS = 60, 500
ROUNDS = 3
AIM = 3_000
SENDERS = 4
WORKERS = 2
LATEST_S = 120.0
CONTEXT = [
    "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
    {"suyuan": "https://suyuan.example/voc/"},
]


def run(folder: Path) -> None:
    with session_folder() as home, session_folder() as data:
        server = PlainServer(
            home, folder / "capture.log", {"fsync": "on", "full_page_writes": "on", "shared_buffers": "256MB"}
        )
        try:
            template = Template(server.start())
            ours = [_ours(template, data, number) for number in range(ROUNDS)]
            bare = [_bare(template, number) for number in range(ROUNDS)]
        finally:
            server.stop()
    own, other = statistics.median(ours), statistics.median(bare)
    print(
        f"capture over HTTP, documents of {EVENTS} events, durable and pending in the ledger: {short(own)} events/s (aim {AIM:,}:"
        f" {'met' if own >= AIM else 'not met'}); bare COPY of the same bytes, synced for each document: {short(other)} rows/s; ratio"
        f" {own / other:.2g} (medians of {ROUNDS}; {short(min(ours))}-{short(max(ours))} against {short(min(bare))}-{short(max(bare))};"
        f" {DOCUMENTS} documents each, data on {home.parent}, plain PostgreSQL)",
        flush=True,
    )


# --- ours -------------------------------------------------------------------------------------------------------------


def _ours(template: Template, data: Path, number: int) -> float:
    """Events a second, from the first byte sent to the end of the last job."""
    bodies = [_document(number, place) for place in range(DOCUMENTS)]
    with template.clone() as database:
        Instance(database, data).register(REGISTRY)
        with _api(database, data) as port:
            _sent(port, [_document(number, DOCUMENTS)])  # what a process does once
            begun = time.perf_counter()
            _sent(port, bodies)
            took = time.perf_counter() - begun
        with psycopg.connect(database.owner) as conn:
            counted = conn.execute(
                "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM event_bytes), (SELECT count(*) FROM pending WHERE event IS NOT NULL)"
            ).fetchone()
    want = (DOCUMENTS + 1) * EVENTS
    if counted != (want, want, want):
        raise NotCounted(f"{counted} events, bytes and pending leaves, want {want} of each")
    return DOCUMENTS * EVENTS / took


@contextmanager
def _api(database: Database, data: Path) -> Iterator[int]:
    port = free_port()
    environment = build_service_environment(
        database, None, data, "api", listen_port=str(port), capture_workers="0"
    )
    api, *workers = (
        subprocess.Popen(
            [sys.executable, "-m", "deploy", service],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
        for service in ("api", *["capture"] * WORKERS)
    )
    try:
        if not wait_until(lambda: _answers(port) or api.poll() is not None, 30) or api.poll() is not None:
            raise NotCounted("the API does not answer")
        yield port
    finally:
        for process in (api, *workers):
            process.terminate()
        for process in (api, *workers):
            process.wait(20)


def _answers(port: int) -> bool:
    try:
        return _asked(port, "GET", "/healthz") is not None
    except OSError:
        return False


def _sent(port: int, bodies: Sequence[bytes]) -> None:
    """By a process of its own, which ends when all jobs have ended."""
    client = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.capture", str(port)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.PIPE,
    )
    assert client.stdin is not None
    client.stdin.write(b"".join(b"%08d%b" % (len(body), body) for body in bodies))
    client.stdin.close()
    if client.wait(LATEST_S):
        raise NotCounted("a document was not captured")


# --- the client's process ---------------------------------------------------------------------------------------------


def _client(port: int) -> None:
    bodies = []
    while head := sys.stdin.buffer.read(8):
        bodies.append(sys.stdin.buffer.read(int(head)))
    waiting = threading.local()

    def send(body: bytes) -> str:
        if not hasattr(waiting, "conn"):
            waiting.conn = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Authorization": f"Bearer {token('coop')}", "Content-Type": "application/ld+json"}
        waiting.conn.request("POST", "/epcis/capture", body, headers)
        answer = waiting.conn.getresponse()
        told = answer.read()
        if answer.status != 202:
            raise NotCounted(told.decode())
        return str(answer.headers["Location"])

    with ThreadPoolExecutor(SENDERS) as senders:
        jobs = list(senders.map(send, bodies))
    for job in jobs:
        if not wait_until(partial(_has_ended, port, job), LATEST_S, every_s=0.02):
            raise NotCounted(f"{job} does not end")
        if not _job(port, job)["success"]:
            raise NotCounted(json.dumps(_job(port, job)["errors"])[:500])


def _has_ended(port: int, address: str) -> bool:
    return not _job(port, address)["running"]


def _job(port: int, address: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_asked(port, "GET", address) or b"{}")
    return found


def _asked(port: int, method: str, path: str) -> bytes | None:
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        conn.request(method, path, headers={"Authorization": f"Bearer {token('coop')}"})
        answer = conn.getresponse()
        return answer.read() if answer.status == 200 else None
    finally:
        conn.close()


# --- the reference ----------------------------------------------------------------------------------------------------


def _bare(template: Template, number: int) -> float:
    rows = [
        [
            json.dumps(each, sort_keys=True, separators=(",", ":")).encode()
            for each in json.loads(_document(number, place))["epcisBody"]["eventList"]
        ]
        for place in range(DOCUMENTS)
    ]
    with template.clone() as database, psycopg.connect(database.owner) as conn:
        conn.execute(
            "CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, bytes bytea NOT NULL)"
        )
        conn.commit()
        return DOCUMENTS * EVENTS / seconds(partial(_copied, conn, rows))


def _copied(conn: psycopg.Connection, documents: Sequence[Sequence[bytes]]) -> None:
    for rows in documents:
        with conn.cursor() as cursor, cursor.copy("COPY bare (bytes) FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["bytea"])
            for row in rows:
                copy.write_row([row])
        conn.commit()


# --- the documents ----------------------------------------------------------------------------------------------------


def _document(round_: int, number: int) -> bytes:
    """Of a day's work: lots harvested, boxed, put on pallets, loaded, received. No two events are the same."""
    begun = datetime(2026, 6, 18, tzinfo=UTC)
    events = [_event(begun, (round_ * 1_000 + number) * EVENTS + place) for place in range(EVENTS)]
    document = {
        "@context": CONTEXT, "type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": begun.isoformat(),
        "epcisBody": {"eventList": events},
    }  # fmt: skip
    return json.dumps(document, ensure_ascii=False).encode()


def _event(begun: datetime, number: int) -> dict[str, Any]:
    lot, kind = lot_uri(GTIN, f"DK{number // 5}"), number % 5
    digits = f"0952123{number // 5:010d}"
    pallet = sscc_uri(digits + check_digit(digits))
    common: dict[str, Any] = {
        "eventID": f"urn:uuid:{UUID(int=(number << 80) | 0x4000_8000_0000_0000_0000)}",
        "eventTime": (begun + timedelta(seconds=number)).isoformat(timespec="milliseconds"),
        "eventTimeZoneOffset": "+08:00",
        "readPoint": {"id": STORE},
        "bizLocation": {"id": STORE},
    }
    fruit = f"https://suyuan.example/xj-coop/class/yangmei-dongkui.{number // 5}-P01"
    kinds: list[dict[str, Any]] = [
        {
            "type": "ObjectEvent", "action": "ADD", "bizStep": "commissioning", "disposition": "active",
            "quantityList": [{"epcClass": fruit, "quantity": 86.5, "uom": "KGM"}],
            "ilmd": {"suyuan:harvestStart": "2026-06-18", "suyuan:variety": "dongkui", "suyuan:growerRef": "G-0137"},
        },
        {
            "type": "TransformationEvent", "bizStep": "commissioning", "disposition": "active",
            "transformationID": f"https://suyuan.example/xj-coop/run/{number}",
            "inputQuantityList": [{"epcClass": fruit, "quantity": 86.5, "uom": "KGM"}],
            "outputQuantityList": [{"epcClass": lot, "quantity": 40}],
        },
        {
            "type": "AggregationEvent", "action": "ADD", "bizStep": "packing", "disposition": "in_progress", "parentID": pallet,
            "childQuantityList": [{"epcClass": lot, "quantity": 40}],
        },
        {
            "type": "AggregationEvent", "action": "ADD", "bizStep": "loading", "disposition": "in_transit", "parentID": TRUCK,
            "childEPCs": [pallet], "bizTransactionList": [{"type": "bol", "bizTransaction": f"urn:x:bol:{number}"}],
        },
        {
            "type": "ObjectEvent", "action": "OBSERVE", "bizStep": "receiving", "disposition": "in_progress", "epcList": [pallet],
            "sourceList": [{"type": "owning_party", "source": "https://id.gs1.org/417/9521234002000"}],
            "destinationList": [{"type": "owning_party", "destination": "https://id.gs1.org/417/9521234005001"}],
            "sensorElementList": [{"sensorReport": [{"type": "Temperature", "value": 3.5, "uom": "CEL"}]}],
        },
    ]  # fmt: skip
    return kinds[kind] | common


if __name__ == "__main__":
    _client(int(sys.argv[1]))
