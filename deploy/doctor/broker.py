"""The broker: does it answer, does it keep a session, does a message come back, does it share a subscription.

Everything happens on topics below `suyuan/doctor/`, under a client id and with a session of the doctor's own, which it
takes away again. What decides whether a message survives (queues, files) no broker tells over MQTT; it is said so.
"""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from deploy.doctor.examination import Patient
from deploy.doctor.findings import Finding, fail, ok, unknown, warn
from ingest.broker_address import broker_address

ANSWER_S = 5.0
ACL = "let ingest's user publish and read below suyuan/doctor/, or look by other means whether messages pass"


class Trouble(Exception):
    """The broker does not do what it was asked. The message says what."""


class Refused(Trouble):
    """It said no."""


class Silent(Trouble):
    """It said nothing, or could not be reached: what it would have said is not known."""


class Probe:
    """One connection, made step by step; every step waits at most ANSWER_S. Raises Refused and Silent."""

    def __init__(self, url: str, client_id: str, *, clean: bool, anonymous: bool = False) -> None:
        address = broker_address(url)
        self._address = (address.host, address.port)
        self._connected: queue.SimpleQueue[tuple[ReasonCode, bool]] = queue.SimpleQueue()
        self._granted: queue.SimpleQueue[list[ReasonCode]] = queue.SimpleQueue()
        self._published = threading.Event()
        self.arrived: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id, clean_session=clean, protocol=mqtt.MQTTv311
        )
        if address.user and not anonymous:
            self._client.username_pw_set(address.user, address.password)
        self._client.on_connect = lambda _c, _d, flags, reason, _p: self._connected.put(
            (reason, bool(flags.session_present))
        )
        self._client.on_subscribe = lambda _c, _d, _mid, reasons, _p: self._granted.put(reasons)
        self._client.on_publish = lambda *_: self._published.set()
        self._client.on_message = lambda _c, _d, message: self.arrived.put(bytes(message.payload))

    def connect(self) -> bool:
        """True if the broker had a session for this client."""
        try:
            self._client.connect(*self._address, keepalive=30)
        except (OSError, ValueError) as error:
            raise Silent(f"does not answer at {self._address[0]}:{self._address[1]}: {error}") from error
        self._client.loop_start()
        try:
            reason, present = self._connected.get(timeout=ANSWER_S)
        except queue.Empty:
            raise Silent(f"took the connection and said nothing for {ANSWER_S:.0f} s") from None
        if reason.is_failure:
            raise Refused(f"refused the connection: {reason}")
        return present

    def subscribe(self, topic: str) -> None:
        self._client.subscribe(topic, qos=1)
        try:
            reasons = self._granted.get(timeout=ANSWER_S)
        except queue.Empty:
            raise Silent(f"did not answer the subscription to {topic} within {ANSWER_S:.0f} s") from None
        if any(reason.is_failure for reason in reasons):
            raise Refused(f"refused the subscription to {topic}: {reasons[0]}")

    def publish(self, topic: str, payload: bytes) -> None:
        self._published.clear()
        self._client.publish(topic, payload, qos=1)
        if not self._published.wait(ANSWER_S):
            raise Silent(f"did not acknowledge a message on {topic} within {ANSWER_S:.0f} s")

    def receives(self, payload: bytes, within_s: float = ANSWER_S) -> bool:
        try:
            while self.arrived.get(timeout=within_s) != payload:
                continue
        except queue.Empty:
            return False
        return True

    def end(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def probing(url: str, client_id: str, *, clean: bool = True, anonymous: bool = False) -> Iterator[Probe]:
    probe = Probe(url, client_id, clean=clean, anonymous=anonymous)
    try:
        yield probe
    finally:
        probe.end()


def broker(patient: Patient) -> Iterator[Finding]:
    url, name = patient.settings.mqtt_url, f"suyuan-doctor-{secrets.token_hex(4)}"
    topic = f"suyuan/doctor/{name}"
    try:
        with probing(url, name) as probe:
            probe.connect()
            yield ok("broker", f"takes our connection{_version(probe)}")
            yield _round_trip(probe, topic)
            yield _shared(probe, name, topic, patient)
        yield _kept_session(url, name, topic)
    except ValueError:
        yield unknown("broker", "not looked at: SUYUAN_MQTT_URL is no broker's address")
        return
    except Trouble as error:
        yield fail("broker", str(error), "start it, or mend SUYUAN_MQTT_URL (user and password stand in it)")
        return
    yield _strangers(patient, name)
    yield unknown(
        "broker",
        "whether it keeps its queues on disk, and how many messages, no broker tells",
        "see its configuration; Mosquitto: persistence true, max_queued_messages 0, max_inflight_messages 2000",
    )


def _version(probe: Probe) -> str:
    try:
        probe.subscribe("$SYS/broker/version")
        return f" ({probe.arrived.get(timeout=0.5).decode(errors='replace')[:60]})"
    except (Trouble, queue.Empty):
        return ""


def _round_trip(probe: Probe, topic: str) -> Finding:
    try:
        probe.subscribe(topic)
        probe.publish(topic, b"there and back")
    except Trouble as error:
        return warn("broker", f"no message could be sent through it: {error}", ACL)
    if not probe.receives(b"there and back"):
        return warn("broker", f"a message to {topic} was acknowledged and did not come back", ACL)
    return ok("broker", "a message went there and back")


def _shared(probe: Probe, name: str, topic: str, patient: Patient) -> Finding:
    group = patient.settings.mqtt_share_group
    if not group:
        return ok(
            "broker",
            "shared subscriptions are not asked for (SUYUAN_MQTT_SHARE_GROUP is empty): one worker alone",
        )
    try:
        probe.subscribe(f"$share/{name}/{topic}/shared")
        probe.publish(f"{topic}/shared", b"shared")
    except Silent as error:
        return unknown("broker", f"whether it shares a subscription could not be tried: {error}", ACL)
    except Refused as error:
        return fail(
            "broker",
            f"takes no shared subscription: {error}",
            "use a broker that has them (Mosquitto 2, EMQX), or leave SUYUAN_MQTT_SHARE_GROUP empty and run one worker",
        )
    if not probe.receives(b"shared"):
        return fail(
            "broker",
            "granted a shared subscription and delivered nothing through it",
            "it takes $share/... for a plain topic: use a broker that knows it, or leave SUYUAN_MQTT_SHARE_GROUP empty and run one worker",
        )
    return ok("broker", "shared subscriptions work")


def _kept_session(url: str, name: str, topic: str) -> Finding:
    """A message sent while its reader is away is there when it comes back: on that ingest's restarts rest."""
    reader, sender = f"{name}-kept", f"{name}-sender"
    try:
        with probing(url, reader, clean=False) as away:
            away.connect()
            away.subscribe(f"{topic}/kept")
        with probing(url, sender) as probe:
            probe.connect()
            probe.publish(f"{topic}/kept", b"kept")
        with probing(url, reader, clean=False) as back:
            present = back.connect()
            kept = back.receives(b"kept")
        with probing(url, reader) as last:
            last.connect()  # a clean session in its place: nothing of the doctor stays
    except Trouble as error:
        return warn("broker", f"whether it keeps a session could not be tried: {error}", ACL)
    if not (present and kept):
        return fail(
            "broker",
            "forgets the session of a worker that is away: what devices send meanwhile is lost",
            "allow persistent sessions (Mosquitto: no persistent_client_expiration below your longest stop)",
        )
    return ok("broker", "keeps the session of a reader that is away, and its message")


def _strangers(patient: Patient, name: str) -> Finding:
    """Whoever may publish may speak for any device: nothing behind the broker can tell."""
    try:
        with probing(patient.settings.mqtt_url, f"{name}-stranger", anonymous=True) as stranger:
            stranger.connect()
    except Refused:
        return ok("broker", "refuses a client without a name and password")
    except Silent as error:
        return unknown("broker", f"whether it takes a client without a name and password: it {error}")
    text = "takes a client without a name and password: anybody who reaches it speaks for any device"
    what_next = "allow_anonymous false, a user for each device, and an ACL that lets it write below its own topic only"
    return fail("broker", text, what_next) if patient.production else warn("broker", text, what_next)
