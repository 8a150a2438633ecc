"""A group's messages down the line: read in their order by what the births said, admitted, stored with where the order stands.

Place in the line: `host` -> here -> `pipeline.transact`. Contract: as `pipeline.run`, and the nodes' states are written in the
transaction of their messages, so that whoever reads on after a crash knows what was taken. A message without a measurement,
such as a death, changes its node's state and is in no account. `take` is for the owner of the group, message by message as
they came; `replay` reads one at a time by the births that stand, and changes none.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg

from ingest import pipeline
from ingest.admission import FLAG_HISTORICAL, Admitted, Refusal, Window, admit_pack, window_at
from ingest.decoding import Decoded
from ingest.intake import Intake
from ingest.message import Message
from ingest.pipeline import Away, Line, is_transient, refused_by
from ingest.registry import Device, Registry
from ingest.sparkplug import session, stored
from ingest.sparkplug.session import DIGEST_BYTES, Node, Sample
from ingest.sparkplug.stored import KnownBirths, NodeKey
from ingest.wire.errors import WireError
from ingest.wire.senml import Measured, Pack
from ingest.wire.sparkplug import Payload, decode
from ingest.wire.sparkplug_topics import SCHEME, SparkplugAddress, parse_topic

logger = logging.getLogger(__name__)

COMMANDS = ("NCMD", "DCMD")

Said = tuple[Sample, ...] | WireError


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as far as it can be read without its birth. `fault`: why it cannot."""

    message: Message
    address: SparkplugAddress | None = None
    payload: Payload | None = None
    fault: WireError | None = None

    @property
    def key(self) -> NodeKey | None:
        return None if self.address is None else NodeKey(self.address.group, self.address.node)


def take(
    conn: psycopg.Connection, line: Line, messages: Sequence[Message], now: datetime, known: KnownBirths
) -> list[NodeKey]:
    """Take a batch to its commit. Returns the nodes to be asked for a birth. Raises Away; then nothing is written."""
    return _run(conn, line, messages, now, _InOrder(known))


def replay(
    conn: psycopg.Connection, line: Line, messages: Sequence[Message], now: datetime, known: KnownBirths
) -> None:
    """The same for messages out of their order, such as out of quarantine; nobody is asked for anything."""
    _run(conn, line, messages, now, _OutOfOrder(known))


def _run(
    conn: psycopg.Connection, line: Line, messages: Sequence[Message], now: datetime, order: _Order
) -> list[NodeKey]:
    heard = [hear(message) for message in messages]
    try:
        return _commit(conn, line, heard, now, order)
    except psycopg.Error as error:
        if not is_transient(error):
            raise
        raise Away(f"the database is away: {error}") from error


def hear(message: Message) -> Heard:
    """Never raises."""
    address = None
    try:
        address = parse_topic(message.topic)
        return Heard(message, address, decode(message.payload))
    except WireError as error:
        return Heard(message, address, fault=error)
    except Exception as error:
        logger.exception("a decoder failed", extra={"topic": repr(message.topic)})
        fault = WireError("decoder_fault", f"our decoder failed on it: {error!r}")
        return Heard(message, address, fault=fault)


def _commit(
    conn: psycopg.Connection, line: Line, heard: Sequence[Heard], now: datetime, order: _Order
) -> list[NodeKey]:
    try:
        with conn.transaction():
            return _transact(conn, line, heard, now, order)
    except psycopg.Error as error:
        too_long = isinstance(error, psycopg.errors.QueryCanceled) and len(heard) > 1
        if is_transient(error) and not too_long:
            raise
        if len(heard) == 1:
            return _refuse(conn, line, heard[0], now, order, error)
    middle = len(heard) // 2
    left = _commit(conn, line, heard[:middle], now, order)
    return left + _commit(conn, line, heard[middle:], now, order)


def _transact(
    conn: psycopg.Connection, line: Line, heard: Sequence[Heard], now: datetime, order: _Order
) -> list[NodeKey]:
    order.begin(conn, [item.key for item in heard if item.key is not None])
    refresh = _refreshing(conn, line.registry)
    batch, window = Intake(now, line.retention), window_at(now, line.retention)
    for item in heard:
        said = _say(item, order, now)
        if said:
            _add(batch, item, said, line.registry, window, refresh)
    if batch.messages:
        pipeline.transact(conn, line, batch)
    return order.end(conn)


def _say(item: Heard, order: _Order, now: datetime) -> Said:
    """Empty: nothing is measured by it."""
    if item.address is not None and item.address.kind in COMMANDS:
        return ()
    if item.fault is not None or item.address is None or item.payload is None:
        return item.fault or WireError("unknown_topic", "the topic names no edge node")
    try:
        return order.said(item, item.address, item.payload, now)
    except Exception as error:
        logger.exception("a session failed", extra={"topic": repr(item.message.topic)})
        return WireError("decoder_fault", f"our decoder failed on it: {error!r}")


# --- in order, and out of it --------------------------------------------------------------------------------------


class _InOrder:
    """Each message is the next of its node."""

    def __init__(self, known: KnownBirths) -> None:
        self._known = known
        self._before: dict[NodeKey, Node] = {}
        self._nodes: dict[NodeKey, Node] = {}
        self._asked: list[NodeKey] = []

    def begin(self, conn: psycopg.Connection, keys: Sequence[NodeKey]) -> None:
        self._before = stored.load(conn, keys, self._known, lock=True)
        self._nodes, self._asked = dict(self._before), []

    def said(self, item: Heard, address: SparkplugAddress, payload: Payload, now: datetime) -> Said:
        key = NodeKey(address.group, address.node)
        digest = hashlib.blake2b(item.message.payload, digest_size=DIGEST_BYTES).digest()
        step = session.take(self._nodes.get(key), address, payload, digest, now, item.message.redelivered)
        self._nodes[key] = step.node
        if step.rebirth:
            self._asked.append(key)
        return step.said

    def end(self, conn: psycopg.Connection) -> list[NodeKey]:
        changed = {key: node for key, node in self._nodes.items() if node is not self._before.get(key)}
        stored.save(conn, changed, self._before, self._known)
        return self._asked


class _OutOfOrder:
    """Each message stands for itself."""

    def __init__(self, known: KnownBirths) -> None:
        self._known = known
        self._nodes: dict[NodeKey, Node] = {}

    def begin(self, conn: psycopg.Connection, keys: Sequence[NodeKey]) -> None:
        self._nodes = stored.load(conn, keys, self._known)

    def said(self, _item: Heard, address: SparkplugAddress, payload: Payload, now: datetime) -> Said:
        return session.replay(self._nodes.get(NodeKey(address.group, address.node)), address, payload, now)

    def end(self, _conn: psycopg.Connection) -> list[NodeKey]:
        return []


_Order = _InOrder | _OutOfOrder


# --- admission ----------------------------------------------------------------------------------------------------


def _refreshing(conn: psycopg.Connection, registry: Registry) -> Callable[[], None]:
    """Asks for what was registered since, at most once for a batch."""
    if registry.is_due():
        registry.refresh(conn)
    asked = False

    def refresh() -> None:
        nonlocal asked
        if not asked:
            asked = True
            registry.refresh(conn)

    return refresh


def _add(
    batch: Intake, item: Heard, said: Said, registry: Registry, window: Window, refresh: Callable[[], None]
) -> None:
    external_id = item.address.external_id if item.address is not None else ""
    if not _knows(registry.device(external_id, SCHEME), said):
        refresh()
    device = registry.device(external_id, SCHEME)
    index = len(batch.messages)
    records = _records(item, said)
    sent_ms = item.payload.sent_ms if item.payload is not None else None
    if isinstance(said, WireError):
        admitted = _refused(index, device, records, said)
    elif device is None:
        unknown = WireError(
            "unknown_device",
            f"no device {external_id!r} of scheme {SCHEME!r} is registered; register it (suyuan register); the message is kept",
        )
        admitted = _refused(index, device, records, unknown)
    else:
        admitted = admit(index, said, sent_ms, device, window)
    batch.add(item.message, Decoded(index, records, pack=Pack(None, None, sent_ms, False, ())), admitted)


def _knows(device: Device | None, said: Said) -> bool:
    if device is None:
        return False
    return isinstance(said, WireError) or all(
        sample.measured.channel in device.series for sample in said if isinstance(sample.measured, Measured)
    )


def _records(item: Heard, said: Said) -> int:
    if not isinstance(said, WireError):
        return len(said)
    return 1 if item.payload is None else session.weight(item.payload)


def _refused(index: int, device: Device | None, records: int, fault: WireError) -> Admitted:
    refusal = Refusal(index, device, None, None, records, fault.reason, fault.detail)
    return Admitted(device, refusals=(refusal,))


def admit(
    index: int, said: Sequence[Sample], sent_ms: int | None, device: Device, window: Window
) -> Admitted:
    """What a message's samples come to; nothing raises for what a device sent."""
    parts = [
        _refused(index, device, 1, sample.measured)
        for sample in said
        if isinstance(sample.measured, WireError)
    ]
    for flags, server_time in ((0, False), (FLAG_HISTORICAL, False), (0, True), (FLAG_HISTORICAL, True)):
        records = tuple(
            sample.measured
            for sample in said
            if isinstance(sample.measured, Measured)
            and (sample.historical, sample.server_time) == (bool(flags), server_time)
        )
        if records:
            pack = Pack(None, None, sent_ms, server_time, records)
            parts.append(admit_pack(index, pack, device, window, flags))
    return Admitted(
        device,
        tuple(reading for part in parts for reading in part.readings),
        tuple(observation for part in parts for observation in part.observations),
        (),
        tuple(refusal for part in parts for refusal in part.refusals),
    )


def _refuse(
    conn: psycopg.Connection, line: Line, item: Heard, now: datetime, order: _Order, error: psycopg.Error
) -> list[NodeKey]:
    """The message with nothing taken of it. Its node reads on after it, unless that is what the database refused: then the
    next message shows a gap."""
    batch = Intake(now, line.retention)
    device = line.registry.device(item.address.external_id, SCHEME) if item.address is not None else None
    records = 1 if item.payload is None else session.weight(item.payload)
    refusal = Refusal(0, device, None, None, records, "database_refused", refused_by(error))
    batch.add(item.message, Decoded(0, records), Admitted(device, refusals=(refusal,)))
    try:
        with conn.transaction():
            order.begin(conn, [item.key] if item.key is not None else [])
            _say(item, order, now)
            pipeline.transact(conn, line, batch)
            return order.end(conn)
    except psycopg.Error as again:
        if is_transient(again):
            raise
    pipeline.transact(conn, line, batch)
    return []
