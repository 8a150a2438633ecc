"""A log's files behind a web server that knows nothing of logs, and under whoever reads while they grow."""

import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
from click.testing import CliRunner

from deploy.command import main
from deploy.stack.ports import free_port
from ledger.reader import open_log
from ledger.root_log import ROOT
from ledger.translog.merkle import leaf_hash
from ledger.translog.verify import verify_consistency, verify_inclusion
from tests.documents import REPOSITORY
from tests.integration.test_key_rotation import freeze, rotate
from tests.integration.test_sequencer import NOW, Instance, instance

__all__ = ["instance"]
DOCUMENT = REPOSITORY / "docs" / "serving-logs.md"
PATTERNS = re.findall(r"(?:location ~|path_regexp) (\^/log\S+)", DOCUMENT.read_text(encoding="utf-8"))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def address(instance: Instance) -> Iterator[str]:
    """`DATA_DIR/log` as Python's own file server shows it."""
    folder = instance.folder / "log"
    folder.mkdir(parents=True)
    handler = partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", free_port()), handler) as server:
        serving = Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            serving.join()


def test_any_file_server_serves_a_log(instance: Instance, address: str, tmp_path: Path) -> None:
    for number in range(300):
        instance.add_event(number)
    instance.add_window(1)
    instance.add_window(2)
    instance.run()
    for name in ("xj-coop", ROOT):
        key = instance.log(name).vkey
        asked = ["monitor", f"{address}/{name}", "--once", "--key", key, "--state", str(tmp_path / name)]
        done = CliRunner().invoke(main, asked)
        assert done.exit_code == 0, done.output


def test_whoever_reads_while_a_log_grows_meets_nothing_that_does_not_verify(instance: Instance) -> None:
    instance.add_event(0)
    instance.run()
    stop, faults, read = Event(), list[BaseException](), list[int]()

    def reading() -> None:
        before = instance.log()
        try:
            while not stop.is_set():
                log = open_log(instance.folder / "log", "xj-coop")
                assert log is not None
                proof = log.consistency_proof(before.tree_size)
                verify_consistency(before.tree_size, log.tree_size, before.root_hash, log.root_hash, proof)
                last = log.tree_size - 1
                verify_inclusion(
                    leaf_hash(log.entry(last)), last, log.tree_size, log.inclusion_proof(last), log.root_hash
                )
                before = log
                read.append(log.tree_size)
        except BaseException as error:
            faults.append(error)

    reader = Thread(target=reading)
    reader.start()
    for number in range(1, 40):
        instance.add_event(number)
        if number == 20:
            rotate(instance, 1)
        if number == 39:
            freeze(instance)
        instance.run(NOW + timedelta(days=number))
    stop.set()
    reader.join()
    assert faults == []
    assert len(set(read)) > 1 and read == sorted(read)


# --- the lines for web servers in the document --------------------------------------------------------------------


def paths(folder: Path) -> list[str]:
    return [f"/log/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_documents_patterns_are_of_the_files_that_never_change(instance: Instance, pattern: str) -> None:
    for number in range(300):
        instance.add_event(number)
    instance.run()
    found = paths(instance.folder / "log")
    assert len(found) > 10
    for path in found:
        assert bool(re.search(pattern, path)) == ("/tile/" in path), path
    token = f"/log/root/timestamp/{'0a' * 32}.tsr"
    assert re.search(pattern, token)


def test_the_document_has_lines_for_two_servers() -> None:
    assert len(PATTERNS) == 2
