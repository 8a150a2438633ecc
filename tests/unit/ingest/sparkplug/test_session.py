"""The order of an edge node's messages: what is read by which birth, and what is refused until the next.

Names of assertions are those of the standard's own list (tck-id-...), as far as a host application can hold them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sparkplug import session
from ingest.sparkplug.session import (
    ASK_EVERY,
    DIGEST_BYTES,
    MODULUS,
    RECENT,
    Node,
    Sample,
    Step,
    birth_of,
    replay,
    take,
    take_unreadable,
    weight,
)
from ingest.wire.errors import WireError
from ingest.wire.senml import Measured
from ingest.wire.sparkplug import decode
from ingest.wire.sparkplug_topics import SparkplugAddress, parse_topic
from tests.unit.ingest.wire.sparkplug_writing import PAYLOADS, metric, payload, quality
from tests.vectors import count_vectors, vector_path

NOW = datetime(2026, 6, 19, 2, 0, 5, tzinfo=UTC)
NOW_MS = round(NOW.timestamp() * 1000)
SECOND = timedelta(seconds=1)

Said = list[tuple[str, float | str | bytes | None, int]] | str


@dataclass
class Listening:
    """A host that takes one message after the other, a second apart."""

    node: Node | None = None
    at: datetime = NOW
    asked: int = 0
    steps: list[Step] = field(default_factory=list)

    def hears(self, kind: str, encoded: bytes, device: str = "", again: bool = False) -> Said:
        """What is told of the message: its readings, or the reason why it is none."""
        self.at += SECOND
        address = SparkplugAddress("plant", kind, "gw1", device)
        step = take(self.node, address, decode(encoded), digest(encoded), self.at, again)
        self.steps.append(step)
        self.node, self.asked = step.node, self.asked + step.rebirth
        return told(step.said)

    @property
    def standing(self) -> Node:
        assert self.node is not None
        return self.node


def digest(encoded: bytes) -> bytes:
    return hashlib.blake2b(encoded, digest_size=DIGEST_BYTES).digest()


def told(said: tuple[Sample, ...] | WireError) -> Said:
    if isinstance(said, WireError):
        return said.reason
    return [value(sample.measured) for sample in said]


def value(measured: Measured | WireError) -> Any:
    if isinstance(measured, WireError):
        return measured.reason
    found = measured.value if measured.value is not None else measured.text or measured.data
    return measured.channel, found, measured.time_ms


def nbirth(*metrics: bytes, bd_seq: int = 3, seq: int = 0, sent_ms: int = NOW_MS) -> bytes:
    controls = (
        metric("bdSeq", bd_seq, "Int64"),
        metric("Node Control/Rebirth", False, "Boolean"),
    )
    return payload(*controls, *metrics, timestamp=sent_ms, seq=seq)


PULP = metric("Temperature/Pulp", 2.5, "Double", alias=7, timestamp=NOW_MS - 1000)
AIR = metric("Temperature/Air", 3.5, "Float", alias=8, timestamp=NOW_MS - 1000)


def data(seq: int, alias: int = 7, reading: float = 4.0, sent_ms: int = NOW_MS, **fields: Any) -> bytes:
    return payload(metric(None, double=None, alias=alias, **fields) + b"\x69" + _double(reading), timestamp=sent_ms, seq=seq)  # fmt: skip


def _double(reading: float) -> bytes:
    return metric(None, reading, "Double")[-8:]


def death(bd_seq: int = 3) -> bytes:
    return payload(metric("bdSeq", bd_seq, "Int64"), timestamp=NOW_MS)


def born() -> Listening:
    host = Listening()
    host.hears("NBIRTH", nbirth(PULP, AIR))
    return host


# --- births, aliases, values ------------------------------------------------------------------------------------------


def test_a_birth_is_readings_too_and_gives_the_aliases() -> None:
    host = Listening()
    said = host.hears("NBIRTH", nbirth(PULP, AIR))
    assert said == [("Temperature/Pulp", 2.5, NOW_MS - 1000), ("Temperature/Air", 3.5, NOW_MS - 1000)]
    assert host.hears("NDATA", data(1)) == [("Temperature/Pulp", 4.0, NOW_MS)], "without a datatype or a name"
    assert host.asked == 0 and host.standing.bd_seq == 3


def test_a_metric_without_a_time_has_its_payloads() -> None:
    host = born()
    assert host.hears("NDATA", data(1, timestamp=NOW_MS - 7)) == [("Temperature/Pulp", 4.0, NOW_MS - 7)]
    assert host.hears("NDATA", data(2, sent_ms=NOW_MS - 9)) == [("Temperature/Pulp", 4.0, NOW_MS - 9)]


def test_without_aliases_data_goes_by_its_names_and_its_births_datatypes() -> None:
    host = Listening()
    host.hears("NBIRTH", nbirth(metric("t", -1, "Int16")))
    assert host.hears("NDATA", payload(metric("t", int=0xFFFE), timestamp=5, seq=1)) == [("t", -2.0, 5)]


def test_nulls_transients_and_controls_are_no_measurements() -> None:
    host = Listening()
    null = metric("t", datatype=10, alias=1, is_null=1)
    passing = metric("u", 1.0, "Double", alias=2, is_transient=1)
    assert host.hears("NBIRTH", nbirth(null, passing)) == []
    control = metric("Node Control/Scan Rate", 5, "Int32")
    assert host.hears("NDATA", payload(control, metric(None, is_null=1, alias=1), seq=1)) == []


def test_what_is_historical_is_said_to_be() -> None:
    host = born()
    host.hears("NDATA", payload(metric(None, 1.0, "Double", alias=7, is_historical=1), metric(None, 2.0, "Double", alias=8), seq=1))  # fmt: skip
    said = host.steps[-1].said
    assert not isinstance(said, WireError)
    assert [sample.historical for sample in said] == [True, False]


@pytest.mark.parametrize(("code", "taken"), [(192, True), (216, True), (0, False), (500, False), (64, False)])
def test_a_value_that_its_node_does_not_trust_is_refused(code: int, taken: bool) -> None:
    host = born()
    said = host.hears(
        "NDATA", payload(metric(None, 1.0, "Double", alias=7, properties=quality(code)), timestamp=5, seq=1)
    )
    assert said == ([("Temperature/Pulp", 1.0, 5)] if taken else ["bad_quality"])


def test_an_alias_given_twice_names_nothing_and_controls_give_way() -> None:
    twice = (metric("a", 1.0, "Double", alias=5), metric("b", 1.0, "Double", alias=5))
    control = metric("bdSeq", 3, "Int64", alias=9)
    found = birth_of(decode(payload(control, *twice, metric("c", 1.0, "Double", alias=9))).metrics, NOW)
    assert found.aliases == {9: "c"} and set(found.names) == {"a", "b", "c"}


def test_the_alias_of_a_control_is_known_and_says_nothing() -> None:
    host = Listening()
    host.hears("NBIRTH", payload(metric("Node Control/Rebirth", False, "Boolean", alias=2), PULP))
    assert host.hears("NDATA", payload(metric(None, False, "Boolean", alias=2), seq=1)) == []
    assert host.asked == 0


def test_an_unknown_alias_is_refused_alone_and_a_birth_is_asked_for() -> None:
    host = born()
    both = payload(
        metric(None, 1.0, "Double", alias=99), metric(None, 2.0, "Double", alias=7), timestamp=5, seq=1
    )
    assert host.hears("NDATA", both) == ["unknown_alias", ("Temperature/Pulp", 2.0, 5)]
    assert host.asked == 1
    assert host.hears("NDATA", data(2)) == [("Temperature/Pulp", 4.0, NOW_MS)], "the sequence is unbroken"


def test_one_bad_metric_takes_no_neighbour_with_it() -> None:
    host = born()
    bad = (metric(None, "x", "String", alias=7, datatype=9), metric(None, b"\x08\x01", "DataSet", alias=7))
    said = host.hears(
        "NDATA", payload(bad[0], metric(None, 2.0, "Double", alias=8), bad[1], timestamp=5, seq=1)
    )
    assert said == ["malformed_sparkplug", ("Temperature/Air", 2.0, 5), "unsupported_value"]


# --- devices ----------------------------------------------------------------------------------------------------------


def test_a_device_has_aliases_of_its_own_and_its_nodes_sequence() -> None:
    host = born()
    assert host.hears("DBIRTH", payload(metric("t", 1.0, "Double", alias=7), timestamp=5, seq=1), "p1") == [("t", 1.0, 5)]  # fmt: skip
    assert host.hears("DDATA", data(2, sent_ms=6), "p1") == [("t", 4.0, 6)]
    assert host.hears("NDATA", data(3, sent_ms=7)) == [("Temperature/Pulp", 4.0, 7)]
    assert host.hears("DDATA", data(4), "p2") == "before_birth"
    assert host.asked == 1
    assert host.hears("DDATA", data(5, sent_ms=8), "p1") == [("t", 4.0, 8)], "the others go on"


def test_a_nodes_birth_wants_its_devices_births_anew() -> None:
    """tck-id-...-ndeath-devices-offline, -ndeath-node-offline."""
    host = born()
    device = payload(metric("t", 1.0, "Double", alias=7), timestamp=5, seq=1)
    host.hears("DBIRTH", device, "p1")
    host.hears("NBIRTH", nbirth(PULP))
    assert not host.standing.births["p1"].online
    assert host.hears("DDATA", data(1), "p1") == "before_birth"


def test_the_births_of_a_node_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """They stay in the table and in memory, also of devices that nobody registered."""
    host = born()
    for seq in range(1, session.MAX_DEVICES + 1):
        assert host.hears("DBIRTH", payload(timestamp=NOW_MS, seq=seq % 256), device=f"d{seq}") == []
    seq = (session.MAX_DEVICES + 1) % 256
    assert host.hears("DBIRTH", payload(PULP, timestamp=NOW_MS, seq=seq), device="more") == "too_large"
    assert len(host.standing.births) == session.MAX_DEVICES + 1
    assert host.hears("NDATA", data(seq + 1)) == [("Temperature/Pulp", 4.0, NOW_MS)], "its number was taken"
    monkeypatch.setattr(session, "MAX_METRICS", 2)  # the node's own birth gave so many names
    assert host.hears("DBIRTH", payload(PULP, timestamp=NOW_MS, seq=seq + 2), device="d1") == "too_large"
    assert not host.standing.births["d1"].online, "what it said before holds no longer"
    assert host.hears("NBIRTH", nbirth(PULP, AIR, PULP)) == "too_large"
    assert host.hears("NDATA", data(1)) == "before_birth", "its aliases are not known"


def test_a_death_of_a_device_takes_it_offline_at_its_own_time() -> None:
    """tck-id-...-ddeath-devices-offline."""
    host = born()
    host.hears("DBIRTH", payload(metric("t", 1.0, "Double", alias=7), timestamp=NOW_MS, seq=1), "p1")
    assert host.hears("DDEATH", payload(timestamp=NOW_MS + 1500, seq=2), "p1") == []
    gone = host.standing.births["p1"]
    assert not gone.online and gone.since == NOW + timedelta(seconds=1.5)
    assert host.hears("DDATA", data(3), "p1") == "before_birth"


def test_a_death_of_a_node_takes_all_of_it_offline_at_our_time() -> None:
    """tck-id-...-ndeath-node-offline, -ndeath-devices-offline: by the host's own clock."""
    host = born()
    host.hears("DBIRTH", payload(metric("t", 1.0, "Double", alias=7), timestamp=NOW_MS, seq=1), "p1")
    assert host.hears("NDEATH", death()) == []
    node = host.standing
    assert not node.online and node.since == host.at
    assert [birth.online for birth in node.births.values()] == [False, False]
    assert host.hears("NDATA", data(2)) == "before_birth"
    assert host.asked == 1
    assert host.hears("NBIRTH", nbirth(PULP, bd_seq=4)) != "before_birth" and host.standing.bd_seq == 4


def test_a_will_of_an_earlier_connection_says_nothing_of_this_one() -> None:
    host = born()
    assert host.hears("NDEATH", death(bd_seq=2)) == []
    assert host.standing.online
    assert host.hears("NDATA", data(1)) == [("Temperature/Pulp", 4.0, NOW_MS)]


# --- the sequence -----------------------------------------------------------------------------------------------------


def test_data_before_its_birth_waits_and_a_birth_is_asked_for() -> None:
    host = Listening()
    assert host.hears("NDATA", data(1)) == "before_birth"
    assert host.hears("DBIRTH", payload(PULP, seq=2), "p1") == "before_birth"
    assert host.asked == 1, "once, not for every message"
    host.hears("NBIRTH", nbirth(PULP))
    assert host.hears("NDATA", data(1)) == [("Temperature/Pulp", 4.0, NOW_MS)]


def test_a_birth_is_asked_for_again_if_none_comes() -> None:
    host = Listening()
    for _ in range(2 * round(ASK_EVERY / SECOND) + 1):
        assert host.hears("NDATA", data(1)) == "before_birth"
    assert host.asked == 3


def test_the_sequence_goes_round_after_255() -> None:
    host = born()
    for count in range(1, 600):
        assert host.hears("NDATA", data(count % MODULUS, sent_ms=NOW_MS + count)) == [
            ("Temperature/Pulp", 4.0, NOW_MS + count)
        ]
    assert host.asked == 0


def test_a_birth_may_begin_anywhere() -> None:
    """tck-id-payloads-sequence-num-zero-nbirth: between 0 and 255."""
    host = Listening()
    host.hears("NBIRTH", nbirth(PULP, seq=255))
    assert host.hears("NDATA", data(0)) == [("Temperature/Pulp", 4.0, NOW_MS)]


@pytest.mark.parametrize(("seq", "reason"), [(2, "sequence_gap"), (100, "sequence_gap"), (0, "sequence_back"), (200, "sequence_back")])  # fmt: skip
def test_after_a_break_nothing_is_read_until_the_birth(seq: int, reason: str) -> None:
    host = born()
    assert host.hears("NDATA", data(seq)) == reason
    assert host.hears("NDATA", data((seq + 1) % MODULUS)) == "before_birth"
    assert host.hears("NDATA", data(1)) == "before_birth", "also what would have been next"
    assert host.asked == 1
    host.hears("NBIRTH", nbirth(AIR))
    assert host.hears("NDATA", data(1, alias=8)) == [("Temperature/Air", 4.0, NOW_MS)]


def test_an_unreadable_message_may_have_been_a_birth() -> None:
    """Nothing is read after it by what the birth before it said, also where the numbers would fit."""
    host = born()
    fault = WireError("malformed_protobuf", "cut off")
    for kind, awaits in (("NDEATH", False), ("NBIRTH", True)):
        address = SparkplugAddress("plant", kind, "gw1")
        step = take_unreadable(host.node, address, fault, digest(b"?"), host.at, False)
        assert step.said is fault and step.node.awaits_birth == step.rebirth == awaits
    host.node = step.node
    assert host.hears("NDATA", data(1)) == "before_birth"
    host.hears("NBIRTH", nbirth(PULP))
    again = take_unreadable(host.node, address, fault, digest(b"?"), host.at, True)
    assert again.node == host.node, "what comes again broke what it broke"


def test_what_cannot_be_read_stands_for_its_measurements() -> None:
    assert weight(decode(nbirth(PULP, AIR))) == 2
    assert weight(decode(payload(metric(None, is_null=1, alias=1), metric("a", b"", "DataSet")))) == 1
    assert weight(decode(death())) == 1


# --- said again -------------------------------------------------------------------------------------------------------


def test_a_message_that_the_broker_sends_again_is_read_again_and_breaks_nothing() -> None:
    host = born()
    sent = [data(seq, reading=float(seq), sent_ms=NOW_MS + seq) for seq in range(1, 5)]
    first = [host.hears("NDATA", each) for each in sent]
    assert [host.hears("NDATA", each, again=True) for each in sent[1:]] == first[1:]
    assert host.hears("NDATA", data(5)) == [("Temperature/Pulp", 4.0, NOW_MS)]
    assert host.asked == 0


def test_a_birth_that_the_broker_sends_again_does_not_turn_the_sequence_back() -> None:
    host = Listening()
    birth = nbirth(PULP)
    once = host.hears("NBIRTH", birth)
    host.hears("NDATA", data(1))
    assert host.hears("NBIRTH", birth, again=True) == once
    assert host.hears("NDATA", data(2)) == [("Temperature/Pulp", 4.0, NOW_MS)]


def test_the_same_words_256_messages_later_are_another_message() -> None:
    host = born()
    for count in range(1, 300):
        said = host.hears("NDATA", data(count % MODULUS, timestamp=NOW_MS))
        assert said == [("Temperature/Pulp", 4.0, NOW_MS)]
    assert host.standing.seq == 299 % MODULUS


def test_a_message_of_an_earlier_session_is_not_read_by_the_new_births_aliases() -> None:
    host = born()
    late = data(1, sent_ms=NOW_MS + 1)
    host.hears("NDATA", late)
    host.hears("NBIRTH", nbirth(metric("Door", True, "Boolean", alias=7), sent_ms=NOW_MS + 2, seq=0))
    assert host.hears("NDATA", late, again=True) == "before_birth"
    assert host.hears("NDATA", payload(metric(None, boolean=1, alias=7), timestamp=NOW_MS + 3, seq=1)) == [
        ("Door", 1.0, NOW_MS + 3)
    ]


ORDERED = st.lists(st.tuples(st.sampled_from(("NDATA", "NBIRTH", "lost")), st.integers(7, 9)), max_size=30)


@given(ORDERED, st.integers(0, 29), st.integers(0, 29))
def test_sending_any_stretch_again_changes_nothing(what: list[tuple[str, int]], begin: int, end: int) -> None:
    """As a broker does after a reconnect: what was not acknowledged, in its order, and then on."""
    sent, seq = [], 0
    for place, (kind, alias) in enumerate(what):
        seq = 0 if kind == "NBIRTH" else (seq + 1) % MODULUS
        stamp = NOW_MS + place
        message = nbirth(PULP, AIR, sent_ms=stamp) if kind == "NBIRTH" else data(seq, alias, sent_ms=stamp)
        if kind != "lost":
            sent.append((kind, message))
    once, again = Listening(), Listening()
    for kind, message in sent:
        once.hears(kind, message)
        again.hears(kind, message)
    for kind, message in sent[begin:] if begin < end else ():
        again.hears(kind, message, again=True)
    if once.node is not None:
        standing = again.standing
        assert (standing.seq, standing.awaits_birth, standing.recent) == (
            once.node.seq,
            once.node.awaits_birth,
            once.node.recent,
        )


HEARD = st.tuples(
    st.sampled_from(("NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH")), PAYLOADS, st.booleans()
)


@given(st.lists(HEARD, max_size=12))
def test_whatever_a_node_sends_its_state_stands_and_every_metric_is_said_once_or_passed_over(
    heard: list[tuple[str, bytes, bool]],
) -> None:
    host = Listening()
    for kind, encoded, again in heard:
        try:
            read = decode(encoded)
        except WireError:
            continue
        said = host.hears(kind, encoded, "p1" if kind.startswith("D") else "", again)
        assert isinstance(said, str) or len(said) <= len(read.metrics)
        standing = host.standing
        assert len(standing.recent) == DIGEST_BYTES * RECENT and 0 <= standing.seq <= 255
        assert not standing.online or standing.births[""].online
        assert standing.online or not any(birth.online for birth in standing.births.values())


# --- out of quarantine --------------------------------------------------------------------------------------------------


def out_of_quarantine(host: Listening, encoded: bytes, kind: str = "NDATA", device: str = "") -> Said:
    return told(replay(host.node, SparkplugAddress("plant", kind, "gw1", device), decode(encoded), NOW))


def test_what_waited_for_its_birth_can_be_read_after_it() -> None:
    host = Listening()
    waiting = data(1, sent_ms=NOW_MS + 1)
    assert host.hears("NDATA", waiting) == "before_birth"
    assert out_of_quarantine(host, waiting) == "before_birth"
    host.hears("NBIRTH", nbirth(PULP, sent_ms=NOW_MS + 2))
    assert out_of_quarantine(host, waiting) == [("Temperature/Pulp", 4.0, NOW_MS + 1)]
    assert out_of_quarantine(host, death(), "NDEATH") == [] and host.standing.online


def test_what_waited_is_not_read_by_a_birth_that_says_something_else() -> None:
    host = born()
    waiting = data(5, sent_ms=NOW_MS + 1)
    assert host.hears("NDATA", waiting) == "sequence_gap"
    host.hears("NBIRTH", nbirth(PULP, AIR, sent_ms=NOW_MS + 2))
    assert out_of_quarantine(host, waiting) == [("Temperature/Pulp", 4.0, NOW_MS + 1)], (
        "it said the same all along"
    )
    host.hears("NBIRTH", nbirth(AIR, sent_ms=NOW_MS + 3))
    assert out_of_quarantine(host, waiting) == "before_birth"
    assert out_of_quarantine(host, data(9, alias=8, sent_ms=NOW_MS + 4)) == [
        ("Temperature/Air", 4.0, NOW_MS + 4)
    ]


# --- vectors ------------------------------------------------------------------------------------------------------------


def heard(host: Listening, names: Iterable[str]) -> list[Said]:
    found = json.loads(vector_path("iot/sparkplug/payload_vectors.json").read_text(encoding="utf-8"))
    by_name = {vector["name"]: vector for vector in found}
    said = []
    for name in names:
        vector = by_name[name]
        said.append(host.hears(vector["type"], base64.b64decode(vector["b64"])))
        count_vectors()
    return said


def test_the_vectors_in_an_order_tell_what_their_names_say() -> None:
    sent_ms = 1_750_855_643_474
    host = Listening()
    assert heard(host, ["NDATA_BEFORE_BIRTH", "NBIRTH_V1", "NDATA_V1", "NDATA_GAP", "NDEATH_V1"]) == [
        "before_birth",
        [("Temperature", 21.5, sent_ms)],
        [("Temperature", 22.5, sent_ms)],
        "sequence_gap",
        [],
    ]
    assert host.standing.online, "that will is of another connection"
    large, wrapped = heard(Listening(), ["NBIRTH_LARGE", "NDATA_WRAPAROUND"])
    assert len(large) == 100 and wrapped == "sequence_back"


def test_the_wraparound_is_one_where_255_was_before() -> None:
    host = Listening()
    host.hears("NBIRTH", nbirth(metric("Temperature", 1.0, "Double", alias=100), seq=255))
    assert heard(host, ["NDATA_WRAPAROUND"]) == [[("Temperature", 30.0, 1_750_855_643_474)]]


def test_topics_and_sessions_speak_of_the_same_kinds() -> None:
    assert parse_topic(b"spBv1.0/plant/DDEATH/gw1/p1").device == "p1"
