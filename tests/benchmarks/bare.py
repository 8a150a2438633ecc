"""The reference: paho over MQTT 3.1.1 that takes and acknowledges, and stores nothing. `python -m tests.benchmarks.bare PORT MESSAGES`

Written as fast as paho goes as it is: its own loop in the one thread, one callback, acknowledgements in groups in one write.
`--sent` also reads when each message left from its `sent`, for how long the broker takes.
"""

from __future__ import annotations

import json
import sys
import time
from array import array
from pathlib import Path

import numpy as np
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

CLIENT = "bench-bare"
GROUP = 500
PUBACK = 0x40


def take(port: int, messages: int, group: int, sent: bool) -> dict[str, float]:
    seen, begun = 0, 0.0
    mids: list[bytes] = []
    took = array("d")
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, CLIENT, clean_session=False, protocol=mqtt.MQTTv311, manual_ack=True
    )

    def on_message(own: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        nonlocal seen, begun
        if not seen:
            begun = time.perf_counter()
        seen += 1
        mids.append(b"\x40\x02" + message.mid.to_bytes(2, "big"))
        if sent:
            _, _, after = message.payload.partition(b'"sent","v":')
            took.append(time.time() - float(after[:17]))
        if len(mids) >= group or seen == messages:
            own._packet_queue(PUBACK, b"".join(mids), 0, 0)
            mids.clear()
        if seen == messages:
            own.disconnect()

    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.loop_forever()
    found = {"rate": (seen - 1) / (time.perf_counter() - begun)}
    status = Path("/proc/self/status").read_text()
    found["peak_mb"] = int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    return found | ({"p99_ms": float(np.percentile(took, 99)) * 1000} if sent else {})


if __name__ == "__main__":
    sent = "--sent" in sys.argv
    print(json.dumps(take(int(sys.argv[1]), int(sys.argv[2]), 1 if sent else GROUP, sent)))
