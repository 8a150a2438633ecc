"""Node-RED with `pg`, both from npm: a flow of an MQTT node and a function node that inserts each message.

Set as their own pages advise: `pg` is given to function nodes by `functionGlobalContext`; a pool, a named statement, which is
prepared once, and `pipeline`, by which queries need not wait for each other. Node-RED acknowledges a message as it takes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

from simulators.load.plan import Plan
from tests.benchmarks.ground import TOPICS, Ground, started
from tests.benchmarks.peers import cache
from tests.benchmarks.peers.cache import NotInstalled
from tests.benchmarks.racing import Ran, drain
from tests.servers import ServerUnavailable
from tests.servers.databases import Database
from tests.servers.npm import node_and_npm

NODE_RED, PG = "4", "8"
CLIENT = "bench-node-red"
CONNECTIONS = 4
_SETTINGS = """
const {{ Pool }} = require('pg')
module.exports = {{
  uiHost: '127.0.0.1', httpAdminRoot: false, httpNodeRoot: false, flowFile: 'flows.json', credentialSecret: false,
  logging: {{ console: {{ level: 'warn', metrics: false, audit: false }} }},
  functionGlobalContext: {{ pool: new Pool({{ connectionString: {url}, max: {connections}, pipeline: true }}) }},
}}
"""
_INSERT = (
    "INSERT INTO reading_store (series_id, time, value, flags, batch_id) VALUES ($1, to_timestamp($2), $3, 0, 0)"
    " ON CONFLICT (series_id, time) DO UPDATE SET value = EXCLUDED.value"
)
_FUNCTION = f"""
const record = msg.payload[3]
global.get('pool').query({{ name: 'insert', text: {json.dumps(_INSERT)}, values: [+record.n.slice(1), record.bt, record.v] }})
  .catch(error => node.error(error))
"""


def installed() -> NodeRed:
    """Raises NotInstalled."""
    try:
        node, npm = node_and_npm()
    except ServerUnavailable as missing:
        raise NotInstalled(f"Node-RED is not measured: {missing}") from missing

    def build(folder: Path) -> None:
        (folder / "package.json").write_text('{"private": true}\n')
        wanted = [f"node-red@{NODE_RED}", f"pg@{PG}"]
        cache.run(
            "Node-RED", [*npm, "install", "--no-audit", "--no-fund", "--omit=optional", *wanted], folder
        )

    return NodeRed(str(node), cache.kept("node-red", build))


@dataclass
class NodeRed:
    node: str
    folder: Path
    name: str = "Node-RED with pg"
    client: str = CLIENT
    topics: tuple[str, ...] = (TOPICS,)

    @property
    def settings(self) -> str:
        versions = [_version(self.folder, name) for name in ("node-red", "pg")]
        return (
            f"{versions[0]} with pg {versions[1]}: an upsert for each message, named statement, pool of {CONNECTIONS}, pipeline;"
            " acknowledges before it stores"
        )

    def run(self, ground: Ground, plan: Plan) -> Ran:
        return drain(self, ground, plan)

    def prepare(self, _ground: Ground, _database: Database, plan: Plan) -> int:
        return (plan.messages - 1) % plan.devices + 1

    @contextmanager
    def running(self, ground: Ground, database: Database) -> Iterator[Popen[bytes]]:
        home = ground.folder / "node-red"
        home.mkdir(exist_ok=True)
        settings = _SETTINGS.format(url=json.dumps(database.owner), connections=CONNECTIONS)
        (home / "settings.js").write_text(settings)
        (home / "flows.json").write_text(json.dumps(_flow(ground)))
        red = self.folder / "node_modules" / "node-red" / "red.js"
        command = [self.node, str(red), "--userDir", str(home), "--port", "0"]
        environment = {"PATH": os.environ["PATH"], "NODE_PATH": str(self.folder / "node_modules")}
        with started(command, environment, ground.folder / "node-red.log") as process:
            yield process


def _version(folder: Path, package: str) -> str:
    return str(json.loads((folder / "node_modules" / package / "package.json").read_text())["version"])


def _flow(ground: Ground) -> list[dict[str, Any]]:
    return [
        {"id": "flow", "type": "tab", "label": "bench"},
        {
            "id": "broker", "type": "mqtt-broker", "broker": "127.0.0.1", "port": str(ground.broker.port), "clientid": CLIENT,
            "autoConnect": True, "usetls": False, "protocolVersion": "4", "keepalive": "60", "cleansession": False,
        },
        {
            "id": "in", "type": "mqtt in", "z": "flow", "topic": TOPICS, "qos": "1", "datatype": "json", "broker": "broker",
            "wires": [["store"]],
        },
        {"id": "store", "type": "function", "z": "flow", "func": _FUNCTION, "outputs": 0, "wires": []},
    ]  # fmt: skip
