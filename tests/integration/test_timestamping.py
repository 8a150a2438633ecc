"""Time stamps of the root log: by OpenSSL's authority, into the log, and checked by OpenSSL."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.attestation import read_attested
from ledger.entry import parse_entry, stream_pseudonym
from ledger.entry_bodies import CheckpointAnchor, TimestampAnchor, read_anchor
from ledger.http_exchange import HttpTransport
from ledger.reader import LogReader
from ledger.root_log import ROOT
from ledger.timestamping import (
    Authority,
    CertificatesMissing,
    Timestamping,
    read_certificates,
    stamp,
    verify_stamp,
)
from ledger.translog.checkpoint import Checkpoint
from ledger.translog.tiles import TiledTree
from ledger.translog.verify import VerifyError
from tests.integration.test_sequencer import NOW, Instance, instance
from tests.servers.timestamp_authority import TimestampAuthority, timestamp_authority

__all__ = ["instance"]
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimestampAuthority]:
    with timestamp_authority(tmp_path_factory.mktemp("tsa") / "here") as authority:
        yield authority


def of(tsa: TimestampAuthority) -> Authority:
    return Authority(tsa.url, read_certificates(tsa.root))


def stamped(log: LogReader) -> list[tuple[int, TimestampAnchor]]:
    bodies = [read_anchor(parse_entry(log.entry(index)).body) for index in range(log.tree_size)]
    return [(index, body) for index, body in enumerate(bodies) if isinstance(body, TimestampAnchor)]


def step(instance: Instance, tsa: TimestampAuthority, now: datetime = NOW) -> bool:
    with instance.connect() as conn:
        done = Timestamping(conn, instance.folder, of(tsa), DAY, HttpTransport(20), lambda: now).step()
    instance.run(now)
    return done


def test_a_stamp_comes_into_the_root_log_and_openssl_takes_it(
    instance: Instance, tsa: TimestampAuthority
) -> None:
    assert not step(instance, tsa), "no root log yet"
    instance.fill()
    instance.run()
    before = instance.log(ROOT)
    assert step(instance, tsa)
    root = instance.log(ROOT)
    ((index, body),) = stamped(root)
    assert (index, body.size, body.root) == (before.tree_size, before.tree_size, before.root_hash)
    assert abs(body.time_ms / 1000 - time.time()) < 60
    assert body.authority == "CN=Time stamps,O=Test authority"
    file = instance.folder / f"log/root/timestamp/{body.token.hex()}.tsr"
    assert sha256(file.read_bytes()).digest() == body.token
    entry = parse_entry(root.entry(index))
    assert entry.stream == stream_pseudonym(instance.keys.organisation_key(ROOT), "party", "tsa")
    # The checkpoint it is over is made anew from the log as it is now, and OpenSSL is asked.
    old_root = TiledTree(root.tree_size, root.files.read_tile).root_hash_at(body.size)
    text = Checkpoint(root.origin, body.size, old_root).text
    assert "Verification: OK" in tsa.verify(file, text)
    made = verify_stamp(file.read_bytes(), read_certificates(tsa.root), text)
    assert (made.time_ms, made.authority) == (body.time_ms, body.authority)


def test_its_own_entry_is_no_reason_for_another(instance: Instance, tsa: TimestampAuthority) -> None:
    instance.fill()
    instance.run()
    assert step(instance, tsa)
    # By the authority's clock, which is the real one: that is what the next one's time is counted from.
    now = datetime.now(UTC)
    for hours in (1, 25, 50):
        assert not step(instance, tsa, now + timedelta(hours=hours))
    instance.add_event(9)
    instance.run(now + timedelta(hours=51))
    assert step(instance, tsa, now + timedelta(hours=51))
    assert len(stamped(instance.log(ROOT))) == 2
    kinds = [type(read_anchor(parse_entry(instance.log(ROOT).entry(at)).body)) for at in range(5)]
    assert kinds.count(CheckpointAnchor) == 3


def test_an_authority_that_is_away_or_false_is_an_alarm_and_no_more(
    instance: Instance, tsa: TimestampAuthority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    instance.fill()
    instance.run()
    with instance.connect() as conn:
        clock = [NOW]
        stamping = Timestamping(conn, instance.folder, of(tsa), DAY, HttpTransport(20), lambda: clock[0])
        for away, signer, reason in (
            (True, "tsa", "status 503"),
            (False, "stranger", "want one by the authority"),
        ):
            tsa.away, tsa.signer = away, signer
            asked = tsa.asked
            assert not stamping.step()
            assert not stamping.step(), "not asked again at once"
            assert tsa.asked - asked == (0 if away else 1)
            (standing,) = read_attested(conn, "timestamp")
            assert standing.failing_since == NOW and reason in (standing.failure or "")
            clock[0] += timedelta(minutes=11)
        tsa.signer = "tsa"
        assert stamping.step()
        (standing,) = read_attested(conn, "timestamp")
        assert (standing.failure, standing.tree_size) == (None, instance.log(ROOT).tree_size)
    said = [record.getMessage() for record in caplog.records if record.name == "ledger.timestamping"]
    assert said == ["no time stamp", "time stamps again"]


# --- tokens -------------------------------------------------------------------------------------------------------

TEXT = Checkpoint("log.example/root", 3, bytes(32)).text


def test_a_stamp_of_another_text_another_nonce_or_by_another_root(
    tsa: TimestampAuthority, tmp_path: Path
) -> None:
    made = stamp(HttpTransport(20), of(tsa), TEXT)
    certificates = read_certificates(tsa.root)
    assert verify_stamp(made.token, certificates, TEXT) == made
    with pytest.raises(VerifyError, match="hash in the time stamp"):
        verify_stamp(made.token, certificates, TEXT + "x\n")
    with pytest.raises(VerifyError, match="Nonce"):
        verify_stamp(made.token, certificates, TEXT, nonce=1)
    with timestamp_authority(tmp_path / "other") as other, pytest.raises(VerifyError, match="time stamp"):
        verify_stamp(made.token, read_certificates(other.root), TEXT)


def test_a_certificate_of_somebody_else(tsa: TimestampAuthority) -> None:
    tsa.signer = "stranger"
    try:
        with pytest.raises(VerifyError, match="time stamp"):
            stamp(HttpTransport(20), of(tsa), TEXT)
    finally:
        tsa.signer = "tsa"


def test_any_other_bytes_are_refused(tsa: TimestampAuthority) -> None:
    token = stamp(HttpTransport(20), of(tsa), TEXT).token
    certificates = read_certificates(tsa.root)

    @given(data=st.data())
    def spoilt(data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(token) - 1))
        cut = data.draw(st.integers(0, 3))
        other = token[:at] + data.draw(st.binary(max_size=3)) + token[at + cut :]
        try:
            made = verify_stamp(other, certificates, TEXT)
        except VerifyError:
            return
        # Not every byte of a TimeStampResp is signed; whatever is, says the same.
        assert made.authority == "CN=Time stamps,O=Test authority"

    @given(st.binary(max_size=500))
    def noise(data: bytes) -> None:
        with pytest.raises(VerifyError):
            verify_stamp(data, certificates, TEXT)

    spoilt()
    noise()


def test_a_certificate_in_it_that_the_library_cannot_read(tsa: TimestampAuthority) -> None:
    token = stamp(HttpTransport(20), of(tsa), TEXT).token
    versions = [at.end() - 1 for at in re.finditer(bytes.fromhex("a003020102"), token)]
    assert versions
    for at in versions:
        with pytest.raises(VerifyError, match="time stamp"):
            verify_stamp(token[:at] + b"\x22" + token[at + 1 :], read_certificates(tsa.root), TEXT)


def test_the_token_without_the_answer_around_it(tsa: TimestampAuthority) -> None:
    made = stamp(HttpTransport(20), of(tsa), TEXT)
    status_and_token = made.token[4:]  # behind the head of a sequence of 256 bytes or more
    assert made.token[1] == 0x82
    token = status_and_token[2 + status_and_token[1] :]
    again = verify_stamp(token, read_certificates(tsa.root), TEXT)
    assert (again.token, again.time_ms, again.authority) == (token, made.time_ms, made.authority)


def test_certificates_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(CertificatesMissing, match=name):
            read_certificates(tmp_path / name)
