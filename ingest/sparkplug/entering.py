"""A message of a group into the open batch: read as far as it can be without its birth, and admitted once it was read.

Place in the line: between `session`, which knows what a message says, and `intake`. Contract: as `decoding` and `admission`
have it: nothing raises for what an edge node sent, and every sample comes out once, admitted or refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ingest.admission import FLAG_HISTORICAL, Admitted, Refusal, Window, admit_pack
from ingest.decoding import Decoded
from ingest.intake import Intake
from ingest.message import Message
from ingest.registry import Device, Registry
from ingest.sparkplug.session import Sample, weight
from ingest.sparkplug.stored import NodeKey
from ingest.wire.errors import WireError
from ingest.wire.senml import Measured, Pack
from ingest.wire.sparkplug import Payload, decode
from ingest.wire.sparkplug_topics import SCHEME, SparkplugAddress, parse_topic

logger = logging.getLogger(__name__)

COMMANDS = ("NCMD", "DCMD")

Said = tuple[Sample, ...] | WireError
"""Empty: nothing is measured by the message. An error: why the whole of it cannot be read."""


@dataclass(frozen=True, slots=True)
class Heard:
    """`address`: None where the topic is none. `payload`: or why it cannot be read."""

    message: Message
    address: SparkplugAddress | None
    payload: Payload | WireError

    @property
    def node(self) -> NodeKey | None:
        return None if self.address is None else NodeKey(self.address.group, self.address.node)

    @property
    def external_id(self) -> str:
        return "" if self.address is None else self.address.external_id

    @property
    def sent_ms(self) -> int | None:
        return None if isinstance(self.payload, WireError) else self.payload.sent_ms

    @property
    def weight(self) -> int:
        return 1 if isinstance(self.payload, WireError) else weight(self.payload)


def hear(message: Message) -> Heard:
    address = None
    try:
        address = parse_topic(message.topic)
        return Heard(message, address, decode(message.payload))
    except WireError as error:
        return Heard(message, address, error)
    except Exception as error:
        return Heard(message, address, _fault(message, error))


def say(item: Heard, read: Callable[[SparkplugAddress, Payload | WireError], Said]) -> Said:
    """What a message says by `read`, which knows its node; also of one that cannot be read, which may break an order."""
    if item.address is None:
        assert isinstance(item.payload, WireError)
        return item.payload
    if item.address.kind in COMMANDS:
        return ()  # our own, mostly: the group's subscription brings them back
    try:
        return read(item.address, item.payload)
    except Exception as error:
        return _fault(item.message, error)


def _fault(message: Message, error: Exception) -> WireError:
    """A fault of ours in reading one message must not stop the others, nor lose this one: it can be replayed."""
    logger.error("a decoder failed", extra={"topic": repr(message.topic)}, exc_info=error)
    return WireError("decoder_fault", f"our decoder failed on it: {error!r}")


def enter(
    batch: Intake, item: Heard, said: Said, registry: Registry, window: Window, refresh: Callable[[], None]
) -> None:
    """`refresh`: reads the registry again if it may have news."""
    if not _knows(registry.device(item.external_id, SCHEME), said):
        refresh()
    device = registry.device(item.external_id, SCHEME)
    index = len(batch.messages)
    records = item.weight if isinstance(said, WireError) else len(said)
    if isinstance(said, WireError):
        admitted = refused(index, device, records, said)
    elif said and device is None:
        unknown = WireError(
            "unknown_device",
            f"no device {item.external_id!r} of scheme {SCHEME!r} is registered; register it (suyuan register); the message is kept",
        )
        admitted = refused(index, None, records, unknown)
    else:
        admitted = admit(index, said, item.sent_ms, device, window)
    pack = Pack(None, None, item.sent_ms, server_time=False, records=())
    batch.add(item.message, Decoded(index, records, pack=pack), admitted)


def _knows(device: Device | None, said: Said) -> bool:
    if device is None or isinstance(said, WireError):
        return device is not None
    return all(
        sample.measured.channel in device.series for sample in said if isinstance(sample.measured, Measured)
    )


def refused(index: int, device: Device | None, records: int, fault: WireError) -> Admitted:
    refusal = Refusal(index, device, None, None, records, fault.reason, fault.detail)
    return Admitted(device, refusals=(refusal,))


def admit(
    index: int, said: Sequence[Sample], sent_ms: int | None, device: Device | None, window: Window
) -> Admitted:
    """What a message's samples come to. `device`: None where there are none."""
    parts = [
        refused(index, device, 1, sample.measured)
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
        if records and device is not None:
            pack = Pack(None, None, sent_ms, server_time, records)
            parts.append(admit_pack(index, pack, device, window, flags))
    return Admitted(
        device,
        tuple(reading for part in parts for reading in part.readings),
        tuple(observation for part in parts for observation in part.observations),
        (),
        tuple(refusal for part in parts for refusal in part.refusals),
    )
