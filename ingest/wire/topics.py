"""The topics that ingest reads: `suyuan/v1/{org}/{device}/{kind}`, and ChirpStack's for uplinks (docs/wire.md).

Contract: any bytes give an `Address` or a `WireError`; a topic that is not UTF-8 is an error like any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ingest.wire.errors import WireError

ROOT = "suyuan/v1"
KINDS_IN = ("readings", "events", "raw", "teltonika")
UPLINK = "uplink"
UPLINKS = "application/+/device/+/event/up"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_UPLINK = re.compile(r"application/[^/]{1,100}/device/([0-9a-fA-F]{16})/event/up", re.ASCII)
_SCHEMES = {"teltonika": "teltonika", UPLINK: "lorawan"}
"""By what number the devices of a kind are known; the others by the name that is in their topics."""


@dataclass(frozen=True, slots=True)
class Address:
    """`organisation`: None where the topic does not say; then it is the device's. `device`: its number in `scheme`."""

    organisation: str | None
    device: str
    kind: str
    scheme: str = "suyuan"


def subscriptions(group: str | None) -> list[str]:
    """What an ingest worker subscribes to; with a group, shared so that workers are added by starting them.

    Each kind has a group of its own: rumqttd loses messages where two filters of one session share a group's name
    (measured: 99 of 100 events), Mosquitto does not mind.
    """
    filters = {kind: f"{ROOT}/+/+/{kind}" for kind in KINDS_IN} | {UPLINK: UPLINKS}
    return [f"$share/{group}-{kind}/{each}" if group else each for kind, each in filters.items()]


def readings_topic(organisation: str, device: str) -> str:
    return f"{ROOT}/{organisation}/{device}/readings"


def receipt_topic(organisation: str, device: str) -> str:
    return f"{ROOT}/{organisation}/{device}/receipt"


def command_topic(organisation: str, device: str) -> str:
    return f"{ROOT}/{organisation}/{device}/cmd"


def alert_topic(organisation: str) -> str:
    return f"{ROOT}/{organisation}/alerts"


def parse_topic(topic: bytes) -> Address:
    try:
        text = topic.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WireError("topic_not_utf8", f"the topic is not valid UTF-8 at byte {error.start}") from error
    if (uplink := _UPLINK.fullmatch(text)) is not None:
        return Address(None, uplink[1].lower(), UPLINK, _SCHEMES[UPLINK])
    parts = text.split("/")
    if len(parts) != 5 or "/".join(parts[:2]) != ROOT or parts[4] not in KINDS_IN:
        raise WireError(
            "unknown_topic",
            f"got topic {text!r}, want {ROOT}/{{org}}/{{device}}/ and one of {', '.join(KINDS_IN)}, or {UPLINKS}",
        )
    organisation, device, kind = parts[2:]
    if not _NAME.fullmatch(organisation) or not _NAME.fullmatch(device):
        raise WireError(
            "unknown_topic",
            f"organisation and device in a topic are a-z, 0-9, '.', '_' and '-'; got {text!r}",
        )
    return Address(organisation, device, kind, _SCHEMES.get(kind, "suyuan"))
