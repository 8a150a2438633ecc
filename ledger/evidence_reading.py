"""Reads an evidence file: plain, gzip, or the page that carries it, of version 1 or 2.

Between the bytes somebody was sent and `ledger.evidence`, which judges them. Contract: any bytes give
evidence or `VerifyError` and nothing else, and what is unpacked is bounded. Reading believes the file's shape
only. Members are exactly those of `docs/entry-v1.md` and `docs/evidence-v2.md`.
"""

import re
import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, get_args

from ledger.entry import SALT_SIZE
from ledger.errors import EntryError
from ledger.evidence_file import (
    FORMAT,
    FORMAT_2,
    AnchoredEvidence,
    Disclosed,
    EventEvidence,
    Evidence,
    Field,
    Item,
    LeafEvidence,
    LogEvidence,
    ReadingEvidence,
    Relation,
    RootEvidence,
    SeriesEvidence,
    TimestampEvidence,
    Version,
    WindowEvidence,
    Withheld,
    WitnessEvidence,
)
from ledger.strict_json import from_base64, natural, read_json
from ledger.translog.merkle import HASH_SIZE
from ledger.translog.verify import VerifyError, decode_base64
from ledger.window import WindowReading
from ledger.window_body import SeriesSummary

MAX_FILE_SIZE = 64 * 2**20
"""Bytes of a file, and of what it unpacks to."""
MAX_OPERATOR = 200
MAX_LOGS = 1000
"""Of logs, and of `key` entries: more are a way to keep a reader busy."""
MAX_WITNESSES = 100
"""Of witnesses, and of time stamps."""
_MAX_FLAGS = 0xFFFF
_LEAF = {"log", "index", "entry", "proof"}
_GZIP = b"\x1f\x8b"
_BLOCK = '<script type="application/json" id="evidence">'
_BLOCK_END = "</script>"
_PAGE = re.compile(r"[ \t\r\n]*<")


def read_evidence(data: bytes | str) -> Evidence | AnchoredEvidence:
    """The evidence that the file claims, or VerifyError."""
    try:
        return _evidence(read_json(unpacked(data)))
    except EntryError as cause:
        raise VerifyError("evidence file", got=cause, want=f"{FORMAT} or {FORMAT_2}") from cause


def unpacked(data: bytes | str) -> str:
    """The JSON text of a file in any of its three forms, or VerifyError."""
    _want_short(len(data), "length of the evidence file")
    text = data if isinstance(data, str) else _decoded(_inflated(data) if data[:2] == _GZIP else data)
    return _block(text) if _PAGE.match(text) else text


def _inflated(data: bytes) -> bytes:
    """One gzip member and nothing after it."""
    packed = zlib.decompressobj(wbits=31)
    try:
        # One byte more than allowed tells a file that is too long from one that just fits.
        text = packed.decompress(data, MAX_FILE_SIZE + 1)
    except zlib.error as cause:
        raise VerifyError("gzip of the evidence file", got=cause, want="one that unpacks") from cause
    _want_short(len(text), "length of the unpacked evidence file")
    if not packed.eof:
        raise VerifyError("gzip of the evidence file", got="a truncated one", want="a whole one")
    if packed.unused_data:
        raise VerifyError("gzip of the evidence file", got="bytes after its end", want="one member")
    return text


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as cause:
        raise VerifyError("evidence file", got="bytes that are not UTF-8", want="UTF-8 text") from cause


def _block(page: str) -> str:
    """The JSON inside the page. The page writes `<` as an escape there, so nothing in it ends the block."""
    parts = page.split(_BLOCK)
    if len(parts) != 2:
        raise VerifyError("evidence blocks of the page", got=len(parts) - 1, want=1)
    text, end, _ = parts[1].partition(_BLOCK_END)
    if not end or "<" in text:
        raise VerifyError("evidence block of the page", got="'<' inside or no end", want="JSON and </script>")
    return text


def _want_short(length: int, what: str) -> None:
    if length > MAX_FILE_SIZE:
        raise VerifyError(what, got=length, want=f"at most {MAX_FILE_SIZE}")


def _evidence(value: Any) -> Evidence | AnchoredEvidence:
    named = value.get("format") if isinstance(value, Mapping) else None
    if named == FORMAT_2:
        return _anchored(value)
    found = _members(value, {"format", "logs", "items"}, "evidence file")
    if named != FORMAT:
        raise VerifyError("format of the evidence file", got=named, want=f"{FORMAT} or {FORMAT_2}")
    logs = tuple(_log(item) for item in _list(found["logs"], "logs"))
    _want_each_once([log.origin for log in logs], "logs")
    return Evidence(logs, tuple(_item(item, 1) for item in _list(found["items"], "items")))


def _anchored(value: Any) -> AnchoredEvidence:
    names = {"format", "root", "logs", "keys", "witnesses", "timestamps", "items"}
    found = _members(value, names, "evidence file")
    root = None if found["root"] is None else _root(found["root"])
    anchored = AnchoredEvidence(
        root,
        tuple(_log_2(item, root) for item in _few(found["logs"], "logs", MAX_LOGS)),
        tuple(_item(item, 2) for item in _list(found["items"], "items")),
        tuple(_key(item) for item in _few(found["keys"], "keys", MAX_LOGS)),
        tuple(_witness(item) for item in _few(found["witnesses"], "witnesses", MAX_WITNESSES)),
        tuple(_timestamp(item, root) for item in _few(found["timestamps"], "timestamps", MAX_WITNESSES)),
    )
    origins = [log.origin for log in anchored.logs] + ([] if root is None else [root.origin])
    _want_each_once(origins, "logs")
    _want_each_once([witness.vkey for witness in anchored.witnesses], "witnesses")
    for leaf in anchored.keys:
        if leaf.log not in origins:
            raise VerifyError("log of a key entry", got=leaf.log, want="a log of the file")
    if root is None and anchored.witnesses:
        raise VerifyError("witnesses", got="some without a root log", want="none")
    return anchored


def _root(value: Any) -> RootEvidence:
    found = _members(value, {"vkey", "clock", "checkpoint"}, "root")
    vkey = _text(found["vkey"], "vkey")
    clock = None if found["clock"] is None else _text(found["clock"], "clock")
    return RootEvidence(key_name(vkey), vkey, clock, _text(found["checkpoint"], "checkpoint"))


def _log_2(value: Any, root: RootEvidence | None) -> LogEvidence:
    if isinstance(value, Mapping) and "anchor" in value:
        found = _members(value, {"vkey", "anchor"}, "log")
        vkey = _text(found["vkey"], "vkey")
        return LogEvidence(key_name(vkey), vkey, None, _root_leaf(found["anchor"], root, "anchor"))
    found = _members(value, {"vkey", "checkpoint"}, "log")
    vkey = _text(found["vkey"], "vkey")
    return LogEvidence(key_name(vkey), vkey, _text(found["checkpoint"], "checkpoint"))


def key_name(vkey: str) -> str:
    """What stands before the key's first `+`: the name it claims, whether or not the rest is a key."""
    return vkey.partition("+")[0]


def _root_leaf(value: Any, root: RootEvidence | None, what: str, extra: Collection[str] = ()) -> LeafEvidence:
    if root is None:
        raise VerifyError(what, got="one without a root log", want="none")
    return _leaf(_members(value, {"index", "entry", "proof", *extra}, what), root.origin, 2)


def _key(value: Any) -> LeafEvidence:
    found = _members(value, {"log", "index", "entry", "proof"}, "key")
    return _leaf(found, _text(found["log"], "log"), 2)


def _witness(value: Any) -> WitnessEvidence:
    found = _members(value, {"vkey", "operator", "relation"}, "witness")
    operator = _members(found["operator"], {"zh", "en"}, "operator of a witness")
    zh, en = _text(operator["zh"], "operator of a witness"), _text(operator["en"], "operator of a witness")
    if max(len(zh), len(en)) > MAX_OPERATOR:
        raise VerifyError("operator of a witness", got="a longer text", want=f"{MAX_OPERATOR} characters")
    return WitnessEvidence(_text(found["vkey"], "vkey"), zh, en, _relation(found["relation"]))


def _relation(value: Any) -> Relation:
    for known in get_args(Relation):
        if value == known:
            return known  # type: ignore[no-any-return]
    raise VerifyError("relation of a witness", got=value, want=", ".join(get_args(Relation)))


def _timestamp(value: Any, root: RootEvidence | None) -> TimestampEvidence:
    leaf = _root_leaf(value, root, "time stamp", {"token", "consistency"})
    token = decode_base64(_text(value["token"], "token"), "token")
    return TimestampEvidence(leaf, token, _hashes(value["consistency"], "consistency", 2))


def _log(value: Any) -> LogEvidence:
    found = _members(value, {"origin", "vkey", "checkpoint"}, "log")
    origin, vkey = _text(found["origin"], "origin"), _text(found["vkey"], "vkey")
    return LogEvidence(origin, vkey, _text(found["checkpoint"], "checkpoint"))


def _item(value: Any, version: Version) -> Item:
    kind = value.get("kind") if isinstance(value, Mapping) else None
    if kind == "event" or (kind == "verdict" and version == 2):
        found = _members(value, _LEAF | {"kind", "fields"}, f"{kind} item")
        fields = tuple(_field(item) for item in _list(found["fields"], "fields"))
        leaf = _leaf(found, _text(found["log"], "log"), version)
        return EventEvidence(leaf, fields, "event" if kind == "event" else "verdict")
    if kind == "window":
        found = _members(value, _LEAF | {"kind", "readings"}, "window item", {"series"})
        return WindowEvidence(
            _leaf(found, _text(found["log"], "log"), version),
            tuple(_reading(item, version) for item in _list(found["readings"], "readings")),
            tuple(_series(item, version) for item in _list(found.get("series", ()), "series")),
        )
    raise VerifyError("kind of an item", got=kind, want="one that this version of the file knows")


def _leaf(found: Mapping[str, Any], log: str, version: Version) -> LeafEvidence:
    text = _text(found["entry"], "entry")
    entry = text.encode() if version == 2 else decode_base64(text, "entry")
    index = natural(found["index"], "index")
    return LeafEvidence(log, index, entry, _hashes(found["proof"], "proof", version))


def _field(value: Any) -> Field:
    if isinstance(value, Mapping) and "hash" in value:
        return Withheld(from_base64(_members(value, {"hash"}, "field")["hash"], "hash of a field", HASH_SIZE))
    found = _members(value, {"name", "salt", "value"}, "field")
    salt = from_base64(found["salt"], "salt of a field", SALT_SIZE)
    return Disclosed(_text(found["name"], "name of a field"), salt, found["value"])


def _reading(value: Any, version: Version) -> ReadingEvidence:
    names = {"position", "series", "time", "value", "flags", "salt", "path"}
    found = _members(value, names, "reading", {"body_sha256"})
    reading = WindowReading(
        position=natural(found["position"], "position"),
        series=from_base64(found["series"], "series", 16),
        time_ms=natural(found["time"], "time of a reading"),
        value=_number(found["value"]),
        flags=natural(found["flags"], "flags"),
        salt=from_base64(found["salt"], "salt of a reading", 32),
        body_sha256=from_base64(found["body_sha256"], "body_sha256", 32) if "body_sha256" in found else None,
    )
    if reading.flags > _MAX_FLAGS:
        raise VerifyError("flags", got=reading.flags, want=f"at most {_MAX_FLAGS}")
    if (reading.value is None) != (reading.body_sha256 is not None):
        raise VerifyError("reading", got="both or neither", want="a value or body_sha256")
    return ReadingEvidence(reading, _hashes(found["path"], "path", version))


def _series(value: Any, version: Version) -> SeriesEvidence:
    found = _members(value, {"position", "item", "path"}, "series")
    summary = SeriesSummary.read(found["item"])
    return SeriesEvidence(
        natural(found["position"], "position"), summary, _hashes(found["path"], "path", version)
    )


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise VerifyError("value of a reading", got=type(value).__name__, want="a number or null")
    return float(value)


def _hashes(value: Any, what: str, version: Version) -> tuple[bytes, ...]:
    if version == 2:
        joined = decode_base64(_text(value, what), what)
        if len(joined) % HASH_SIZE:
            raise VerifyError(f"length of {what}", got=len(joined), want=f"a multiple of {HASH_SIZE}")
        return tuple(joined[at : at + HASH_SIZE] for at in range(0, len(joined), HASH_SIZE))
    return tuple(from_base64(item, f"hash in {what}", HASH_SIZE) for item in _list(value, what))


def _list(value: Any, what: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise VerifyError(what, got=type(value).__name__, want="a list")
    return value


def _few(value: Any, what: str, most: int) -> Sequence[Any]:
    if len(found := _list(value, what)) > most:
        raise VerifyError(what, got=len(found), want=f"at most {most}")
    return found


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise VerifyError(what, got=type(value).__name__, want="a text")
    return value


def _members(value: Any, names: set[str], what: str, optional: Collection[str] = ()) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not names <= value.keys() <= names | set(optional):
        got = ", ".join(sorted(value)) if isinstance(value, Mapping) else type(value).__name__
        raise VerifyError(f"members of {what}", got=got, want=", ".join(sorted(names)))
    return value


def _want_each_once(names: Sequence[str], what: str) -> None:
    if len(set(names)) != len(names):
        raise VerifyError(what, got="one twice", want="each once")
