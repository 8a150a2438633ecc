"""Who publishes: one MQTT connection that speaks for many devices, and keeps each message until it may forget it.

Contract: `receipt`, the receipt of docs/wire.md covers it, and what no receipt covers is sent again, unchanged; `puback`,
MQTT's own QoS 1 and nothing else. `finished` is set when nothing is left to keep.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Literal

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.chaos.known import Known

Keep = Literal["receipt", "puback"]
PATIENCE_S = 1.0  # without a receipt for so long, what is unconfirmed is sent again


class Gateway:
    """`window`: unconfirmed messages at most. `rate`: messages a second at most; None: as fast as it can.
    `acknowledged`: PUBACKs that came. `left`: what is still to be sent."""

    def __init__(
        self,
        port: int,
        name: str,
        messages: Sequence[Known],
        keep: Keep,
        *,
        window: int = 4_000,
        retain: bool = False,
        rate: float | None = None,
    ) -> None:
        self.finished = threading.Event()
        self.sent = self.sent_again = 0
        self.left = deque(messages)
        self._keep, self._window, self._retain, self._rate = keep, window, retain, rate
        self._handed = self.acknowledged = 0
        self._kept: dict[tuple[str, int], dict[int, Known]] = {}
        self._kept_number = 0
        self._lock = threading.Lock()
        self._progress_at = time.monotonic()
        self._stopped, self._wake = threading.Event(), threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, name, clean_session=False, protocol=mqtt.MQTTv311
        )
        self._client.max_inflight_messages_set(1_000)
        self._client.reconnect_delay_set(1, 2)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_receipt
        self._client.on_publish = self._on_puback
        self._client.connect_async("127.0.0.1", port, keepalive=30)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Gateway:
        self._client.loop_start()
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stopped.set()
        self._wake.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()

    def _run(self) -> None:
        # What paho takes before it is connected it may send behind what it takes afterwards.
        while not self._client.is_connected() and not self._stopped.wait(0.01):
            pass
        begun = time.monotonic()
        while (self.left or self._unconfirmed()) and not self._stopped.is_set():
            due = float("inf") if self._rate is None else (time.monotonic() - begun) * self._rate
            while self.left and self._unconfirmed() < self._window and self.sent < due:
                self._send(self.left.popleft())
            if self._keep == "receipt":
                self._send_again()
            self._wake.wait(0.01 if self._rate and self.left else 0.2)
            self._wake.clear()
        if not self._stopped.is_set():
            self.finished.set()

    def _unconfirmed(self) -> int:
        waiting = self._handed - self.acknowledged
        return max(self._kept_number, waiting) if self._keep == "receipt" else waiting

    def _send(self, message: Known) -> None:
        if self._keep == "receipt":
            with self._lock:
                self._kept.setdefault(message.key, {})[message.seq] = message
                self._kept_number += 1
        self._hand(message)
        self.sent += 1

    def _hand(self, message: Known) -> None:
        self._handed += 1
        self._client.publish(message.topic, message.payload, qos=1, retain=self._retain)

    def _send_again(self) -> None:
        # Only once the broker has answered for all: else the copies would pile up behind a broker that is away.
        if self._handed > self.acknowledged or time.monotonic() - self._progress_at < PATIENCE_S:
            return
        with self._lock:
            again = [message for kept in self._kept.values() for message in kept.values()]
        for message in again:
            self._hand(message)
        self.sent_again += len(again)
        self._progress_at = time.monotonic()

    def _on_connect(self, client: mqtt.Client, *_: object) -> None:
        if self._keep == "receipt":
            client.subscribe("suyuan/v1/+/+/receipt", 1)

    def _on_puback(self, *_: object) -> None:
        self.acknowledged += 1
        self._wake.set()

    def _on_receipt(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        told = json.loads(message.payload)
        key = (message.topic.split("/")[3], told["boot"])
        with self._lock:
            kept = self._kept.get(key, {})
            held = [seq for seq in kept if is_held(seq, told["through"], told["gaps"])]
            for seq in held:
                del kept[seq]
            self._kept_number -= len(held)
        if held:
            self._progress_at = time.monotonic()
            self._wake.set()


def is_held(seq: int, through: int, gaps: Sequence[Sequence[int]]) -> bool:
    """As docs/wire.md has it: what lies above the last gap is held as far as the receipt says, which is one number."""
    highest = gaps[-1][1] + 1 if gaps else through
    return seq <= highest and not any(first <= seq <= last for first, last in gaps)
