"""The worker's end at the broker: what arrives goes into a queue, what is committed is acknowledged.

Contract: the callback only enqueues; if paho's network thread ends all the same, `fault` says by what. A message is
acknowledged after its batch committed, in order, and only on the connection it came by: after a reconnect the
broker may give its number to another message.
Which sessions a worker has is `sessions`' to say.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count

import paho.mqtt.client as mqtt
from paho.mqtt.reasoncodes import ReasonCode

from ingest.message import OVERHEAD_BYTES, Message
from ingest.mqtt_client import BlockClient, Published, client_for
from ingest.wire.topics import subscriptions

logger = logging.getLogger(__name__)

RECEIPTS_IN_FLIGHT = 1_000
HELD_BYTES = 32 * 2**20
SUBSCRIBED = "subscribed: what is published from now on is kept for this worker"


class Arrived:
    """Blocks of messages between the network and the line, in the order in which they came; an empty one wakes who waits.

    Beyond HELD_BYTES `put` waits for room and the socket is left unread: with QoS 1 the broker's window bounds what comes, with
    QoS 0 nothing does, and a database that is away would end the worker for want of memory."""

    def __init__(self) -> None:
        self._blocks: queue.SimpleQueue[tuple[list[Message], int]] = queue.SimpleQueue()
        self._room = threading.Condition()
        self.held_bytes = 0

    def put(self, messages: list[Message], leaving: Callable[[], bool] = lambda: False) -> None:
        """`leaving`: asked while there is no room; then it does not wait any longer."""
        size = sum(len(message.payload) for message in messages) + OVERHEAD_BYTES * len(messages)
        with self._room:
            while size and self.held_bytes > HELD_BYTES and not leaving():
                self._room.wait(0.2)
            self.held_bytes += size
        self._blocks.put((messages, size))

    def get(self, timeout: float | None = None) -> list[Message]:
        """Raises queue.Empty."""
        messages, size = self._blocks.get(timeout=timeout)
        with self._room:
            self.held_bytes -= size
            self._room.notify_all()
        return messages

    def qsize(self) -> int:
        return self._blocks.qsize()


class _Client(BlockClient):
    """Hands everything over."""

    arrive: Callable[[list[Published]], None]
    ended: Callable[[BaseException], None]

    def on_published(self, published: list[Published]) -> None:
        self.arrive(published)

    def on_end(self, error: BaseException) -> None:
        self.ended(error)


@dataclass(slots=True)
class Connection:
    """One connection to the broker. `number`: of no other one in this process; `entered`: messages that came by it;
    `committed`: those of them that are stored or in quarantine."""

    number: int
    entered: int = 0
    committed: int = 0


class Subscriber:
    """The broker session. `arrived` is filled by paho's thread, a block's messages at a time, and emptied by the worker's loop."""

    def __init__(
        self,
        url: str,
        client_id: str,
        group: str | None,
        *,
        arrived: Arrived | None = None,
        numbers: Iterator[int] | None = None,
        inherited: bool = False,
        keepalive_s: int = 30,
    ) -> None:
        """`arrived`, `numbers` (of connections): shared with other sessions of the worker. `inherited`: another worker's session,
        which is emptied and gets nothing new."""
        self.arrived = Arrived() if arrived is None else arrived
        self._leaving = False
        self.was_kept: bool | None = None  # whether the broker still had the session; None: not connected yet
        self.entered = 0
        self.subscribed = False
        self.fault: BaseException | None = None
        self._group = group
        self._inherited, self._keepalive_s = inherited, keepalive_s
        self._numbers = numbers or count(1)
        self._connection = Connection(0)
        self._client, self._address = client_for(_Client, url, client_id, kept=True)
        self._client.on_pre_connect = self._on_pre_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.arrive = self._arrive
        self._client.ended = self._ended
        self._client.reconnect_delay_set(1, 30)
        self._client.max_inflight_messages_set(RECEIPTS_IN_FLIGHT)

    def start(self) -> None:
        self._client.connect_async(*self._address, keepalive=self._keepalive_s)
        self._client.loop_start()

    def stop(self) -> None:
        self._leaving = True
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def at_rest(self) -> int | None:
        """How many messages came by this connection, if all of them are committed; None while one is not, or without one."""
        here = self._connection
        settled = self._client.is_connected() and here.entered == here.committed
        return here.entered if settled else None

    def acknowledge(self, messages: Iterable[Message]) -> None:
        tokens = [message.token for message in messages if message.token is not None]
        here = self._connection
        mids = [mid for mid, by in tokens if by == here.number]
        self._client.acknowledge(mid for mid in mids if mid)
        here.committed += len(mids)

    def publish(self, topic: str, payload: str) -> None:
        self._client.publish(topic, payload, qos=1)

    def wake(self) -> None:
        self.arrived.put([])

    def _on_pre_connect(self, _client: mqtt.Client, _data: object) -> None:
        # Before the first byte of the new connection, and not when it is answered: until then an acknowledgement of the old
        # one would still be sent.
        self._connection = Connection(next(self._numbers))

    def _on_connect_fail(self, _client: mqtt.Client, _data: object) -> None:
        logger.warning(
            "the broker does not answer and is tried again",
            extra={"broker": f"{self._address[0]}:{self._address[1]}"},
        )

    def _on_connect(
        self,
        client: mqtt.Client,
        _data: object,
        flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        if reason.is_failure:
            logger.warning("the broker refused the connection", extra={"reason": str(reason)})
            return
        self.was_kept = flags.session_present
        if self._inherited:
            client.unsubscribe(subscriptions(self._group))
        else:
            client.subscribe([(topic, 1) for topic in subscriptions(self._group)])

    def _ended(self, error: BaseException) -> None:
        self.fault = error
        self.wake()

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

    def _arrive(self, published: list[Published]) -> None:
        # Topics are taken as bytes: one that is no UTF-8 goes to quarantine like everything else.
        here = self._connection
        self.entered += len(published)
        here.entered += len(published)
        self.arrived.put(
            [Message(topic, payload, dup, (mid, here.number)) for topic, payload, mid, _, dup in published],
            lambda: self._leaving,
        )
