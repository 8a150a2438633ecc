"""What leaves because of a commit: a row first, sent after it, at least once, with an id.

In the line: whoever decides that something is to be told -> `put`, in its own transaction -> here, a consumer with a broker
session of its own -> the broker. What goes to a channel instead (a webhook, an address) is `delivering.py`'s, which waits for
nobody here. Contract: a row is deleted when the broker has acknowledged it, in the transaction that took it; a crash between
the two sends it again under the same id.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import paho.mqtt.client as mqtt
import psycopg

from ingest.mqtt_client import client_for

logger = logging.getLogger(__name__)

SENT_AT_ONCE = 200
PATIENCE_S = 5.0

Send = Callable[[Sequence[tuple[str, str]]], bool]
"""(topic, payload) of each; True if the broker has them all."""
Finish = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""What a message says more once it goes out: words and addresses, which no row needs to hold."""


@dataclass(frozen=True, slots=True)
class Row:
    """`key`: a UUID that names the message to whoever gets it, as its member `id` too. `channel`: None is the broker."""

    topic: str
    key: str
    channel: str | None
    body: Mapping[str, Any]


def put(conn: psycopg.Connection, topic: str, body: str, now: datetime) -> None:
    """`body`: a JSON object; it goes out with the row's id as its member `id`."""
    conn.execute("INSERT INTO outbox (topic, body, created_at) VALUES (%s, %s, %s)", [topic, body, now])


_PUT = """
INSERT INTO outbox (topic, key, channel, body, created_at, next_at)
SELECT topic, key, channel, body, now, CASE WHEN channel IS NOT NULL THEN now END
FROM unnest(%s::text[], %s::uuid[], %s::uuid[], %s::text[]::jsonb[]) WITH ORDINALITY AS sent (topic, key, channel, body, place),
     (SELECT %s::timestamptz AS now) AS at ORDER BY place
"""


def put_all(conn: psycopg.Connection, rows: Sequence[Row], now: datetime) -> None:
    if rows:
        columns = [[row.topic for row in rows], [row.key for row in rows], [row.channel for row in rows]]
        conn.execute(_PUT, [*columns, [json.dumps(row.body) for row in rows], now])


_OLDEST = "SELECT id, topic, body FROM outbox WHERE channel IS NULL ORDER BY id LIMIT %s"
_GONE = """
WITH gone AS (DELETE FROM outbox WHERE id = ANY (%s) RETURNING key)
INSERT INTO alert_delivery (message, channel, kind, attempts, ended_at, arrived)
SELECT alert_message.id, NULL, 'mqtt', 1, %s, true FROM gone JOIN alert_message ON alert_message.id = gone.key ON CONFLICT DO NOTHING
"""


def step(conn: psycopg.Connection, now: datetime, *, send: Send, finish: Finish = lambda body: body) -> bool:
    """Returns whether anything was sent."""
    rows = conn.execute(_OLDEST, [SENT_AT_ONCE]).fetchall()
    if not rows:
        return False
    if not send([(topic, json.dumps({"id": number, **finish(body)})) for number, topic, body in rows]):
        logger.warning("the broker is away, what is to be sent waits", extra={"rows": len(rows)})
        return False
    conn.execute(_GONE, [[row[0] for row in rows], now])
    return True


class Sender:
    """A broker session for what goes out; it connects when there is something to send."""

    def __init__(self, url: str, client_id: str) -> None:
        self._client, self._address = client_for(mqtt.Client, url, client_id)
        self._client.max_inflight_messages_set(SENT_AT_ONCE)
        self._client.reconnect_delay_set(1, 30)
        self._started = False
        self._connected = threading.Event()

    def send(self, messages: Sequence[tuple[str, str]]) -> bool:
        """QoS 1, in order. Waits for the broker's acknowledgements, and gives up with the first that takes `PATIENCE_S`: the
        rows' transaction is open meanwhile."""
        if not self._started:
            self._client.on_connect = lambda *_: self._connected.set()
            self._client.on_disconnect = lambda *_: self._connected.clear()
            self._client.connect_async(*self._address, keepalive=30)
            self._client.loop_start()
            self._started = True
        if not self._connected.wait(PATIENCE_S):
            return False
        sent = [self._client.publish(topic, payload, qos=1) for topic, payload in messages]
        try:
            for each in sent:
                each.wait_for_publish(PATIENCE_S)
                if not each.is_published():
                    return False
        except (ValueError, RuntimeError):  # paho: no longer connected, or its queue is full
            return False
        return True

    def stop(self) -> None:
        if self._started:
            self._client.disconnect()
            self._client.loop_stop()
