"""A logger's file judged by what is shipped or registered for a product, as `suyuan judge` does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from ingest.coldchain import logged
from ingest.coldchain.limits import Limit, parse_limit
from ingest.coldchain.logged import Logged, Rules
from ingest.exports.exported import Column, Export
from ingest.exports.judged import document
from trace_api.acts.fields import ZONE
from trace_api.acts.models import AttachLogger
from trace_api.loggers.attaching import one_column, read_export

_NAMED = "SELECT body FROM asker_limit WHERE product = %s ORDER BY id, version"
_OF_PRODUCT = (
    "SELECT rule.body FROM asker_product AS product JOIN asker_limit AS rule ON rule.product = product.rule_product"
    " WHERE product.id = %s ORDER BY rule.id, rule.version"
)


def limits_named(conn: psycopg.Connection, product: str) -> tuple[Limit, ...]:
    """Of what limits call a product: `strawberry`, `frozen`."""
    return _valid(conn.execute(_NAMED, [product]).fetchall())


def limits_of(conn: psycopg.Connection, product: str) -> tuple[Limit, ...]:
    """Of a registered product."""
    return _valid(conn.execute(_OF_PRODUCT, [product]).fetchall())


def _valid(rows: Sequence[tuple[Any, ...]]) -> tuple[Limit, ...]:
    limits = (parse_limit(body) for (body,) in rows)
    return tuple(limit for limit in limits if limit.valid_to is None)


def judge(export: Export, column: Column, limits: Sequence[Limit]) -> Logged:
    energy = export.activation_energy_kj_per_mol
    rules = Rules(tuple(limits), activation_energy_kj_per_mol=energy)
    return logged.judge(*column.series(export.line), rules, export.interval_ms)


def judged(data: bytes, act: AttachLogger, limits: Sequence[Limit]) -> tuple[Export, Column, Logged]:
    """The column that was with the goods. Raises Refused."""
    export = read_export(data, act, ZONE)
    column = one_column(export, act.column)
    return export, column, judge(export, column, limits)


def documents(export: Export, limits: Sequence[Limit]) -> list[dict[str, Any]]:
    """Every column, as `suyuan judge --json` has it."""
    return [document(export, column, judge(export, column, limits)) for column in export.columns]
