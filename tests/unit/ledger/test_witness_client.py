"""Whatever the other side of the network says, asking a witness ends with an outcome; and its server, whatever it sends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.stack.ports import free_port
from ledger.http_exchange import MAX_ANSWER, Exchange, HttpTransport, PeerAway
from ledger.log_files import CHECKPOINT, VKEY, LogFiles
from ledger.published_log import PublishedLog, read_published
from ledger.translog.checkpoint import Checkpoint, sign_checkpoint
from ledger.translog.cosignature import Cosigner
from ledger.translog.merkle import leaf_hash
from ledger.translog.note import SignerKey
from ledger.translog.tiles import Edge
from ledger.witness_client import Contradicted, Cosigned, NotNow, ask
from ledger.witness_list import InTwoLanguages, ListedWitness

KEY = SignerKey.from_seed("log.example/coop", b"l" * 32)
COSIGNER = Cosigner.from_seed("w.example", b"w" * 32)
SOMEONE = InTwoLanguages("某方", "someone")
WITNESS = ListedWitness((COSIGNER.verifier,), "http://w.example", "independent", SOMEONE, None, "all")
NOW = 1_800_000_000


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> PublishedLog:
    folder = tmp_path_factory.mktemp("log")
    files = LogFiles(folder / "coop")
    grown = Edge.empty().extend([leaf_hash(bytes([at])) for at in range(30)])
    files.write_once([(tile.path, tile.data) for tile in grown.tiles])
    files.publish(VKEY, f"{KEY.verifier}\n".encode())
    checkpoint = Checkpoint(KEY.name, 30, grown.edge.root_hash)
    files.publish(CHECKPOINT, sign_checkpoint(checkpoint, [KEY]).encode())
    found = read_published(folder, "coop")
    assert found is not None
    return found


def checkpoint_of_ours(size: int, root_hash: bytes) -> bytes:
    return sign_checkpoint(Checkpoint(KEY.name, size, root_hash), [KEY]).encode()


BODIES = st.one_of(
    st.binary(max_size=200),
    st.integers(0, 2**64).map(lambda size: b"%d\n" % size),
    st.builds(checkpoint_of_ours, st.integers(0, 60), st.binary(min_size=32, max_size=32)),
    st.integers(0, 2**63 - 1).map(
        lambda at: str(COSIGNER.cosign(Checkpoint(KEY.name, 30, bytes(32)), at)).encode()
    ),
)
ANSWERS = st.builds(
    Exchange,
    st.sampled_from([200, 204, 301, 400, 403, 404, 409, 418, 422, 429, 500, 503, 999]),
    st.sampled_from(["", "text/plain", "text/x.tlog.size"]),
    BODIES,
)


@given(answers=st.lists(ANSWERS, min_size=1, max_size=5), old=st.integers(0, 2**63 - 1))
def test_any_answers_end_with_an_outcome(log: PublishedLog, answers: list[Exchange], old: int) -> None:
    left = iter(answers)

    def transport(_url: str, _body: bytes | None, _headers: Mapping[str, str]) -> Exchange:
        try:
            return next(left)
        except StopIteration:
            raise PeerAway("gone") from None

    outcome, size = ask(transport, WITNESS, log, old, NOW)
    assert isinstance(outcome, NotNow | Contradicted) and size >= 0
    if isinstance(outcome, Contradicted):  # only on what this log's key signed
        assert outcome.theirs.encode() in [answer.body for answer in answers]


def test_a_cosignature_of_now_is_one(log: PublishedLog) -> None:
    line = COSIGNER.cosign(log.checkpoint, NOW - 10)
    outcome, size = ask(lambda *_: Exchange(200, "text/plain", str(line).encode()), WITNESS, log, 0, NOW)
    assert isinstance(outcome, Cosigned) and (outcome.found[0].line, size) == (line, 30)


def test_a_log_whose_tiles_are_gone_is_our_fault_and_said(log: PublishedLog, tmp_path: Path) -> None:
    lost = PublishedLog("coop", LogFiles(tmp_path), log.keys, log.checkpoint, log.note)
    outcome, _ = ask(lambda *_: Exchange(409, "text/x.tlog.size", b"7\n"), WITNESS, lost, 0, NOW)
    assert isinstance(outcome, NotNow) and "own files" in outcome.reason


# --- the exchange itself ------------------------------------------------------------------------------------------


@contextmanager
def server(*pieces: bytes) -> Iterator[str]:
    """Sends these bytes to whoever comes, and closes."""
    with socket.create_server(("127.0.0.1", free_port())) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                request = b""
                while not request.endswith((b"\r\n\r\nx", b"close\r\n\r\n")):  # a POST of `x`, or a GET
                    request += connection.recv(65536)
                try:
                    for piece in pieces:
                        connection.sendall(piece)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        continue
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        thread.join(10)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "without response"),
        (b"nonsense\r\n\r\n", "nonsense"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "got 3 bytes"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "headers"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + bytes(MAX_ANSWER + 1), "at most"),
    ],
)
def test_what_is_no_answer_is_a_peer_that_is_away(sent: bytes, reason: str) -> None:
    with server(sent) as url, pytest.raises(PeerAway, match=reason):
        HttpTransport(5)(url, b"x", {})


def test_an_answer_that_never_ends_is_given_up() -> None:
    ticks = iter(range(0, 1000, 3))
    with (
        server(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 65536] * 10) as url,
        pytest.raises(PeerAway, match="no whole answer"),
    ):
        HttpTransport(5, lambda: float(next(ticks)))(url, None, {})


def test_a_redirection_is_not_followed_and_other_schemes_are_not_asked() -> None:
    with server(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n") as url:
        assert HttpTransport(5)(url, b"x", {}).status == 302
    for address in ("file:///etc/passwd", "ftp://127.0.0.1/", "nonsense", "http://[", "http://"):
        with pytest.raises(PeerAway):
            HttpTransport(5)(address, None, {})
