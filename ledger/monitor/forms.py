"""What the chains need to know of an entry, at the speed of a log of millions.

Contract: `read_facts` takes exactly the bytes that `ledger.entry.parse_entry` takes, and raises what it raises. Most
entries of a log are events and whole windows in their one spelling, and one pattern reads those; every other entry goes
through the whole reader. A test holds the two equal.
"""

from __future__ import annotations

import json
import re
from binascii import a2b_base64
from collections.abc import Mapping
from typing import Any, NamedTuple

from ledger.entry import parse_entry
from ledger.strict_json import MAX_INTEGER, from_base64, natural
from ledger.translog.merkle import HASH_SIZE
from ledger.window_body import MAX_LISTED

_NATURAL = rb"(?:0|[1-9][0-9]{0,15})"
_INTEGER = rb"(?:0|-?[1-9][0-9]{0,15})"
# The one spelling of base64: the last character's unused bits are zero.
_B16 = rb"[A-Za-z0-9+/]{21}[AQgw]=="
_B32 = rb"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="
_SERIES = (
    b'\\["' + _B16 + b'",' + b",".join([_NATURAL] * 3) + b",(?:null|%b),(?:null|%b)\\]" % (_INTEGER, _INTEGER)
)
_MISSING = b"\\[" + b",".join([_NATURAL] * 3) + b"\\]"
_EVENT_BODY = b'\\{"fields":(?P<fields>%b),"root":"%b"\\}' % (_NATURAL, _B32)
_WINDOW_BODY = (
    b'\\{"closed":"(?:hour|excursion|hand_over)","count":(?P<count>%b),"missing":(?P<missing>\\[(?:%b(?:,%b)*)?\\]),'
    b'"root":"%b","series":(?P<series>\\[(?:%b(?:,%b)*)?\\]),"window":(?P<window>\\[%b,%b\\])\\}'
    % (_NATURAL, _MISSING, _MISSING, _B32, _SERIES, _SERIES, _NATURAL, _NATURAL)
)
_ENTRY = (
    b'\\{"body":%b,"n":(?P<n>%b),"org":"(?P<org>%b)","prev":(?:null|"(?P<prev>%b)"),"rec":(?P<rec>%b),'
    b'"stream":"(?P<stream>%b)","type":"%b","v":1\\}'
)
EVENT = re.compile(_ENTRY % (_EVENT_BODY, _NATURAL, _B16, _B32, _NATURAL, _B16, b"(?P<type>event|verdict)"))
WINDOW = re.compile(_ENTRY % (_WINDOW_BODY, _NATURAL, _B16, _B32, _NATURAL, _B16, b"window"))


class Facts(NamedTuple):
    """`org`, `stream`: 16 bytes; `rec`: UTC ms; `start`: of a window, UTC ms; `amends`: (index, leaf hash) of the
    window it follows; `body`: of the types that the chains look into, else None.
    """

    type: str
    org: bytes
    stream: bytes
    n: int
    prev: bytes | None
    rec: int
    start: int | None = None
    amends: tuple[int, bytes] | None = None
    body: Mapping[str, Any] | None = None


def read_facts(data: bytes) -> Facts:
    """Of an entry, or EntryError."""
    if len(data) <= MAX_QUICK:
        if (found := EVENT.fullmatch(data)) is not None:
            if (facts := _event(found)) is not None:
                return facts
        elif (found := WINDOW.fullmatch(data)) is not None and (facts := _window(found)) is not None:
            return facts
    return _slowly(data)


MAX_QUICK = 4096


def _event(found: re.Match[bytes]) -> Facts | None:
    fields, n, org, prev, rec, stream = found.group("fields", "n", "org", "prev", "rec", "stream")
    if not 0 < int(fields) <= MAX_INTEGER:
        return None
    return _enveloped(found["type"].decode(), n, org, prev, rec, stream, None)


def _window(found: re.Match[bytes]) -> Facts | None:
    """None where a rule of the body may be broken: the whole reader then says which."""
    start, end = json.loads(found["window"])
    series, missing = json.loads(found["series"]), json.loads(found["missing"])
    if not start < end <= MAX_INTEGER or len(series) > MAX_LISTED or len(missing) > MAX_LISTED:
        return None
    total, before = 0, b""
    for name, count, first, last, least, greatest in series:
        uuid = a2b_base64(name)
        if not (before < uuid and count and start <= first <= last < end):
            return None
        if any(value is not None and abs(value) > MAX_INTEGER for value in (least, greatest)):
            return None
        total, before = total + count, uuid
    if total != int(found["count"]) or total > MAX_INTEGER:
        return None
    for boot, first, last in missing:
        if not (boot <= MAX_INTEGER and first <= last <= MAX_INTEGER):
            return None
    n, org, prev, rec, stream = found.group("n", "org", "prev", "rec", "stream")
    return _enveloped("window", n, org, prev, rec, stream, start)


def _enveloped(
    kind: str, n: bytes, org: bytes, prev: bytes | None, rec: bytes, stream: bytes, start: int | None
) -> Facts | None:
    number, time = int(n), int(rec)
    if number > MAX_INTEGER or time > MAX_INTEGER or (prev is None) != (number == 0):
        return None
    before = None if prev is None else a2b_base64(prev)
    return Facts(kind, a2b_base64(org), a2b_base64(stream), number, before, time, start)


def _slowly(data: bytes) -> Facts:
    entry = parse_entry(data)
    start = amends = None
    if entry.type == "window":
        start = entry.body["window"][0]
        if (cited := entry.body.get("amends")) is not None:
            index = natural(cited["index"], "amended index")
            amends = index, from_base64(cited["leaf"], "amended leaf", HASH_SIZE)
    body = entry.body if entry.type in ("key", "freeze", "anchor") else None
    return Facts(entry.type, entry.org, entry.stream, entry.n, entry.prev, entry.rec, start, amends, body)
