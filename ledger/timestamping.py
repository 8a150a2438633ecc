"""RFC 3161 time stamps of the root log: an authority says by its clock that a checkpoint was there.

Beside the sequencer, in a thread of its own with its own connection. A token is asked for over the SHA-256 of the
checkpoint's text, held against the authority's certificates, written to `/log/root/timestamp/{sha256}.tsr`, and then an
`anchor` entry of the root log names it; so a later checkpoint commits to it, and to the one it is over. Contract: nothing
comes in that does not verify; an authority that is away is said once and asked again. Source: RFC 3161; the library
checks the signature and the chain at the token's own time (docs/decisions/0034).
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import psycopg
from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerifierBuilder,
    decode_timestamp_response,
)

from ledger.attestation import Attested, forget_others, note_attested, note_failing, read_attested
from ledger.entry_bodies import MAX_TEXT, TimestampAnchor
from ledger.errors import EntryError, LedgerError
from ledger.http_exchange import PeerAway, Transport
from ledger.log_files import TIMESTAMPS
from ledger.published_log import PublishedLog, read_published
from ledger.root_log import ROOT
from ledger.strict_json import strict
from ledger.timestamp_token import read_token
from ledger.translog.verify import VerifyError, want_same

logger = logging.getLogger(__name__)

ADVISORY_LOCK = 0x5359_0004  # "SY", time stamps
STREAM = "tsa"
FIRST_RETRY_S, LAST_RETRY_S = 10.0, 600.0
_SEQUENCE, _TAG_0 = 0x30, 0xA0
_GRANTED = bytes.fromhex("3003020100")
"""A PKIStatusInfo."""
_HEADERS = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}


class CertificatesMissing(LedgerError):
    """The file of SUYUAN_TSA_CERTIFICATES cannot be used: want the authority's certificates as PEM, its root among
    them.
    """


@dataclass(frozen=True, slots=True)
class Authority:
    """`url`: where it answers; `certificates`: those that are trusted for it, its root and whatever lies between."""

    url: str
    certificates: tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True)
class Stamp:
    """`token`: the TimeStampResp, DER; `time_ms`: since 1970, UTC; `authority`: as its certificate names it."""

    token: bytes
    time_ms: int
    authority: str


def read_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """All of a PEM file, at least one, or CertificatesMissing."""
    try:
        return tuple(x509.load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError) as cause:
        raise CertificatesMissing(f"{path}: {cause}") from cause


def stamp(transport: Transport, authority: Authority, text: str) -> Stamp:
    """A token over SHA-256 of `text` that verifies. PeerAway, or VerifyError on an answer that is none."""
    request = TimestampRequestBuilder().data(text.encode()).hash_algorithm(HashAlgorithm.SHA256).build()
    answer = transport(authority.url, request.as_bytes(), _HEADERS)
    if answer.status != 200:
        raise PeerAway(f"it answered with status {answer.status}")
    return verify_stamp(answer.body, authority.certificates, text, nonce=request.nonce)


def verify_stamp(
    token: bytes, certificates: Sequence[x509.Certificate], text: str, *, nonce: int | None = None
) -> Stamp:
    """The token is over `text`, and by somebody for whom `certificates` speak; else VerifyError. `token`: a
    TimeStampResp or the token in it, DER.
    """
    info = read_token(token)
    want_same("hash in the time stamp", got=info.imprint, want=sha256(text.encode()).digest())
    try:
        response = decode_timestamp_response(in_der_order(_as_response(token)))
        builder = VerifierBuilder(roots=list(certificates), nonce=nonce)
        builder.build().verify(response, info.imprint)
        return Stamp(token, info.time_ms, _signer(response)[:MAX_TEXT])
    except Exception as cause:  # libraries below raise what they like, such as x509.InvalidVersion
        raise VerifyError("time stamp", got=str(cause), want="one by the authority") from cause


def _as_response(token: bytes) -> bytes:
    """The TimeStampResp: `token`, or the one that grants it where it is the token alone. ValueError on what is none."""
    first, _ = _contents(token, 0, _SEQUENCE)
    if token[first : first + 1] == bytes([_SEQUENCE]):
        return token
    content = _GRANTED + token
    length = len(content).to_bytes(4, "big").lstrip(b"\0")
    size = bytes([len(content)]) if len(content) < 0x80 else bytes([0x80 + len(length)]) + length
    return bytes([_SEQUENCE]) + size + content


def in_der_order(token: bytes) -> bytes:
    """The TimeStampResp with its certificates in the order that DER asks of a set. ValueError on what is none.

    OpenSSL's authorities write them as they come, and the library reads DER alone. No signature covers their order;
    `ledger.timestamp_token` has read the rest.
    """
    response = _parts(token, *_contents(token, 0, _SEQUENCE))
    content = _parts(token, *_contents(token, response[1], _SEQUENCE))
    signed = _contents(token, _contents(token, content[1], _TAG_0)[0], _SEQUENCE)
    for at in _parts(token, *signed):
        if token[at] == _TAG_0:
            first, end = _contents(token, at, _TAG_0)
            starts = _parts(token, first, end)
            certificates = [token[a:b] for a, b in pairwise([*starts, end])]
            return token[:first] + b"".join(sorted(certificates)) + token[end:]
    return token


def _parts(data: bytes, first: int, end: int) -> list[int]:
    """Where each value between the two begins."""
    starts = []
    while first < end:
        starts.append(first)
        first = _contents(data, first)[1]
    return starts


def _contents(data: bytes, at: int, tag: int | None = None) -> tuple[int, int]:
    """Where the contents of the value at `at` begin and end; of definite length, as DER has it."""
    if at + 2 > len(data) or (tag is not None and data[at] != tag):
        raise ValueError("time stamp: another structure")
    first, size = at + 2, data[at + 1]
    if size >= 0x80:
        first, size = first + size - 0x80, int.from_bytes(data[first : first + size - 0x80], "big")
    if first + size > len(data):
        raise ValueError("time stamp: too short")
    return first, first + size


def _signer(response: TimeStampResponse) -> str:
    """The signing certificate's subject; the library has verified that there is one, and that it signed."""
    (signer,) = response.signed_data.signer_infos
    for each in response.signed_data.certificates:
        certificate = x509.load_der_x509_certificate(each)
        if (certificate.issuer, certificate.serial_number) == (signer.issuer, signer.serial_number):
            return certificate.subject.rfc4514_string()
    raise ValueError("the certificate that signed is not in the time stamp")


class Timestamping:
    """One connection's time of it. `conn`: in autocommit mode; `every`: how often the root log is stamped at most."""

    def __init__(
        self,
        conn: psycopg.Connection,
        data_dir: Path,
        authority: Authority,
        every: timedelta,
        transport: Transport,
        now: Callable[[], datetime],
    ) -> None:
        self._conn = conn
        self._log_dir = data_dir / "log"
        self._authority = authority
        self._every = every
        self._transport = transport
        self._now = now
        self._failures = 0
        self._due = datetime.min.replace(tzinfo=UTC)

    def step(self) -> bool:
        """Stamps the root log if it is time; True if it did."""
        now = self._now()
        if now < self._due:
            return False
        try:
            log = read_published(self._log_dir, ROOT)
            if log is None or not self._is_due(log, now):
                return False
            made = stamp(self._transport, self._authority, log.checkpoint.text)
            self._keep(log, made)
        except (PeerAway, VerifyError, EntryError) as error:
            self._failed(str(error), now)
            return False
        self._failures = 0
        return True

    def _is_due(self, log: PublishedLog, now: datetime) -> bool:
        known = list(read_attested(self._conn, "timestamp", self._authority.url))
        if not known or known[0].tree_size is None or known[0].attested_at is None:
            return True
        # The last stamp's own entry is no reason for another one.
        grown = log.size > known[0].tree_size + 1
        return grown and not timedelta() <= now - known[0].attested_at < self._every

    def _keep(self, log: PublishedLog, made: Stamp) -> None:
        """The file first: an entry must not name a token that is nowhere."""
        digest = sha256(made.token).digest()
        log.files.write_once([(f"{TIMESTAMPS}/{digest.hex()}.tsr", made.token)])
        body = TimestampAnchor(
            log.size, log.checkpoint.root_hash, made.time_ms, made.authority, digest
        ).value()
        at = datetime.fromtimestamp(made.time_ms / 1000, UTC)
        attested = Attested("timestamp", self._authority.url, ROOT, log.size, at)
        with self._conn.transaction():
            self._conn.execute(_PEND, [ROOT, STREAM, strict(body), self._now()])
            if note_attested(self._conn, attested, self._now()):
                logger.info("time stamps again", extra={"authority": self._authority.url})

    def _failed(self, reason: str, now: datetime) -> None:
        self._failures += 1
        wait_s = min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 10))
        self._due = now + timedelta(seconds=wait_s)
        if note_failing(self._conn, "timestamp", self._authority.url, ROOT, reason, now):
            logger.warning("no time stamp", extra={"authority": self._authority.url, "reason": reason})


_PEND = """
INSERT INTO pending (organisation, type, stream_kind, stream_id, body, created_at)
VALUES (%s, 'anchor', 'party', %s, %s, %s)
"""


def serve(
    connect: Callable[[], psycopg.Connection],
    data_dir: Path,
    authority: Authority | None,
    every: timedelta,
    transport: Transport,
    now: Callable[[], datetime],
    stop: threading.Event,
    *,
    poll_s: float = 2.0,
    retry_s: float = 5.0,
) -> None:
    """Stamps until `stop` is set; a lost database is waited for. Of several processes one does it. Without an
    authority it forgets those there were, and ends.
    """
    while not stop.is_set():
        try:
            with connect() as conn:
                conn.autocommit = True
                forget_others(conn, "timestamp", [] if authority is None else [authority.url])
                if authority is None:
                    return
                row = conn.execute("SELECT pg_try_advisory_lock(%s)", [ADVISORY_LOCK]).fetchone()
                stamping = Timestamping(conn, data_dir, authority, every, transport, now)
                while row is not None and row[0] and not stop.is_set():
                    stamping.step()
                    stop.wait(poll_s)
        except (psycopg.Error, OSError, LedgerError) as error:
            logger.warning("time stamps interrupted", extra={"reason": str(error)})
        stop.wait(retry_s)
