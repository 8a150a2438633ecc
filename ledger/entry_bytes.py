"""Entry bytes by a template: the envelope is filled in, and the body stands in it as it is.

The sequencer's fast way to what `ledger.entry.Entry.encode` gives (a test holds the two equal). It rests on RFC 8785:
an object's form is its members' forms in the order of their names, so a body in that form keeps its bytes inside an
entry. Contract: `parse_entry` takes what `fill` returns, and finds in it what was given; else EntryError.
"""

import re
from binascii import b2a_base64
from dataclasses import dataclass

from ledger.entry import VERSION, EntryType, parse_entry
from ledger.errors import EntryError
from ledger.strict_json import MAX_INTEGER
from ledger.translog.merkle import HASH_SIZE

_EVENT_BODY = re.compile(rb'\{"fields":[1-9][0-9]{0,14},"root":"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="\}')
"""Of an event with less than 10**15 fields. Base64 of 32 bytes has two unused bits, which are zero."""


@dataclass(frozen=True, slots=True)
class EntryTemplate:
    """Of entries of one type, log, stream and record time."""

    envelope: bytes
    plain_body: re.Pattern[bytes] | None

    @classmethod
    def of(cls, entry_type: EntryType, org: bytes, stream: bytes, rec: int) -> "EntryTemplate":
        """`org`, `stream`: pseudonyms of 16 bytes; `rec`: record time, UTC ms."""
        envelope = b'{"body":%%b,"n":%%d,"org":"%b","prev":%%b,"rec":%d,"stream":"%b","type":"%b","v":%d}' % (
            _base64(org), rec, _base64(stream), entry_type.encode(), VERSION,
        )  # fmt: skip
        if entry_type != "event":
            return cls(envelope, None)
        # What is fixed is read once, in a first entry; after that only body, n and prev can be wrong.
        parse_entry(envelope % (b'{"fields":1,"root":"%b"}' % _base64(bytes(HASH_SIZE)), 0, b"null"))
        return cls(envelope, _EVENT_BODY)

    def fill(self, n: int, prev: bytes | None, body: bytes) -> bytes:
        """The entry. `n`: its number in the stream; `prev`: the leaf hash of number n - 1, None at 0; `body`: RFC 8785."""
        spelt = b"null" if prev is None else b'"%b"' % _base64(prev)
        data = self.envelope % (body, n, spelt)
        if self.plain_body is None or not self.plain_body.fullmatch(body):
            return _read_back(data)
        known = prev is None if n == 0 else prev is not None and len(prev) == HASH_SIZE
        if not known or not 0 <= n <= MAX_INTEGER:
            return _read_back(data)  # which says what is wrong with it
        return data


def _read_back(data: bytes) -> bytes:
    entry = parse_entry(data)
    if entry.by is not None or entry.sig is not None:
        raise EntryError("body: got members of the entry after it, want one object")
    return data


def _base64(data: bytes) -> bytes:
    return b2a_base64(data, newline=False)
