"""All of it together, for one scenario: a database, a broker, wires between them that may fail, workers and publishers.

Contract: whatever a scenario did, at the end everything of it is stopped; what it published is remembered, and `verdict`
waits until nothing is lost any more, or gives up and says what is. Chance comes from the seed alone.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ingest.registry import load, parse_registry
from tests.chaos import checker
from tests.chaos.crowd import Crowd
from tests.chaos.gateway import Gateway, Keep
from tests.chaos.known import Known, messages, registry
from tests.chaos.proxy import Proxy
from tests.chaos.worker import Worker
from tests.conftest import build_service_environment
from tests.servers.databases import Database
from tests.servers.mosquitto import Mosquitto
from tests.servers.plain import PlainServer

DEADLINE_S = 120.0  # for anything that is waited for; what takes longer is a fault


class Stuck(AssertionError):
    """Something that must happen did not, within the deadline."""


@dataclass(frozen=True)
class Size:
    """`faults`: how often a scenario injects. `rate`: messages a second, so that they still come while it does. `long`: also what
    has to outlast a timeout."""

    messages: int
    faults: int
    rate: float
    devices: int = 50
    long: bool = False


FULL = Size(100_000, 20, 5_000.0, long=True)
SHORT = Size(1_000, 2, 1_500.0, devices=20)


@dataclass
class Stage:
    database: Database
    server: PlainServer | None
    broker: Mosquitto
    size: Size
    seed: int
    logs: Path
    injected: Counter[str] = field(default_factory=Counter)
    workers: list[Worker] = field(default_factory=list)
    published: list[Known] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._stack = ExitStack()
        self._owner: psycopg.Connection | None = None
        with psycopg.connect(self.database.service("ingest")) as conn:
            load(conn, parse_registry(registry(self.size.devices)))

    # --- the parts ---------------------------------------------------------------------------------------------------

    def proxy(self, port: int) -> Proxy:
        made = Proxy(port)
        self._stack.callback(made.close)
        return made

    @property
    def database_port(self) -> int:
        return int(conninfo_to_dict(self.database.owner)["port"])

    def worker(self, broker: Proxy | None = None, database: Proxy | None = None, **settings: str) -> Worker:
        """A worker that runs, has subscribed, and is under its limit; its neighbours may be behind a proxy."""
        made = self._worker(broker, database, settings)
        self.await_subscribed(made.start())
        return made

    def two_workers(
        self, broker: Proxy | None = None, database: Proxy | None = None, **settings: str
    ) -> tuple[Worker, Worker]:
        """Two of them; what is said is of the first, the other one is an ordinary one."""
        both = self._worker(broker, database, settings).start(), self._worker(None, None, {}).start()
        self.await_subscribed(*both)
        return both

    def _worker(self, broker: Proxy | None, database: Proxy | None, settings: dict[str, str]) -> Worker:
        port = broker.port if broker else self.broker.port
        environment = build_service_environment(
            self.database, None, self.logs / "data", "ingest", mqtt_url=f"mqtt://127.0.0.1:{port}", **settings
        )
        if database:
            url = environment["SUYUAN_DATABASE_URL"]
            environment["SUYUAN_DATABASE_URL"] = url.replace(f":{self.database_port}/", f":{database.port}/")
        made = Worker(environment, self.logs / f"worker-{len(self.workers)}.log")
        self._stack.callback(made.abandon)
        self.workers.append(made)
        return made

    def await_subscribed(self, *workers: Worker) -> None:
        """From then on the broker keeps what comes for them."""
        for worker in workers:
            worker.require_limit()
            self.wait(worker.has_subscribed, "a worker to subscribe")

    def restart(self, worker: Worker) -> None:
        """kill -9, and another one in its place at once."""
        worker.kill()
        self.await_subscribed(worker.start())

    def publish(
        self, published: Sequence[Known], keep: Keep = "puback", port: int | None = None, **options: Any
    ) -> Gateway:
        """Begins to publish; every message is remembered for the verdict, once."""
        self.published += published
        return self.publish_again(published, keep, port, **options)

    def publish_again(
        self, published: Sequence[Known], keep: Keep = "puback", port: int | None = None, **options: Any
    ) -> Gateway:
        name = f"gateway-{self.random.getrandbits(48):012x}"
        options.setdefault("rate", self.size.rate)
        made = Gateway(port or self.broker.port, name, published, keep, **options)
        self._stack.callback(made.stop)
        return made.start()

    def crowd(self, shares: Sequence[Sequence[Known]], published: Sequence[Known]) -> Crowd:
        """A connection for each share."""
        self.published += published
        made = Crowd(self.broker.port, shares, self.size.rate)
        self._stack.callback(made.stop)
        return made.start()

    def all_messages(self) -> list[Known]:
        return messages(self.size.messages, self.size.devices)

    # --- what is seen of it ------------------------------------------------------------------------------------------

    def ask(self, query: str, **arguments: object) -> Any:
        """One value, from the owner's connection; asked again for as long as the database is away."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                row = self.owner.execute(query.encode(), arguments or None).fetchone()
                return row[0] if row else None
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                self._forget_owner()
                time.sleep(0.05)

    @property
    def owner(self) -> psycopg.Connection:
        if self._owner is None or self._owner.closed:
            self._owner = psycopg.connect(self.database.owner, autocommit=True, connect_timeout=5)
        return self._owner

    def _forget_owner(self) -> None:
        if self._owner is not None:
            self._owner.close()
        self._owner = None

    def held(self) -> int:
        """Distinct numbered messages that the line says it holds."""
        return int(self.ask(_HELD))

    def batches(self) -> int:
        return int(self.ask("SELECT count(*) FROM batch"))

    def wait(self, condition: Callable[[], Any], what: str, within_s: float = DEADLINE_S) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > deadline:
                raise Stuck(f"waited {within_s:.0f} s for {what}")
            time.sleep(0.01)

    def at_random_points(self, times: int | None = None, until: float = 0.9) -> Iterator[int]:
        """Yields between the first message's arrival and that of this share of all, at as many points as faults are wanted."""
        times = times or self.size.faults
        total = self.size.messages
        for point in sorted(self.random.sample(range(total // 20, int(total * until)), times)):
            self.wait(lambda point=point: self.held() >= point, f"{point} of {total} messages to be held")
            time.sleep(self.random.random() * 0.05)  # anywhere in a batch, and not only after one
            yield point

    def inject(self, what: str, times: int = 1) -> None:
        self.injected[what] += times

    # --- the end -----------------------------------------------------------------------------------------------------

    def verdict(self, *gateways: Gateway | Crowd) -> checker.Verdict:
        for gateway in gateways:
            self.wait(gateway.finished.is_set, "a gateway to be rid of everything")
        numbered = sum(
            each.device.startswith("logger-") and each.organisation == "coop" for each in self.published
        )
        with psycopg.connect(self.database.owner, autocommit=True) as conn:
            checker.load(conn, self.published)
            try:
                self.wait(lambda: self.held() >= numbered, f"{numbered} messages to be held")
                self.wait(lambda: checker.lost(conn) == 0, "the last message to be found", 30)
            except Stuck:
                pass  # the checker says what is missing
            for worker in self.workers:
                worker.begin_stop()
            for worker in self.workers:
                worker.stop()
            return checker.check(conn)

    def close(self) -> None:
        self._stack.close()
        self._forget_owner()


_HELD = "SELECT coalesce(sum(upper(part) - lower(part)), 0) FROM device_sequence, unnest(stored + refused) AS part"


@contextmanager
def stage(
    database: Database, server: PlainServer | None, broker: Mosquitto, size: Size, seed: int, logs: Path
) -> Iterator[Stage]:
    made = Stage(database, server, broker, size, seed, logs)
    try:
        yield made
    finally:
        made.close()
