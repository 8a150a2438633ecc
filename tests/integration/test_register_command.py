"""`suyuan register`, and commands and services that are given the wrong database: sentences, and nothing half written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from deploy.command import main
from deploy.services.process import CannotStart, require_service
from tests.integration.lines import REGISTRY
from tests.servers.databases import Database

pytestmark = pytest.mark.editions("plain")


def suyuan(url: str, *arguments: str) -> Result:
    done = CliRunner().invoke(main, arguments, env={"SUYUAN_DATABASE_URL": url})
    assert isinstance(done.exception, SystemExit | None), done.exception
    return done


def written(folder: Path, document: dict[str, Any]) -> str:
    path = folder / "registry.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


def test_what_was_registered_is_said_and_what_was_left(database: Database, tmp_path: Path) -> None:
    ingest = database.service("ingest")
    done = suyuan(ingest, "register", written(tmp_path, REGISTRY), "--token", "coop")
    assert done.exit_code == 0 and f"{len(REGISTRY['devices'])} devices" in done.stderr
    organisation, token = done.stdout.split()
    assert organisation == "coop" and len(token) > 20

    device = REGISTRY["devices"][0]
    taken = device | {"organisation": "carrier", "giai": "https://id.gs1.org/8004/95212340OTHER"}
    done = suyuan(ingest, "register", written(tmp_path, {"devices": [taken]}))
    assert done.exit_code == 0
    assert f"device {device['id']} stays with {device['organisation']}" in done.stderr
    assert f"device {device['id']} stays {device['giai']}" in done.stderr


def test_a_token_for_nobody_registers_nothing(database: Database, tmp_path: Path) -> None:
    done = suyuan(database.service("ingest"), "register", written(tmp_path, REGISTRY), "--token", "no-such")
    assert done.exit_code == 1 and "no organisation of that id is registered" in done.output
    with psycopg.connect(database.owner) as conn:
        assert conn.execute("SELECT count(*) FROM organisation").fetchone() == (0,)


def test_a_database_that_is_not_ours_yet_is_to_be_migrated(database: Database, tmp_path: Path) -> None:
    (tmp_path / "devices.csv").write_text("device,organisation,model,interval_s\nlogger-1,coop,L,60\n")
    with psycopg.connect(database.owner) as conn:
        conn.execute("DROP VIEW schema_applied")
    for arguments in (
        ("register", written(tmp_path, REGISTRY)),
        ("import", str(tmp_path / "devices.csv")),
        ("devices", "health"),
        ("quarantine", "list"),
    ):
        done = suyuan(database.owner, *arguments)
        assert done.exit_code == 1 and "suyuan migrate" in done.output, arguments


def test_a_role_that_may_not_is_told_which_may(database: Database, tmp_path: Path) -> None:
    public = database.service("public")
    done = suyuan(public, "register", written(tmp_path, REGISTRY))
    assert done.exit_code == 1 and "use ingest's" in done.output
    done = suyuan(public, "devices", "health")
    assert done.exit_code == 1 and "use the jobs'" in done.output
    done = suyuan(database.service("ingest"), "migrate")
    assert done.exit_code == 1 and "owner's URL" in done.output


@pytest.mark.parametrize("service", ["ingest", "jobs", "sequencer", "api"])
def test_a_service_starts_as_its_own_role_alone(database: Database, service: str) -> None:
    require_service(database.service(service), service)
    require_service(database.owner, service)
    with pytest.raises(CannotStart, match=f"connects as suyuan_public; .* needs suyuan_{service}"):
        require_service(database.service("public"), service)
