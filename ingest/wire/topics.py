"""The topic grammar `suyuan/v1/{org}/{device}/{kind}` (docs/wire.md).

Contract: any bytes give an `Address` or a `WireError`; a topic that is not UTF-8 is an error like any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ingest.wire.errors import WireError

ROOT = "suyuan/v1"
KINDS_IN = ("readings", "events")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    organisation: str
    device: str
    kind: str


def subscriptions(group: str | None) -> list[str]:
    """What an ingest worker subscribes to; with a group, shared so that workers are added by starting them.

    Each kind has a group of its own: rumqttd loses messages where two filters of one session share a group's name
    (measured: 99 of 100 events), Mosquitto does not mind.
    """
    return [
        f"$share/{group}-{kind}/{ROOT}/+/+/{kind}" if group else f"{ROOT}/+/+/{kind}" for kind in KINDS_IN
    ]


def receipt_topic(organisation: str, device: str) -> str:
    return f"{ROOT}/{organisation}/{device}/receipt"


def parse_topic(topic: bytes) -> Address:
    try:
        text = topic.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WireError("topic_not_utf8", f"the topic is not valid UTF-8 at byte {error.start}") from error
    parts = text.split("/")
    if len(parts) != 5 or "/".join(parts[:2]) != ROOT or parts[4] not in KINDS_IN:
        raise WireError(
            "unknown_topic", f"got topic {text!r}, want {ROOT}/{{org}}/{{device}}/readings or /events"
        )
    organisation, device = parts[2], parts[3]
    if not _NAME.fullmatch(organisation) or not _NAME.fullmatch(device):
        raise WireError(
            "unknown_topic",
            f"organisation and device in a topic are a-z, 0-9, '.', '_' and '-'; got {text!r}",
        )
    return Address(organisation, device, parts[4])
