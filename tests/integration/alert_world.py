"""One truck of one organisation with one probe and one limit (above 5 °C for 10 minutes), for tests of alerts: readings by the minute,
detected when the test says so."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ingest import alerts, marks
from tests.acceptance.instance import Instance
from tests.unit.ingest.coldchain.cases import limit_json

START = datetime(2026, 6, 20, tzinfo=UTC)
NOW = START + timedelta(days=1)
MINUTE = timedelta(minutes=1)
TRUCK = "https://id.gs1.org/8004/95212340TRUCK9"
RULE = limit_json(minutes=10, force="recommended", verified=False)

WORLD = f"""
INSERT INTO organisation (id, name_zh, name_en, party, kind, publishes) VALUES
  ('coop', '合作社', 'Cooperative', 'urn:coop', 'carrier', true), ('rival', '同行', 'Rival', 'urn:rival', 'carrier', false);
INSERT INTO place (id, organisation, kind, name_zh, name_en) VALUES ('{TRUCK}', 'coop', 'vehicle', '九号车', 'Truck nine');
INSERT INTO device (organisation, external_id, giai, model, interval_s) VALUES ('coop', 'probe-1', 'urn:d:1', 'T', 60);
INSERT INTO series (organisation, device_id, channel, quantity, unit) SELECT 'coop', id, 'box', 'temperature', 'Cel' FROM device;
INSERT INTO placement (series_id, organisation, parent, probe_position, valid, conflict)
  SELECT id, 'coop', '{TRUCK}', 'in_box', tstzrange('{START}', NULL), false FROM series;
INSERT INTO presence (holder, lot, rule_product, stage, valid) VALUES ('{TRUCK}', 'urn:lot:1', 'yangmei', 'loaded', tstzrange('{START}', NULL)),
  ('{TRUCK}', 'urn:lot:2', 'yangmei', 'loaded', tstzrange('{START}', NULL));
INSERT INTO batch (worker, received_at, messages, redelivered) VALUES ('w', now(), 0, 0);
"""


class Truck:
    """`told`: by what was told since one asked last."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        instance.alter(WORLD)
        instance.alter(
            "INSERT INTO limit_version (id, version, product, stages, positions, body) VALUES (%s, 1, 'yangmei', %s, %s, %s)",
            RULE["id"], RULE["stages"], RULE["positions"], json.dumps(RULE),
        )  # fmt: skip
        self._heard: set[Any] = set()

    def send(self, readings: Mapping[int, float], *, step: int | None = None, now: datetime = NOW) -> None:
        """By minute since START; `step`: so many a mark, each detected before the next comes."""
        minutes = list(readings)
        size = step or len(minutes)
        for first in range(0, len(minutes), size):
            part = minutes[first : first + size]
            self.instance.alter(
                "INSERT INTO reading_store SELECT 1, time, value, 0, 1 FROM unnest(%s::timestamptz[], %s::float8[]) AS sent (time, value)"
                " ON CONFLICT DO NOTHING",
                [START + minute * MINUTE for minute in part],
                [readings[minute] for minute in part],
            )
            self.detect(part, now)

    def take_away(self, minutes: Iterable[int], now: datetime = NOW) -> None:
        gone = list(minutes)
        self.instance.alter(
            "DELETE FROM reading_store WHERE time = ANY (%s)", [START + minute * MINUTE for minute in gone]
        )
        self.detect(gone, now)

    def detect(self, minutes: Iterable[int], now: datetime = NOW) -> None:
        touched = {1: (START + min(minutes) * MINUTE, START + max(minutes) * MINUTE)}
        with self.instance.as_role("jobs") as conn:
            marks.leave(conn, touched, now, consumers=("detection",))
        while self.instance.consume("detection", now):
            continue

    def until(self, moment: int) -> None:
        """The goods leave."""
        self.instance.alter(
            "UPDATE presence SET valid = tstzrange(lower(valid), %s)", START + moment * MINUTE
        )
        with self.instance.as_role("jobs") as conn:
            marks.leave(conn, {1: (START, NOW)}, NOW, reason="placement", consumers=("detection",))
        while self.instance.consume("detection", NOW):
            continue

    def escalate(self, now: datetime, *after_minutes: float) -> None:
        with self.instance.as_role("jobs") as conn:
            alerts.escalate(conn, now, after_minutes=after_minutes or (15.0, 60.0))

    def told(self) -> list[tuple[str, int]]:
        """What and of which grade, since one asked last."""
        found = self.instance.rows(
            "SELECT alert_message.id, what, grade FROM alert_message JOIN outbox ON key = alert_message.id WHERE channel IS NULL ORDER BY outbox.id"
        )
        new = [(what, grade) for identity, what, grade in found if identity not in self._heard]
        self._heard |= {identity for identity, _, _ in found}
        return new

    def bodies(self) -> list[dict[str, Any]]:
        """What waits for the broker."""
        return [
            body
            for (body,) in self.instance.rows("SELECT body FROM outbox WHERE channel IS NULL ORDER BY id")
        ]

    def alerts(self) -> list[tuple[Any, ...]]:
        return self.instance.rows("SELECT grade, level, closed_by FROM alert ORDER BY excursion")

    def channel(self, kind: str, address: str, level: int = 0, organisation: str = "coop") -> str:
        return str(
            self.instance.one(
                "SELECT alert_channel_add(%s, %s, %s, %s::smallint, %s)",
                organisation,
                kind,
                address,
                level,
                NOW,
            )
        )


def flat(*stretches: tuple[int, int, float]) -> dict[int, float]:
    """(first minute, minute after the last, °C), a reading a minute."""
    return {minute: value for first, end, value in stretches for minute in range(first, end)}
