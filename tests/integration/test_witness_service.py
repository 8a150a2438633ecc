"""`suyuan witness` as somebody else meets it: over HTTP, with whatever they send, and on its command line."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from deploy.command import main
from deploy.services.witness import create_app
from ledger.log_files import POLICY
from ledger.translog.policy import Policy, PolicyLog
from ledger.witness import MAX_BODY_SIZE, Witness
from ledger.witness_folder import TrustedLogs
from ledger.witness_store import WitnessStore
from tests.unit.ledger.test_witness import COSIGNERS, FORK, LOG, STRANGER, request


@pytest.fixture
def trusted(tmp_path: Path) -> TrustedLogs:
    logs = TrustedLogs(tmp_path / "logs")
    logs.add(LOG.verifier)
    return logs


@pytest.fixture
def client(tmp_path: Path, trusted: TrustedLogs) -> Iterator[TestClient]:
    store = WitnessStore(tmp_path / "witness.db")
    keys = tuple(cosigner.verifier for cosigner in COSIGNERS)
    witness = Witness(store, COSIGNERS, trusted.current, lambda: 1_800_000_000)
    with TestClient(create_app(witness, store, keys, trusted)) as made:
        yield made
    store.close()


def test_the_answers_of_the_specification(client: TestClient) -> None:
    def ask(old: int, size: int, **other: object) -> tuple[int, str]:
        answer = client.post("/add-checkpoint", content=request(old, size, **other))  # type: ignore[arg-type]
        return answer.status_code, answer.headers["content-type"].partition(";")[0]

    assert ask(0, 12) == (200, "text/plain")
    assert ask(0, 14) == (409, "text/x.tlog.size")
    assert ask(12, 14, key=STRANGER) == (404, "text/plain")
    assert ask(9, 8) == (400, "text/plain")
    assert ask(12, 20, tree=FORK) == (422, "text/plain")
    assert ask(12, 20) == (200, "text/plain")
    assert ask(20, 20, tree=FORK) == (409, "text/x.tlog.size")
    assert client.post("/add-checkpoint", content=bytes(MAX_BODY_SIZE * 3)).status_code == 413
    assert client.get("/add-checkpoint").status_code == 405


def test_what_it_shows_of_itself(client: TestClient, trusted: TrustedLogs) -> None:
    trusted.add(STRANGER.verifier)
    client.post("/add-checkpoint", content=request(0, 20))
    status = client.get("/status.json").json()
    assert status["name"] == "w.example" and len(status["keys"]) == 2
    seen, never = status["logs"]
    assert (seen["origin"], seen["size"], seen["forks"], seen["unproven"]) == (LOG.name, 20, 0, 0)
    assert (never["origin"], never["size"]) == (STRANGER.name, None)
    client.post("/add-checkpoint", content=request(20, 20, FORK))
    client.post("/add-checkpoint", content=request(20, 30, FORK))
    for language, words in (("zh", "见证方"), ("en", "Witness")):
        page = client.get("/", params={"lang": language})
        assert words in page.text and LOG.name in page.text and "/evidence.json" in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
    faults = [each["fault"] for each in client.get("/evidence.json").json()["refused"]]
    assert faults == ["other_root", "no_proof"]
    newest = client.get(f"/{sha256(LOG.name.encode()).hexdigest()}/checkpoint")
    assert newest.status_code == 200 and newest.text.startswith(f"{LOG.name}\n20\n")
    assert client.get("/healthz").json() == {"status": "ok"}


@given(
    path=st.text(max_size=30),
    body=st.binary(max_size=200),
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_nothing_that_comes_in_is_a_500(client: TestClient, path: str, body: bytes, method: str) -> None:
    assert client.post("/add-checkpoint", content=body).status_code in (400, 403, 404)
    assert client.post("/add-checkpoint", content=b"old 0\n\n" + body).status_code in (400, 403, 404)
    address = httpx_safe(path)
    assert client.request(method, address, content=body).status_code < 500
    assert client.get(f"{address}/checkpoint").status_code < 500
    assert client.get("/", params={"lang": path}, headers={"Accept-Language": body.hex()}).status_code == 200


def httpx_safe(path: str) -> str:
    return "/" + "".join(f"%{byte:02x}" for byte in path.encode(errors="replace"))


def test_a_memory_that_cannot_be_written_is_said_and_nothing_cosigned(
    client: TestClient, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "witness.db", isolation_level=None)
    other.execute("DROP TABLE witness")
    assert client.get("/healthz").status_code == 503
    other.execute("ALTER TABLE seen RENAME TO lost")
    answer = client.post("/add-checkpoint", content=request(0, 5))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    other.close()


# --- the command --------------------------------------------------------------------------------------------------


def serve_files(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    from deploy.stack.ports import answers, free_port

    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not answers(port):
        assert process.poll() is None
    return process, f"http://127.0.0.1:{port}"


def test_a_log_is_trusted_only_after_its_key_was_shown_and_confirmed(tmp_path: Path) -> None:
    (tmp_path / "log/root").mkdir(parents=True)
    (tmp_path / "log/root/vkey").write_text(f"{LOG.verifier}\n")
    policy = Policy((PolicyLog(LOG.verifier), PolicyLog(STRANGER.verifier)), (), (), "none")
    (tmp_path / "log" / POLICY).write_text(str(policy))
    process, url = serve_files(tmp_path)
    folder = tmp_path / "w"
    trusted = TrustedLogs(folder / "logs")

    def trust(address: str, said: str) -> str:
        arguments = ["witness", "--dir", str(folder), "--trust", address]
        return CliRunner().invoke(main, arguments, input=said).output

    try:
        shown = trust(f"{url}/log/root", "n\n")
        assert str(LOG.verifier) in shown and sha256(LOG.verifier.public_key).hexdigest() in shown
        assert trusted.read() == {}
        assert "added" in trust(f"{url}/log/root/", "y\n")
        assert trusted.read() == {LOG.name: [LOG.verifier]}
        assert "on the list already" in trust(f"{url}/log/policy", "y\ny\n")
        assert set(trusted.read()) == {LOG.name, STRANGER.name}
        assert "status 404" in trust(f"{url}/log/nobody", "y\n")
    finally:
        process.terminate()
        process.wait(10)
    assert "refused" in trust(url, "y\n")
    assert "want http or https" in trust("file:///etc", "y\n")


def test_a_new_witness_needs_a_name_and_a_list_that_can_be_read(tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        return CliRunner().invoke(main, ["witness", "--dir", str(tmp_path / "w"), *arguments]).output

    assert "needs a name" in run()
    assert "HOST:PORT" in run("--name", "a", "--listen", "8765")
    (tmp_path / "logs").write_text("nonsense\n")
    assert "verifier key" in run("--name", "a", "--logs", str(tmp_path / "logs"))
    assert "key name" in run("--name", "a b")
    assert not (tmp_path / "w/witness.key").exists()


def test_the_status_is_json_all_through(client: TestClient) -> None:
    assert json.loads(client.get("/status.json").content)["logs"][0]["time"] is None
