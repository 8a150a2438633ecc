"""The topic grammar `spBv1.0/{group}/{kind}/{node}[/{device}]` (Sparkplug 3.0.0, chapter 4).

Contract: any bytes give a `SparkplugAddress` or a `WireError`; a topic that is not UTF-8 is an error like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

from ingest.wire.errors import WireError

NAMESPACE = "spBv1.0"
SCHEME = "sparkplug"
OF_NODES = ("NBIRTH", "NDATA", "NDEATH", "NCMD")
OF_DEVICES = ("DBIRTH", "DDATA", "DDEATH", "DCMD")
STATE = "STATE"
MAX_ID = 255


@dataclass(frozen=True, slots=True)
class SparkplugAddress:
    """`device`: empty for the edge node itself."""

    group: str
    kind: str
    node: str
    device: str = ""

    @property
    def external_id(self) -> str:
        """What the registry knows it by, under the scheme `sparkplug`."""
        return "/".join(filter(None, (self.group, self.node, self.device)))


def parse_topic(topic: bytes) -> SparkplugAddress:
    try:
        text = topic.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WireError("topic_not_utf8", f"the topic is not valid UTF-8 at byte {error.start}") from error
    namespace, *parts = text.split("/")
    kind = parts[1] if len(parts) > 1 else ""
    wanted = {**dict.fromkeys(OF_NODES, 3), **dict.fromkeys(OF_DEVICES, 4)}.get(kind)
    if namespace != NAMESPACE or len(parts) != wanted or not all(map(is_id, [parts[0], *parts[2:]])):
        raise WireError(
            "unknown_topic",
            f"got topic {text[:300]!r}, want {NAMESPACE}/{{group}}/NDATA/{{node}} or the like",
        )
    return SparkplugAddress(parts[0], kind, *parts[2:])


def is_sparkplug(topic: bytes) -> bool:
    return topic.startswith(f"{NAMESPACE}/".encode())


def is_id(text: str) -> bool:
    """Whether a group, a node or a device may be called so: it stands in topics."""
    return 0 < len(text) <= MAX_ID and not set(text) & set("+#/\0") and text != STATE


def subscription(group: str) -> str:
    """One filter and not one for each kind: brokers keep the order of messages within a filter, some not across them.
    Our own commands come back to us by it, and are passed over."""
    return f"{NAMESPACE}/{group}/#"


def command_topic(group: str, node: str) -> str:
    return f"{NAMESPACE}/{group}/NCMD/{node}"


def state_topic(host: str) -> str:
    return f"{NAMESPACE}/{STATE}/{host}"
