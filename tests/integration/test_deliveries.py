"""Alerts as they arrive: at a webhook, in a mailbox, at the broker, each a real one; what fails is tried again and holds up nobody."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from ingest import outbox, webhook
from ingest.delivering import FIRST_WAIT, LONGEST_WAIT, TRIED_FOR, Deliveries, wait_after
from ingest.mail import Mails
from ingest.webhook import Webhooks
from tests.acceptance.instance import Instance
from tests.integration.alert_world import NOW, Truck, flat
from tests.integration.receivers import http_receiver, mail_server
from tests.servers.databases import Database
from tests.servers.mosquitto import Broker
from tests.servers.waiting import wait_until
from trace_api.alerts.telling import finisher

WARM = flat((0, 5, 4.0), (5, 20, 6.0))
PUBLIC = "https://trace.example"


@pytest.fixture
def truck(database: Database, tmp_path: Path) -> Truck:
    return Truck(Instance(database, tmp_path))


Deliver = Callable[..., None]


@pytest.fixture
def deliver(truck: Truck) -> Iterator[Deliver]:
    """Steps as the consumer makes them, each its own transaction, until `until()`; the clock stands at `now`."""
    made: list[Deliveries] = []

    def run(until: Callable[[], bool], now: datetime = NOW, *, inside: bool = True, server: str = "") -> None:
        key = truck.instance.keys.organisation_key
        mails = Mails(server, "Suyuan <alerts@trace.example>")
        if not made:
            carriers = {"webhook": Webhooks(key, inside), "email": mails}
            made.append(Deliveries(carriers, finisher(PUBLIC), lambda: 1.0))

        def step() -> bool:
            with truck.instance.as_role("jobs") as conn:
                made[0].step(conn, now)
            return until()

        assert wait_until(step, 30, every_s=0.01)

    yield run
    for each in made:
        each.stop()


def waiting(truck: Truck, *, given_up: bool = False) -> list[tuple[Any, ...]]:
    return truck.instance.rows(
        "SELECT attempts, next_at, last_error FROM outbox WHERE channel IS NOT NULL AND (given_up_at IS NOT NULL) = %s ORDER BY id",
        given_up,
    )


def ended(truck: Truck) -> list[tuple[Any, ...]]:
    return truck.instance.rows("SELECT kind, attempts, arrived FROM alert_delivery ORDER BY kind, attempts")


# --- webhooks ---------------------------------------------------------------------------------------------------------


def test_a_receiver_that_fails_twice_gets_the_same_message_signed(truck: Truck, deliver: Deliver) -> None:
    with http_receiver((500, 302, 204)) as receiver:
        channel = truck.channel("webhook", receiver.url)
        truck.send(WARM)
        deliver(lambda: waiting(truck)[0][0] == 1)
        ((_, later, error),) = waiting(truck)
        assert later == NOW + FIRST_WAIT and error == "answered 500"
        deliver(lambda: waiting(truck)[0][0] == 2, later)
        ((_, latest, error),) = waiting(truck)
        assert latest == later + 2 * FIRST_WAIT and error == "answered 302", "where it leads nobody goes"
        deliver(lambda: not waiting(truck), latest)
        received = [receiver.take() for _ in range(3)]
        assert receiver.received.empty()
    message = truck.instance.one("SELECT id FROM alert_message")
    assert {each.headers["webhook-id"] for each in received} == {f"msg_{message}"}
    assert [int(each.headers["webhook-timestamp"]) for each in received] == [
        int(at.timestamp()) for at in (NOW, later, latest)
    ]
    shown = webhook.shown(webhook.secret(truck.instance.keys.organisation_key("coop"), channel))
    for each in received:
        assert (
            signature_by_the_standard(shown, each.headers, each.body)
            in each.headers["webhook-signature"].split()
        )
    body = json.loads(received[0].body)
    assert body["id"] == str(message) and body["link"] == f"{PUBLIC}/alerts?excursion=1"
    assert body["told"]["en"]["subject"].startswith("Above the limit: Truck nine, 6.0")
    assert "限值：约定的 5 °C 上限（推荐性；未与出处核对；持续 10\u00a0分钟）" in body["told"]["zh"]["lines"]
    assert ended(truck) == [("webhook", 3, True)]


def signature_by_the_standard(shown: str, headers: dict[str, str], body: bytes) -> str:
    """As standardwebhooks.com says a receiver reckons it: of the text, apart from our code."""
    key = base64.b64decode(shown.removeprefix("whsec_"))
    content = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def test_a_dead_one_holds_up_no_other_and_not_the_broker(truck: Truck, deliver: Deliver) -> None:
    release = threading.Event()
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        http_receiver() as good,
        http_receiver(hold=release) as slow,
    ):
        truck.channel(
            "webhook", f"http://127.0.0.1:{silent.getsockname()[1]}/"
        )  # takes connections and says nothing
        truck.channel("webhook", slow.url)
        truck.channel("webhook", good.url)
        truck.send(WARM)
        truck.send(flat((20, 50, 6.0)))
        deliver(lambda: ended(truck) == [("webhook", 1, True)] * 2)
        assert [json.loads(good.take().body)["what"] for _ in range(2)] == ["opened", "grew"]
        assert len(waiting(truck)) == 4, "two each, for those that did not answer"
        sent: list[Any] = []
        with truck.instance.as_role("jobs") as conn:
            assert outbox.step(conn, NOW, send=lambda messages: not sent.extend(messages))
        assert len(sent) == 2 and len(waiting(truck)) == 4
        release.set()
        deliver(lambda: len(waiting(truck)) == 2)


def test_what_nobody_takes_is_given_up_after_a_day_and_stays_to_be_seen(
    truck: Truck, deliver: Deliver
) -> None:
    with http_receiver((410,)) as receiver:
        truck.channel("webhook", receiver.url)
        truck.send(WARM)
        now, tries = NOW, 0
        while not waiting(truck, given_up=True):
            tries += 1
            deliver(
                lambda tries=tries: any(
                    row[0] == tries for row in waiting(truck) + waiting(truck, given_up=True)
                ),
                now,
            )
            now = max(now, *(row[1] for row in waiting(truck)), now)
        assert NOW + TRIED_FOR <= now < NOW + TRIED_FOR + LONGEST_WAIT
        assert 25 < tries < 40 and ended(truck) == [("webhook", tries, False)]
        assert (
            truck.instance.one("SELECT last_error FROM outbox WHERE given_up_at IS NOT NULL")
            == "answered 410"
        )


def test_waits_double_up_to_an_hour_and_are_spread() -> None:
    assert [wait_after(attempt, 1.0) for attempt in (1, 2, 3, 400)] == [
        FIRST_WAIT,
        2 * FIRST_WAIT,
        4 * FIRST_WAIT,
        LONGEST_WAIT,
    ]
    assert wait_after(3, 0.0) == 2 * FIRST_WAIT


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "127.1", "[::]"]
)
def test_a_webhook_does_not_reach_inside(truck: Truck, deliver: Deliver, host: str) -> None:
    with http_receiver() as receiver:
        truck.channel("webhook", receiver.url.replace("127.0.0.1", host))
        truck.send(WARM)
        deliver(lambda: waiting(truck)[0][0] == 1, inside=False)
        assert "inside our own network" in waiting(truck)[0][2] and receiver.received.empty()


# --- e-mail -------------------------------------------------------------------------------------------------------------


def test_an_e_mail_says_it_in_both_languages_and_where_to_acknowledge(truck: Truck, deliver: Deliver) -> None:
    with mail_server() as server:
        server.refuses = True
        truck.channel("email", "night@coop.example")
        truck.send(WARM)
        deliver(lambda: waiting(truck)[0][0] == 1, server=server.url)
        assert "busy" in waiting(truck)[0][2]
        server.refuses = False
        deliver(lambda: not waiting(truck), NOW + FIRST_WAIT, server=server.url)
        mail = server.mails.get(timeout=20)
    assert (mail["To"], mail["From"]) == ("night@coop.example", "Suyuan <alerts@trace.example>")
    assert "高于限值：九号车" in mail["Subject"] and "Above the limit: Truck nine" in mail["Subject"]
    assert mail["Message-ID"] == f"<{truck.instance.one('SELECT id FROM alert_message')}@trace.example>"
    text = mail.get_content().replace("\u00a0", " ")
    for said in (
        "Device: probe-1, channel box, In the box",
        "Limit: the agreed upper limit of 5 °C (Recommended; not compared with its source; held for 10 min)",
        "Since: 2026-06-20 08:05; the limit's time was reached at 2026-06-20 08:15", "beyond the limit for at least 14 min", "在场批次：2 个",
        "acknowledge with a comment", f"{PUBLIC}/alerts?excursion=1",
    ):  # fmt: skip
        assert said in text, text
    assert ended(truck) == [("email", 2, True)]


def test_without_a_mail_server_it_says_so(truck: Truck, deliver: Deliver) -> None:
    truck.channel("email", "night@coop.example")
    truck.send(WARM)
    deliver(lambda: waiting(truck)[0][0] == 1)
    assert "SUYUAN_SMTP_URL" in waiting(truck)[0][2]


def test_a_password_does_not_go_unencrypted(truck: Truck, deliver: Deliver) -> None:
    with mail_server() as server:
        truck.channel("email", "night@coop.example")
        truck.send(WARM)
        deliver(lambda: waiting(truck)[0][0] == 1, server=server.url.replace("//", "//user:secret@"))
        assert "no TLS" in waiting(truck)[0][2] and "secret" not in waiting(truck)[0][2]
        assert server.mails.empty()


# --- the broker ---------------------------------------------------------------------------------------------------------


def test_the_broker_gets_it_with_an_id_and_once_at_least(truck: Truck, mqtt_broker: Broker) -> None:
    heard: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
    ready = threading.Event()
    listener = mqtt.Client(CallbackAPIVersion.VERSION2, "coop-board", protocol=mqtt.MQTTv5)
    listener.on_message = lambda _client, _data, message: heard.put(
        (message.topic, json.loads(message.payload))
    )
    listener.on_subscribe = lambda *_: ready.set()
    listener.connect("127.0.0.1", mqtt_broker.port)
    listener.loop_start()
    listener.subscribe("suyuan/v1/coop/alerts", qos=1)
    assert ready.wait(10)
    sender = outbox.Sender(mqtt_broker.url, "outbox-test")
    try:
        truck.send(WARM)
        with truck.instance.as_role("jobs") as conn:
            assert outbox.step(conn, NOW, send=sender.send, finish=finisher(PUBLIC))
        topic, said = heard.get(timeout=10)
        assert topic == "suyuan/v1/coop/alerts" and said["id"] == str(
            truck.instance.one("SELECT id FROM alert_message")
        )
        assert (
            said["what"] == "opened"
            and said["link"] == f"{PUBLIC}/alerts?excursion=1"
            and said["told"]["zh"]["subject"]
        )
        assert truck.bodies() == [] and ended(truck) == [("mqtt", 1, True)]
    finally:
        sender.stop()
        listener.disconnect()
        listener.loop_stop()


# --- a test, and the end of a channel -----------------------------------------------------------------------------------


def test_a_test_arrives_and_is_no_alert(truck: Truck, deliver: Deliver) -> None:
    with http_receiver() as receiver:
        channel = truck.channel("webhook", receiver.url)
        assert truck.instance.one("SELECT alert_channel_test(%s, %s)", channel, NOW) is True
        deliver(lambda: not waiting(truck))
        received = receiver.take()
    body = json.loads(received.body)
    assert body["kind"] == "test" and f"msg_{body['id']}" == received.headers["webhook-id"]
    assert "test" in body["told"]["en"]["subject"] and ended(truck) == []


def test_what_waits_goes_with_its_channel(truck: Truck, deliver: Deliver) -> None:
    with http_receiver((500,)) as receiver:
        channel = truck.channel("webhook", receiver.url)
        truck.send(WARM)
        deliver(lambda: waiting(truck)[0][0] == 1)
        assert truck.instance.one("SELECT alert_channel_remove(%s)", channel) is True
        assert waiting(truck) == [] and len(truck.bodies()) == 1
        assert truck.instance.one("SELECT alert_channel_remove(%s)", channel) is False


def test_one_that_died_between_sending_and_noting_sends_again_under_the_same_id(truck: Truck) -> None:
    with http_receiver() as receiver:
        truck.channel("webhook", receiver.url)
        truck.send(WARM)
        ids = set()
        for _ in range(2):
            died = Deliveries(
                {"webhook": Webhooks(truck.instance.keys.organisation_key, True)}, finisher(PUBLIC)
            )
            with truck.instance.as_role("jobs") as conn:
                assert died.step(conn, NOW)
            ids.add(receiver.take().headers["webhook-id"])
            died.stop()
    assert len(ids) == 1
