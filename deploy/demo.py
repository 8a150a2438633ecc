"""`suyuan demo`: the whole line on one machine, from an empty directory to a shopper's page.

Contract: shows what it does; stops everything it started however it ends; a second start keeps the data and goes on
with the same world; what `--json` prints was measured, by the doors a user has (SQL for counts, HTTP for the page and
the proof, `suyuan verify` for the proof's outcome).
"""

from __future__ import annotations

import fcntl
import json
import queue
import secrets
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
import segno
from rich.console import Console

from deploy.demo_people import SignIn, keep_people, told
from deploy.demo_shown import Maker, show
from deploy.demo_shown import told as told_shown
from deploy.demo_summary import counts, get, one, verified_proof
from deploy.demo_witness import LIST, DemoWitness, keep_witness
from deploy.migrate import SERVICE_ROLES, migrate
from deploy.simulation import read_played
from deploy.stack import StackError
from deploy.stack.broker import start_broker
from deploy.stack.children import Child
from deploy.stack.ports import free_port, require_free
from deploy.stack.postgres import EmbeddedPostgres
from ingest.registry import load, load_shipped, load_token, parse_registry
from ingest.subscriber import SUBSCRIBED
from ledger.log_files import replace_whole
from simulators.player import PlayerError, Story, resume

SETTLE_S = 60.0
QUIET_S = 1.0


class DemoError(RuntimeError):
    """The demo cannot go on. The message says what to do."""


class _Interrupted(Exception):
    """Ctrl-C or a request to end."""


@dataclass(frozen=True, slots=True)
class Options:
    data_dir: Path
    seed: int
    port: int
    mqtt_port: int
    lan: bool
    mosquitto: bool
    exit_after: float | None
    as_json: bool


class Demo:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._began = time.monotonic()
        self._host = "0.0.0.0" if options.lan else "127.0.0.1"  # noqa: S104 - asked for with --lan, and said
        self._url = f"http://{_lan_address() if options.lan else '127.0.0.1'}:{options.port}"
        self._children: list[Child] = []
        self._world: Child | None = None
        self._server: EmbeddedPostgres | None = None
        self._urls: dict[str, str] = {}
        self._people: list[SignIn] = []
        self._witness: DemoWitness | None = None
        self._reached_now: float | None = None

    def run(self) -> None:
        for number in _ENDING:
            signal.signal(number, _interrupt)
        with ExitStack() as stack:
            try:
                self._run(stack)
            except _Interrupted:
                self._say("stopping: what the broker still holds is taken in first")
                self._stop_world()
            except (StackError, PlayerError) as error:
                raise DemoError(str(error)) from error
            finally:
                _ignore_interrupts()  # it ends: one that comes now must not break that

    def _run(self, stack: ExitStack) -> None:
        options = self._options
        require_free(options.port, "pages and API", "--port", self._host)
        require_free(options.mqtt_port, "MQTT broker", "--mqtt-port", self._host)
        self._take_folder(stack)
        self._send_again_what_a_broker_lost()
        urls = self._urls = self._start_database(stack)
        self._start_services(stack, urls)
        self._keep_settings(urls)
        self._world = self._start_world(stack)
        self._follow(self._world)
        self._present(urls)
        summary = self._stay(urls)
        if summary is not None:
            print(json.dumps(summary, ensure_ascii=False), flush=True)

    def _take_folder(self, stack: ExitStack) -> None:
        """Two demos over one folder would end each other's database and share a world: the second one is refused."""
        folder = self._options.data_dir
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o755)
            lock = stack.enter_context((folder / ".lock").open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoError(
                f"{folder} is in use by a demo that runs: stop it, or choose another folder with --data-dir"
            ) from error
        except OSError as error:
            raise DemoError(
                f"{folder} cannot be used: {error.strerror}; choose another folder with --data-dir"
            ) from error

    def _send_again_what_a_broker_lost(self) -> None:
        """The embedded broker forgets what it held when it ends. After an end in which that was not taken in first, the
        world sends all it had sent: what is stored is found again as a duplicate, what was lost is stored."""
        story = Story.load(self._options.data_dir)
        if story is not None and not self._drained.exists():
            self._say(
                "the last demo did not end in order: its world sends again what the broker may have lost"
            )
            replace(story, sent=0).save(self._options.data_dir)
        self._drained.unlink(missing_ok=True)

    @property
    def _drained(self) -> Path:
        """There if the last end left nothing in the broker."""
        return self._options.data_dir / "drained"

    # --- the parts, in the order they start ---------------------------------------------------------

    def _start_database(self, stack: ExitStack) -> dict[str, str]:
        self._say("starting the embedded PostgreSQL")
        server = self._server = EmbeddedPostgres(self._options.data_dir)
        stack.callback(server.stop)
        owner = server.start()
        applied = migrate(owner)
        self._say(
            f"schema: {len(applied)} migrations applied"
            if applied
            else "schema: up to date, the data of the last start is kept"
        )
        urls = server.service_urls(SERVICE_ROLES)
        world = resume(self._options.data_dir, self._options.seed, _now())
        with psycopg.connect(urls["ingest"]) as conn:
            document = world.registry()
            load(conn, parse_registry(json.dumps(document)))
            load_shipped(conn)
            for organisation in document["organisations"]:
                load_token(conn, organisation["id"], self._token(organisation["id"]))
        with psycopg.connect(owner) as conn:
            self._people = keep_people(conn, self._options.data_dir / "keys", _now())
        return urls

    def _start_services(self, stack: ExitStack, urls: dict[str, str]) -> None:
        self._say(
            "starting the broker and the services: ingest, jobs, sequencer, api, and a witness of our own"
        )
        options = self._options
        witness = self._witness = keep_witness(options.data_dir, free_port())
        self._keep(stack, self._child("witness", witness.command, self._environment()))
        self._keep(stack, start_broker(options.data_dir, self._host, options.mqtt_port, options.mosquitto))
        for name in ("api", "sequencer", "jobs", "ingest"):
            environment = self._environment() | {"SUYUAN_DATABASE_URL": urls[name]}
            if name == "api":
                environment["SUYUAN_PUBLIC_DATABASE_URL"] = urls["public"]
            self._keep(stack, self._child(name, [name], environment))
        ingest = self._children[-1]
        self._wait_for("ingest to subscribe", lambda: ingest.said(SUBSCRIBED), 60)
        self._wait_for("the API", lambda: get(f"{self._local()}/readyz")[0] == 200, 60)

    def _start_world(self, stack: ExitStack) -> Child:
        world = self._child(
            "simulate",
            ["simulate", "--progress", "--seed", str(self._options.seed)],
            self._environment(),
            piped=True,
        )
        self._keep(stack, world)
        return world

    def _child(
        self, name: str, arguments: list[str], environment: dict[str, str], *, piped: bool = False
    ) -> Child:
        command = [sys.executable, "-m", "deploy", *arguments, "--follow-parent"]
        return Child(name, command, environment, self._options.data_dir / f"{name}.log", piped=piped)

    def _keep(self, stack: ExitStack, child: Child) -> None:
        self._children.append(child)
        stack.callback(child.stop)

    def _keep_settings(self, urls: dict[str, str]) -> None:
        """For a second terminal, as a shell reads them: what the API runs with, and the owner's URL, which `suyuan doctor`
        and `suyuan backup` take. Ports and passwords are new at every start."""
        assert self._server is not None
        settings = self._environment() | {
            "SUYUAN_DATABASE_URL": urls["api"],
            "SUYUAN_PUBLIC_DATABASE_URL": urls["public"],
            "OWNER_URL": self._server.owner_url,
        }
        lines = [f"{name}={shlex.quote(value)}\n" for name, value in settings.items()]
        replace_whole(self._options.data_dir / "keys/environment", "".join(lines).encode(), 0o600)

    def _environment(self) -> dict[str, str]:
        return {
            "SUYUAN_MQTT_URL": f"mqtt://127.0.0.1:{self._options.mqtt_port}",
            "SUYUAN_DATA_DIR": str(self._options.data_dir),
            "SUYUAN_PUBLIC_URL": self._url,
            "SUYUAN_LISTEN_HOST": self._host,
            "SUYUAN_LISTEN_PORT": str(self._options.port),
            "SUYUAN_LOG_ORIGIN": "demo.suyuan.example",
            "SUYUAN_WITNESSES_FILE": str(self._options.data_dir / LIST),
        }

    # --- while it runs ------------------------------------------------------------------------------

    def _follow(self, world: Child) -> None:
        """Show how the world catches up, until it reaches now."""
        lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=_pump, args=(world, lines), daemon=True).start()
        said = 0.0
        with self._console.status("the world starts 36 hours ago") as status:
            while True:
                self._check_children()
                try:
                    line = lines.get(timeout=0.2)
                except queue.Empty:
                    continue
                progress = json.loads(line)
                text = f"the world is at {progress['world_time'][:16]}Z: {progress['readings']} readings, {progress['events']} events"
                status.update(text)
                if progress["caught_up"]:
                    self._reached_now = time.monotonic()
                    break
                if not self._console.is_terminal and time.monotonic() - said > 5:
                    said = time.monotonic()
                    self._say(text)
        self._say(
            f"the world has reached now: {progress['readings']} readings, {progress['events']} events; it goes on in real time"
        )

    def _present(self, urls: dict[str, str]) -> None:
        page = self._page_url()
        self._wait_for(
            "the page of a box", lambda: get(page.replace(self._url, self._local()))[0] == 200, SETTLE_S
        )
        self._wait_settled(urls, SETTLE_S)
        self._console.print(f"\n  a shopper's page   {page}")
        self._console.print(f"  API                {self._url}/openapi.json")
        self._console.print(f"  ledger             {self._url}/log/xj-coop/checkpoint")
        assert self._witness is not None
        self._console.print(
            f"  its witness        {self._witness.url} (run by this demo itself: not independent)"
        )
        self._console.print(f"  devices speak to   mqtt://{self._host}:{self._options.mqtt_port}")
        keys = self._options.data_dir / "keys"
        self._console.print(f"  capture token      {keys / 'capture-xj-coop.token'}")
        # In a second terminal, before `suyuan doctor` and `suyuan backup`.
        self._console.print(
            f"  other commands     set -a; . {shlex.quote(str(keys / 'environment'))}; set +a\n"
        )
        self._console.print(f"  sign in at         {self._url}/sign-in")
        for line in told(self._people):
            self._console.print(f"    {line}", markup=False)
        self._console.print("\n  waiting to be seen")
        maker = Maker(self._local(), self._token("xj-coop"))
        world = resume(self._options.data_dir, self._options.seed, _now())
        for line in told_shown(show(maker, world, urls["public"], urls["jobs"], _now()), self._url):
            self._console.print(f"    {line}", markup=False)
        self._console.print()
        segno.make(page, error="m").terminal(out=sys.stderr, compact=True)
        if not self._options.lan:
            self._console.print(
                "  The address is this machine's own; with --lan a phone in the same network can open it."
            )
        self._console.print("  Ctrl-C stops everything.\n")

    def _stay(self, urls: dict[str, str]) -> dict[str, Any] | None:
        """Until Ctrl-C, or `exit_after` seconds from when the world reached now; then, if asked, the summary."""
        began = self._reached_now or time.monotonic()
        deadline = None if self._options.exit_after is None else began + self._options.exit_after
        while deadline is None or time.monotonic() < deadline:
            self._check_children()
            time.sleep(0.2)
        self._say("time is up: the world stops, the last readings are taken in")
        self._stop_world()
        self._wait_settled(urls, SETTLE_S)
        return self._summary(urls) if self._options.as_json else None

    def _stop_world(self) -> None:
        """The embedded broker forgets what it holds when it ends, so ingest takes that in before it does."""
        world, self._world = self._world, None
        if world is None:
            return
        if world in self._children:
            self._children.remove(world)
        world.stop()
        if self._server is None or self._server.ended():
            return
        taken, since = -1, time.monotonic()
        try:
            while time.monotonic() - since < QUIET_S:
                with psycopg.connect(self._urls["jobs"], connect_timeout=5) as conn:
                    now_taken = one(conn, "SELECT coalesce(sum(messages), 0) FROM batch")[0]
                if now_taken != taken:
                    taken, since = now_taken, time.monotonic()
                time.sleep(0.1)
        except psycopg.Error as error:
            self._say(f"the database is away ({error}); the next start sends again what was not taken in")
            return
        self._drained.touch()

    def _check_children(self) -> None:
        if self._server is not None and self._server.ended():
            raise DemoError(f"PostgreSQL ended by itself; see {self._options.data_dir / 'postgres.log'}")
        for child in self._children:
            if child.ended() is not None:
                raise DemoError(
                    f"{child.name} ended by itself ({child.ended()}); the end of its log, {child.log}:\n{_tail(child.log)}"
                )

    # --- what came of it ----------------------------------------------------------------------------

    def _summary(self, urls: dict[str, str]) -> dict[str, Any]:
        gtin, lot, serial = self._sample()
        page = self._page_url()
        status, _ = get(page.replace(self._url, self._local()))
        return {
            **counts(urls["jobs"], read_played(self._options.data_dir)),
            "seed": self._options.seed,
            "sample_page_url": page,
            "sample_page_status": status,
            **verified_proof(
                f"{self._local()}/api/v1/lots/01/{gtin}/10/{lot}/21/{serial}/proof", self._options.data_dir
            ),
            "seconds": round(time.monotonic() - self._began, 1),
        }

    # --- small things -------------------------------------------------------------------------------

    def _wait_settled(self, urls: dict[str, str], within_s: float) -> None:
        """Everything taken in was projected, detected and sequenced; what waits for its hour to be sealed may wait."""

        def settled() -> bool:
            with psycopg.connect(urls["jobs"]) as conn:
                waiting = one(conn, "SELECT (SELECT count(*) FROM mark), (SELECT count(*) FROM pending)")
                behind = one(
                    conn,
                    "SELECT coalesce((SELECT max(position) FROM leaf), 0)"
                    " - coalesce((SELECT position FROM projection WHERE name = 'portions'), 0)",
                )
            return not any(waiting) and behind[0] == 0

        self._wait_for("the line to settle", settled, within_s, fatal=False)

    def _wait_for(self, what: str, done: Callable[[], bool], within_s: float, *, fatal: bool = True) -> None:
        deadline = time.monotonic() + within_s
        while not done():
            self._check_children()
            if time.monotonic() > deadline:
                if fatal:
                    raise DemoError(
                        f"waited {within_s:.0f} s for {what} in vain; see the logs in {self._options.data_dir}"
                    )
                self._say(f"{what}: not within {within_s:.0f} s")
                return
            time.sleep(0.1)

    def _sample(self) -> tuple[str, str, str]:
        return resume(self._options.data_dir, self._options.seed, _now()).sample_box()

    def _page_url(self) -> str:
        gtin, lot, serial = self._sample()
        return f"{self._url}/01/{gtin}/10/{lot}/21/{serial}"

    def _local(self) -> str:
        return f"http://127.0.0.1:{self._options.port}"

    def _token(self, organisation: str) -> str:
        path = self._options.data_dir / "keys" / f"capture-{organisation}.token"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(24))
        return path.read_text()

    def _say(self, text: str) -> None:
        self._console.print(f"[{time.monotonic() - self._began:5.1f} s] {text}", markup=False)


_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # A second Ctrl-C must not break the stopping.
    _ignore_interrupts()
    raise _Interrupted


def _ignore_interrupts() -> None:
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


def _pump(world: Child, lines: queue.SimpleQueue[bytes]) -> None:
    try:
        for line in world.lines:
            lines.put(line)
    except ValueError:  # the pipe was closed while stopping
        return


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-15:]) if path.exists() else ""


def _lan_address() -> str:
    """The address a neighbour reaches us by; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError as error:
            raise DemoError("this machine has no network a phone could be in: leave --lan out") from error


def _now() -> datetime:
    return datetime.now(UTC)
