"""Real servers for the tests, and the last lines of a run, which say what was counted and what could not run
here.

- `database`: an empty, migrated database of one's own, once on plain PostgreSQL and once on TimescaleDB's Apache
  edition. A test that is about one of them says `@pytest.mark.editions("plain")`; one that also runs on the
  community edition's WASM build, which takes longer to clone, says `editions("plain", "timescale", "community")`.
  `SUYUAN_TEST_EDITIONS=community` runs everything there that can run in one session.
- `begun`: an instance with a database of one's own, in which what the module's `begin(instance)` does has been done.
- `mqtt_broker`: Mosquitto, which the test may kill and restart.
- `browser`: Chromium; a test opens its own context in it.
- `service_environment(...)`: what a service started as a process of its own gets for an environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests import vectors
from tests.servers import named
from tests.servers.databases import Database
from tests.servers.mosquitto import Broker, mosquitto_broker
from tests.servers.session import EDITIONS, Servers, Told, lines, on_wasm

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.acceptance.instance import Instance
    from tests.acceptance.worlds import Worlds

# How long an example takes says more of what else the machine is doing than of the code; what is found to be
# false can be run again from the line that is printed.
settings.register_profile(
    "suyuan", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("suyuan")

SERVERS = pytest.StashKey[Servers]()
TOLD = pytest.StashKey[list[Told]]()
MOST_WORKERS = 4
# Files of many seconds that the folders' order would begin last, when the other processes have nothing left to do.
EARLY = (
    "tests/integration/test_sequencing_faults.py",
    "tests/unit/trace_api/test_papers.py",
    "tests/unit/test_vectors.py",
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs whatever uses `database` or a world, itself or through another fixture, once on each edition."""
    if "edition" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("editions")
        metafunc.parametrize("edition", marker.args if marker else EDITIONS, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out, and counts as deselected, what would need more of the WASM build than one session: who asks for everything
    on that edition (`SUYUAN_TEST_EDITIONS`) gets what can run there. It runs on the other two. And puts `EARLY` first."""
    beyond = [item for item in items if item.get_closest_marker("whole_server") and on_wasm(parameters(item))]
    if beyond:
        config.hook.pytest_deselected(items=beyond)
        items[:] = [item for item in items if item not in beyond]
    items.sort(key=lambda item: not item.nodeid.startswith(EARLY))


def parameters(item: pytest.Item) -> dict[str, object]:
    return item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """The session's servers; a test asks for `database`, `mqtt_broker` or `browser` instead."""
    running = Servers(tmp_path_factory.mktemp("servers"))
    request.config.stash[SERVERS] = running
    yield running
    running.stop()


@pytest.fixture
def edition(request: pytest.FixtureRequest) -> str:
    """The edition that the test runs on this time."""
    return str(request.param)


@pytest.fixture
def database(edition: str, servers: Servers) -> Iterator[Database]:
    """An empty database at this release's schema, dropped after the test."""
    with servers.template(edition).clone() as fresh:
        yield fresh


@pytest.fixture(scope="module")
def worlds(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worlds]:
    """What the module's `begin(instance)` does, done once for each edition."""
    from tests.acceptance.worlds import Worlds  # all of the product, which most unit tests need nothing of

    made = Worlds(servers, tmp_path_factory.mktemp("worlds"), request.module.begin)
    yield made
    made.drop()


@pytest.fixture
def begun(edition: str, worlds: Worlds, tmp_path: Path) -> Iterator[Instance]:
    """An instance of one's own, in which the module's `begin` has been done; its data folder is `tmp_path`."""
    with worlds.copy(edition, tmp_path) as copied:
        yield copied


@pytest.fixture
def mqtt_broker(servers: Servers) -> Iterator[Broker]:
    """A broker that nobody has spoken to yet."""
    with ExitStack() as stack:
        yield servers.enter(stack, "mosquitto", mosquitto_broker)


@pytest.fixture(scope="module")
def browser(servers: Servers) -> Iterator[Browser]:
    """Chromium. For a module, not the session: while Playwright runs, its event loop counts as this
    thread's."""
    from tests.servers.chromium import chromium_browser  # most runs need no Playwright

    with ExitStack() as stack:
        yield servers.enter(stack, "chromium", chromium_browser)


@pytest.fixture(scope="session")
def service_environment() -> Callable[..., dict[str, str]]:
    """Builds the environment of a service that runs as a process of its own. See
    `build_service_environment`."""
    return build_service_environment


def build_service_environment(
    database: Database, broker: Broker | None, data_dir: Path, role: str, **further: str
) -> dict[str, str]:
    """The machine's environment with ours in its place: no `SUYUAN_*` and no `PG*` of the caller's comes
    through, and the database's URL is the role's, so that the owner's password is nowhere in it. The API also
    gets the public role's URL, as it runs with both. `further` settings are named as in the settings model:
    `public_url="…"`.
    """
    ours = {"database_url": database.service(role), "data_dir": str(data_dir), **further}
    if role == "api":
        ours.setdefault("public_database_url", database.service("public"))
    if broker is not None:
        ours["mqtt_url"] = broker.url
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(("SUYUAN_", "PG"))}
    return theirs | {f"SUYUAN_{name.upper()}": value for name, value in ours.items()}


# --- several processes --------------------------------------------------------------------------------------------
# `make test` runs pytest-xdist: workers run the tests, each with its own servers, and tell the one that prints.


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One where servers are named: they would be shared, and so would the passwords of their roles. Else one more than there
    are processors, since a fifth of a test's time is waiting."""
    if os.environ.get(named.VARIABLE) or os.environ.get("SUYUAN_TEST_MQTT_URL"):
        return 1
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(processors + 1, MOST_WORKERS)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker has ended. One that crashed tells nothing; the test that it was in has failed then."""
    told = getattr(node, "workeroutput", {}).get("suyuan")
    if told is not None:
        node.config.stash.setdefault(TOLD, []).append(Told(*told["servers"]))
        vectors.add(told["vectors"])


def told_by(config: pytest.Config) -> list[Told]:
    running = config.stash.get(SERVERS, None)
    return [*config.stash.get(TOLD, []), *([running.told()] if running else [])]


def whole_suite(config: pytest.Config) -> bool:
    """False where the caller asked for some of the tests only: then no floor holds."""
    chosen = config.option.keyword or config.option.markexpr or config.option.deselect
    return not chosen and config.args_source is not pytest.Config.ArgsSource.ARGS


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fails a run of everything in which fewer vector cases ran than the floor says. A worker only tells."""
    if hasattr(session.config, "workeroutput"):
        servers = next(iter(told_by(session.config)), Told({}, {}))
        session.config.workeroutput["suyuan"] = {"servers": tuple(servers), "vectors": vectors.ran()}
    elif exitstatus == pytest.ExitCode.OK and whole_suite(session.config) and vectors.shortfalls():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None]:
    """Writes the last lines, after pytest's own summary of what failed."""
    yield
    for line in lines(told_by(config)):
        terminalreporter.write_line(line)
    terminalreporter.write_line(vectors.report())
    for line in vectors.shortfalls() if whole_suite(config) else []:
        terminalreporter.write_line(line, red=True)
