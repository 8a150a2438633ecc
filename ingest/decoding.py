"""What a message says, before anybody asks whether it may: topic and payload, in whatever form they came.

In the line: message -> here -> `admission`. Contract: any message comes out as a `Decoded`; what cannot be read carries its
error, and its number where its beginning still says it. Records are counted here for the account, and nowhere else. What is
no SenML means something only by the device's profile, so its device is looked for here.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ingest.message import Message
from ingest.registry import Device, Registry
from ingest.wire import chirpstack, epcis, senml, teltonika
from ingest.wire.epcis import Said
from ingest.wire.errors import WireError
from ingest.wire.profiles import Profiles
from ingest.wire.senml import Pack
from ingest.wire.topics import UPLINK, Address, parse_topic

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Decoded:
    """`records`: what the account must find again; an unreadable message is one. `identity`: boot and seq."""

    index: int
    records: int
    address: Address | None = None
    pack: Pack | None = None
    said: Said | None = None
    identity: tuple[int, int] | None = None
    error: WireError | None = None


def decode(index: int, message: Message, received_ms: int, registry: Registry, profiles: Profiles) -> Decoded:
    """`index`: the message's place in its batch. `received_ms`: our clock, UTC ms."""
    address = None
    try:
        address = parse_topic(message.topic)
        if address.kind == "events":
            said = epcis.decode(message.payload)
            return Decoded(index, len(said.events), address, said=said)
        pack = _pack(address, message.payload, received_ms, registry, profiles)
        identity = None if pack.boot is None or pack.seq is None else (pack.boot, pack.seq)
        return Decoded(index, len(pack.records), address, pack=pack, identity=identity)
    except WireError as error:
        return Decoded(index, 1, address, identity=_numbered(address, message), error=error)
    except Exception as error:
        # A fault of ours in reading one message must not stop the others, nor lose this one: it can be replayed.
        logger.exception("a decoder failed", extra={"topic": repr(message.topic)})
        fault = WireError("decoder_fault", f"our decoder failed on it: {error!r}")
        return Decoded(index, 1, address, identity=_numbered(address, message), error=fault)


def _pack(address: Address, payload: bytes, received_ms: int, registry: Registry, profiles: Profiles) -> Pack:
    if address.kind == "readings":
        return senml.decode(payload, address.device, received_ms)
    device = find_device(registry, address)
    registered = {channel: series.quantity for channel, series in device.series.items()}
    if address.kind == UPLINK:
        return chirpstack.decode(payload, address.device, device.profile, profiles, registered, received_ms)
    if address.kind == "teltonika":
        return teltonika.decode(payload, address.device, device.profile, profiles, registered)
    return chirpstack.decode_raw(payload, device.profile, profiles, registered, received_ms)


def find_device(registry: Registry, address: Address) -> Device:
    """Raises WireError: unknown_device, or foreign_topic where the device is another organisation's."""
    device = registry.device(address.device, address.scheme)
    if device is None:
        raise WireError(
            "unknown_device",
            f"no device {address.device!r} of scheme {address.scheme!r} is registered; register it (suyuan register or import);"
            " the message is kept",
        )
    if address.organisation not in (None, device.organisation):
        raise WireError(
            "foreign_topic",
            f"device {address.device!r} does not belong to {address.organisation!r}; it may write only its own topic",
        )
    return device


def _numbered(address: Address | None, message: Message) -> tuple[int, int] | None:
    """The number of a pack that could not be read; without it its device would send it for ever."""
    if address is not None and address.kind == "readings":
        return senml.identity_of_unreadable(message.payload)
    if address is not None and address.kind == UPLINK:
        return chirpstack.identity_of_unreadable(message.payload)
    return None
