"""`suyuan simulate load` against a real broker and worker: what it says it published is what is stored, and with receipts
kept a broker that dies with all it had takes nothing with it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from deploy.command import main
from ingest.registry import load as load_registry
from ingest.registry import load_shipped, parse_registry
from simulators.load.connection import address_of
from simulators.load.log import Came, numbers, read_log
from simulators.load.plan import Plan, registry
from simulators.load.run import LoadError, Way, run
from tests.conftest import build_service_environment
from tests.documents import REPOSITORY
from tests.integration.lines import account, adds_up
from tests.integration.running import suyuan
from tests.servers.databases import Database
from tests.servers.mosquitto import Broker
from tests.servers.waiting import wait_until

pytestmark = pytest.mark.editions("plain")

START_MS = 1_781_900_000_000
PLAN = Plan(devices=7, messages=3_000, boot=11, start_ms=START_MS, pack=4, channels=2)


@contextmanager
def working(database: Database, broker: Broker, folder: Path) -> Iterator[None]:
    """One `suyuan ingest`, subscribed."""
    with psycopg.connect(database.service("ingest")) as conn:
        load_registry(conn, parse_registry(json.dumps(registry(PLAN))))
        load_shipped(conn)
    log = folder / "ingest.log"
    with ExitStack() as stack, log.open("ab") as out:
        environment = build_service_environment(database, broker, folder / "data", "ingest")
        command = [sys.executable, "-m", "deploy", "ingest", "--follow-parent"]
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=out
        )
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)
        assert wait_until(lambda: b"subscribed" in log.read_bytes(), 30)
        yield


def held(database: Database) -> dict[tuple[str, int], str]:
    with psycopg.connect(database.owner) as conn:
        rows = conn.execute(
            "SELECT device.external_id, boot, stored::text FROM device_sequence JOIN device ON device.id = device_id"
        ).fetchall()
    return {(device, boot): stored for device, boot, stored in rows}


def published(plan: Plan) -> dict[tuple[str, int], str]:
    return {(device, boot): f"{{[1,{last + 1})}}" for device, boot, last in numbers(plan, plan.messages)}


def test_what_is_published_is_what_is_stored(database: Database, mqtt_broker: Broker, tmp_path: Path) -> None:
    with working(database, mqtt_broker, tmp_path):
        way = Way(log=tmp_path / "log.json", times=tmp_path / "times.npy")
        came = run(PLAN, address_of(mqtt_broker.url), way, threading.Event())
        assert (came.published, came.complete) == (PLAN.messages, True)
        readings = PLAN.messages * PLAN.pack
        assert wait_until(lambda: account(database.owner)["stored"] == readings, 60)
    assert read_log(tmp_path / "log.json") == (PLAN, came)
    assert held(database) == published(PLAN)
    assert adds_up(account(database.owner))


def test_kept_until_the_receipt_nothing_is_lost_with_the_broker(
    database: Database, mqtt_broker: Broker, tmp_path: Path
) -> None:
    """Killed when the broker has taken a part and may have saved none of it: its PUBACKs were worth nothing."""
    stop, killed = threading.Event(), threading.Event()
    found: list[Came] = []

    def on_progress(came: Came) -> None:
        if came.begun >= PLAN.messages // 3:
            killed.set()

    def send() -> None:
        way = Way(rate=1_500, keep=True, resend_after_s=1, give_up_after_s=60)
        found.append(run(PLAN, address_of(mqtt_broker.url), way, stop, on_progress))

    with working(database, mqtt_broker, tmp_path):
        sender = threading.Thread(target=send)
        sender.start()
        assert killed.wait(30)
        mqtt_broker.kill()
        mqtt_broker.restart()
        sender.join(90)
    (came,) = found
    assert (came.complete, came.stored) == (True, PLAN.messages)
    assert came.reconnected >= 1 and came.sent_again > 0
    assert held(database) == published(PLAN)
    assert adds_up(account(database.owner))


def test_the_command_writes_the_registry_and_tells_how_it_ended(mqtt_broker: Broker, tmp_path: Path) -> None:
    environment = {"SUYUAN_MQTT_URL": mqtt_broker.url}
    document = tmp_path / "registry.json"
    asked = ("simulate", "load", "--devices", "3")
    assert suyuan(environment, *asked, "--registry", str(document)).returncode == 0
    assert len(parse_registry(document.read_bytes()).devices) == 3
    ended = suyuan(environment, *asked, "--messages", "50", "--json")
    last = json.loads(ended.stdout.splitlines()[-1])
    assert (ended.returncode, last["came"]["published"], last["plan"]["devices"]) == (0, 50, 3)


def test_without_a_broker_it_says_what_to_do() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(LoadError, match="SUYUAN_MQTT_URL"):
        run(PLAN, address_of("mqtt://127.0.0.1:1"), Way(), stop)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--devices", "20", "--breach", "21:1"), "name device 21"),
        (("--devices", "20", "--placed", "21"), "name device 21"),
        (("--name", "Cold Room"), "'Cold Room'"),
        (("--log", "/no/such/folder/log"), "there is no folder /no/such/folder"),
        (("--seconds", "5"), "--rate"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(arguments: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(
        main, ["simulate", "load", *arguments], env={"SUYUAN_MQTT_URL": "mqtt://127.0.0.1:1"}
    )
    assert done.exit_code == 2 and said in done.output


def test_who_waits_for_receipts_in_vain_is_told_where_to_look(mqtt_broker: Broker) -> None:
    asked = ("--devices", "2", "--messages", "4", "--keep", "--give-up-after", "0.5")
    done = suyuan({"SUYUAN_MQTT_URL": mqtt_broker.url}, "simulate", "load", *asked)
    assert done.returncode == 1 and "4 of 4 messages are covered by no receipt" in done.stderr
