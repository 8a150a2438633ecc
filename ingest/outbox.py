"""What leaves because of a commit: a row first, sent after it, at least once, with an id.

In the line: whoever decides that something is to be told -> `put`, in its own transaction -> here, a consumer with a broker
session of its own -> the broker. Contract: a row is deleted when the broker has acknowledged it, in the transaction that
took it; a crash between the two sends it again under the same id.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime

import paho.mqtt.client as mqtt
import psycopg

from ingest.mqtt_client import client_for

logger = logging.getLogger(__name__)

SENT_AT_ONCE = 200
PATIENCE_S = 5.0

Send = Callable[[Sequence[tuple[str, str]]], bool]
"""(topic, payload) of each; True if the broker has them all."""


def put(conn: psycopg.Connection, topic: str, body: str, now: datetime) -> None:
    """`body`: a JSON object; it goes out with the row's id as its member `id`."""
    conn.execute("INSERT INTO outbox (topic, body, created_at) VALUES (%s, %s, %s)", [topic, body, now])


_OLDEST = "SELECT id, topic, body FROM outbox ORDER BY id LIMIT %s"


def step(conn: psycopg.Connection, _now: datetime, *, send: Send) -> bool:
    """Returns whether anything was sent."""
    rows = conn.execute(_OLDEST, [SENT_AT_ONCE]).fetchall()
    if not rows:
        return False
    if not send([(topic, json.dumps({"id": number} | body)) for number, topic, body in rows]):
        logger.warning("the broker is away, what is to be sent waits", extra={"rows": len(rows)})
        return False
    conn.execute("DELETE FROM outbox WHERE id = ANY (%s)", [[number for number, _, _ in rows]])
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
