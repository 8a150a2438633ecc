"""One edge node as its certificates and sequence numbers have it: which message may be read, and as what.

Place in the line: between the payload's decoder and admission, for one message after the other in the order they came in.
Contract: pure. `take` gives the node as it stands after the message and what the message says, or why it cannot be read.
A number is read by an alias only in the unbroken sequence after the birth that gave it: after a break the birth may have
been lost that gave the alias to something else. What is out of its sequence, or comes before its birth, is refused with its
reason, kept, and a rebirth is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ingest.wire.errors import WireError
from ingest.wire.senml import Measured
from ingest.wire.sparkplug import BD_SEQ, Metric, Payload, value_as
from ingest.wire.sparkplug_topics import SparkplugAddress

ASK_EVERY = timedelta(seconds=30)
DIGEST_BYTES = 8
RECENT = 256
CONTROLS = ("Node Control/", "Device Control/")
GOOD = range(192, 256)  # 192 in Sparkplug; a gateway may hand OPC's other good ones through
MODULUS = 256
MAX_DEVICES = 1_000
MAX_METRICS = 100_000
"""Of one edge node: its births stay, whether or not anybody registered what they name."""


@dataclass(frozen=True, slots=True)
class Birth:
    """What the last birth certificate of a node or a device said. `names`: metric -> its datatype; `aliases`: alias -> metric.
    `since`: since when it is online, or not. `same_from_ms`: the node's own time of the first birth in a row that said the
    same, None where no other is known. `number`: under which it is stored, None until then."""

    names: Mapping[str, int | None]
    aliases: Mapping[int, str]
    online: bool
    since: datetime
    same_from_ms: int | None = None
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """`seq`: of the last message in order. `awaits_birth`: a message could not be read, and none is until a birth comes.
    `births`: by device, the node's own under ''. `recent`: digests of the last RECENT messages, the newest last."""

    online: bool
    since: datetime
    seq: int = 0
    awaits_birth: bool = False
    bd_seq: int | None = None
    births: Mapping[str, Birth] = field(default_factory=dict)
    asked_at: datetime | None = None
    recent: bytes = bytes(DIGEST_BYTES * RECENT)

    def has_seen(self, digest: bytes) -> bool:
        return any(
            self.recent.startswith(digest, place) for place in range(0, DIGEST_BYTES * RECENT, DIGEST_BYTES)
        )

    def having_seen(self, digest: bytes) -> Node:
        return replace(self, recent=self.recent[DIGEST_BYTES:] + digest)


@dataclass(frozen=True, slots=True)
class Sample:
    """A metric under its name, or why it cannot be read. `historical`: its node kept it and sends it late. `server_time`: it
    rests on our clock."""

    measured: Measured | WireError
    historical: bool = False
    server_time: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """`node`: as it stands after the message. `said`: its measurements, none for a certificate without any; or why the
    message as a whole cannot be read. `rebirth`: whether to ask for one now."""

    node: Node
    said: tuple[Sample, ...] | WireError
    rebirth: bool = False


def take(
    node: Node | None,
    address: SparkplugAddress,
    payload: Payload,
    digest: bytes,
    received_at: datetime,
    redelivered: bool,
) -> Step:
    """`node`: None where nothing of it is known. `digest`: of the payload's bytes, DIGEST_BYTES long."""
    node = node or Node(online=False, since=received_at)
    if address.kind == "NDEATH":
        return Step(_died(node, payload, received_at), ())
    if _is_repeat(node, address, payload, digest, redelivered):
        return Step(node, replay(node, address, payload, received_at))
    node = node.having_seen(digest)
    if address.kind == "NBIRTH":
        return _born(node, address, payload, received_at)
    fault = _out_of_order(node, payload)
    if fault is not None:
        return _refused(replace(node, awaits_birth=True), fault, received_at)
    node = replace(node, seq=payload.seq)
    if address.kind == "DBIRTH":
        return _device_born(node, address, payload, received_at)
    birth = node.births.get(address.device)
    if birth is None or not birth.online:
        return _refused(node, _before_birth(address), received_at)
    if address.kind == "DDEATH":
        gone = replace(birth, online=False, since=_at(payload.sent_ms, received_at))
        return Step(replace(node, births={**node.births, address.device: gone}), ())
    said = samples(node, address, payload, received_at)
    if any(isinstance(item.measured, WireError) and item.measured.reason == "unknown_alias" for item in said):
        return _asking(Step(node, said), received_at)
    return Step(node, said)


def take_unreadable(
    node: Node | None,
    address: SparkplugAddress,
    fault: WireError,
    digest: bytes,
    received_at: datetime,
    redelivered: bool,
) -> Step:
    """A message of which not even the sequence number can be read: it may have been the birth that changed every alias."""
    node = node or Node(online=False, since=received_at)
    if address.kind == "NDEATH" or (redelivered and node.has_seen(digest)):
        return Step(node, fault)
    return _refused(replace(node.having_seen(digest), awaits_birth=True), fault, received_at)


def replay(
    node: Node | None, address: SparkplugAddress, payload: Payload, received_at: datetime
) -> tuple[Sample, ...] | WireError:
    """What a message says that comes out of its order, such as out of quarantine: by the birth that stands, if none is awaited
    and that birth has said the same ever since the message was sent. Changes nothing."""
    if address.kind in ("NDEATH", "DDEATH"):
        return ()
    birth = node.births.get(address.device) if node is not None else None
    if address.kind in ("NDATA", "DDATA"):
        if node is None or birth is None or node.awaits_birth or node.online > birth.online:
            return _before_birth(address)
        if birth.same_from_ms is not None and (payload.sent_ms or 0) < birth.same_from_ms:
            return WireError(
                "before_birth",
                f"the births of {address.external_id} have changed since it was sent, so that its aliases cannot be told",
            )
    return samples(node, address, payload, received_at)


def weight(payload: Payload) -> int:
    """How many records a message stands for that cannot be read: its measurements as far as they can be told, at least 1."""
    return max(
        1,
        sum(
            isinstance(metric, WireError)
            or not (metric.raw is None or metric.transient or _is_control(metric.name or ""))
            for metric in payload.metrics
        ),
    )


def samples(
    node: Node | None, address: SparkplugAddress, payload: Payload, received_at: datetime
) -> tuple[Sample, ...]:
    """The measurements of a birth by what it says itself, of data by the birth that stands. Nulls, what is not to be stored
    (`is_transient`), controls and bdSeq are none."""
    if address.kind in ("NBIRTH", "DBIRTH"):
        birth = birth_of(payload.metrics, received_at)
    else:
        assert node is not None
        birth = node.births[address.device]
    found = (_sample(metric, birth, payload.sent_ms, received_at) for metric in payload.metrics)
    return tuple(sample for sample in found if sample is not None)


def birth_of(metrics: Iterable[Metric | WireError], since: datetime) -> Birth:
    """An alias that is given twice names nothing. Controls and bdSeq, which are no measurements, give way."""
    named = [metric for metric in metrics if isinstance(metric, Metric) and metric.name]
    names: dict[str, int | None] = {}
    aliases: dict[int, str] = {}
    twice: set[int] = set()
    for metric in sorted(named, key=lambda metric: _is_control(metric.name or "")):
        name, alias = metric.name or "", metric.alias
        if not _is_control(name):
            names[name] = metric.datatype
        if alias is not None and aliases.setdefault(alias, name) != name and not _is_control(name):
            twice.add(alias)
    once = {alias: name for alias, name in aliases.items() if alias not in twice}
    return Birth(names, once, online=True, since=since)


def _born(node: Node, address: SparkplugAddress, payload: Payload, received_at: datetime) -> Step:
    """A node's birth begins its session anew; its devices follow with theirs, and until then are offline."""
    fault = _too_much(node, address.device, payload)
    if fault is not None:
        return Step(replace(node, awaits_birth=True), fault)
    began = replace(
        node,
        online=True,
        since=received_at,
        seq=payload.seq,
        awaits_birth=False,
        bd_seq=payload.bd_seq,
        births=_all_offline(node, received_at),
    )
    said = samples(node, address, payload, received_at)
    return Step(_with_birth(began, "", payload, received_at), said)


def _device_born(node: Node, address: SparkplugAddress, payload: Payload, received_at: datetime) -> Step:
    fault = _too_much(node, address.device, payload)
    if fault is None:
        said = samples(node, address, payload, received_at)
        return Step(_with_birth(node, address.device, payload, received_at), said)
    before = node.births.get(address.device)
    if before is not None:  # what it said holds no longer
        gone = _offline(before, received_at)
        node = replace(node, births={**node.births, address.device: gone})
    return Step(node, fault)


def _too_much(node: Node, device: str, payload: Payload) -> WireError | None:
    others = [birth for name, birth in node.births.items() if name != device]
    metrics = len(payload.metrics) + sum(max(len(each.names), len(each.aliases)) for each in others)
    if len(others) <= MAX_DEVICES and metrics <= MAX_METRICS:
        return None
    return WireError(
        "too_large",
        f"an edge node has at most {MAX_DEVICES} devices and {MAX_METRICS} metrics in all their births; split it into several",
    )


def _offline(birth: Birth, since: datetime) -> Birth:
    return replace(birth, online=False, since=since) if birth.online else birth


def _all_offline(node: Node, since: datetime) -> dict[str, Birth]:
    return {device: _offline(birth, since) for device, birth in node.births.items()}


def _with_birth(node: Node, device: str, payload: Payload, received_at: datetime) -> Node:
    birth = birth_of(payload.metrics, received_at)
    before = node.births.get(device)
    if before is not None:
        if (before.names, before.aliases) == (birth.names, birth.aliases):
            birth = replace(before, online=True, since=received_at)
        else:
            sent_ms = payload.sent_ms if payload.sent_ms is not None else _ms(received_at)
            birth = replace(birth, same_from_ms=sent_ms)
    return replace(node, births={**node.births, device: birth})


def _died(node: Node, payload: Payload, received_at: datetime) -> Node:
    """A will belongs to the connection that its bdSeq names; one of an earlier connection says nothing of this one."""
    if not node.online or (node.bd_seq is not None and payload.bd_seq != node.bd_seq):
        return node
    return replace(node, online=False, since=received_at, births=_all_offline(node, received_at))


def _is_repeat(
    node: Node, address: SparkplugAddress, payload: Payload, digest: bytes, redelivered: bool
) -> bool:
    """Whether it was taken before. One that is the next in order, or a birth, is another message in the same words unless the
    broker says that it sends it again."""
    in_order = address.kind == "NBIRTH" or payload.seq == (node.seq + 1) % MODULUS
    return (redelivered or not in_order) and node.has_seen(digest)


def _out_of_order(node: Node, payload: Payload) -> WireError | None:
    expected = (node.seq + 1) % MODULUS
    if node.awaits_birth or not node.online:
        what = "is not born" if not node.online else "has a break in its sequence"
        return WireError(
            "before_birth", f"the edge node {what}, and what its aliases mean is not known until its birth"
        )
    ahead = (payload.seq - expected) % MODULUS
    if ahead == 0:
        return None
    if ahead < MODULUS // 2:
        return WireError(
            "sequence_gap", f"got seq {payload.seq}, want {expected}: {ahead} messages are missing before it"
        )
    return WireError(
        "sequence_back",
        f"got seq {payload.seq}, want {expected}: it comes late, or the node began anew unsaid",
    )


def _before_birth(address: SparkplugAddress) -> WireError:
    return WireError(
        "before_birth", f"{address.external_id} sent no birth that stands, so that its aliases name nothing"
    )


def _refused(node: Node, fault: WireError, received_at: datetime) -> Step:
    return _asking(Step(node, fault), received_at)


def _asking(step: Step, received_at: datetime) -> Step:
    """A birth costs its node a message with all it has: one is asked for now and then, however much cannot be read."""
    asked_at = step.node.asked_at
    if asked_at is not None and received_at - asked_at < ASK_EVERY:
        return step
    return replace(step, node=replace(step.node, asked_at=received_at), rebirth=True)


def _sample(
    metric: Metric | WireError, birth: Birth, sent_ms: int | None, received_at: datetime
) -> Sample | None:
    if isinstance(metric, WireError):
        return Sample(metric)
    try:
        name = _named(metric, birth)
        if name is None or metric.raw is None or metric.transient:
            return None
        time_ms = metric.time_ms if metric.time_ms is not None else sent_ms
        ours = time_ms is None
        when = _ms(received_at) if time_ms is None else time_ms
        return Sample(_measured(metric, name, birth, when), metric.historical, server_time=ours)
    except WireError as error:
        return Sample(error)


def _named(metric: Metric, birth: Birth) -> str | None:
    """None for what is no measurement. Raises WireError."""
    if metric.name:
        return None if _is_control(metric.name) else metric.name
    if metric.alias is None:
        raise WireError("malformed_sparkplug", "a metric has neither name nor alias")
    name = birth.aliases.get(metric.alias)
    if name is None:
        raise WireError(
            "unknown_alias",
            f"no birth that stands gives the alias {metric.alias} to one metric; a birth is asked for",
        )
    return None if _is_control(name) else name


def _measured(metric: Metric, name: str, birth: Birth, time_ms: int) -> Measured:
    if metric.quality is not None and metric.quality not in GOOD:
        raise WireError(
            "bad_quality",
            f"{name} came with quality {metric.quality}: its node itself does not trust the value",
        )
    datatype = metric.datatype if metric.datatype is not None else birth.names.get(name)
    value = value_as(metric, datatype, name)
    if isinstance(value, str):
        return Measured(name, None, time_ms, None, text=value)
    if isinstance(value, bytes):
        return Measured(name, None, time_ms, None, data=value)
    return Measured(name, None, time_ms, value)


def _is_control(name: str) -> bool:
    return name == BD_SEQ or name.startswith(CONTROLS)


def _at(sent_ms: int | None, received_at: datetime) -> datetime:
    """A time of the node's, where it is one that a table can hold."""
    if sent_ms is None or not 0 < sent_ms < _ms(received_at) + 86_400_000:
        return received_at
    return datetime.fromtimestamp(sent_ms / 1000, received_at.tzinfo)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
