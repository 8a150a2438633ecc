"""A group's messages down the line, and where the order of each edge node stands with them.

Place in the line: `host` -> here -> `pipeline.transact`. Contract: as `pipeline.run`, and the nodes' states are written in the
transaction of their messages, so that whoever reads on after a crash knows what was taken. A message without a measurement,
such as a death, changes its node's state and is in no account. `take` is for the owner of the group, message by message as
they came; `reread` reads what comes out of quarantine by the births that stand, and changes none.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import psycopg

from ingest import pipeline
from ingest.admission import Window, window_at
from ingest.faults import NO_MESSAGES_FAULT
from ingest.intake import UNKNOWN_DEVICE, Intake, Once
from ingest.message import Message
from ingest.pipeline import Away, Line, is_installations, is_transient, refused_by
from ingest.registry import Registry
from ingest.sparkplug import session, stored
from ingest.sparkplug.entering import Heard, Said, enter, hear, say
from ingest.sparkplug.session import DIGEST_BYTES, Node
from ingest.sparkplug.stored import KnownBirths, NodeKey
from ingest.wire.errors import WireError
from ingest.wire.sparkplug import Payload
from ingest.wire.sparkplug_topics import SCHEME, SparkplugAddress

logger = logging.getLogger(__name__)


def take(
    conn: psycopg.Connection, line: Line, messages: Sequence[Message], now: datetime, known: KnownBirths
) -> list[NodeKey]:
    """Take a batch to its commit. Returns the nodes to be asked for a birth. Raises Away; then nothing is written."""
    heard = [hear(message) for message in messages]
    try:
        return _commit(conn, line, heard, now, known)
    except psycopg.Error as error:
        line.numbers.forget()
        known.forget()
        if not is_transient(error):
            raise
        raise Away(f"the database is away: {error}") from error


def reread(
    conn: psycopg.Connection,
    registry: Registry,
    messages: Sequence[Message],
    retention: timedelta,
    received_at: datetime,
) -> Intake:
    """Messages out of their order, each for itself, to be written by the caller. `received_at`: when they came. By times that
    an unknown clock may show: what is known of it now is not what was known then, as in `replay`."""
    heard = [hear(message) for message in messages]
    nodes = stored.load(conn, _nodes(heard), KnownBirths())

    def read(address: SparkplugAddress, payload: Payload | WireError) -> Said:
        if isinstance(payload, WireError):
            return payload
        return session.replay(nodes.get(NodeKey(address.group, address.node)), address, payload, received_at)

    said = [(item, say(item, read)) for item in heard]
    return _batch(
        said, registry, window_at(received_at, retention), retention, received_at, _once(conn, registry)
    )


def _commit(
    conn: psycopg.Connection, line: Line, heard: Sequence[Heard], now: datetime, known: KnownBirths
) -> list[NodeKey]:
    try:
        with conn.transaction():
            return _transact(conn, line, heard, now, known)
    except psycopg.Error as error:
        too_long = isinstance(error, psycopg.errors.QueryCanceled) and len(heard) > 1
        if (is_transient(error) and not too_long) or is_installations(error):
            raise
        if len(heard) == 1:
            fault = WireError("database_refused", refused_by(error))
            return _refuse(conn, line, heard[0], now, known, fault)
    except NO_MESSAGES_FAULT:
        raise
    except Exception as error:
        if len(heard) == 1:
            return _refuse(conn, line, heard[0], now, known, _ours(line, heard[0], error))
    middle = len(heard) // 2
    left = _commit(conn, line, heard[:middle], now, known)
    return left + _commit(conn, line, heard[middle:], now, known)


def _transact(
    conn: psycopg.Connection, line: Line, heard: Sequence[Heard], now: datetime, known: KnownBirths
) -> list[NodeKey]:
    before = stored.load(conn, _nodes(heard), known, lock=True)
    order = _Order(before, now)
    said = [(item, order.say(item)) for item in heard]
    batch = _open(conn, line, [pair for pair in said if pair[1]], now)
    if batch.messages:
        outcome = pipeline.transact(conn, line, batch)
        if outcome.records[1] or outcome.records[2]:
            line.faults.passed()
    stored.save(conn, order.changed(), before, known)
    return order.to_be_asked


def _ours(line: Line, item: Heard, error: Exception) -> WireError:
    """A fault of our own on one message. Raises it where nothing gets past it (`faults`)."""
    device = line.registry.device(item.external_id, SCHEME)
    if line.faults.is_everything([UNKNOWN_DEVICE if device is None else device.id]):
        raise error
    logger.error("writing a message failed", extra={"topic": repr(item.message.topic)}, exc_info=error)
    return WireError("decoder_fault", f"our own code failed on it as it was written: {error!r}")


def _refuse(
    conn: psycopg.Connection,
    line: Line,
    item: Heard,
    now: datetime,
    known: KnownBirths,
    fault: WireError,
) -> list[NodeKey]:
    """The message with nothing taken of it. Its node reads on after it, unless that is what cannot be written: then it awaits
    its next birth."""
    try:
        with conn.transaction():
            before = stored.load(conn, _nodes([item]), known, lock=True)
            order = _Order(before, now)
            order.say(item)
            pipeline.transact(conn, line, _open(conn, line, [(item, fault)], now))
            stored.save(conn, order.changed(), before, known)
            return order.to_be_asked
    except psycopg.Error as again:
        if is_transient(again) or is_installations(again):
            raise
    except NO_MESSAGES_FAULT:
        raise
    except Exception as again:
        logger.error(
            "writing a node's order failed", extra={"topic": repr(item.message.topic)}, exc_info=again
        )
    with conn.transaction():
        before = stored.load(conn, _nodes([item]), known, lock=True)
        pipeline.transact(conn, line, _open(conn, line, [(item, fault)], now))
        broken = {key: replace(node, awaits_birth=True) for key, node in before.items()}
        stored.save(conn, broken, before, known)
    return []


class _Order:
    """Each message is the next of its node."""

    def __init__(self, before: Mapping[NodeKey, Node], now: datetime) -> None:
        self._before, self._now = before, now
        self._nodes = dict(before)
        self.to_be_asked: list[NodeKey] = []

    def say(self, item: Heard) -> Said:
        digest = hashlib.blake2b(item.message.payload, digest_size=DIGEST_BYTES).digest()
        again = item.message.redelivered

        def read(address: SparkplugAddress, payload: Payload | WireError) -> Said:
            key = NodeKey(address.group, address.node)
            node = self._nodes.get(key)
            if isinstance(payload, WireError):
                step = session.take_unreadable(node, address, payload, digest, self._now, again)
            else:
                step = session.take(node, address, payload, digest, self._now, again)
            self._nodes[key] = step.node
            if step.rebirth:
                self.to_be_asked.append(key)
            return step.said

        return say(item, read)

    def changed(self) -> dict[NodeKey, Node]:
        return {key: node for key, node in self._nodes.items() if node is not self._before.get(key)}


def _nodes(heard: Iterable[Heard]) -> list[NodeKey]:
    return [item.node for item in heard if item.node is not None]


def _open(conn: psycopg.Connection, line: Line, said: Iterable[tuple[Heard, Said]], now: datetime) -> Intake:
    """The batch of what was just heard."""
    refresh = _once(conn, line.registry)
    if line.registry.is_due():
        refresh()
        line.clocks.refresh(conn, now)
    window = window_at(now, line.retention, line.clocks.ahead_ms)
    return _batch(said, line.registry, window, line.retention, now, refresh)


def _batch(
    said: Iterable[tuple[Heard, Said]],
    registry: Registry,
    window: Window,
    retention: timedelta,
    received_at: datetime,
    refresh: Callable[[], None],
) -> Intake:
    batch = Intake(received_at, retention)
    for item, what in said:
        enter(batch, item, what, registry, window, refresh)
    return batch


def _once(conn: psycopg.Connection, registry: Registry) -> Once:
    return Once(partial(registry.refresh, conn))
