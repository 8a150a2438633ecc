"""The demo's broker: rumqttd from the `iotcore` wheel, or the Mosquitto on the PATH.

The embedded one keeps sessions in memory: what it held when it stopped is gone, so devices that keep their data until
the receipt lose nothing and others may. The demo's world keeps its data.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from deploy.stack import StackError
from deploy.stack.children import Child
from deploy.stack.ports import answers

_RUMQTTD = """\
id = 0
[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v4.1]
name = "suyuan"
listen = "{host}:{port}"
next_connection_delay_ms = 1
[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = 4194304
max_inflight_count = 500
dynamic_filters = true
"""

_MOSQUITTO = """\
listener {port} {host}
allow_anonymous true
persistence true
persistence_location {directory}/
autosave_interval 5
max_inflight_messages 2000
max_queued_messages 0
message_size_limit 4194304
"""

_SERVE = (
    "import sys, threading, os\n"
    "def follow():\n    while os.read(0, 4096):\n        pass\n    os._exit(0)\n"
    "threading.Thread(target=follow, daemon=True).start()\n"
    "import logging; logging.getLogger('rumqttd').setLevel(logging.CRITICAL)\n"
    "from iotcore import IotCoreBroker\n"
    "IotCoreBroker(config_path=sys.argv[1]).run_forever()\n"
)


def start_broker(data_dir: Path, host: str, port: int, mosquitto: bool) -> Child:
    """Start and wait until it listens. Raises StackError."""
    directory = data_dir / "broker"
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / ("mosquitto.conf" if mosquitto else "rumqttd.toml")
    if mosquitto:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise StackError("there is no mosquitto on the PATH: install it, or leave --mosquitto out")
        # Started by root, Mosquitto changes to a user of its own, who must be able to write here.
        config.write_text(_MOSQUITTO.format(host=host, port=port, directory=directory) + "user root\n")
        # It knows nothing of our standard input; where the system can, it ends with us however we end.
        setpriv = shutil.which("setpriv")
        command = [*([setpriv, "--pdeathsig=TERM"] if setpriv else []), program, "-c", str(config)]
    else:
        config.write_text(_RUMQTTD.format(host=host, port=port))
        command = [sys.executable, "-c", _SERVE, str(config)]
    broker = Child("broker", command, {}, data_dir / "broker.log", follows_stdin=not mosquitto)
    _wait(broker, port)
    return broker


def _wait(broker: Child, port: int) -> None:
    deadline = time.monotonic() + 20
    while not answers(port):
        if broker.ended() is not None or time.monotonic() > deadline:
            raise StackError(f"the broker did not start; see {broker.log}")
        time.sleep(0.05)
