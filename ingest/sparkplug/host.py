"""A group's broker session: hears the group, and says whether we listen (`spBv1.0/STATE/{host}`).

Place in the line: beside `subscriber`, for one group. Contract: as there, the callback only enqueues and never raises, and a
message is acknowledged after its commit, in order, on the connection that it came by. What edge nodes publish with QoS 0,
as the standard wants it, nobody holds for us: an edge node that is told to wait for this host keeps its data while STATE
says that we are away. Messages are held up to HELD_BYTES; beyond that the socket is left unread, and if that lasts the
broker ends the session and says for us that we are away.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime

import paho.mqtt.client as mqtt
from paho.mqtt.reasoncodes import ReasonCode

from ingest.message import OVERHEAD_BYTES, Message
from ingest.mqtt_client import BoundedClient, client_for
from ingest.wire.sparkplug import rebirth_request
from ingest.wire.sparkplug_topics import command_topic, state_topic, subscription

logger = logging.getLogger(__name__)

HELD_BYTES = 16 * 2**20
BATCH = 2_000


def host_id(group: str) -> str:
    """Client id and Sparkplug host id of a group's owner, whoever that is: the session is the group's."""
    return f"sparkplug-{group}"


class HostSession:
    """`now`: our clock, for the times of STATE and of commands."""

    def __init__(self, url: str, group: str, now: Callable[[], datetime], keepalive_s: int = 30) -> None:
        self.subscribed = threading.Event()
        self._group, self._host, self._now, self._keepalive_s = group, host_id(group), now, keepalive_s
        self._arrived: deque[Message] = deque()
        self._held = 0
        self._to_be_asked: set[str] = set()
        self._changed = threading.Condition()
        self._leaving = False
        self._connection = 0
        self._birth_ms = 0
        self._client, self._address = client_for(BoundedClient, url, self._host, kept=True)
        self._client.on_pre_connect = self._on_pre_connect
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 30)

    def start(self) -> None:
        """Also again, after a stop: what had arrived is still to be taken."""
        self._leaving = False
        self._client.connect_async(*self._address, keepalive=self._keepalive_s)
        self._client.loop_start()

    def stop(self) -> None:
        """Says that we are away before the session ends: a will is published for those alone who did not."""
        with self._changed:
            self._leaving = True
            self._changed.notify_all()
        if self._client.is_connected():
            said = self._say(online=False, time_ms=self._now_ms())
            try:
                said.wait_for_publish(2.0)
            except (RuntimeError, ValueError):
                logger.warning("the broker went before STATE was said", extra={"host": self._host})
        self._client.disconnect()
        self._client.loop_stop()

    def next_batch(self, timeout_s: float) -> list[Message]:
        """What has arrived by now, at most BATCH messages; waits only for the first."""
        with self._changed:
            self._changed.wait_for(lambda: self._arrived, timeout_s)
            taken = [self._arrived.popleft() for _ in range(min(BATCH, len(self._arrived)))]
            self._held -= sum(_size(message) for message in taken)
            self._changed.notify_all()
        return taken

    def acknowledge(self, messages: Iterable[Message]) -> None:
        for message in messages:
            mid, connection = message.token or (0, 0)
            if mid and connection == self._connection:
                self._client.ack(mid, 1)

    def ask_for_births(self, nodes: Iterable[str]) -> None:
        """Now, or as soon as the session stands again. QoS 0 and not retained, as the standard wants commands."""
        with self._changed:
            self._to_be_asked |= set(nodes)
        if self.subscribed.is_set():
            self._ask()

    def _ask(self) -> None:
        with self._changed:
            nodes, self._to_be_asked = self._to_be_asked, set()
        for node in sorted(nodes):
            logger.info("asking for a birth", extra={"group": self._group, "node": node})
            self._client.publish(command_topic(self._group, node), rebirth_request(self._now_ms()))

    def _now_ms(self) -> int:
        return round(self._now().timestamp() * 1000)

    def _say(self, *, online: bool, time_ms: int) -> mqtt.MQTTMessageInfo:
        return self._client.publish(state_topic(self._host), _state(online, time_ms), qos=1, retain=True)

    def _on_pre_connect(self, client: mqtt.Client, _data: object) -> None:
        self._connection += (
            1  # and not when it is answered: until then an old acknowledgement would still be sent
        )
        # Every CONNECT has a will with a time of its own, and the birth after it the same time.
        self._birth_ms = self._now_ms()
        client.will_set(state_topic(self._host), _state(False, self._birth_ms), qos=1, retain=True)

    def _on_connect(
        self, client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            logger.warning("the broker refused the connection", extra={"reason": str(reason)})
            return
        client.subscribe([(subscription(self._group), 1), (state_topic(self._host), 1)])

    def _on_subscribe(
        self, _client: mqtt.Client, _data: object, _mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            logger.error(
                "the broker refused a subscription", extra={"reasons": [str(reason) for reason in reasons]}
            )
            return
        self._say(online=True, time_ms=self._birth_ms)
        self.subscribed.set()
        self._ask()
        logger.info("listening to a Sparkplug group", extra={"group": self._group})

    def _on_disconnect(self, *_: object) -> None:
        self.subscribed.clear()

    def _on_message(self, client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        topic, payload = message._topic, bytes(message.payload)
        if topic == state_topic(self._host).encode():
            client.ack(message.mid, message.qos)
            # The will of a session before this one may come after our birth: without a word from us it would stand.
            if not self._leaving and _says_offline(payload):
                self._say(online=True, time_ms=self._birth_ms)
            return
        token = message.mid, self._connection
        with self._changed:
            self._changed.wait_for(lambda: self._held < HELD_BYTES or self._leaving)
            arrived = Message(topic, payload, bool(message.dup), token)
            self._arrived.append(arrived)
            self._held += _size(arrived)
            self._changed.notify_all()


def _size(message: Message) -> int:
    return len(message.payload) + OVERHEAD_BYTES


def _state(online: bool, time_ms: int) -> bytes:
    return json.dumps({"online": online, "timestamp": time_ms}).encode()


def _says_offline(payload: bytes) -> bool:
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.get("online") is False
