"""What an RFC 3161 time stamp is over, and when: read from its DER, without believing it.

A verifier compares the imprint with a checkpoint's; that the authority signed is another question, for who has
its certificate. Contract: any bytes give a `TokenInfo` or `VerifyError`. The few fields on the way are read here
rather than by a library, since a reader that follows one path through definite lengths cannot be led elsewhere.
Source: RFC 3161, RFC 5652, X.690.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ledger.translog.merkle import HASH_SIZE
from ledger.translog.verify import VerifyError, want_same

MAX_TOKEN_SIZE = 2**16
_INTEGER, _OCTETS, _OID, _TIME, _SEQUENCE, _SET, _TAG_0 = 0x02, 0x04, 0x06, 0x18, 0x30, 0x31, 0xA0
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_TST_INFO = bytes.fromhex("2a864886f70d0109100104")
_SHA256 = bytes.fromhex("608648016503040201")
_GRANTED = (b"\x00", b"\x01")
_TIME_FORM = re.compile(r"([0-9]{14})(?:\.([0-9]{1,9}))?Z")


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """`imprint`: SHA-256 of what was stamped; `time_ms`: UTC, by the authority's clock."""

    imprint: bytes
    time_ms: int


@dataclass(frozen=True, slots=True)
class _Value:
    tag: int
    content: bytes


def read_token(der: bytes) -> TokenInfo:
    """Of a TimeStampResp (a `.tsr` file) that grants a token, or of the token itself; or VerifyError."""
    if len(der) > MAX_TOKEN_SIZE:
        raise VerifyError("length of the time stamp", got=len(der), want=f"at most {MAX_TOKEN_SIZE}")
    content = _signed_data(_token(_children(_only(der, _SEQUENCE))))
    parts = _children(content)
    wrapped = _children(_nth(parts, 2, _SEQUENCE))
    want_same("type of the time stamp's content", got=_nth(wrapped, 0, _OID), want=_TST_INFO)
    info = _children(_only(_only(_nth(wrapped, 1, _TAG_0), _OCTETS), _SEQUENCE))
    for at, tag in ((0, _INTEGER), (1, _OID), (3, _INTEGER)):  # version, policy, serial number
        _nth(info, at, tag)
    imprint = _children(_nth(info, 2, _SEQUENCE))
    algorithm = _children(_nth(imprint, 0, _SEQUENCE))
    want_same("hash algorithm of the time stamp", got=_nth(algorithm, 0, _OID), want=_SHA256)
    digest = _nth(imprint, 1, _OCTETS)
    want_same("length of the time stamp's hash", got=len(digest), want=HASH_SIZE)
    return TokenInfo(digest, _milliseconds(_nth(info, 4, _TIME)))


def _token(parts: Sequence[_Value]) -> Sequence[_Value]:
    """The parts of the ContentInfo, which a TimeStampResp holds behind its status."""
    if not parts or parts[0].tag != _SEQUENCE:
        return parts
    status = _nth(_children(parts[0].content), 0, _INTEGER)
    if status not in _GRANTED:
        raise VerifyError("status of the time stamp", got=status, want="granted")
    return _children(_nth(parts, 1, _SEQUENCE))


def _signed_data(parts: Sequence[_Value]) -> bytes:
    want_same("type of the time stamp", got=_nth(parts, 0, _OID), want=_SIGNED_DATA)
    return _only(_nth(parts, 1, _TAG_0), _SEQUENCE)


def _only(data: bytes, tag: int) -> bytes:
    values = _children(data)
    want_same("values in this part of the time stamp", got=len(values), want=1)
    return _nth(values, 0, tag)


def _nth(values: Sequence[_Value], at: int, tag: int) -> bytes:
    if at >= len(values) or values[at].tag != tag:
        got = f"tag {values[at].tag:#x}" if at < len(values) else "nothing"
        raise VerifyError(f"part {at} in the time stamp", got=got, want=f"tag {tag:#x}")
    return values[at].content


def _children(data: bytes) -> list[_Value]:
    """The values that fill `data` exactly: single-byte tags, definite lengths in their shortest form."""
    values, at = list[_Value](), 0
    while at < len(data):
        start, length = _length(data, at)
        if start + length > len(data):
            raise VerifyError("length in the time stamp", got=length, want=f"at most {len(data) - start}")
        values.append(_Value(data[at], data[start : start + length]))
        at = start + length
    return values


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Where the content starts, and how long it is."""
    head = data[at : at + 6]
    if len(head) < 2 or head[0] & 0x1F == 0x1F:
        raise VerifyError("tag in the time stamp", got=head, want="a tag of one byte and a length")
    if head[1] < 0x80:
        return at + 2, head[1]
    size = head[1] - 0x80
    length = int.from_bytes(head[2 : 2 + size], "big")
    shortest = length >= 0x80 and length.bit_length() > 8 * (size - 1)
    if not 1 <= size <= 4 or len(head) < 2 + size or not shortest:
        raise VerifyError("length in the time stamp", got=head, want="a definite one in its shortest form")
    return at + 2 + size, length


def _milliseconds(text: bytes) -> int:
    found = _TIME_FORM.fullmatch(text.decode("ascii", "replace"))
    if found is None:
        raise VerifyError("time of the time stamp", got=text, want="YYYYMMDDhhmmss.fZ")
    try:
        moment = datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError as cause:
        raise VerifyError("time of the time stamp", got=text, want="a moment of the calendar") from cause
    return int(moment.timestamp()) * 1000 + int(f"{found[2] or '':0<3.3}")
