"""The real application on a real server, with the clock passed in: `deploy.services.api` is the same with the machine's own."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime

import httpx
import psycopg
import uvicorn
from argon2 import PasswordHasher
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool

from deploy.stack.ports import free_port
from tests.acceptance.instance import Instance
from tests.servers.waiting import wait_until
from trace_api.access import Databases
from trace_api.accounts.passwords import Passwords
from trace_api.app import Configuration, capture_desk, create_app
from trace_api.capture import working
from trace_api.capture.desk import Desk

# A thousandth of the work of a real one: tests sign in hundreds of times.
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

# Trusts nobody, as nobody here speaks TLS: to read the authorities of the world would take longer than most tests' requests.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class PromptServer(uvicorn.Server):
    """Ends as uvicorn does, and looks more often whether it shall: its own takes up to 0.3 s for it."""

    async def main_loop(self) -> None:
        await self.on_tick(0)
        while not self.should_exit:
            await asyncio.sleep(0.01)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:
            await asyncio.sleep(0.002)
        for server in self.servers:
            await server.wait_closed()
        await self.lifespan.shutdown()


@contextmanager
def served(instance: Instance, now: datetime, passwords: Passwords | None = None) -> Iterator[httpx.Client]:
    """A client of the instance's API, as suyuan_api and suyuan_public. Its `base_url` is the PUBLIC_URL. `passwords`: how they
    are hashed; None: as cheaply as can be. What was read on a connection that another request might have by then fails the
    test at the end."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    astray: list[str] = []
    with _pool(instance, "api", astray) as api, _pool(instance, "public", astray) as public:
        configuration = Configuration(
            url, instance.folder / "log", instance.keys.organisation_key, passwords or Passwords(CHEAP)
        )
        databases, woken, stop = Databases(api, public), threading.Event(), threading.Event()
        desk = capture_desk(databases, configuration, lambda: now, woken.set)
        app = create_app(databases, configuration, lambda: now, desk)
        server = PromptServer(uvicorn.Config(app, "127.0.0.1", port, log_level="error", access_log=False))
        thread = threading.Thread(target=server.run)
        captures = threading.Thread(target=_work_off, args=(desk, woken, stop))
        thread.start()
        captures.start()
        try:
            assert wait_until(lambda: server.started or not thread.is_alive(), 20, every_s=0.005)
            with httpx.Client(base_url=url, timeout=60, verify=NO_TLS) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(20)
            stop.set()
            woken.set()
            captures.join(20)
        with ExitStack() as stack:
            for pool in (api, public):
                for _ in range(pool.get_stats()["pool_size"]):
                    stack.enter_context(pool.connection())
        assert astray == [], "something was asked on a connection that had been given back"


def _work_off(desk: Desk, woken: threading.Event, stop: threading.Event) -> None:
    """As `working.serve`, and never by itself: most tests capture nothing, and some have one session for all."""
    while not stop.is_set():
        woken.wait()
        woken.clear()
        while not stop.is_set() and working.step(desk):
            continue


def _pool(instance: Instance, role: str, astray: list[str]) -> ConnectionPool:
    def look(conn: psycopg.Connection) -> None:
        if conn.info.transaction_status != TransactionStatus.IDLE:
            astray.append(role)

    return ConnectionPool(instance.database.service(role), min_size=1, max_size=4, open=False, check=look)
