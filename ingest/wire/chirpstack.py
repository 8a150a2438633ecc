"""A ChirpStack v4 uplink into a pack: what the network server decoded, or the bytes by the device's profile.

In the line: `application/{application}/device/{devEUI}/event/up` -> `chirpstack_event` -> here -> `senml.Pack`. Contract:
any bytes give a pack or raise `WireError`; what is refused keeps its number (`identity_of_unreadable`), or every such frame
would be a gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ingest.wire import cayenne, chirpstack_event, members, profile_reading
from ingest.wire.chirpstack_event import MAX_DEPTH, Uplink
from ingest.wire.errors import WireError
from ingest.wire.profile import Profile
from ingest.wire.profiles import Profiles
from ingest.wire.samples import Registered, Sample, measured
from ingest.wire.senml import MAX_NAME, Pack

MAX_MEMBERS = 1_000


def decode(
    payload: bytes,
    dev_eui: str,
    profile_name: str | None,
    profiles: Profiles,
    registered: Registered,
    received_ms: int,
) -> Pack:
    """`dev_eui`: of the topic. `received_ms`: our clock, where neither gateway nor network server had one."""
    uplink = chirpstack_event.parse(payload)
    if uplink.dev_eui != dev_eui:
        raise WireError("malformed_uplink", f"the topic names {dev_eui}, the event {uplink.dev_eui}")
    samples = [*_measured(uplink, profile_name, profiles, registered), *_radio(uplink)]
    boot, seq = identity(uplink)
    time_ms = received_ms if uplink.time_ms is None else uplink.time_ms
    return Pack(boot, seq, None, uplink.time_ms is None, measured(samples, registered, time_ms))


def decode_raw(
    payload: bytes, profile_name: str | None, profiles: Profiles, registered: Registered, received_ms: int
) -> Pack:
    """A payload by itself, as the sensor made it and some gateway carried it on: without number, port or time of receipt."""
    profile = profiles.named(profile_name)
    if not profile.reads_bytes:
        raise WireError("unknown_profile", f"profile {profile.profile!r} reads no bytes")
    samples = by_profile(profile, payload, None)
    timeless = any(sample.time_ms is None for sample in samples)
    return Pack(None, None, None, timeless, measured(samples, registered, received_ms))


def identity(uplink: Uplink) -> tuple[int, int] | tuple[None, None]:
    """(boot, seq). A join gives a new address and starts the frame counter at 0, as a boot does; our numbers start at 1."""
    if not re.fullmatch("[0-9a-f]{8}", uplink.dev_addr, re.ASCII) or not 0 <= uplink.f_cnt < 2**32:
        return None, None
    return int(uplink.dev_addr, 16), uplink.f_cnt + 1


def identity_of_unreadable(payload: bytes) -> tuple[int, int] | None:
    """boot and seq of an uplink that is refused, where it is one at all."""
    try:
        boot, seq = identity(chirpstack_event.parse(payload))
    except Exception:  # whatever failed on it before does so again, and was said then
        return None
    return None if boot is None or seq is None else (boot, seq)


def _measured(
    uplink: Uplink, profile_name: str | None, profiles: Profiles, registered: Registered
) -> Iterator[Sample]:
    if not uplink.data and not uplink.object:
        return  # a frame for the network alone, unless the radio's own numbers are wanted
    if uplink.sealed:
        raise WireError(
            "sealed_uplink", "the payload is encrypted end to end (joinServerContext); we have no key of it"
        )
    profile = profiles.named(profile_name) if profile_name is not None or not uplink.object else None
    if profile is not None and profile.reads_bytes:
        yield from by_profile(profile, uplink.data, uplink.f_port)
    elif profile is not None and profile.object is None:
        raise WireError("unknown_profile", f"profile {profile.profile!r} says nothing of uplinks")
    elif not uplink.object:
        raise WireError(
            "unknown_profile", "the network server decoded nothing, and the device's profile reads no bytes"
        )
    else:
        told = members.of_object(flattened(uplink.object), registered)
        yield from members.by(told, profile.object if profile is not None else None)


def by_profile(profile: Profile, data: bytes, f_port: int | None) -> list[Sample]:
    """What the bytes of a payload say. Raises WireError."""
    if profile.cayenne is not None:
        return list(members.by(cayenne.decode(data), profile.cayenne))
    return profile_reading.read(profile, data, f_port)


def flattened(decoded: Any) -> Iterator[tuple[str, Any]]:
    """Members by name, `a.b` for b inside a and `a.0` for the first of a list."""
    if not isinstance(decoded, dict):
        raise WireError("malformed_uplink", "the decoded object is no object")
    count = 0
    waiting: list[tuple[str, Any, int]] = [("", decoded, 0)]
    while waiting:
        name, value, depth = waiting.pop()
        if len(name) > MAX_NAME:  # before it stands in front of those of all its members
            raise WireError("malformed_uplink", f"a member's name has more than {MAX_NAME} characters")
        if not isinstance(value, dict | list):
            count += 1
            yield name, value
            continue
        if depth == MAX_DEPTH:
            raise WireError("malformed_uplink", f"the object is nested more than {MAX_DEPTH} deep")
        if count + len(waiting) + len(value) > MAX_MEMBERS:
            raise WireError("too_large", f"the object has more than {MAX_MEMBERS} members")
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        parts = [(f"{name}.{key}" if name else str(key), part, depth + 1) for key, part in inner]
        waiting += reversed(parts)


def _radio(uplink: Uplink) -> list[Sample]:
    """Of the gateway that heard it best."""
    if not uplink.received:
        return []
    rssi, snr = max(uplink.received, key=lambda heard: heard[0])
    samples = [Sample("rssi", "dBm", rssi, optional=True)]
    return [*samples, Sample("snr", "dB", snr, optional=True)] if snr is not None else samples
