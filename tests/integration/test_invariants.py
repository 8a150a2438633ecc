"""The invariants of `docs/invariants.md` hold after a world went down the line, and a breach of each is found.

One world per edition: thirty-six hours of the simulated one, with repeats, a contradiction, late data, an hour that is
not sealed yet and marks that wait; and every example of `docs/wire.md`. Each query is taken from the document as it
stands there.
Also here, since it needs a database: the lines of the README that register an installation.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ingest import pipeline
from ingest.clock import Samples
from ingest.coldchain.limits import load_limits
from ingest.pipeline import Message
from simulators.world import World
from tests.acceptance.instance import Instance, handed_over
from tests.documents import DOCS, REPOSITORY, Fence, fences, invariants
from tests.integration.lines import NOW, account, adds_up, pack
from tests.servers.community import run_policies
from tests.servers.databases import Database
from tests.servers.session import EDITIONS, Servers

START = datetime(2026, 6, 18, tzinfo=UTC)
HOURS = 36
EXAMPLES_AT = datetime(2026, 6, 19, 2, 0, 5, tzinfo=UTC)

INVARIANTS = invariants()
WIRE = fences(DOCS / "wire.md")
MESSAGES = (("readings",), ("events",), ("uplink",), ("raw",), ("teltonika",))


@pytest.fixture(scope="module", params=[*dict.fromkeys((*EDITIONS, "community"))])
def played(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Instance]:
    """An instance that a world has passed through. The tests change nothing in it that they do not take back."""
    with servers.template(request.param).clone() as database:
        instance = Instance(database, tmp_path_factory.mktemp("played"))
        play(instance)
        if database.edition == "community":
            run_policies(database.owner)
            instance.compress(datetime.now(UTC))
        yield instance


def play(instance: Instance) -> None:
    world = World(20260618, START)
    instance.register(world.registry())
    worker = dataclasses.replace(instance.worker(), samples=Samples())
    now = START
    held_back: list[Message] = []
    sent = list(world.messages(START + timedelta(hours=HOURS)))
    for number, first in enumerate(range(0, len(sent), 300)):
        batch = sent[first : first + 300]
        now = batch[-1].at + timedelta(seconds=1)
        messages = handed_over(batch)
        if number % 4 == 1:
            held_back += messages[::40]
            del messages[::40]
        instance.take(messages, now, worker)
        if number % 4 == 3:
            instance.settle(now)
            instance.take(held_back, now, worker)  # late: hours that were sealed are amended
            held_back = [
                Message(message.topic, message.payload, redelivered=True) for message in messages[:9]
            ]
    instance.take(held_back, now, worker)
    instance.settle(now + timedelta(minutes=5))
    instance.take([contradiction(instance, now)], now, worker)
    instance.sequence(now)


def contradiction(instance: Instance, now: datetime) -> Message:
    """One reading that says something else than the stored one, and one that is new; their marks stay."""
    rows = instance.rows(
        "SELECT device.organisation, device.external_id, series.channel, store.time FROM reading_store AS store"
        " JOIN series ON series.id = store.series_id JOIN device ON device.id = series.device_id"
        " WHERE series.unit = 'Cel' ORDER BY store.time DESC LIMIT 1"
    )
    ((organisation, device, channel, time),) = rows
    payload = pack(
        [-99.0, 3.0],
        seq=1,
        boot=9,
        channel=channel,
        start_s=time.timestamp(),
        step_s=0.5,
        sent_s=now.timestamp(),
    )
    return Message(f"suyuan/v1/{organisation}/{device}/readings".encode(), payload, redelivered=False)


@pytest.mark.parametrize("name", INVARIANTS)
def test_it_holds(played: Instance, name: str) -> None:
    assert played.rows(INVARIANTS[name]) == []


TABLES = """
    reading_store observation quarantine mark reading_1h event placement presence excursion alert alert_message sealed_window leaf
    checkpoint stream_head clock_sample device_clock
"""


def test_the_world_had_everything_that_the_invariants_are_about(played: Instance) -> None:
    """An invariant over an empty table shows nothing."""
    assert [table for table in TABLES.split() if played.one(f"SELECT count(*) FROM {table}") == 0] == []
    counted = account(played.database.owner)
    assert adds_up(counted) and all(counted.values())
    assert played.one("SELECT count(*) FROM sealed_window WHERE version > 1") > 0
    assert played.one("SELECT max(n) FROM stream_head") > 0


def test_an_honest_world_adds_up(played: Instance) -> None:
    """Its frauds are none, its oddities many: late packs, two trucks of one fleet, a clock that is off."""
    assert played.rows("SELECT kind, subject, body FROM finding") == []
    assert played.one("SELECT count(DISTINCT series_id) FROM reading_print") > 5
    assert played.one("SELECT count(*) FROM lot_making") > 5


# --- a breach is found ----------------------------------------------------------------------------------------------

CERTIFICATE = (
    "INSERT INTO certificate (id, number, organisation, kind, lot, lot_kg, product_zh, product_en, quantity_kg, origin, declared_by,"
    " contact, basis, evidence, issued_at, event_id) VALUES ('{id}', '{id}', 'xj-coop', 'producer', 'x', 100, 'x', 'x', {kg}, 'x', 'x',"
    " 'x', '{{self_inspection}}', '{{}}', now(), 'x')"
)
ACT = (
    "INSERT INTO act (id, organisation, kind, event_ids, facts, at) SELECT gen_random_uuid(), organisation, '{kind}', ARRAY[event_id],"
    ' \'{{"numbers": [{{"kind": "lot", "prefix": "x", "first": 3, "last": 7}}]}}\', now() FROM event'
    " WHERE organisation = 'xj-coop' ORDER BY id LIMIT 1"
)
ACCOUNT = (
    "INSERT INTO user_account (login, name, roles, password_hash, created_at, password_changed_at, disabled_at)"
    " VALUES ('gone', 'x', '{administrator}', '$argon2id$', now(), now(), now())"
)

# What the owner does against each invariant.
BREACHES: dict[str, str] = {
    "account_adds_up": "UPDATE batch_account SET stored[1] = stored[1] + 1",
    "every_message_is_accounted_for": "DELETE FROM batch_account WHERE batch_id = (SELECT max(batch_id) FROM batch_account)",
    "what_is_accounted_as_stored_is_there": "DELETE FROM reading_store WHERE (series_id, time) = (SELECT series_id, time FROM reading_store LIMIT 1)",
    "what_is_accounted_as_refused_is_in_quarantine": "DELETE FROM quarantine WHERE reason = 'conflict'",
    "device_totals_are_those_of_the_batches": "INSERT INTO account_total VALUES (999999, 1, 1, 0, 0, 0)",
    "open_gaps_are_the_numbers_that_are_missing": "INSERT INTO sequence_gap (device_id, boot, first_seq, last_seq, first_seen)"
    " SELECT min(id), 99, 1, 2, now() FROM device",
    "refused_numbers_are_those_in_quarantine": "UPDATE device_sequence SET refused = '{}' WHERE refused <> '{}'",
    "a_replay_is_of_the_moment_it_came": "INSERT INTO quarantine_replay SELECT min(quarantine.id), max(batch.id), now(), 'taken'"
    " FROM quarantine, batch",
    "a_file_adds_up": "INSERT INTO backfill (sha256, reading, name, started_at, readings) VALUES (sha256('x'), 'x', 'x', now(), 1)",
    "one_value_per_series_and_time": "DROP INDEX reading_store_key; INSERT INTO reading_store SELECT * FROM reading_store LIMIT 1",
    "values_are_finite": "UPDATE reading_store SET value = '-0' WHERE (series_id, time) = (SELECT series_id, time FROM reading_store LIMIT 1)",
    "every_reading_has_a_series_and_a_batch": "INSERT INTO reading_store VALUES (0, now(), 2.5, 0, 0)",
    "measuring_times_are_possible": "UPDATE observation SET time = time - INTERVAL '20 years' WHERE time = (SELECT min(time) FROM observation)",
    "only_old_readings_were_dropped": "INSERT INTO retention_run VALUES (now() + INTERVAL '1 day', 1, 0, now())",
    "a_series_belongs_to_its_devices_organisation": "UPDATE series SET organisation = 'hz-market' WHERE organisation = 'xj-coop'",
    "temperatures_are_in_celsius": "UPDATE series SET original_unit = 'Cel', unit = 'degF' WHERE quantity = 'temperature'",
    "places_form_no_circle": "UPDATE place SET parent = (SELECT max(id) FROM place) WHERE id = (SELECT min(id) FROM place);"
    " UPDATE place SET parent = (SELECT min(id) FROM place) WHERE id = (SELECT max(id) FROM place)",
    "marks_are_well_formed": "UPDATE mark SET to_times = ARRAY(SELECT moment - INTERVAL '1 year' FROM unnest(to_times) AS moment)",
    "rollups_are_those_of_the_readings": "UPDATE reading_1h SET maximum = maximum - 1",
    "an_event_has_bytes_and_a_capturing_party": "DELETE FROM event_party WHERE part = 'capture' AND event = (SELECT min(id) FROM event)",
    "an_events_row_says_what_its_bytes_say": "UPDATE event SET event_time = event_time + INTERVAL '1 hour' WHERE id = (SELECT min(id) FROM event)",
    "event_times_are_possible": "UPDATE event SET event_time = '2199-01-01T00:00:00Z' WHERE id = (SELECT min(id) FROM event)",
    "everything_permanent_waits_or_is_a_leaf": "UPDATE leaf SET event = NULL WHERE event = (SELECT min(id) FROM event)",
    "positions_are_one_order": "UPDATE leaf SET position = position + 1000 WHERE position = (SELECT max(position) FROM leaf)",
    "a_probe_is_in_one_place_at_a_time": "INSERT INTO placement (series_id, organisation, parent, probe_position, valid, conflict)"
    " SELECT series_id, organisation, parent || '/elsewhere', probe_position, valid, false FROM placement LIMIT 1",
    "presences_do_not_overlap": "INSERT INTO presence SELECT * FROM presence LIMIT 1",
    "projections_are_not_ahead": "UPDATE projection SET position = position + 1",
    "an_excursion_keeps_its_versions": "DELETE FROM excursion_version WHERE version = 1",
    "a_finding_has_its_versions": "INSERT INTO finding SELECT repeat('a', 24), 'no_cull', 'x', 1, 'open', 'low', '{}', '{}', '{}', '{}',"
    " now(), '{}', now(), now(), now()",
    "no_visit_outlives_its_day": "INSERT INTO scan_day VALUES ('x', '2026-06-20', 1, 1, 1, '{}');"
    " INSERT INTO scan_key VALUES ('2026-06-19', sha256('x'))",
    "an_excursion_is_consistent": "UPDATE excursion SET minutes_at_least = minutes_at_most + 1",
    "standing_excursions_are_apart": "INSERT INTO excursion (organisation, series_id, limit_id, limit_version, version, state, start_time,"
    " trigger_time, end_time, closed_by, extreme, minutes_at_least, minutes_at_most, degree_minutes, opened_at, computed_at)"
    " SELECT organisation, series_id, limit_id, limit_version, version, state, start_time, trigger_time, end_time, closed_by, extreme,"
    " minutes_at_least, minutes_at_most, degree_minutes, opened_at, computed_at FROM excursion WHERE state IN ('open', 'closed') LIMIT 1",
    "an_excursion_belongs_to_its_series": "UPDATE excursion SET organisation = 'hz-market' WHERE organisation <> 'hz-market'",
    "an_excursion_has_its_alert": "UPDATE alert SET closed_at = now(), closed_by = 'merged'",
    "an_alert_is_told_when_it_grew": "INSERT INTO alert_message SELECT gen_random_uuid(), excursion, version, what, grade, level, at"
    " FROM alert_message WHERE what = 'opened'",
    "an_alert_is_acknowledged_by_its_own": f"{ACCOUNT}; INSERT INTO alert_acknowledgement SELECT excursion, alert.organisation, id, ' ', 'x', now()"
    " FROM alert, user_account WHERE login = 'gone'",
    "what_is_judged_is_sealed": "UPDATE excursion SET state = 'void' WHERE state = 'closed'",
    "a_verdict_is_of_a_version_that_was": "UPDATE excursion_version SET body = body || '{\"extreme_c\": 1}'",
    "a_verdicts_entry_says_what_its_row_says": "UPDATE sealed_verdict SET root = sha256(root)",
    "a_log_is_an_organisations_or_the_root": "INSERT INTO log (organisation, origin) VALUES ('nobody', 'nobody')",
    "an_anchor_is_a_leaf_of_the_root": "INSERT INTO anchor VALUES (1000000, 'xj-coop', 1, now())",
    "a_cosignature_says_what_its_row_says": "UPDATE cosignature SET time = time + INTERVAL '1 s'",
    "nothing_follows_a_freeze": "UPDATE leaf SET entry = convert_to(replace(convert_from(entry, 'UTF8'),"
    " '\"type\":\"event\"', '\"type\":\"freeze\"'), 'UTF8')",
    "a_log_has_no_hole": "DELETE FROM leaf WHERE leaf_index = 3",
    "what_a_leaf_refers_to_is_there": "UPDATE leaf SET event = -1 WHERE event = (SELECT min(id) FROM event)",
    "a_leaf_hash_is_that_of_its_entry": "UPDATE leaf SET entry = entry || ' ' WHERE leaf_index = 3",
    "an_entry_is_of_its_log_and_leaf": "UPDATE leaf SET record_time = record_time + INTERVAL '1 ms' WHERE leaf_index = 3",
    "record_time_does_not_fall": "UPDATE leaf SET record_time = record_time - INTERVAL '1 year' WHERE leaf_index = 3",
    "streams_are_chained": "UPDATE leaf SET leaf_hash = sha256(leaf_hash) WHERE leaf_index = 0",
    "an_entry_commits_to_its_events_fields": "UPDATE event_bytes SET field_hashes = set_byte(field_hashes, 5, 255 - get_byte(field_hashes, 5))"
    " WHERE event = (SELECT min(id) FROM event)",
    "the_newest_checkpoint_is_over_the_leaves": "UPDATE leaf SET leaf_hash = sha256(leaf_hash) WHERE leaf_index = 0",
    "a_note_says_what_its_row_says": "UPDATE checkpoint SET root_hash = sha256(root_hash)",
    "a_window_is_amended_and_never_reopened": "UPDATE sealed_window SET version = 3 WHERE version = 2",
    "a_windows_entry_says_what_its_row_says": "UPDATE sealed_window SET root = sha256(root)",
    "a_window_names_readings_of_its_hour": "UPDATE sealed_window SET leaf_keys = substring(leaf_keys FROM 25) || substring(leaf_keys FOR 24)",
    "an_amending_window_says_what_it_added": "UPDATE sealed_window SET leaf_keys = set_byte(leaf_keys, 23, 255 - get_byte(leaf_keys, 23))"
    " WHERE version = 2",
    "what_was_dropped_was_checked": "UPDATE reading_horizon SET whole_since = now()",
    "no_window_has_a_fault": "INSERT INTO window_check SELECT device_id, start_time, version, now(), 'x' FROM sealed_window LIMIT 1"
    " ON CONFLICT (device_id, start_time) DO UPDATE SET fault = 'x'",
    "what_was_sealed_is_there": "DELETE FROM reading_store WHERE time < (SELECT min(start_time) FROM sealed_window) + INTERVAL '1 hour'",
    "what_is_not_sealed_waits": "DELETE FROM mark WHERE consumer = 'sealing'",
    "what_is_read_was_born": "INSERT INTO sparkplug_node (group_id, node_id, online, since, seq, awaits_birth, recent)"
    " VALUES ('plant', 'gw1', true, now(), 0, false, decode(repeat('00', 2048), 'hex'))",
    "an_act_is_in_the_record": "INSERT INTO act (id, organisation, kind, event_ids, facts, at)"
    " VALUES (gen_random_uuid(), 'xj-coop', 'load', '{urn:uuid:nowhere}', '{}', now())",
    "certificates_never_exceed_their_lot": "ALTER TABLE certificate DISABLE TRIGGER ALL;"
    f" {CERTIFICATE.format(id='a', kg=60)}; {CERTIFICATE.format(id='b', kg=60)}",
    "certificates_never_exceed_what_was_made": "INSERT INTO certificate (id, number, organisation, kind, lot, lot_kg, product_zh, product_en,"
    " quantity_kg, origin, declared_by, contact, basis, evidence, issued_at, event_id) SELECT 'a', 'a', 'xj-coop', 'producer', min(identifier),"
    " 1e6, 'x', 'x', 1e6, 'x', 'x', 'x', '{self_inspection}', '{}', now(), 'x' FROM event_mention WHERE role = 'output'",
    "numbers_are_given_once": f"{ACT.format(kind='pack')}; {ACT.format(kind='pack')}",
    "an_undone_act_is_declared_wrong": f"{ACT.format(kind='pack')}; UPDATE act SET undone_at = now()",
    "a_certificate_is_replaced_by_a_later_one": f"{CERTIFICATE.format(id='a', kg=1)}; UPDATE certificate"
    " SET status = 'replaced', replaced_by = id, voided_at = now(), void_reason = 'x' WHERE id = 'a'",
    "a_test_is_in_the_record": "INSERT INTO test_record (id, organisation, lot, sample, kind, method, sampled_at, outcome, event, recorded_at)"
    " SELECT gen_random_uuid(), 'hz-market', 'x', 'x', 'rapid', 'x', now(), 'pending', id, now() FROM event WHERE organisation = 'xj-coop' LIMIT 1",
    "a_grant_rests_on_a_recorded_event": "UPDATE leaf SET position = NULL WHERE event = (SELECT min(event) FROM lot_grant)",
    "a_disabled_account_has_no_session": f"{ACCOUNT}; INSERT INTO user_session (sha256, account, created_at, last_seen, expires_at)"
    " SELECT sha256('x'), id, now(), now(), now() FROM user_account WHERE login = 'gone'",
    "no_service_reaches_accounts": "GRANT SELECT (login) ON user_account TO suyuan_api",
    "definer_functions_are_closed": "ALTER FUNCTION published_fields RESET search_path",
    "a_grant_shows_what_others_said_before": "UPDATE lot_grant_event SET said_by = organisation",
    "what_is_granted_stands": "DELETE FROM lot_grant WHERE organisation = 'hz-market'",
    "a_lot_has_its_origins": "DELETE FROM lot_origin WHERE lot = source AND lot = (SELECT min(lot) FROM presence)",
    "whereabouts_are_among_the_presences": "DELETE FROM presence WHERE holder LIKE '%/00/%'",
    "goods_are_told_once": "INSERT INTO whereabouts SELECT * FROM whereabouts LIMIT 1",
    "a_portion_comes_of_its_lot": "DELETE FROM portion WHERE portion = (SELECT min(origin) FROM portion)",
    "a_drill_says_nothing": "INSERT INTO recall (id, number, organisation, drill, ask, level, reason_zh, reason_en, legal_basis, ordered_at,"
    " begin_by, known_to)"
    " VALUES (gen_random_uuid(), 99, 'xj-coop', true, '{}', 1, 'x', 'x', '', now(), now() + INTERVAL '1 hour', 0);"
    " INSERT INTO recall_event SELECT id, 'x' FROM recall",
    "a_code_names_one_region_at_a_time": "UPDATE region SET valid = daterange('2000-01-01', NULL) WHERE valid_from = '2021-04-09'",
    "duty_rules_say_what_they_rest_on": "UPDATE duty_rule SET verified = true",
    "officials_read_through_their_functions": "GRANT SELECT ON excursion_goods TO suyuan_api",
    "service_roles_are_nobodys_owner": "ALTER VIEW reading OWNER TO suyuan_api",
    "the_record_is_append_only": "GRANT UPDATE (entry) ON leaf TO suyuan_sequencer",
    "only_the_eraser_forgets": "GRANT suyuan_eraser TO suyuan_jobs",
    "an_erased_field_has_no_salt": "UPDATE event_bytes SET erased_fields = ARRAY[field_names[1]]",
    "an_erased_use_has_no_salt": "INSERT INTO input_use (id, organisation, plot, registration, name, dose, used_on, interval_days, salts,"
    " recorded_at, dose_hash)"
    " SELECT gen_random_uuid(), 'xj-coop', 'x', 'x', 'x', 'x', now(), 0, decode(repeat('01', 144), 'hex'), now(), sha256('x')",
    "only_ingest_and_jobs_reach_the_store": "GRANT SELECT ON reading_store TO suyuan_api",
    "the_public_sees_no_table": "GRANT SELECT ON organisation TO suyuan_public",
    "no_service_reads_the_withholding_key": "GRANT SELECT ON withheld_key TO suyuan_public",
    "a_clock_runs_in_one_way_at_a_time": "DELETE FROM device_clock; INSERT INTO device_clock"
    " SELECT id, organisation, '(,)', now(), 0, 0, '(,)', at, at, 1, now() FROM device, (VALUES (now()), (now() + INTERVAL '1 hour')) AS first (at)",
    "a_finding_is_of_its_device": "INSERT INTO device_finding (organisation, device_id, kind, since, evidence, looked_at)"
    " SELECT 'hz-market', id, 'silent', now(), '{}', now() FROM device WHERE organisation = 'xj-coop' LIMIT 1",
    "shares_of_a_mixed_lot_add_up": "UPDATE lot_input SET share = share / 2",
    "a_hold_is_somebodys_act": "INSERT INTO test_record (id, organisation, lot, sample, kind, method, sampled_at, outcome, recorded_at)"
    " VALUES (gen_random_uuid(), 'hz-market', 'x', 'x', 'rapid', 'x', now(), 'pending', now()); INSERT INTO hold_decision (proposal, test, lot,"
    " decision, reason, reasons, decided_at) SELECT gen_random_uuid(), id, 'x', 'leave', 'x', '[]', now() FROM test_record WHERE lot = 'x'",
    "row_level_security_stands": "ALTER TABLE event DISABLE ROW LEVEL SECURITY",
}  # fmt: skip


# There the roll-up is a view; what it shows of the past lies in a table of TimescaleDB's.
ON_COMMUNITY = {
    "rollups_are_those_of_the_readings": "DO $$ BEGIN EXECUTE (SELECT format('UPDATE %I.%I SET maximum = maximum - 1',"
    " materialization_hypertable_schema, materialization_hypertable_name)"
    " FROM timescaledb_information.continuous_aggregates WHERE view_name = 'reading_1h'); END $$"
}


def test_there_is_a_breach_for_each_invariant() -> None:
    assert sorted(BREACHES) == sorted(map(str, INVARIANTS))


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_is_found(played: Instance, name: str) -> None:
    breach = BREACHES[name]
    if played.database.edition == "community":
        breach = ON_COMMUNITY.get(name, breach)
    with psycopg.connect(played.database.owner) as conn:
        for statement in [breach] if breach.startswith("DO ") else breach.split("; "):
            assert conn.execute(statement.encode()).rowcount != 0, "the breach changed nothing"
        assert conn.execute(INVARIANTS[name].encode()).fetchall() != []
        conn.rollback()


# --- the examples of the wire, as far as a database is needed ---------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """What the marker of an example promises of its message."""

    refused: bool
    reasons: frozenset[str]


def told(fence: Fence) -> Told:
    reasons = fence.after("refused:") or fence.after("partly:") or ""
    return Told(fence.after("refused:") is not None, frozenset(filter(None, reasons.split(","))))


def test_the_examples_of_the_wire_end_where_it_says(database: Database, tmp_path: Path) -> None:
    instance = Instance(database, tmp_path)
    (registry,) = (fence for fence in WIRE if fence.words[:1] == ("registry",))
    instance.register(json.loads(registry.text))
    worker = instance.worker()
    for fence in (fence for fence in WIRE if fence.words[:1] in MESSAGES):
        topic = fence.after("topic=") or f"suyuan/v1/carrier-1/truck-1/{fence.words[0]}"
        before = instance.one("SELECT coalesce(max(id), 0) FROM quarantine")
        with instance.as_role("ingest") as conn:
            outcome = pipeline.run(
                conn, worker, [Message(topic.encode(), fence.payload, redelivered=False)], EXAMPLES_AT
            )
        reasons = {
            reason for (reason,) in instance.rows("SELECT reason FROM quarantine WHERE id > %s", before)
        }
        assert reasons == told(fence).reasons, fence.name
        said = fence.payload
        numbered = b"seq" in said and b"boot" in said
        known = not reasons & {"unknown_device", "foreign_topic"}
        assert bool(outcome.receipts) == (numbered and known), f"{fence.name}: a receipt"
    assert adds_up(account(database.owner))


def test_another_value_is_a_conflict_and_a_number_we_refused_is_held(
    database: Database, tmp_path: Path
) -> None:
    instance = Instance(database, tmp_path)
    (registry,) = (fence for fence in WIRE if fence.words[:1] == ("registry",))
    instance.register(json.loads(registry.text))

    def send(value: float, seq: int) -> Any:
        payload = pack([value], seq=seq, channel="return_air")
        with instance.as_role("ingest") as conn:
            message = Message(b"suyuan/v1/carrier-1/truck-1/readings", payload, redelivered=False)
            ((_device, receipt),) = pipeline.run(conn, instance.worker(), [message], NOW).receipts
        return receipt

    send(2.4, seq=1)
    assert send(9.9, seq=2).through == 2
    ((reason, detail),) = instance.rows("SELECT reason, detail FROM quarantine")
    assert reason == "conflict" and "2.4 is stored" in detail and "9.9 came" in detail
    assert instance.rows("SELECT value FROM reading_store") == [(2.4,)]


# --- the README ------------------------------------------------------------------------------------------------------


def test_the_command_that_registers_an_installation_works(database: Database, tmp_path: Path) -> None:
    (registry,) = (fence for fence in WIRE if fence.words[:1] == ("registry",))
    document = tmp_path / "registry.json"
    document.write_text(registry.text, encoding="utf-8")
    command = [sys.executable, "-m", "deploy", "register", str(document)]
    environment = {**os.environ, "SUYUAN_DATABASE_URL": database.service("ingest")}
    subprocess.run(command, cwd=REPOSITORY, check=True, env=environment)
    again = subprocess.run(
        [*command, "--token", "xj-coop"],
        cwd=REPOSITORY,
        check=True,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert again.stdout.startswith("xj-coop ")
    with psycopg.connect(database.owner) as conn:
        for table, number in (
            ("organisation", 2),
            ("place", 3),
            ("device", 6),
            ("series", 16),
            ("limit_version", len(load_limits())),
            ("api_token", 1),
        ):
            assert conn.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (number,), table
