"""Connection strings: what is said of one never holds its password, however it was written wrongly."""

from __future__ import annotations

import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from deploy.command import main
from deploy.database_url import connect, is_plain
from deploy.doctor import broker, database, environment, services, trial
from deploy.doctor.examination import Patient, examine
from deploy.services import ingest, process
from deploy.settings import Settings
from ingest.broker_address import BrokerAddress, broker_address
from simulators.player import PlayerError, play
from simulators.world import World

SECRET = "hunter2"
SAID = "the connection string can be read in two ways"
CHECKS = {
    "values": environment.values,
    "database": database.reachable,
    "urls": database.urls,
    "passwords": trial.in_settings,
    "roles": trial.of_roles,
}
MALFORMED = [
    "postgresql://api:hunter2@ss@127.0.0.1:9/suyuan", "postgresql://api:ss@hunter2@127.0.0.1:9/suyuan",
    "postgresql://api:hunter2/x@127.0.0.1:9/suyuan", "postgresql://api:x/hunter2@127.0.0.1:9/suyuan",
    "postgresql://api:1/hunter2@127.0.0.1:9/suyuan", "postgresql://api:hunter2", "postgresql://api:hunter2/suyuan",
    "postgresql://api:%hunter2@127.0.0.1:9/suyuan", "postgresql://[hunter2", "postgresql//api:hunter2@127.0.0.1:9/x",
    "postgres:hunter2@127.0.0.1:9", "host=127.0.0.1 port=9 password=x hunter2", "host=127.0.0.1 password='hunter2",
    "host=127.0.0.1 port=9 password=x hunter2=y", "postgresql://api@127.0.0.1:9/x?password=x&hunter2",
    "postgresql://api@127.0.0.1:9/x?password=x&sslmode=hunter2", "postgresql://api@127.0.0.1:9/x?hunter2",
]  # fmt: skip


def said(**settings: str) -> str:
    given = Settings.model_validate(settings)
    patient = Patient(given, given.database_url, False, {}, lambda: datetime.now(UTC))
    return "\n".join(f"{each.text} {each.next}" for each in examine(patient, CHECKS))


@pytest.mark.parametrize("url", MALFORMED)
def test_the_doctor_prints_nothing_of_a_database_url_that_was_written_wrongly(url: str) -> None:
    told = said(database_url=url, mqtt_url="mqtt://127.0.0.1:9")
    assert SECRET not in told
    assert "SUYUAN_DATABASE_URL is no connection string" in told and "%40" in told


@pytest.mark.parametrize(
    "url",
    [
        "mqtt://u:hunter2/x@127.0.0.1:9", "mqtt://u:1/hunter2@127.0.0.1:9", "mqtt://u:hunter2#x@h", "mqtt://u:x?hunter2@h",
        "mqtt://[hunter2", "hunter2://h", "u:hunter2@h", "mqtts://u:hunter2@h", "mqtt://u:hunter2", "mqtt://h:1?hunter2",
    ],
)  # fmt: skip
def test_nor_of_a_brokers(url: str) -> None:
    given = Settings(mqtt_url=url)
    patient = Patient(given, given.database_url, False, {}, lambda: datetime.now(UTC))
    found = [
        f"{each.text} {each.next}"
        for each in examine(patient, {"values": environment.values, "broker": broker.broker})
    ]
    assert SECRET not in "\n".join(found)
    assert any(text.startswith("SUYUAN_MQTT_URL is no") for text in found)


@pytest.mark.parametrize("url", MALFORMED)
def test_nor_does_who_connects(url: str) -> None:
    with pytest.raises(psycopg.OperationalError) as caught:
        connect(url, "test")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("command", ["migrate", "register", "account list", "backup take there"])
def test_nor_does_a_command(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUYUAN_DATABASE_URL", MALFORMED[1])
    (tmp_path / "empty.json").write_text("{}")
    done = CliRunner().invoke(main, [*command.split(), *(["empty.json"] if command == "register" else [])])
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
    assert SECRET not in done.output and SAID in done.output


def test_a_service_says_what_its_brokers_address_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "log_to_stderr", lambda: None)
    monkeypatch.setattr(process, "stop_event", lambda _follow: threading.Event())
    monkeypatch.setattr(ingest, "run", lambda settings, _stop: broker_address(settings.mqtt_url))
    done = CliRunner().invoke(main, ["ingest"], env={"SUYUAN_MQTT_URL": "mqtt://u:hunter2"})
    assert (
        done.exit_code == 1 and "SUYUAN_MQTT_URL is no address" in done.output and SECRET not in done.output
    )


def test_nor_does_the_simulated_world(tmp_path: Path) -> None:
    world = World(1, datetime(2026, 6, 18, tzinfo=UTC))
    for url in ("mqtt://u:hunter2", "mqtt://[hunter2"):
        with pytest.raises(PlayerError) as caught:
            play(world, url, tmp_path, lambda _: None, threading.Event())
        assert SECRET not in str(caught.value)


def test_nor_of_the_public_address() -> None:
    for url in ("https://u:hunter2@h", "https://u:hunter2/x@h", "u:hunter2@h"):
        given = Settings(public_url=url, production=True, listen_port=9)
        patient = Patient(given, given.database_url, False, {}, lambda: datetime.now(UTC))
        checks = {"values": environment.values, "web": services.web}
        assert SECRET not in "\n".join(f"{each.text} {each.next}" for each in examine(patient, checks))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://api:p%40ss@db.example:5432/suyuan", "postgresql://db.example/suyuan", "postgresql:///suyuan",
        "postgresql://api@[::1]:5432/suyuan?sslmode=require", "host=/run/postgresql dbname=suyuan", "postgresql://a,b:1/x",
        "postgresql://api:secret@%2Frun%2Fpostgresql/suyuan",
    ],
)  # fmt: skip
def test_what_can_be_read_in_one_way(url: str) -> None:
    assert is_plain(url)


def test_a_brokers_user_and_password_are_percent_decoded() -> None:
    assert broker_address("mqtt://in%40gest:p%2Fw%25@broker.example") == BrokerAddress(
        "broker.example", 1883, "in@gest", "p/w%"
    )
    assert broker_address("mqtt://[::1]:1884/") == BrokerAddress("::1", 1884)
    assert "p/w" not in repr(broker_address("mqtt://u:p%2Fw@h"))
