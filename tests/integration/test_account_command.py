"""`suyuan account`, and the people of the demo: accounts made from the command line, as the database's owner."""

from __future__ import annotations

import stat
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from click.testing import CliRunner, Result

from deploy.command import main
from deploy.demo_people import PEOPLE, keep_people, told
from tests.acceptance.instance import Instance
from tests.acceptance.people import PASSWORD, signed_in
from tests.acceptance.serving import served
from tests.integration.lines import NOW
from tests.integration.said import REGISTRY
from tests.servers.databases import Database
from trace_api.roles import ROLES

LIN = ("add", "lin", "--name", "林师傅", "--role", "packer", "--role", "warehouse", "--organisation", "coop")


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    instance = Instance(database, tmp_path)
    instance.register(REGISTRY)
    return instance


def account(instance: Instance, *arguments: str, given: str | None = None, role: str | None = None) -> Result:
    """The command as the owner runs it, or under a service's role; `given` on standard input."""
    url = instance.database.owner if role is None else instance.database.service(role)
    return CliRunner().invoke(main, ["account", *arguments, "--database-url", url], input=given)


def opens(instance: Instance, login: str, password: str) -> bool:
    with served(instance, NOW) as client:
        try:
            with signed_in(client, login, password) as person:
                return person.get("/account").status_code == 200
        except AssertionError:
            return False


def test_an_account_from_the_command_line_signs_in(instance: Instance) -> None:
    made = account(instance, *LIN, "--password-file", "-", given=f"{PASSWORD}\n")
    assert (made.exit_code, made.output) == (0, "added lin\n")
    assert opens(instance, "lin", PASSWORD)
    listed = account(instance, "list").output
    assert "lin" in listed and "林师傅" in listed and "packer warehouse" in listed and "enabled" in listed


def test_a_password_that_is_made_is_said_once(instance: Instance) -> None:
    said = account(instance, *LIN, "--generate").output
    password = said.splitlines()[-1].removeprefix("password ")
    assert len(password) == 19 and opens(instance, "lin", password)
    assert password not in account(instance, "list").output
    again = account(instance, "password", "LIN", "--generate").output
    new = again.splitlines()[-1].removeprefix("password ")
    assert new != password
    assert not opens(instance, "lin", password) and opens(instance, "lin", new)


def test_disabling_and_enabling(instance: Instance) -> None:
    account(instance, *LIN, "--password-file", "-", given=PASSWORD)
    assert account(instance, "disable", "lin").output == "disabled lin\n"
    assert account(instance, "disable", "lin").output == "lin was disabled already\n"
    assert not opens(instance, "lin", PASSWORD)
    assert account(instance, "disable", "lin", "--undo").output == "enabled lin\n"
    assert opens(instance, "lin", PASSWORD)
    changes = [
        (what, by) for what, by in instance.rows("SELECT what, changed_by FROM account_change ORDER BY id")
    ]
    assert changes == [("added", None), ("disabled", None), ("enabled", None)], "by the owner"


@pytest.mark.parametrize(
    ("arguments", "given", "said"),
    [
        ((*LIN, "--password-file", "-"), "short\n", "Too short"),
        (LIN, None, "give --password-file"),
        (("add", "林", "--name", "x", "--role", "administrator", "--generate"), None, "login: A login has small letters"),
        (("add", "wu", "--name", "x", "--role", "official", "--region", "33", "--generate"), None, "department: An official has a department"),
        (("add", "wu", "--name", "x", "--role", "auditor", "--generate"), None, "regions: Officials and auditors have regions"),
        (("add", "wu", "--name", "x", "--role", "packer", "--generate"), None, "organisation: This role belongs to an organisation"),
        (("add", "wu", "--name", "x", "--role", "packer", "--organisation", "nowhere", "--generate"), None, "There is no such organisation"),
        (("add", "wu", "--name", "x", "--role", "driver", "--generate"), None, "'driver' is not one of"),
        (("disable", "nobody"), None, "there is no account nobody"),
    ],
)  # fmt: skip
@pytest.mark.editions("plain")
def test_what_cannot_be_is_said_and_nothing_is_made(
    instance: Instance, arguments: tuple[str, ...], given: str | None, said: str
) -> None:
    refused = account(instance, *arguments, given=given)
    assert refused.exit_code != 0 and said in refused.output
    assert "Traceback" not in refused.output
    assert instance.one("SELECT count(*) FROM user_account") == 0


def test_a_login_is_taken_once(instance: Instance) -> None:
    account(instance, *LIN, "--generate")
    again = account(instance, *LIN, "--generate")
    assert again.exit_code != 0 and "taken" in again.output
    assert instance.one("SELECT count(*) FROM user_account") == 1


@pytest.mark.parametrize("role", ["api", "ingest", "public"])
def test_a_service_may_not(instance: Instance, role: str) -> None:
    for arguments in (("list",), (*LIN, "--generate"), ("disable", "lin")):
        refused = account(instance, *arguments, role=role)
        assert refused.exit_code != 0 and "the URL that `suyuan migrate` is run with" in refused.output, (
            arguments
        )
    assert instance.one("SELECT count(*) FROM user_account") == 0


def test_a_database_of_an_older_release_is_said(instance: Instance) -> None:
    instance.alter("DROP FUNCTION account_list()")
    refused = account(instance, "list")
    assert refused.exit_code != 0 and "suyuan migrate" in refused.output


# The demo's people ------------------------------------------------------------------------------------------------------


@pytest.fixture
def keys(instance: Instance, tmp_path: Path) -> Path:
    """The organisations of the demo's world are there."""
    owners = {person.organisation for person in PEOPLE} - {None}
    names = [
        {
            "id": each,
            "name": {"zh": each, "en": each},
            "party": f"https://suyuan.example/party/{each}",
            "kind": "packer",
        }
        for each in sorted(map(str, owners))
    ]
    instance.register({"organisations": names})
    return tmp_path / "keys"


def kept(instance: Instance, keys: Path) -> list[str]:
    with psycopg.connect(instance.database.owner) as conn:
        return told(keep_people(conn, keys, NOW))


@pytest.mark.editions("plain")
def test_a_second_start_says_the_same_passwords_and_they_open(instance: Instance, keys: Path) -> None:
    first = kept(instance, keys)
    assert kept(instance, keys) == first
    rows = [line.split() for line in first[1:]]
    assert len(rows) == len(PEOPLE) and {role for person in PEOPLE for role in person.roles} == set(ROLES)
    with served(instance, NOW) as client:
        for *_, login, password, page in rows:
            with signed_in(client, login, password) as person:
                assert person.get("/start").headers["location"] == page, login
    modes = {stat.S_IMODE(file.stat().st_mode) for file in keys.glob("sign-in-*.password")}
    assert modes == {0o600}


@pytest.mark.editions("plain")
def test_a_password_that_was_changed_is_not_said_and_one_that_was_lost_is_made_anew(
    instance: Instance, keys: Path
) -> None:
    first = kept(instance, keys)
    password = (keys / "sign-in-market.password").read_text()
    with served(instance, NOW.replace(year=2027)) as client, signed_in(client, "market", password) as market:
        form = {"current": password, "new": "another-long-one", "again": "another-long-one",
                "idempotency_key": str(uuid4())}  # fmt: skip
        assert market.post("/account/password", data=form).status_code == 303
    (market_line,) = [line for line in kept(instance, keys) if " market " in line]
    assert "(changed since)" in market_line
    (keys / "sign-in-stall.password").unlink()
    (stall_line,) = [line for line in kept(instance, keys) if " stall " in line]
    assert stall_line not in first
    with served(instance, NOW) as client, signed_in(client, "stall", stall_line.split()[2]) as stall:
        assert stall.get("/account").status_code == 200


def test_the_tables_columns_stand_under_each_other(instance: Instance, keys: Path) -> None:
    lines = kept(instance, keys)
    column = lines[0].index("password")
    assert {line[column - 2 : column] for line in lines} == {"  "}
