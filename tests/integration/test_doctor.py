"""`suyuan doctor` on a whole instance: nothing to mend where all is well, and each thing that is wrong is found.

One instance an edition, with its four services running as processes, a world's hours in it, and a broker. Each breach is
made by the owner, in the folder or in the settings, found by the doctor as its user starts it, and taken back.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from argon2 import PasswordHasher

from deploy.demo_people import PEOPLE
from deploy.doctor import background, deep, logs
from deploy.doctor.clock import NEWEST as NEWEST_RECORD
from deploy.doctor.disk import PACE
from deploy.doctor.examination import Patient, examine
from deploy.doctor.invariants import invariants
from deploy.doctor.report import CHECKS
from deploy.settings import Settings
from deploy.stack.ports import free_port
from ledger.translog.cosignature import Cosigner
from tests.acceptance.instance import Instance
from tests.conftest import build_service_environment
from tests.integration.running import ADMINISTRATOR, for_real_people, played, services, suyuan
from tests.servers.databases import Database
from tests.servers.mosquitto import Broker, mosquitto_broker
from tests.servers.session import EDITIONS, Servers
from tests.servers.timestamp_authority import timestamp_authority
from tests.servers.waiting import wait_until

HOURS = 5
ORGANISATION = "xj-coop"

Findings = list[dict[str, str]]


@dataclass
class Clinic:
    """An instance with its services and its broker. `environment`: what the doctor is started with."""

    instance: Instance
    broker: Broker
    environment: dict[str, str]

    def doctor(self, *arguments: str, **changes: str) -> Findings:
        """Asked as the owner. `changes`: settings, named as in their model."""
        return self.asked(*arguments, "--database-url", self.instance.database.owner, **changes)[1]

    def look(self, *checks: str, **changes: str | Path) -> Findings:
        """Some of its checks, as the owner, without the command around them. `changes`: settings, named as in their model."""
        given = {name.removeprefix("SUYUAN_").lower(): value for name, value in self.environment.items()}
        settings = Settings.model_validate(given | changes)
        environment = {f"SUYUAN_{name.upper()}": str(value) for name, value in changes.items()}
        patient = Patient(
            settings, self.instance.database.owner, True, environment, lambda: datetime.now(UTC)
        )
        found = examine(patient, {name: (CHECKS | deep.checks(lambda _text: None))[name] for name in checks})
        return [{name: str(value) for name, value in asdict(each).items()} for each in found]

    def asked(self, *arguments: str, **changes: str) -> tuple[int, Findings]:
        """Exit status and findings, as the API's own role."""
        changed = {f"SUYUAN_{name.upper()}": value for name, value in changes.items()}
        done = suyuan(self.environment | changed, "doctor", "--json", *arguments)
        assert done.stdout, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        assert told["status"] == done.returncode
        return done.returncode, told["findings"]


@pytest.fixture(scope="module", params=EDITIONS)
def clinic(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clinic]:
    with ExitStack() as stack:
        database = stack.enter_context(servers.template(request.param).clone())
        broker = servers.enter(stack, "mosquitto", mosquitto_broker)
        folder = tmp_path_factory.mktemp("clinic")
        instance = Instance(database, folder / "data")
        instance.folder.mkdir()
        played(instance, HOURS)
        for_real_people(instance)
        port = str(free_port())

        def environment(role: str) -> dict[str, str]:
            address = {"listen_port": port, "public_url": f"http://127.0.0.1:{port}"}
            return build_service_environment(database, broker, instance.folder, role, **address)

        stack.enter_context(services(environment, folder))
        clinic = Clinic(instance, broker, environment("api"))
        assert wait_until(lambda: not unwell(clinic.look(*CHECKS)), 180, every_s=0.2), unwell(
            clinic.look(*CHECKS)
        )
        yield clinic


# So is a machine of tests, and well said: it follows no time server, its broker asks nobody's name, and nobody witnesses it.
OF_TESTS = (
    "the kernel does not know of a time server",
    "takes a client without a name",
    "nobody but ourselves would notice",
)


def unwell(findings: Findings) -> Findings:
    """What is to mend or to look at."""
    return [
        each
        for each in findings
        if each["mark"] in ("warn", "fail") and not each["text"].startswith(OF_TESTS)
    ]


def marked(findings: Findings, mark: str, *words: str) -> Findings:
    return [each for each in findings if each["mark"] == mark and all(word in each["text"] for word in words)]


# --- all is well --------------------------------------------------------------------------------------------------


def test_a_whole_instance_is_well_down_to_every_invariant_and_tile(clinic: Clinic) -> None:
    findings = clinic.doctor("--deep")
    assert unwell(findings) == []
    asked = [each["text"].partition(":")[0] for each in findings if each["about"] == "invariants"]
    assert asked == [each.name for each in invariants()]
    logs = clinic.instance.one("SELECT count(*) FROM log")
    assert len(marked(findings, "ok", "are those of the database, up to the signed root")) == logs > 1


def test_everything_that_can_be_asked_was(clinic: Clinic) -> None:
    cannot = [each["text"] for each in clinic.doctor() if each["mark"] == "unknown"]
    nobody_tells = ["whether it keeps its queues on disk"]
    if clinic.instance.database.edition != "plain":
        nobody_tells.append("what is free where the database lies")  # its server runs in a root of its own
    assert [text for text in cannot if not text.startswith(tuple(nobody_tells))] == []


def test_with_a_services_rights_it_says_what_it_cannot_tell(clinic: Clinic) -> None:
    status, findings = clinic.asked("--deep")
    assert status == 3, "nothing is to mend, and --deep could not ask what it is for"
    cannot = marked(findings, "unknown")
    assert {"accounts", "invariants", "keys of quarantine", "trial data"} <= {
        each["about"] for each in cannot
    }
    owners = ("accounts", "invariants", "trial data")
    assert all("owner" in each["next"] for each in cannot if each["about"] in owners)


def test_it_leaves_nothing_behind(clinic: Clinic) -> None:
    before = content(clinic)
    clinic.doctor("--deep")
    assert content(clinic) == before


def content(clinic: Clinic) -> dict[str, Any]:
    folder = clinic.instance.folder
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
    tables = clinic.instance.rows(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1"
    )
    return files | {name: clinic.instance.one(f'SELECT count(*) FROM "{name}"') for (name,) in tables}


def test_what_it_asks_of_a_long_record_is_found_by_index(clinic: Clinic) -> None:
    """With what it may read in order forbidden, the plan still reads no whole leaf, batch or account."""
    with psycopg.connect(clinic.instance.database.owner) as conn:
        conn.execute("SET enable_seqscan = off")
        for query in (NEWEST_RECORD, PACE):
            plan = "\n".join(line for (line,) in conn.execute(f"EXPLAIN {query}".encode()))
            assert "Seq Scan" not in plan and "Limit" in plan, plan


@pytest.mark.editions("community")
def test_the_community_editions_policies_are_looked_at(database: Database, tmp_path: Path) -> None:
    patient = Patient(Settings(data_dir=tmp_path), database.owner, True, {}, lambda: datetime.now(UTC))
    assert [each.mark for each in background.policies(patient)] == ["ok"]
    refresh = "FROM timescaledb_information.jobs WHERE proc_name = 'policy_refresh_continuous_aggregate'"
    Instance(database, tmp_path).alter(f"SELECT alter_job(job_id, scheduled => false) {refresh}")
    assert [each.text for each in background.policies(patient)] == [
        "the hourly roll-up's refresh is switched off"
    ]
    Instance(database, tmp_path).alter(f"SELECT delete_job(job_id) {refresh}")
    (missing,) = background.policies(patient)
    assert missing.text.startswith("the hourly roll-up's refresh is missing")
    Instance(database, tmp_path).alter(missing.next.partition(", then")[0])
    assert [each.mark for each in background.policies(patient)] == ["ok"]


# --- a breach is found ----------------------------------------------------------------------------------------------


def waiting_document(age: str, attempts: int) -> str:
    return f"""WITH job AS (
      INSERT INTO capture_job (id, organisation, created_at, started_at, error_behaviour, events)
      VALUES (gen_random_uuid(), '{ORGANISATION}', now() - INTERVAL '{age}', now(), 'rollback', 7) RETURNING id)
    INSERT INTO capture_document (job, organisation, body, attempts, due) SELECT id, '{ORGANISATION}', 'x', {attempts}, now() FROM job"""


class Breach(NamedTuple):
    """`check`: which one must find it; `deed`: what the owner does; `mend`: how it is undone; `words`: of the finding."""

    check: str
    deed: str
    mend: str
    words: str
    mark: str = "fail"


LOG = f"WHERE organisation = '{ORGANISATION}'"
NO_DOCUMENT = "WITH gone AS (DELETE FROM capture_document RETURNING job) DELETE FROM capture_job WHERE id IN (SELECT job FROM gone)"
NEWEST = f"{LOG} AND leaf_index = (SELECT max(leaf_index) FROM leaf {LOG})"

IN_THE_DATABASE = {
    "a role that may make roles": Breach(
        "roles",
        "ALTER ROLE suyuan_api CREATEROLE",
        "ALTER ROLE suyuan_api NOCREATEROLE",
        "service_roles_are_nobodys_owner",
    ),
    "a role without a time limit": Breach(
        "roles",
        "ALTER ROLE suyuan_jobs RESET statement_timeout",
        "ALTER ROLE suyuan_jobs SET statement_timeout = '60s'",
        "suyuan_jobs may hold the database for ever",
    ),
    "a role that may not log in": Breach(
        "roles",
        "ALTER ROLE suyuan_public NOLOGIN",
        "ALTER ROLE suyuan_public LOGIN",
        "suyuan_public may not log in",
    ),
    "the store open to the API": Breach(
        "rights",
        "GRANT SELECT ON reading_store TO suyuan_api",
        "REVOKE SELECT ON reading_store FROM suyuan_api",
        "suyuan_api reads reading_store",
    ),
    "the store open to the API, by its own connection": Breach(
        "connections",
        "GRANT SELECT ON observation TO suyuan_api",
        "REVOKE SELECT ON observation FROM suyuan_api",
        "SUYUAN_DATABASE_URL, tried: suyuan_api reads observation",
    ),
    "no row-level security": Breach(
        "rights",
        "ALTER TABLE device DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE device ENABLE ROW LEVEL SECURITY",
        "sees device without an organisation",
    ),
    "a schema of another release": Breach(
        "schema",
        "UPDATE _yoyo_migration SET migration_id = 'z' WHERE migration_id = '0007_schema_applied'",
        "UPDATE _yoyo_migration SET migration_id = '0007_schema_applied' WHERE migration_id = 'z'",
        "newer than this release",
    ),
    "a role's password that anybody guesses": Breach(
        "roles' passwords",
        "ALTER ROLE suyuan_ingest PASSWORD '…'",
        "ALTER ROLE suyuan_ingest PASSWORD '{ingest}'",
        "suyuan_ingest with '…'",
        "warn",
    ),
    "a token that anybody guesses": Breach(
        "tokens",
        f"INSERT INTO api_token VALUES (sha256('password'), '{ORGANISATION}')",
        "DELETE FROM api_token",
        "the capture token of xj-coop",
        "warn",
    ),
    "nobody administers": Breach(
        "accounts",
        "UPDATE user_account SET disabled_at = now()",
        "UPDATE user_account SET disabled_at = NULL",
        "is an administrator's",
        "warn",
    ),
    "marks that nobody takes": Breach(
        "work that waits",
        "INSERT INTO mark (consumer, created_at, reason, series_ids, from_times, to_times)"
        " VALUES ('nobody', now() - INTERVAL '20 minutes', 'x', '{}', '{}', '{}')",
        "DELETE FROM mark WHERE consumer = 'nobody'",
        "1 marks for nobody, the oldest for 20 min",
    ),
    "an event set aside": Breach(
        "work that waits",
        "INSERT INTO set_aside VALUES (7, 'presence', 'cannot', now())",
        "DELETE FROM set_aside WHERE position = 7",
        "position 7 (presence: cannot)",
        "warn",
    ),
    "an old state of the database": Breach(
        "logs",
        f"UPDATE log SET tree_size = tree_size - 1 {LOG}",
        f"UPDATE log SET tree_size = tree_size + 1 {LOG}",
        "leaves, and its log has signed for",
    ),
    "entries that wait": Breach(
        "logs",
        "INSERT INTO pending (organisation, type, stream_kind, stream_id, body, created_at)"
        f" VALUES ('{ORGANISATION}', 'event', 'party', 'x', '1.5', now() - INTERVAL '1 hour')",
        "DELETE FROM pending WHERE stream_id = 'x'",
        "wait for their place in the log, the oldest for 60 min",
    ),
    "quarantine without its key": Breach(
        "keys of quarantine",
        "INSERT INTO quarantine (batch_id, received_at, topic, records, reason, detail, key_month, payload)"
        " SELECT min(id), now(), 'x', 1, 'x', 'x', '1999-12', 'x' FROM batch",
        "DELETE FROM quarantine WHERE key_month = '1999-12'",
        "quarantined in 1999-12 cannot be opened",
    ),
    "messages that were let go": Breach(
        "quarantine",
        "INSERT INTO quarantine_day (day, device_id, organisation, let_go_messages, let_go_records, last_reason)"
        " VALUES (now()::date, 0, 'coop', 7, 9, 'unknown_device')",
        "DELETE FROM quarantine_day WHERE organisation = 'coop'",
        "7 messages of unknown devices of coop",
    ),
    "a decoder's fault": Breach(
        "quarantine",
        "INSERT INTO quarantine (batch_id, received_at, topic, records, reason, detail, key_month, payload)"
        " SELECT min(id), now(), 'x', 1, 'decoder_fault', 'x', to_char(now(), 'YYYY-MM'), 'x' FROM batch",
        "DELETE FROM quarantine WHERE topic = 'x'",
        "our own code failed on 1 messages",
        "warn",
    ),
    "documents that nobody works off": Breach(
        "capture",
        waiting_document("3 hours", 0),
        NO_DOCUMENT,
        "1 documents of 7 events wait, the oldest for 3 h; 1 of them nobody has begun",
    ),
    "a document that fails again and again": Breach(
        "capture",
        waiting_document("10 minutes", 3),
        NO_DOCUMENT,
        "1 documents of 7 events wait, the oldest for 10 min; 0 of them nobody has begun",
        "warn",
    ),
    "a sealed hour that was altered": Breach(
        "sealed hours",
        "INSERT INTO window_check SELECT device_id, start_time, version, now(), 'altered' FROM sealed_window"
        " WHERE version = 1 LIMIT 1",
        "DELETE FROM window_check WHERE fault = 'altered'",
        ":00: altered (1 in all)",
    ),
    "a clock set back": Breach(
        "clock",
        f"UPDATE leaf SET record_time = record_time + INTERVAL '1 day' {NEWEST}",
        f"UPDATE leaf SET record_time = record_time - INTERVAL '1 day' {NEWEST}",
        "ahead of this machine's clock",
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.whole_server] if "PASSWORD" in breach.deed else [])
        for name, breach in IN_THE_DATABASE.items()
    ],
)
def test_a_breach_in_the_database_is_found(clinic: Clinic, name: str) -> None:
    breach = IN_THE_DATABASE[name]
    clinic.instance.alter(breach.deed)
    try:
        found = marked(clinic.look(breach.check), breach.mark, breach.words)
    finally:
        password = clinic.instance.database.passwords["ingest"]
        clinic.instance.alter(breach.mend.replace("{ingest}", password))
    assert found and found[0]["next"]


def test_a_login_for_a_password_is_found(clinic: Clinic) -> None:
    kept = clinic.instance.one("SELECT password_hash FROM user_account WHERE login = %s", ADMINISTRATOR)
    weak = PasswordHasher(time_cost=1, memory_cost=1024).hash(ADMINISTRATOR)
    statement = "UPDATE user_account SET password_hash = %s WHERE login = %s"
    clinic.instance.alter(statement, weak, ADMINISTRATOR)
    try:
        assert marked(clinic.look("accounts"), "warn", f"the password of {ADMINISTRATOR} is its login")
        assert marked(clinic.look("accounts", production="true"), "fail", f"the password of {ADMINISTRATOR}")
    finally:
        clinic.instance.alter(statement, kept, ADMINISTRATOR)


def test_a_demonstrations_people_are_found_in_production(clinic: Clinic) -> None:
    person = PEOPLE[0]
    clinic.instance.alter("UPDATE user_account SET login = %s, name = %s", person.login, person.name)
    try:
        assert marked(
            clinic.look("accounts", production="true"), "fail", f"of the demonstration: {person.login}"
        )
        assert marked(clinic.look("accounts"), "fail") == []
    finally:
        clinic.instance.alter("UPDATE user_account SET login = %s, name = '王玲'", ADMINISTRATOR)


# What is done to the copy of DATA_DIR, and the words of the failure.
OF_THE_FOLDER = ("settings' values", "keys", "keys of logs", "logs")
Deed = Callable[[Path], object]
IN_THE_FOLDER: dict[str, tuple[Deed, str]] = {
    "keys that others may read": (lambda folder: (folder / "keys").chmod(0o755), "others may read keys"),
    "a key that others may read": (lambda folder: key(folder).chmod(0o644), "others may read xj-coop.key"),
    "a log's key is gone": (lambda folder: key(folder).unlink(), "xj-coop.key is missing"),
    "an organisation's key is gone": (
        lambda folder: key(folder, "org_key").unlink(),
        "xj-coop.org_key is missing",
    ),
    "all keys are gone": (lambda folder: shutil.rmtree(folder / "keys"), "is missing, and logs were begun"),
    "another log's key": (lambda folder: of_another(folder, "keys/{}.key"), "name of the key"),
    "another log's vkey": (lambda folder: of_another(folder, "log/{}/vkey"), "cannot be read"),
    "another log's checkpoint": (lambda folder: of_another(folder, "log/{}/checkpoint"), "cannot be read"),
    "heads are gone": (lambda folder: shutil.rmtree(folder / "heads"), "there is no head of it"),
    "an older head": (lambda folder: change_head(folder, size=1), "leaves are published, and the head is at"),
    "another root": (lambda folder: change_head(folder, root="A" * 43 + "="), "is not the head's"),
    "a log that froze itself": (
        lambda folder: change_head(folder, frozen="forked"),
        "its log is frozen (forked)",
    ),
    "the root's clock is gone": (
        lambda folder: (folder / "log/root/clock.vkey").unlink(),
        "has no clock.vkey",
    ),
    "no checkpoint": (lambda folder: published(folder).unlink(), "no checkpoint is published"),
    "no folder": (shutil.rmtree, "is no folder"),
}


def key(folder: Path, kind: str = "key") -> Path:
    return folder / f"keys/{ORGANISATION}.{kind}"


def published(folder: Path) -> Path:
    return folder / f"log/{ORGANISATION}/checkpoint"


def of_another(folder: Path, name: str) -> None:
    shutil.copy2(folder / name.format("carrier-1"), folder / name.format(ORGANISATION))


def change_head(folder: Path, **changes: Any) -> None:
    path = folder / f"heads/{ORGANISATION}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@contextmanager
def copied(clinic: Clinic, tmp_path: Path) -> Iterator[Path]:
    """A copy of DATA_DIR: the services write to the other one, and go on."""
    folder = tmp_path / "data"
    shutil.copytree(clinic.instance.folder, folder)
    yield folder


@pytest.mark.parametrize("name", IN_THE_FOLDER)
def test_a_breach_in_the_folder_is_found(
    clinic: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    breach, words = IN_THE_FOLDER[name]
    monkeypatch.setattr(logs, "MOMENT_S", 0.1)  # nobody publishes there
    with copied(clinic, tmp_path) as folder:
        breach(folder)
        found = marked(clinic.look(*OF_THE_FOLDER, data_dir=folder), "fail", words)
    assert found and found[0]["next"]


def test_profiles_that_cannot_be_used_are_named(clinic: Clinic, tmp_path: Path) -> None:
    (tmp_path / "ours-1.json").write_text('{"profile": "ours-1", "messages": []}')
    found = marked(
        clinic.look("profiles", profiles_dir=str(tmp_path)), "fail", f"{tmp_path}/ours-1.json", "messages"
    )
    assert found and found[0]["next"]
    clinic.instance.alter(
        "UPDATE device SET profile = 'ours-2' WHERE id = (SELECT min(id) FROM device WHERE profile IS NULL)"
    )
    try:
        found = marked(clinic.look("profiles"), "warn", "ours-2 (")
    finally:
        clinic.instance.alter("UPDATE device SET profile = NULL WHERE profile = 'ours-2'")
    assert found and found[0]["next"]
    away = clinic.look("profiles", profiles_dir=str(tmp_path / "away"))
    assert marked(away, "fail", "SUYUAN_PROFILES_DIR", "No such file")


@pytest.mark.parametrize("name", ["tile/0", "tile/entries"])
def test_a_changed_tile_is_found_by_a_deep_look(clinic: Clinic, tmp_path: Path, name: str) -> None:
    with copied(clinic, tmp_path) as folder:
        size = clinic.instance.log(ORGANISATION).tree_size
        tile = folder / f"log/{ORGANISATION}/{name}/{size // 256:03d}.p/{size % 256}"
        tile.write_bytes(bytes([tile.read_bytes()[0] ^ 1]) + tile.read_bytes()[1:])
        found = marked(clinic.look("tiles", data_dir=folder), "fail", name, "holds other bytes")
    assert [each["about"] for each in found] == ["tiles"]


def test_a_broken_invariant_is_found_by_a_deep_look(clinic: Clinic) -> None:
    clinic.instance.alter("UPDATE batch_account SET received[1] = received[1] + 1 WHERE batch_id = 1")
    try:
        found = marked(clinic.look("invariants"), "fail", "account_adds_up", "Every record ended somewhere")
    finally:
        clinic.instance.alter("UPDATE batch_account SET received[1] = received[1] - 1 WHERE batch_id = 1")
    assert len(found) == 1


# --- settings, and what they lead to -----------------------------------------------------------------------------------

# Which check must find it, with which settings, and the words of the failure.
IN_THE_SETTINGS: dict[str, tuple[str, dict[str, str], str]] = {
    "a misspelt name": ("settings", {"databse_url": "x"}, "SUYUAN_DATABSE_URL is no setting"),
    "no connection string": ("settings' values", {"public_database_url": "postgresql://[::1"}, "SUYUAN_PUBLIC_DATABASE_URL is no connection string"),
    "a broker over TLS": ("settings' values", {"mqtt_url": "mqtts://broker.example:8883"}, "SUYUAN_MQTT_URL is no mqtt:// address but mqtts://"),
    "no broker there": ("broker", {"mqtt_url": "mqtt://127.0.0.1:9"}, "does not answer at 127.0.0.1:9"),
    "a group nobody listens to": ("sparkplug", {"sparkplug_groups": "plant"}, "nobody listens to plant"),
    "no web address": ("settings' values", {"public_url": "trace.example"}, "no address of a web page"),
    "a path in the web address": ("settings' values", {"public_url": "https://trace.example/suyuan"}, "has more than a host"),
    "no https in production": ("settings' values", {"production": "true", "public_url": "http://trace.example"}, "is not https"),
    "a loopback address in production": ("settings' values", {"production": "true"}, "is no address that a phone reaches"),
    "a private address in production": ("settings' values", {"production": "true", "public_url": "https://192.168.1.7"}, "no address that a phone"),
    "the example's origin in production": ("settings' values", {"production": "true"}, "SUYUAN_LOG_ORIGIN is the example's"),
    "demo data in production": ("trial data", {"production": "true"}, "of the demonstration"),
    "an open broker in production": ("broker", {"production": "true"}, "takes a client without a name"),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_THE_SETTINGS)
def test_a_breach_in_the_settings_is_found(clinic: Clinic, name: str) -> None:
    check, changes, words = IN_THE_SETTINGS[name]
    found = marked(clinic.look(check, **changes), "fail", words)
    assert found and found[0]["next"]


def test_what_no_service_starts_with_is_found(clinic: Clinic) -> None:
    """Read by the command itself, before any check; the others go on with the default."""
    found = clinic.doctor(listen_port="http", production="true")
    assert marked(found, "fail", "SUYUAN_LISTEN_PORT cannot be read")
    assert marked(found, "fail", "of the demonstration")


def test_each_connection_must_be_its_roles(clinic: Clinic) -> None:
    database = clinic.instance.database
    of_owner = clinic.look("connections", database_url=database.owner, production="true")
    assert marked(of_owner, "fail", "SUYUAN_DATABASE_URL connects as", "superuser")
    of_ingest = clinic.look("connections", public_database_url=database.service("ingest"))
    assert marked(of_ingest, "fail", "SUYUAN_PUBLIC_DATABASE_URL connects as suyuan_ingest")
    assert marked(
        clinic.look("connections", public_database_url=""), "warn", "SUYUAN_PUBLIC_DATABASE_URL is empty"
    )


def test_without_a_database_one_check_says_so_and_the_others_go_on(clinic: Clinic) -> None:
    nowhere = "postgresql://suyuan_api:x@127.0.0.1:9/suyuan"
    status, findings = clinic.asked(database_url=nowhere, public_database_url=nowhere)
    assert status == 1
    assert len(marked(findings, "fail", "does not answer: connection failed")) == 1
    assert len(marked(findings, "unknown", "the database does not answer")) > 8
    assert marked(findings, "ok", "a message went there and back")


def test_services_that_do_not_run_are_missed(clinic: Clinic, servers: Servers) -> None:
    with servers.template(clinic.instance.database.edition).clone() as empty:
        alone = Clinic(Instance(empty, clinic.instance.folder), clinic.broker, clinic.environment).doctor(
            listen_port="9"
        )
    missed = marked(alone, "warn", "does not run: nobody holds its lease") + marked(
        alone, "warn", "api is not ready"
    )
    assert len(missed) == 4


def test_what_it_prints_for_people(clinic: Clinic) -> None:
    done = suyuan(clinic.environment | {"SUYUAN_MQTT_URL": "mqtt://127.0.0.1:9"}, "doctor")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    failure = next(number for number, line in enumerate(lines) if line.startswith("FAIL broker: "))
    assert lines[failure + 1].startswith("     -> start it, or mend SUYUAN_MQTT_URL")
    assert "1 to mend" in lines[-1]
    assert {line[:5] for line in lines[:-1]} <= {"ok   ", "WARN ", "FAIL ", "?    ", "     "}


def test_a_clock_apart_from_the_databases_is_found() -> None:
    """The database's clock cannot be set by a test; the machine's can be passed in."""
    from deploy.doctor.clock import compare

    now = datetime(2026, 6, 18, tzinfo=UTC)
    for seconds, mark in ((0.5, "ok"), (-1.5, "ok"), (10, "warn"), (-90, "fail")):
        assert compare(now, now + timedelta(seconds=seconds)).mark == mark


# --- who vouches for the logs -------------------------------------------------------------------------------------

WITNESS = Cosigner.from_seed("market.example/w", b"m" * 32)
LISTED = f"""
[[witness]]
vkey = "{WITNESS.verifier}"
url = "https://witness.market.example"
relation = "independent"
operator = {{ zh = "市场", en = "East market" }}
"""
STANDING = (
    "INSERT INTO attestation (kind, party, organisation, tree_size, attested_at, asked_at, failing_since, failure)"
    " VALUES (%s, %s, 'root', 1, now() - %s::interval, now(), now() - %s::interval, %s)"
)


def test_a_witness_that_is_away_is_named_with_since_when_and_what_to_do(
    clinic: Clinic, tmp_path: Path
) -> None:
    listed = tmp_path / "witnesses.toml"
    listed.write_text(LISTED)

    def look() -> Findings:
        return clinic.look("witnesses", witnesses_file=str(listed))

    (asked,) = look()
    assert (asked["mark"], asked["text"]) == ("warn", "market.example/w (East market) was not asked yet")
    for ago, failing, mark, text in (
        ("10 seconds", None, "ok", "cosigns 1 logs"),
        ("10 minutes", None, "warn", "cosigned the root log last 10 min ago"),
        ("10 minutes", "5 minutes", "warn", "has not cosigned root for 5 min"),
        ("3 hours", "2 hours", "fail", "Connection refused"),
    ):
        reason = None if failing is None else "Connection refused"
        clinic.instance.alter(STANDING, "witness", "market.example/w", ago, failing, reason)
        try:
            (found,) = look()
        finally:
            clinic.instance.alter("DELETE FROM attestation")
        assert found["mark"] == mark and text in found["text"], found
        if mark != "ok":
            assert found["next"]
    listed.write_text("witness = 1")
    (broken,) = look()
    assert broken["mark"] == "fail" and "[[witness]]" in broken["text"]


def test_time_stamps_that_do_not_come_are_named(clinic: Clinic, tmp_path: Path) -> None:
    with timestamp_authority(tmp_path / "tsa") as authority:
        settings = {"tsa_url": authority.url, "tsa_certificates": str(authority.root)}
        assert clinic.look("time stamps", tsa_url=authority.url)[0]["mark"] == "fail"
        assert clinic.look("time stamps")[0]["mark"] == "ok"
        assert "was not asked yet" in clinic.look("time stamps", **settings)[0]["text"]
        clinic.instance.alter(STANDING, "timestamp", authority.url, "1 day", "1 hour", "status 503")
        try:
            (found,) = clinic.look("time stamps", **settings)
        finally:
            clinic.instance.alter("DELETE FROM attestation")
        assert found["mark"] == "warn" and "status 503" in found["text"]


def test_a_log_that_a_witness_contradicts_is_the_worst_there_is(clinic: Clinic) -> None:
    clinic.instance.alter(
        "INSERT INTO contradiction (organisation, witness, found_at, reason, ours, theirs)"
        " VALUES ('root', 'market.example/w', now(), 'it shows 9 entries', 'a', 'b')"
    )
    try:
        (found,) = clinic.look("frozen logs")
    finally:
        clinic.instance.alter("DELETE FROM contradiction")
    assert (
        found["mark"] == "fail" and "it shows 9 entries" in found["text"] and "contradiction" in found["next"]
    )
