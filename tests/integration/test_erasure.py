"""What is erased is gone from everything that we hold, all proofs hold, and a restore does not bring it back."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from deploy.command import main
from deploy.erasing import Instance as Ground
from deploy.erasing import replay
from deploy.erasing_tables import MARK
from ingest import retention
from ledger import recording
from ledger.entry import field_leaf, parse_entry
from ledger.entry_bodies import ErasureBody
from ledger.epcis.events import parse_event
from ledger.erasures import LIST, in_bundles, person_pseudonym
from ledger.personal import is_person
from ledger.recording import record
from ledger.strict_json import to_base64
from ledger.translog.merkle import Tree, leaf_hash
from tests.acceptance.instance import Instance, token
from tests.acceptance.serving import served
from tests.integration.lines import NOW
from tests.integration.said import LOT, REGISTRY, STORE, by_terminal, made
from tests.integration.test_invariants import INVARIANTS
from tests.integration.test_persons import OTHER_WORDS, WORDS, bytes_of, everything, remarked

TELEPHONE = "13800138000"
EVERYWHERE = pytest.mark.editions("plain", "timescale")
DAY = timedelta(days=1)


def begin(instance: Instance) -> None:
    """Three events with words of persons, a payload in quarantine that holds them, and a capture that was refused for them."""
    instance.register(REGISTRY)
    refused = remarked(WORDS, 1) | {"eventTime": "2012-01-01T00:00:00Z"}
    instance.take(
        [*by_terminal(made(5), remarked(WORDS, 3), remarked(OTHER_WORDS, 2)), *by_terminal(refused),
         *by_terminal(refused | {"suyuan:remark": "nobody"})],
        NOW,
    )  # fmt: skip
    captured(instance, remarked(WORDS, 1) | {"bizStep": WORDS})
    instance.settle(NOW)


@pytest.fixture
def instance(begun: Instance, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """It is also what the commands are told to work on."""
    monkeypatch.setenv("SUYUAN_DATABASE_URL", begun.database.owner)
    monkeypatch.setenv("SUYUAN_DATA_DIR", str(begun.folder))
    return begun


def captured(instance: Instance, event: dict[str, Any]) -> dict[str, Any]:
    with served(instance, NOW) as client:
        headers = {
            "Authorization": f"Bearer {token('coop')}",
            "GS1-Capture-Error-Behaviour": "proceed",
            "Prefer": "wait=20",
        }
        answer: dict[str, Any] = client.post(
            "/epcis/capture", content=json.dumps(event), headers=headers
        ).json()
    return answer


def in_clear(instance: Instance, monkeypatch: pytest.MonkeyPatch, event: dict[str, Any]) -> None:
    """Recorded as releases did that had no vault."""
    with monkeypatch.context() as before:
        before.setattr(recording, "personal_values", lambda _fields: [])
        with instance.as_role("ingest") as conn:
            record(conn, "coop", parse_event(event), NOW, Ground.at(instance.folder).vault)


def erase(*arguments: str, ends: int = 0) -> str:
    return _run("erase", *arguments, "--yes", ends=ends)


def hold(*arguments: str, ends: int = 0) -> str:
    return _run("hold", *arguments, ends=ends)


def _run(*arguments: str, ends: int) -> str:
    done: Result = CliRunner().invoke(main, arguments)
    assert done.exit_code == ends, (done.output, done.exception)
    return done.output


def urn_of(instance: Instance, words: str = WORDS) -> str:
    with psycopg.connect(instance.database.owner) as conn:
        vault = Ground.at(instance.folder).vault
        return vault.known(conn, "coop", [words])[vault.digest("coop", words)]


def proven(instance: Instance) -> int:
    """Checks every event against its leaf, and each field that has a salt against its hash; how many fields have none."""
    without = 0
    rows = instance.rows(
        "SELECT bytes, field_names, salts, field_hashes, entry FROM event_bytes JOIN leaf USING (event) ORDER BY event"
    )
    assert rows
    for content, names, salts, hashes, entry in rows:
        said, body = json.loads(bytes(content)), parse_entry(bytes(entry)).body
        leaves = tuple(bytes(hashes)[32 * at : 32 * at + 32] for at in range(len(names)))
        assert body["fields"] == len(names) and to_base64(Tree(leaves).root_hash) == body["root"]
        for at, name in enumerate(names):
            salt = bytes(salts)[16 * at : 16 * at + 16]
            if salt == bytes(16):
                without += 1
            else:
                assert leaf_hash(field_leaf(salt, name, said[name])) == leaves[at]
    return without


def confirmable(instance: Instance, *values: Any) -> list[str]:
    """Ways in which somebody with the whole database, and with the organisation's key, can still try these values: each of
    them as a hash that stands somewhere, plain, keyed, or as a field under one of the salts that are left."""
    dump, vault = everything(instance), Ground.at(instance.folder).vault
    ways = []
    for value in values:
        tried = [
            sha256(str(value).encode()).digest(),
            sha256(json.dumps(value).encode()).digest(),
            vault.digest("coop", value),
        ]
        for salts, names in instance.rows("SELECT salts, field_names FROM event_bytes"):
            tried += [
                leaf_hash(field_leaf(bytes(salts)[16 * at : 16 * at + 16], name, value))
                for name in {*names, "suyuan:remark"}
                for at in range(len(names))
            ]
        if str(value) in dump or any(each.hex() in dump for each in tried):
            ways.append(str(value))
    return ways


# --- erasing -----------------------------------------------------------------------------------------------------------


@EVERYWHERE
def test_a_person_is_forgotten_and_every_proof_holds(instance: Instance) -> None:
    urn, account = urn_of(instance), instance.rows("SELECT * FROM device_account ORDER BY 1")
    assert WORDS in everything(instance), "the capture's document quotes it: else this test shows little"
    before = everything(instance)
    told = _run("erase", urn, "--dry-run", ends=0)
    assert (
        "vault: 1 value" in told
        and "quarantine: 1" in told
        and "capture_job: 1" in told
        and WORDS not in told
    )
    assert everything(instance) == before

    told = erase(urn, "--reason", "request")
    assert "erased; 1 in the `erasure` entry" in told
    instance.settle(NOW + DAY)
    assert confirmable(instance, WORDS) == [] and TELEPHONE not in everything(instance)
    assert confirmable(instance, OTHER_WORDS) == [OTHER_WORDS], (
        "another's value stays, and this test can tell"
    )
    assert proven(instance) == 0
    assert urn in everything(instance), "the record holds the random name, as ever"
    kept = instance.rows("SELECT erased_at IS NOT NULL, records FROM quarantine ORDER BY id")
    assert sorted(kept) == [(False, 1), (True, 1)]
    assert instance.rows("SELECT * FROM device_account ORDER BY 1") == account
    entries = [
        parse_entry(bytes(entry))
        for (entry,) in instance.rows(
            "SELECT entry FROM leaf WHERE organisation = 'coop' ORDER BY leaf_index"
        )
    ]
    (erasure,) = [ErasureBody.read(entry.body) for entry in entries if entry.type == "erasure"]
    person = person_pseudonym(instance.keys.organisation_key("coop"), urn)
    assert (erasure.persons, erasure.reason) == ((person,), "request")
    assert in_bundles(instance.folder / "log" / "coop") == {person}
    for name, query in INVARIANTS.items():
        assert instance.rows(query) == [], name


def test_what_was_erased_is_no_conflict_and_gets_another_name(instance: Instance) -> None:
    urn = urn_of(instance)
    erase(urn)
    again = captured(instance, remarked(WORDS, 3))
    assert again["success"] and instance.one("SELECT count(*) FROM vault WHERE urn <> %s", urn) == 1, (
        "a repeat brings nothing back"
    )
    assert not captured(instance, remarked(WORDS, 3) | {"disposition": "in_progress"})["success"]
    assert not captured(instance, remarked("someone else", 2))["success"], (
        "of what stands another value is another event"
    )
    without = {name: value for name, value in remarked(WORDS, 3).items() if name != "suyuan:remark"}
    elsewhere = f"{urn[:-1]}{'1' if urn.endswith('0') else '0'}"
    for other in (without, remarked(elsewhere, 3), remarked(WORDS, 3) | {"suyuan:note": WORDS}):
        assert not captured(instance, other)["success"], "what differs besides is another event"
    assert captured(instance, remarked(WORDS, 1))["success"]
    new = urn_of(instance)
    assert new != urn and is_person(new)
    assert "it was erased" in erase(urn, ends=1)


def test_a_value_is_found_wherever_it_stands(instance: Instance) -> None:
    """By a part of it: the telephone in a remark, in an act, in a certificate, under a name."""
    facts = {"asked": {"remark": WORDS, "pulp": [3, 4]}, "done": {"act": "x"}}
    instance.alter(
        "INSERT INTO act (id, organisation, kind, event_ids, facts, at) VALUES (gen_random_uuid(), 'coop', 'load', '{x}', %s, now())",
        json.dumps(facts),
    )
    instance.alter(
        "INSERT INTO idempotency (scope, key, fingerprint, status, body) VALUES ('organisation:coop', 'a key of mine', sha256('x'), 200, %s)",
        json.dumps({"said": [WORDS]}),
    )
    instance.alter("UPDATE place SET name_zh = %s WHERE id = %s", f"{TELEPHONE}家", STORE)
    told = erase("--value", TELEPHONE, "--organisation", "coop", "--reason", "order")
    for part in ("vault: 1", "quarantine: 1", "act: 1", "idempotency: 1", "place: 1"):
        assert part in told, told
    assert TELEPHONE not in everything(instance) and "老王" not in everything(instance)
    assert instance.one("SELECT facts -> 'asked' -> 'pulp' FROM act") == [3, 4]
    assert instance.one("SELECT fingerprint = sha256('x') FROM idempotency") is False
    assert "nothing of it was found" in erase("--value", TELEPHONE, "--organisation", "coop")
    assert "at least 2" in erase("--value", "王", "--organisation", "coop", ends=1)
    assert "no organisation" in erase("--value", TELEPHONE, "--organisation", "nobody", ends=1)


OFFICIALS_WORDS = f"""
INSERT INTO user_account (login, name, roles, department, regions, password_hash, created_at, password_changed_at)
VALUES ('official', 'Wu', ARRAY['official'], 'agriculture', '{{330522}}', '$argon2id$', now(), now());
INSERT INTO finding (id, kind, subject, version, state, severity, lots, places, organisations, events, at, body, opened_at, shown_from, changed_at)
SELECT repeat(letter, 24), 'more_than_made', 'x', 1, 'open', 'low', '{{}}', '{{}}', ARRAY[whose], '{{}}', now(), '{{}}', now(), now(), now()
FROM (VALUES ('coop', 'a'), ('another', 'b')) AS each (whose, letter);
INSERT INTO finding_word (finding, version, account, says, comment, at)
SELECT finding.id, 1, user_account.id, 'explained', 'told by 老王 {TELEPHONE}', now() FROM finding CROSS JOIN user_account WHERE login = 'official';
INSERT INTO recall (id, number, account, department, drill, ask, level, reason_zh, reason_en, legal_basis, ordered_at, begin_by, known_to)
SELECT ('00000000-0000-4000-8000-00000000000' || n)::uuid, n, user_account.id, 'agriculture', false, '{{}}', 1, '{TELEPHONE} 举报',
       'as {TELEPHONE} says', '', now(), now() + INTERVAL '1 day', 0 FROM user_account CROSS JOIN generate_series(1, 2) AS n WHERE login = 'official';
INSERT INTO recall_holder (recall, keeper, party, kilograms, boxes, units, sold_kg, lots)
SELECT id, (ARRAY['coop', 'another'])[number], '', 1, 0, 0, 0, '{{}}' FROM recall;
"""


def test_what_officials_wrote_is_forgotten_where_it_is_about_them(instance: Instance) -> None:
    """An official has no organisation. What is about another's record or goods stays, and is named as left."""
    instance.alter(OFFICIALS_WORDS)
    assert (
        instance.one("SELECT count(*) FROM finding_word") == 2
        and instance.one("SELECT count(*) FROM recall_holder") == 2
    )
    told = erase("--value", TELEPHONE, "--organisation", "coop", ends=1)
    assert "finding_word: 1" in told and "recall: 2" in told, told
    assert "finding_word.comment: 1 rows" in told, told
    words = instance.rows(
        "SELECT organisations[1], comment FROM finding_word JOIN finding ON finding.id = finding ORDER BY 1"
    )
    assert words == [("another", f"told by 老王 {TELEPHONE}"), ("coop", MARK)]
    reasons = instance.rows("SELECT reason_en FROM recall ORDER BY number")
    assert reasons == [(MARK,), (f"as {TELEPHONE} says",)]


@pytest.mark.parametrize("value", [3, 21.5, "2026-05-01", "x"])
def test_what_is_in_many_texts_is_forgotten_by_its_name_alone(instance: Instance, value: Any) -> None:
    """A number, a date and a letter stand in texts that say something else."""
    captured(instance, remarked(value, 1))
    facts = {"asked": {"remark": f"21.53 kg {value} 2026-05-01 of x"}}
    instance.alter(
        "INSERT INTO act (id, organisation, kind, event_ids, facts, at) VALUES (gen_random_uuid(), 'coop', 'load', '{x}', %s, now())",
        json.dumps(facts),
    )
    before = bytes_of(instance)
    with psycopg.connect(instance.database.owner) as conn:
        vault = Ground.at(instance.folder).vault
        urn = vault.known(conn, "coop", [value])[vault.digest("coop", value)]
    assert "left: what says the same without the name" in erase(urn, ends=1)
    assert instance.one("SELECT count(*) FROM vault WHERE urn = %s", urn) == 0
    assert instance.one("SELECT facts FROM act") == facts and bytes_of(instance) == before


@pytest.mark.editions("plain")
def test_a_login_that_is_granted_it_erases_and_says_what_it_may_not_read(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    urn, login = urn_of(instance), f"clerk_{secrets.token_hex(6)}"
    said = psycopg.conninfo.conninfo_to_dict(instance.database.owner)
    said |= {"user": login, "password": login}
    instance.alter(f"CREATE ROLE {login} LOGIN PASSWORD '{login}' IN ROLE suyuan_eraser")
    try:
        monkeypatch.setenv("SUYUAN_DATABASE_URL", psycopg.conninfo.make_conninfo(**said))
        assert "left: not looked at" in erase(urn, ends=1)
        assert instance.one("SELECT count(*) FROM vault WHERE urn = %s", urn) == 0
    finally:
        instance.alter(f"DROP ROLE {login}")


@EVERYWHERE
def test_an_older_event_loses_the_field_and_keeps_its_proof(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    household = "https://id.gs1.org/414/9521234009993"
    old = remarked(WORDS, 1.5) | {"readPoint": {"id": household}, "ilmd": None}
    del old["ilmd"]
    in_clear(instance, monkeypatch, old | {"suyuan:packaging": "foam"})
    instance.settle(NOW + timedelta(hours=1))
    assert proven(instance) == 0 and TELEPHONE in everything(instance)
    erase("--value", TELEPHONE, "--organisation", "coop")
    assert proven(instance) == 1 and TELEPHONE not in everything(instance)
    hashes = "SELECT event_hash FROM event JOIN event_bytes ON event_bytes.event = event.id WHERE erased_fields <> '{}'"
    assert instance.rows(hashes) == [(None,)], "nor can a guess be tried by the hash of the whole"
    erase("--value", household, "--organisation", "coop")
    assert proven(instance) == 2 and confirmable(instance, WORDS, {"id": household}) == []
    kept = bytes_of(instance)[-1]
    assert (
        is_person(kept["suyuan:remark"])
        and is_person(kept["readPoint"]["id"])
        and kept["suyuan:packaging"] == "foam"
    )
    assert (
        instance.one("SELECT count(*) FROM event_mention WHERE identifier = %s", kept["readPoint"]["id"]) == 1
    )
    event = instance.one("SELECT max(event) FROM event_bytes")
    with instance.as_role("api") as conn:
        conn.execute("SELECT set_config('suyuan.org', 'coop', true)")
        fields = conn.execute("SELECT name, salt IS NULL, value FROM asker_fields(%s)", [event]).fetchall()
    assert sum(name is None for name, _, _ in fields) == 2 and len(fields) == len(old) + 1
    assert all(nothing and value is None for name, nothing, value in fields if name is None)
    instance.settle(NOW + 2 * DAY)


# --- holds -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "subject"),
    [("organisation", lambda _: "coop"), ("lot", lambda _: LOT), ("person", urn_of), ("all", lambda _: "")],
)
def test_a_hold_stops_it_until_it_is_lifted(
    instance: Instance, kind: str, subject: Callable[[Instance], str]
) -> None:
    urn, why = urn_of(instance), ("--reason", "case 7", "--by", "a court")
    named = [each for each in (subject(instance),) if each]
    assert "hold 1 stands" in hold("add", kind, *named, *why)
    assert "case 7" in erase(urn, ends=1) and instance.one("SELECT count(*) FROM vault") == 2
    listed = hold("list")
    assert "case 7" in listed and ("all readings, placed" in listed) == (kind != "person")
    hold("lift", "1", *why)
    assert hold("list") == "no legal hold stands\n" and "lifted" in hold("list", "--lifted")
    assert "no hold 1 stands" in hold("lift", "1", *why, ends=1)
    with pytest.raises(psycopg.errors.RestrictViolation):
        instance.alter("DELETE FROM legal_hold")
    erase(urn)


@pytest.mark.parametrize("where", ["act", "certificate"])
def test_a_hold_on_a_lot_keeps_what_people_wrote_of_it(instance: Instance, where: str) -> None:
    if where == "act":
        instance.alter(
            "INSERT INTO act (id, organisation, kind, event_ids, facts, at)"
            " VALUES (gen_random_uuid(), 'coop', 'make', %s, %s, now())",
            [made(5)["eventID"]],
            json.dumps({"asked": {"remark": "ask 13900139000"}}),
        )
    else:
        instance.alter(
            "INSERT INTO certificate (id, number, organisation, kind, lot, lot_kg, product_zh, product_en, quantity_kg, origin,"
            " declared_by, contact, basis, evidence, issued_at, event_id)"
            " VALUES ('urn:x:1', 'X1', 'coop', 'producer', %s, 9, 'a', 'a', 1, 'b', 'c', 'ask 13900139000', '{self_inspection}',"
            " '{}', now(), 'e')",
            LOT,
        )
    hold("add", "lot", LOT, "--reason", "case 7", "--by", "a court")
    wanted = ("--value", "13900139000", "--organisation", "coop")
    assert "case 7" in erase(*wanted, ends=1) and "13900139000" in everything(instance)
    hold("lift", "1", "--reason", "closed", "--by", "a court")
    erase(*wanted)
    assert "13900139000" not in everything(instance)


def test_an_event_named_by_its_hash_is_said_to_tell_still(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    nameless = remarked(f"问 {TELEPHONE}", 1.5)
    del nameless["eventID"]
    in_clear(instance, monkeypatch, nameless)
    told = erase("--value", TELEPHONE, "--organisation", "coop", ends=1)
    assert "left: event ni:///sha-256;" in told and TELEPHONE not in everything(instance)


def test_a_hold_on_another_stops_nothing(instance: Instance) -> None:
    hold("add", "organisation", "carrier", "--reason", "x", "--by", "y")
    hold("add", "person", urn_of(instance, OTHER_WORDS), "--reason", "x", "--by", "y")
    erase(urn_of(instance))
    for kind, subject in (
        ("lot", "https://id.gs1.org/01/0/10/none"),
        ("device", "none"),
        ("person", "none"),
        ("all", "x"),
        ("organisation", "no"),
    ):
        hold("add", kind, subject, "--reason", "x", "--by", "y", ends=1)
    hold("add", "all", "--reason", " ", "--by", "y", ends=1)


def test_retention_waits_for_a_hold_on_goods_and_not_for_a_persons(instance: Instance) -> None:
    keep = DAY
    hold("add", "person", urn_of(instance), "--reason", "x", "--by", "y")
    with instance.as_role("jobs") as conn:
        retention.step(conn, NOW, keep, instance.keys.organisation_key)
        assert retention.whole_since_ms(conn) > 0
        conn.rollback()
    hold("add", "lot", LOT, "--reason", "x", "--by", "y", "--since", "2026-01-01")
    with instance.as_role("jobs") as conn:
        retention.step(conn, NOW, keep, instance.keys.organisation_key)
        held = conn.execute("SELECT whole_since::date::text FROM reading_horizon").fetchone()
    assert held == ("2026-01-01",)
    assert "a legal hold stands" in _run("quarantine", "forget", "--before", "2030-01", "--yes", ends=1)


# --- a restore ---------------------------------------------------------------------------------------------------------

_KEPT = ("vault", "event_bytes", "quarantine", "capture_job", "event_mention")


def older(instance: Instance) -> None:
    """As a backup had it: what the tables of words held is put aside."""
    instance.alter("CREATE SCHEMA old")
    for table in _KEPT:
        instance.alter(f"CREATE TABLE old.{table} AS SELECT * FROM {table}")


def restored(instance: Instance) -> None:
    with psycopg.connect(instance.database.owner) as conn:
        conn.execute("SET session_replication_role = replica")
        for table in _KEPT:
            conn.execute(f"DELETE FROM {table}".encode())
            conn.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM old.{table}".encode())
        conn.execute("DROP SCHEMA old CASCADE")


@pytest.mark.parametrize("lost", ["", "list", "log"])
def test_a_restore_does_not_bring_it_back(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """From the log's bundles or from the list, whichever there is; what was in clear, from the list."""
    in_clear(instance, monkeypatch, remarked(f"问 {TELEPHONE}", 1.2))
    instance.settle(NOW + timedelta(hours=1))
    older(instance)
    erase(urn_of(instance))
    if lost == "":
        erase("--value", TELEPHONE, "--organisation", "coop")
    instance.settle(NOW + DAY)
    restored(instance)
    assert WORDS in everything(instance) and instance.one("SELECT count(*) FROM vault") == 2
    if lost == "list":
        (instance.folder / LIST).unlink()
    if lost == "log":
        (instance.folder / "log" / "coop").rename(instance.folder / "gone")
    with psycopg.connect(instance.database.owner) as conn:
        assert replay(conn, Ground.at(instance.folder), NOW) > 0
    assert WORDS not in everything(instance) and instance.one("SELECT count(*) FROM vault") == 1
    assert (TELEPHONE in everything(instance)) == (lost != "")
    proven(instance)
    before = everything(instance)
    with psycopg.connect(instance.database.owner) as conn:
        replay(conn, Ground.at(instance.folder), NOW)
    assert everything(instance) == before


@pytest.mark.editions("plain")
def test_a_backup_of_before_is_erased_again_as_it_is_restored(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The whole way: backup, erasure, and the backup into an empty database beside the DATA_DIR that survived."""
    folder, name = tmp_path / "backups" / "monday", f"suyuan_erased_{secrets.token_hex(6)}"
    urn, owner = urn_of(instance), instance.database.owner
    _run("backup", str(folder), ends=0)
    erase(urn)
    instance.settle(NOW + DAY)
    with psycopg.connect(owner, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}".encode())
    try:
        old = str(psycopg.conninfo.conninfo_to_dict(owner)["dbname"])
        again = Instance(replace(instance.database, owner=owner.replace(f"/{old}", f"/{name}")), tmp_path)
        monkeypatch.setenv("SUYUAN_DATABASE_URL", again.database.owner)
        assert "is erased again" in _run("backup", "restore", str(folder), ends=0)
        assert (
            WORDS not in everything(again)
            and again.one("SELECT count(*) FROM vault WHERE urn = %s", urn) == 0
        )
        assert again.one("SELECT count(*) FROM vault") == 1 and urn in everything(again)
    finally:
        with psycopg.connect(owner, autocommit=True) as conn:
            conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
