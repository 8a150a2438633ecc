"""One ingest worker: a broker session, a queue, and the loop that takes batches down the line.

Contract: the callback only enqueues and never raises (an exception there ends paho's network thread). A message is
acknowledged after its batch committed, in order, and only on the connection it came by: after a reconnect the
broker may give its number to another message. The next batch is what arrived while the last one committed.
A worker holds a slot `{prefix}-{k}` by an advisory lock on a connection of its own; the slot's client id has a kept
session, so what was in flight when a worker died comes to the next holder.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import paho.mqtt.client as mqtt
import psycopg
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from ingest import pipeline
from ingest.broker_address import broker_address
from ingest.pipeline import Away, Line, Message, Outcome
from ingest.wire.topics import receipt_topic, subscriptions

logger = logging.getLogger(__name__)

BATCH = 2_000
# A backlog of large packs is decoded piece by piece: as objects it takes ten times as much.
BATCH_BYTES = 16 * 2**20
SLOT_LOCK = 0x5359_0100  # "SY", ingest slots; the slot's number is the second key
SLOTS = 64
SUBSCRIBED = "subscribed: what is published from now on is kept for this worker"


class NoSlot(RuntimeError):
    """All ingest slots are taken. Stop a worker, or raise the number of slots."""


@dataclass(frozen=True, slots=True)
class Token:
    """What acknowledging needs: the packet's number and the connection it came by."""

    mid: int
    qos: int
    connection: int


def lease_slot(conn: psycopg.Connection) -> int:
    """The lowest free slot, held as long as `conn` lives (autocommit)."""
    for slot in range(SLOTS):
        row = conn.execute("SELECT pg_try_advisory_lock(%s, %s)", [SLOT_LOCK, slot]).fetchone()
        if row is not None and row[0]:
            return slot
    raise NoSlot(f"all {SLOTS} ingest slots are taken")


class Subscriber:
    """The broker session. `arrived` is filled by paho's thread and emptied by the worker's loop."""

    def __init__(self, url: str, client_id: str, group: str | None) -> None:
        self.arrived: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.entered = 0
        self.subscribed = False
        self._group = group
        self._connection = 0
        address = broker_address(url)
        self._address = (address.host, address.port)
        # 3.1.1 for our own side: paho parses it twice as fast, and devices speak what they like.
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=False,
            protocol=mqtt.MQTTv311,
            manual_ack=True,
        )
        if address.user:
            self._client.username_pw_set(address.user, address.password)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 30)

    def start(self) -> None:
        self._client.connect_async(*self._address, keepalive=30)
        self._client.loop_start()

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def acknowledge(self, messages: list[Message]) -> None:
        for message in messages:
            token = message.token
            if isinstance(token, Token) and token.connection == self._connection:
                self._client.ack(token.mid, token.qos)

    def send_receipts(self, outcome: Outcome) -> None:
        for device, receipt in outcome.receipts:
            body = {"boot": receipt.boot, "through": receipt.through, "gaps": receipt.gaps}
            self._client.publish(
                receipt_topic(device.organisation, device.external_id), json.dumps(body), qos=1
            )

    def _on_connect(
        self, client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        self._connection += 1
        if reason.is_failure:
            logger.warning("the broker refused the connection", extra={"reason": str(reason)})
            return
        client.subscribe([(topic, 1) for topic in subscriptions(self._group)])

    def _on_subscribe(
        self, _client: mqtt.Client, _data: object, _mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        # From here on the session is kept at the broker: what is published before it, without it, goes to nobody.
        if any(reason.is_failure for reason in reasons):
            logger.error(
                "the broker refused a subscription", extra={"reasons": [str(reason) for reason in reasons]}
            )
        else:
            self.subscribed = True
            logger.info(SUBSCRIBED)

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        # message.topic decodes and raises on bytes that are no UTF-8, so the raw bytes are taken.
        self.entered += 1
        token = Token(message.mid, message.qos, self._connection)
        self.arrived.put(Message(message._topic, bytes(message.payload), bool(message.dup), token))


def serve(
    subscriber: Subscriber,
    connect: Callable[[], psycopg.Connection],
    line: Line,
    now: Callable[[], datetime],
    stop: threading.Event,
) -> None:
    """Run until `stop`. Everything taken from the queue is committed or still unacknowledged at the broker."""
    conn: psycopg.Connection | None = None
    backoff_s = 0.1
    messages: list[Message] = []
    try:
        while not stop.is_set():
            messages = messages or _next_batch(subscriber.arrived)
            if not messages:
                continue
            try:
                conn = conn if conn is not None and not conn.closed else connect()
                outcome = pipeline.run(conn, line, messages, now())
            except (Away, psycopg.OperationalError) as error:
                logger.warning(
                    "the database is away, the batch is kept",
                    extra={"error": str(error), "messages": len(messages)},
                )
                _drop(conn)
                conn = None
                stop.wait(backoff_s)
                backoff_s = min(backoff_s * 2, 10.0)
                continue
            backoff_s = 0.1
            subscriber.acknowledge(messages)
            subscriber.send_receipts(outcome)
            messages = []
    finally:
        _drop(conn)


def _next_batch(arrived: queue.SimpleQueue[Message]) -> list[Message]:
    """What has arrived by now, at most BATCH messages and about BATCH_BYTES; waits only for the first."""
    try:
        messages = [arrived.get(timeout=0.2)]
    except queue.Empty:
        return []
    held = len(messages[0].payload)
    while len(messages) < BATCH and held < BATCH_BYTES:
        try:
            messages.append(arrived.get_nowait())
        except queue.Empty:
            break
        held += len(messages[-1].payload)
    return messages


def _drop(conn: psycopg.Connection | None) -> None:
    if conn is not None:
        conn.close()
