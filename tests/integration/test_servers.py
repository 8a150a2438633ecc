"""The test servers keep their own contract: what every other integration test takes for granted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Browser

from deploy.migrate import check_schema, edition
from tests.servers import ServerUnavailable
from tests.servers.chromium import chinese_font
from tests.servers.databases import ROLES, Database
from tests.servers.debian_root import debian_root
from tests.servers.folders import in_memory, session_folder
from tests.servers.mosquitto import Broker
from tests.servers.named import edition_of
from tests.servers.waiting import wait_until

EVERY_EDITION = pytest.mark.editions("plain", "timescale", "community")
NAMES = {"plain": "plain", "timescale": "timescale-apache", "community": "timescale-community"}


@EVERY_EDITION
def test_a_database_is_migrated_and_of_its_edition(database: Database) -> None:
    with psycopg.connect(database.owner) as conn:
        check_schema(conn)
        assert edition(conn) == NAMES[database.edition]
    assert edition_of(database.owner) == database.edition, "as a server would be taken that somebody names"


@pytest.mark.parametrize("role", ROLES)
def test_a_service_connects_under_its_own_role_and_owns_nothing(database: Database, role: str) -> None:
    with psycopg.connect(database.service(role)) as conn:
        row = conn.execute(
            "SELECT current_user, rolsuper, (SELECT count(*) FROM pg_class WHERE relowner = pg_roles.oid)"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    assert row == (f"suyuan_{role}", False, 0)


@EVERY_EDITION
def test_a_wrong_password_is_refused(database: Database) -> None:
    """Were it not, a service that took the owner's URL for its own would go unnoticed."""
    wrong = database.service("ingest").replace(database.passwords["ingest"], "wrong")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(wrong)


@pytest.mark.parametrize("turn", [1, 2])
def test_no_test_sees_another_ones_rows(database: Database, turn: int) -> None:
    with psycopg.connect(database.owner) as conn:
        conn.execute("CREATE TABLE left_behind (turn int)")
        conn.execute("INSERT INTO left_behind VALUES (%s)", [turn])
        assert conn.execute("SELECT turn FROM left_behind").fetchall() == [(turn,)]


@pytest.mark.editions("plain")
def test_a_services_environment_has_no_password_but_its_own(
    database: Database,
    service_environment: Callable[..., dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SUYUAN_TEST_DATABASE_URL", database.owner)
    monkeypatch.setenv("PGPASSWORD", "of the caller")
    environment = service_environment(database, None, tmp_path, "api", public_url="http://127.0.0.1:8000")
    ours = {name: value for name, value in environment.items() if name.startswith(("SUYUAN_", "PG"))}
    assert ours == {
        "SUYUAN_DATABASE_URL": database.service("api"),
        "SUYUAN_PUBLIC_DATABASE_URL": database.service("public"),
        "SUYUAN_DATA_DIR": str(tmp_path),
        "SUYUAN_PUBLIC_URL": "http://127.0.0.1:8000",
    }


def test_a_broker_keeps_its_address_and_what_it_saved(mqtt_broker: Broker) -> None:
    """An orderly restart saves; the same port, or a client's reconnecting would not be tried by any test."""
    publish_retained(mqtt_broker, b"saved")
    mqtt_broker.restart()
    assert retained(mqtt_broker) == [b"saved"]


def test_a_killed_broker_is_gone_and_comes_back(mqtt_broker: Broker) -> None:
    mqtt_broker.kill()
    with pytest.raises(ConnectionRefusedError):
        client().connect("127.0.0.1", mqtt_broker.port)
    mqtt_broker.restart()
    publish_retained(mqtt_broker, b"back")
    assert retained(mqtt_broker) == [b"back"]


def test_a_payload_larger_than_ours_may_be_passes_the_broker(mqtt_broker: Broker) -> None:
    publish_retained(mqtt_broker, bytes(2 * 1024 * 1024))
    assert [len(payload) for payload in retained(mqtt_broker)] == [2 * 1024 * 1024]


def test_the_browser_shows_chinese(browser: Browser) -> None:
    """Where no font has the characters, each is drawn as the same box, and so has the same picture."""
    if not chinese_font():
        pytest.skip("fc-list knows no font with Chinese in it, and we are not root on Debian to install one")
    with browser.new_context(viewport={"width": 390, "height": 100}) as context:
        page = context.new_page()
        pictures = set()
        for character in "溯源杨":
            page.set_content(f'<p lang="zh-CN" style="font-size: 48px">{character}</p>')
            pictures.add(page.screenshot())
    assert len(pictures) == 3


TOPIC = "suyuan/v1/test/test/status"


def client() -> mqtt.Client:
    """A client of the kind that our subscriber is."""
    return mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)


def publish_retained(broker: Broker, payload: bytes) -> None:
    """Publishes and waits for the broker's PUBACK."""
    publisher = client()
    publisher.connect("127.0.0.1", broker.port)
    publisher.loop_start()
    publisher.publish(TOPIC, payload, qos=1, retain=True).wait_for_publish(timeout=10)
    publisher.disconnect()
    publisher.loop_stop()


def retained(broker: Broker) -> list[bytes]:
    """The message that a new subscriber is given, in a list; empty if none comes within ten seconds."""
    payloads: list[bytes] = []
    subscriber = client()
    subscriber.on_message = lambda _client, _userdata, message: payloads.append(bytes(message.payload))
    subscriber.connect("127.0.0.1", broker.port)
    subscriber.subscribe(TOPIC, qos=1)
    subscriber.loop_start()
    wait_until(lambda: bool(payloads), within_s=10)
    subscriber.disconnect()
    subscriber.loop_stop()
    return payloads


REPOSITORY = Path(__file__).parents[2]

# A session of its own that starts each server it can have, says so, and waits to be killed.
SESSION = """
import sys, time
from contextlib import ExitStack
from pathlib import Path
from tests.servers import ServerUnavailable
from tests.servers.community import community_server
from tests.servers.mosquitto import mosquitto_broker
from tests.servers.plain import plain_server
from tests.servers.timescale import timescale_server
with ExitStack() as stack:
    for server in (plain_server, timescale_server, community_server, mosquitto_broker):
        try:
            stack.enter_context(server(Path(sys.argv[1])))
        except ServerUnavailable:
            pass
    print("up", flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see what is left")
def test_a_killed_session_leaves_no_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SESSION, str(tmp_path)]
    session = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    with session:
        assert session.stdout is not None
        assert session.stdout.readline() == "up\n"
        family = descendants(session.pid)
        assert family
        session.kill()
    assert wait_until(lambda: not any(map(alive, family)), within_s=10), [*filter(alive, family)]
    places = [in_memory(), None]
    with suppress(ServerUnavailable):
        places.append(debian_root() / "srv")
    for place in places:
        with session_folder(place):
            pass  # making one removes what the killed session had to leave beside it


def test_a_killed_sessions_folder_is_removed_by_the_next_and_a_living_ones_is_not(tmp_path: Path) -> None:
    abandon = "import sys, os; from pathlib import Path; from tests.servers.folders import session_folder\n"
    abandon += "with session_folder(Path(sys.argv[1])): os._exit(0)"
    subprocess.run([sys.executable, "-c", abandon, str(tmp_path)], cwd=REPOSITORY, check=True)
    assert len(list(tmp_path.iterdir())) == 1
    with session_folder(tmp_path) as first, session_folder(tmp_path) as second:
        assert set(tmp_path.iterdir()) == {first, second}
    assert not list(tmp_path.iterdir())


def descendants(pid: int) -> list[int]:
    """Every process below this one, as the host counts them."""
    children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [below for child in children for below in descendants(child)]


def alive(pid: int) -> bool:
    """A zombie holds nothing, and who reaps it is not ours to wait for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
