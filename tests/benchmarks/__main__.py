"""Runs all benchmarks on plain PostgreSQL and a real Mosquitto: `make bench`, in about three minutes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.benchmarks import audit, following, gate, ledger, line, store
from tests.servers.databases import Template
from tests.servers.mosquitto import mosquitto_broker
from tests.servers.plain import plain_server


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with plain_server(folder) as server, mosquitto_broker(folder) as broker:
            template = Template(server)
            store.run(template)
            ledger.run(template, folder)
            line.run(template, broker, folder)
            following.run(template, folder)
            audit.run(template)
            gate.run(template, folder)


if __name__ == "__main__":
    main()
