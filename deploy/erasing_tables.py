"""Which columns hold words that people typed, besides the record and quarantine: data for `deploy.erasing`.

Contract: a table's columns here are those that the role `suyuan_eraser` may update (deploy/schema/0026_persons.sql), and each
row is named by a key that a restored database knows it by. Every other column of text or JSON stands in WITHOUT_WORDS, with why.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from ledger.erasures import Place, paths_to, put

MARK: Final = "（已删除 / erased）"
"""What people read in the place of what was erased. Events have a random name there."""


@dataclass(frozen=True, slots=True)
class Words:
    """`whose`: the condition by which a row is of `%(organisation)s`."""

    key: tuple[str, ...]
    columns: tuple[str, ...]
    whose: str = "organisation = %(organisation)s"


_THEIR_SCOPES = (
    "(scope = 'organisation:' || %(organisation)s"
    " OR scope IN (SELECT 'account:' || id FROM user_account WHERE organisation = %(organisation)s))"
)
# An official has no organisation: what one wrote is looked at for those whose record or goods it is about.
_OF_THEIR_FINDINGS = "finding IN (SELECT id FROM finding WHERE organisations @> ARRAY[%(organisation)s] OR organisations = '{}')"
_THEIR_RECALLS = (
    "SELECT recall.id FROM recall WHERE recall.organisation = %(organisation)s OR recall.organisation IS NULL"
    " AND recall.id IN (SELECT holder.recall FROM recall_holder AS holder WHERE holder.keeper IN (%(organisation)s, ''))"
)
COLUMNS: Final[Mapping[str, Words]] = {
    "act": Words(("id",), ("facts",)),
    "certificate": Words(
        ("id",), ("contact", "origin", "void_reason", "product_zh", "product_en", "evidence")
    ),
    "test_record": Words(("id",), ("method", "sample", "covers", "not_covered")),
    "input_use": Words(("id",), ("name", "dose")),
    "alert_acknowledgement": Words(("excursion",), ("name", "comment")),
    "hold_decision": Words(
        ("id",), ("reason",), "coalesce(organisation, holder, %(organisation)s) = %(organisation)s"
    ),
    "finding_word": Words(("id",), ("comment",), _OF_THEIR_FINDINGS),
    "capture_job": Words(("id",), ("errors",)),
    "idempotency": Words(("scope", "key"), ("body", "location"), _THEIR_SCOPES),
    "place": Words(("id",), ("name_zh", "name_en")),
    "product": Words(("id",), ("name_zh", "name_en")),
    "organisation": Words(("id",), ("name_zh", "name_en"), "id = %(organisation)s"),
    "user_account": Words(("id",), ("name",)),
    "recall": Words(("id",), ("reason_zh", "reason_en", "legal_basis"), f"id IN ({_THEIR_RECALLS})"),
    "recall_closing": Words(("recall",), ("note",), f"recall IN ({_THEIR_RECALLS})"),
    "set_aside": Words(("position", "part"), ("reason",), "true"),
}

WITHOUT_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "forgotten by `deploy.erasing` itself, with the event, the payload or the vault's row that says it": {
        "event": "event_id",
        "event_bytes": "erased_fields field_names",
        "event_mention": "identifier",
        "event_party": "organisation",
        "quarantine": "detail",
        "trace_edge": "told",
        "trace_name": "name",
        "trace_told": "told",
        "vault": "urn",
    },
    "what somebody answers for by name, and may not be changed: it is named as left": {
        "alert_channel": "address",
        "backfill": "name",
        "contradiction": "ours theirs",
        "idempotency": "key",
        "legal_hold": "kind placed_by reason release_reason released_by subject",
        "log": "frozen_reason",
        "sign_in_attempt": "login",
        "user_account": "login",
    },
    "what people typed, of a thing and not of a person: papers, laboratories, models, rules and their sources; it is named as left": {
        "calibration": "certificate laboratory",
        "device": "model",
        "duty_rule": "body clause source",
        "event_context": "body",
        "figure": "source",
        "limit_version": "body",
        "recall_level": "force name_en name_zh source",
        "region": "name_en name_zh source",
    },
    "a projection of events: goods, places and parties by their identifiers, made anew from what is left of the events": {
        "finding": "body id kind lots organisations places severity state subject",
        "finding_version": "body finding state",
        "granted_event": "organisation",
        "lot_grant": "lot organisation",
        "lot_grant_event": "lot organisation said_by",
        "lot_grant_stay": "holder lot organisation",
        "lot_harvest": "grower lot organisation plot",
        "lot_input": "lot source",
        "lot_making": "lot organisation place run",
        "lot_mark": "known_as lot portion set_marks unset_marks",
        "lot_origin": "lot place source",
        "lot_unjudged": "kind lot",
        "placement": "organisation parent probe_position",
        "portion": "held_by holder inside keeper lot maker origin place portion run stage state uom used_in",
        "portion_maybe": "lot portion source",
        "portion_serial": "first last lot portion",
        "portion_stay": "lot name portion stage",
        "presence": "holder lot rule_product stage",
        "radar_look": "what",
        "run_goods": "lot run uom",
        "trace_name": "scheme",
        "trace_portion": "body",
        "trace_run": "uom",
        "whereabouts": "holder inside lot place rule_product stage",
    },
    "an order, and what it reached, by identifiers, codes and numbers; what is sealed of it has no free text (`trace_api.recalls.sealing`)": {
        "hold_decision": "decision holder lot organisation reasons",
        "recall": "ask department organisation",
        "logger_file": "organisation",
        "logger_file_event": "organisation",
        "recall_acknowledgement": "organisation",
        "recall_closing": "outcome",
        "recall_event": "event_id",
        "recall_goods": "holder keeper lot place portion state unit uom",
        "recall_holder": "keeper lots party",
        "recall_lot": "lot",
        "recall_seal": "commitment record said",
    },
    "what devices sent, and what was reckoned of it: quantities, units, channels, states": {
        "batch": "worker",
        "detection_snapshot": "runs",
        "device": "external_id giai organisation profile scheme",
        "device_clock": "organisation",
        "device_finding": "evidence kind organisation",
        "excursion": "closed_by limit_id organisation state",
        "excursion_version": "body",
        "limit_version": "id positions product stages",
        "mark": "consumer reason",
        "observation": "body",
        "open_window": "urgent",
        "outbox": "body last_error topic",
        "quarantine": "key_month organisation reason",
        "quarantine_day": "last_reason organisation",
        "quarantine_replay": "outcome",
        "sealed_verdict": "organisation",
        "sealed_window": "closed organisation",
        "series": "channel organisation original_unit quantity unit",
        "sparkplug_birth": "device_id said",
        "sparkplug_node": "group_id node_id",
        "window_check": "fault",
    },
    "the logs': signed notes, names of logs and witnesses, states; no entry has what a person said": {
        "anchor": "organisation",
        "anchor_request": "organisation",
        "attestation": "failure kind organisation party",
        "checkpoint": "note organisation",
        "contradiction": "organisation reason witness",
        "cosignature": "line name organisation",
        "leaf": "organisation",
        "log": "organisation origin",
        "payload_lost": "organisation",
        "pending": "organisation stream_id stream_kind type",
        "stream_head": "organisation",
        "vault": "organisation",
        "vault_key": "organisation",
    },
    "identifiers and codes of the registry and the record, words of a fixed list, and names of our own": {
        "account_change": "what",
        "alert": "closed_by organisation",
        "alert_acknowledgement": "organisation",
        "alert_channel": "kind organisation",
        "alert_delivery": "kind",
        "alert_message": "what",
        "act": "event_ids kind organisation",
        "api_token": "organisation",
        "backfill": "reading",
        "capture_document": "organisation",
        "capture_job": "error_behaviour event_pointer named organisation outcomes",
        "certificate": "basis declared_by event_id id kind lot number organisation replaced_by status",
        "duty_rule": "force id kind place_kinds",
        "event": "biz_step organisation type",
        "event_context": "organisation",
        "event_mention": "role",
        "event_party": "part",
        "figure": "name organisation subject",
        "finding_word": "finding says",
        "idempotency": "scope",
        "identifier_alias": "entity key organisation scheme value",
        "input_use": "organisation plot registration",
        "number_range": "kind organisation prefix",
        "organisation": "gs1_prefix id kind party region",
        "place": "id kind organisation parent region time_zone",
        "product": "classes id organisation rule_product",
        "projection": "name",
        "region": "code level successor",
        "registry_change": "identifier kind",
        "scan_day": "code regions",
        "scan_visit": "code region",
        "set_aside": "part",
        "test_record": "kind lot operator organisation outcome place unit uom",
        "user_account": "department organisation password_hash regions roles",
    },
}
"""By why no text of a person is looked for there: a table's columns. What is found there nevertheless, `left_over` names."""

EVERYWHERE: Final = """
SELECT quote_ident(relation.relname), quote_ident(held.attname),
       EXISTS (SELECT FROM pg_attribute WHERE attrelid = relation.oid AND attname = 'organisation' AND NOT attisdropped)
FROM pg_class AS relation JOIN pg_attribute AS held ON held.attrelid = relation.oid
WHERE relation.relnamespace = 'public'::regnamespace AND relation.relkind IN ('r', 'p') AND held.attnum > 0 AND NOT held.attisdropped
  AND held.atttypid IN ('text'::regtype, 'text[]'::regtype, 'jsonb'::regtype, 'json'::regtype)
  AND has_column_privilege(relation.oid, held.attnum, 'SELECT')
ORDER BY 1, 2
"""
UNREAD: Final = """
SELECT DISTINCT quote_ident(relation.relname)
FROM pg_class AS relation JOIN pg_attribute AS held ON held.attrelid = relation.oid
WHERE relation.relnamespace = 'public'::regnamespace AND relation.relkind IN ('r', 'p') AND held.attnum > 0 AND NOT held.attisdropped
  AND held.atttypid IN ('text'::regtype, 'text[]'::regtype, 'jsonb'::regtype, 'json'::regtype)
  AND NOT has_column_privilege(relation.oid, held.attnum, 'SELECT')
ORDER BY 1
"""


def found_in(
    conn: psycopg.Connection, table: str, organisation: str, texts: Sequence[str]
) -> Iterator[Place]:
    words = COLUMNS[table]
    for column in words.columns:
        query = sql.SQL("SELECT {key}, {column} FROM {table} WHERE {whose} AND EXISTS (SELECT FROM unnest(%(texts)s::text[]) AS needle"
                        " WHERE position(needle IN {column}::text) > 0) ORDER BY {key}").format(
            key=sql.SQL(", ").join(map(sql.Identifier, words.key)), column=sql.Identifier(column),
            table=sql.Identifier(table), whose=sql.SQL(words.whose),
        )  # fmt: skip
        for *key, value in conn.execute(
            query, {"organisation": organisation, "texts": list(texts)}
        ).fetchall():
            paths = tuple(paths_to(value, texts))
            if paths:
                yield Place(table, dict(zip(words.key, map(_plain, key), strict=True)), column, paths)


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | str) else str(value)


def apply_to(conn: psycopg.Connection, place: Place) -> None:
    """Puts the mark where the value stood. A row that is not there, or says something else by now, is left alone."""
    words = COLUMNS[place.table]
    where = sql.SQL(" AND ").join(
        sql.SQL("{name}::text = {value}").format(
            name=sql.Identifier(name), value=sql.Literal(str(place.key[name]))
        )
        for name in words.key
    )
    column, table = sql.Identifier(place.column), sql.Identifier(place.table)
    row = conn.execute(
        sql.SQL("SELECT {0} FROM {1} WHERE {2} FOR UPDATE").format(column, table, where)
    ).fetchone()
    if row is None:
        return
    value, stood = put(row[0], place.paths, MARK)
    if stood:
        given = (
            json.dumps(value)
            if isinstance(value, dict) or (isinstance(value, list) and _is_json(conn, place))
            else value
        )
        conn.execute(sql.SQL("UPDATE {0} SET {1} = %s WHERE {2}").format(table, column, where), [given])


def _is_json(conn: psycopg.Connection, place: Place) -> bool:
    row = conn.execute(
        "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s",
        [place.table, place.column],
    ).fetchone()
    return row is not None and row[0] in ("json", "jsonb")
