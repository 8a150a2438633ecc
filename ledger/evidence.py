"""Checks an evidence file with nothing at hand but the file and, better, a key from elsewhere.

The last station of the line: what `ledger.reader` wrote, a shopper's phone (the same checks in TypeScript) or
`suyuan verify` judges here. Contract: any bytes give a `Report` or `VerifyError`, never another exception;
`verified` is true only if every check held; a change of anything committed makes it false. What it cannot
show is said too: that what was recorded is true, and that the log shows everybody the same
(`docs/entry-v1.md`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from ledger.entry import Entry, log_pseudonym, parse_entry
from ledger.entry_bodies import EventBody
from ledger.errors import EntryError
from ledger.evidence_file import (
    Disclosed,
    EventEvidence,
    Evidence,
    Item,
    LogEvidence,
    WindowEvidence,
    build_event,
    build_window,
    read_evidence,
)
from ledger.strict_json import strict, utf16_key
from ledger.translog.checkpoint import Checkpoint, open_checkpoint
from ledger.translog.merkle import Tree, leaf_hash
from ledger.translog.note import VerifierKey, parse_vkey
from ledger.translog.verify import VerifyError, verify_inclusion, want_same
from ledger.window_body import Amends, SeriesSummary, WindowBody

__all__ = ["Check", "Report", "Text", "build_event", "build_window", "read_evidence", "verify_evidence"]


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence for a person, in both languages of the pages."""

    en: str
    zh: str


TEXTS = {
    "content": Text("The file holds something to check.", "文件中有可供核验的内容。"),
    "key": Text("The log's key is the one you trust.", "日志的公钥就是您信任的公钥。"),
    "own_key": Text(
        "The log's key is the file's own: this shows that the file is of one piece, not who made it.",
        "所用公钥来自文件本身：只能说明文件前后一致，不能说明出自何人。",
    ),
    "checkpoint": Text("The log signed this state of its record.", "日志已对该记录状态签名。"),
    "entry": Text("The entry is well formed.", "条目格式正确。"),
    "log": Text("The entry was written for this log.", "条目确为该日志而写。"),
    "inclusion": Text("The entry is part of the signed record.", "条目包含在已签名的记录之中。"),
    "fields": Text(
        "The fields shown are those recorded; the others stay hidden and cannot have been changed.",
        "所示字段与记录一致；其余字段保持隐藏，既未更改也未删减。",
    ),
    "readings": Text("The readings shown are those sealed in this window.", "所示读数即该时段封存的读数。"),
    "summary": Text(
        "Each reading fits the window's published times and extremes.",
        "各读数均在该时段公布的时间与极值之内。",
    ),
    "stream": Text(
        "The entries of one device or party follow one another.", "同一设备或同一主体的条目前后相接。"
    ),
    "amends": Text(
        "The window with late readings follows the one it amends.", "含补录读数的时段承接它所修正的时段。"
    ),
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `got` and `want` are empty where it held; `item`: index in the file's
    items.
    """

    name: str
    ok: bool
    got: str
    want: str
    text: Text
    log: str | None = None
    item: int | None = None

    def value(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "ok": self.ok,
            "got": self.got,
            "want": self.want,
            "text": {"en": self.text.en, "zh": self.text.zh},
            "log": self.log,
            "item": self.item,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All checks in order. `own_key`: no trusted key was given, so the file vouched for itself."""

    checks: tuple[Check, ...]
    own_key: bool

    @property
    def verified(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.ok)

    def value(self) -> dict[str, Any]:
        """For JSON."""
        checks = [check.value() for check in self.checks]
        return {"verified": self.verified, "own_key": self.own_key, "checks": checks}


def verify_evidence(data: bytes | str, trusted: Mapping[str, str] | None = None) -> Report:
    """Checks all that the file claims. `trusted`: origin -> vkey; None: the file's own keys, and the report
    says so.

    VerifyError if the file cannot be read, or a trusted key cannot.
    """
    evidence = read_evidence(data)
    keys = None if trusted is None else {origin: parse_vkey(text) for origin, text in trusted.items()}
    return _Verification(evidence, keys).report()


@dataclass(frozen=True, slots=True)
class _Sound:
    """An item whose entry is proven to be in its log."""

    at: int
    item: Item
    entry: Entry

    @property
    def hash(self) -> bytes:
        return leaf_hash(self.item.leaf.entry)

    @property
    def index(self) -> int:
        return self.item.leaf.index


class _Verification:
    """One run over one file; gathers checks as it goes. A check that builds on a failed one is not made."""

    def __init__(self, evidence: Evidence, trusted: Mapping[str, VerifierKey] | None) -> None:
        self.evidence = evidence
        self.trusted = trusted
        self.checks: list[Check] = []
        self.heads: dict[str, Checkpoint] = {}

    def report(self) -> Report:
        self._attempt("content", lambda: _want_content(self.evidence))
        for log in self.evidence.logs:
            self._check_log(log)
        sound = [
            found for at, item in enumerate(self.evidence.items) if (found := self._check_item(at, item))
        ]
        self._check_streams(sound)
        self._check_amendments(sound)
        return Report(tuple(self.checks), own_key=self.trusted is None)

    def _attempt(
        self, name: str, check: Callable[[], object], *, log: str | None = None, item: int | None = None
    ) -> bool:
        ok, got, want = False, "", ""
        try:
            check()
            ok = True
        except VerifyError as error:
            got, want = f"{error.what}: {error.got}", error.want
        except EntryError as error:
            got, want = str(error), "what docs/entry-v1.md says"
        self.checks.append(Check(name, ok, got, want, TEXTS[name], log, item))
        return ok

    def _check_log(self, log: LogEvidence) -> None:
        key = self._key(log)
        if key is None:
            return

        def open_head() -> None:
            self.heads[log.origin] = open_checkpoint(log.checkpoint, [key], origin=log.origin).checkpoint

        self._attempt("checkpoint", open_head, log=log.origin)

    def _key(self, log: LogEvidence) -> VerifierKey | None:
        found: list[VerifierKey] = []

        def choose() -> None:
            key = parse_vkey(log.vkey)
            want_same("name of the log's key", got=key.name, want=log.origin)
            if self.trusted is not None:
                if log.origin not in self.trusted:
                    raise VerifyError("log", got=log.origin, want=", ".join(self.trusted) or "a trusted log")
                want_same("the log's key", got=key, want=self.trusted[log.origin])
            found.append(key)

        name = "own_key" if self.trusted is None else "key"
        return found[0] if self._attempt(name, choose, log=log.origin) else None

    def _check_item(self, at: int, item: Item) -> _Sound | None:
        leaf = item.leaf
        entries: list[Entry] = []

        def read_entry() -> None:
            entries.append(parse_entry(leaf.entry))
            want_same("type of the entry", got=entries[0].type, want=_kind(item))

        def find_in_log() -> None:
            head = self.heads.get(leaf.log)
            if head is None:
                raise VerifyError("log of the item", got=leaf.log, want="a log whose checkpoint verified")
            verify_inclusion(leaf_hash(leaf.entry), leaf.index, head.size, leaf.proof, head.root_hash)

        def belongs_to_log() -> None:
            want_same("pseudonym of the log", got=entries[0].org, want=log_pseudonym(leaf.log))

        steps = {"entry": read_entry, "log": belongs_to_log, "inclusion": find_in_log}
        if not all(self._attempt(name, step, log=leaf.log, item=at) for name, step in steps.items()):
            return None
        for name, step in _content_checks(item, entries[0]).items():
            self._attempt(name, step, log=leaf.log, item=at)
        return _Sound(at, item, entries[0])

    def _check_streams(self, sound: list[_Sound]) -> None:
        streams: dict[tuple[str, bytes], list[_Sound]] = {}
        for found in sound:
            streams.setdefault((found.item.leaf.log, found.entry.stream), []).append(found)
        for (log, _), members in streams.items():
            members.sort(key=lambda found: (found.entry.n, found.index))
            for before, after in pairwise(members):
                self._attempt("stream", partial(_want_order, before, after), log=log, item=after.at)

    def _check_amendments(self, sound: list[_Sound]) -> None:
        places = {(found.item.leaf.log, found.index): found for found in sound}
        for found in sound:
            if found.entry.type != "window":
                continue
            log, amends = found.item.leaf.log, WindowBody.read(found.entry.body).amends
            if amends is not None and (earlier := places.get((log, amends.index))) is not None:
                self._attempt(
                    "amends", partial(_want_amended, earlier, found, amends), log=log, item=found.at
                )


def _want_content(evidence: Evidence) -> None:
    if not evidence.items:
        raise VerifyError("items of the file", got=0, want="at least one")


def _kind(item: Item) -> str:
    return "event" if isinstance(item, EventEvidence) else "window"


def _content_checks(item: Item, entry: Entry) -> dict[str, Callable[[], None]]:
    """What is said inside the entry. The entry's type is the item's kind, and its body has been read once."""
    if isinstance(item, EventEvidence):
        return {"fields": partial(_want_fields, item, EventBody.read(entry.body))}
    body = WindowBody.read(entry.body)
    return {"readings": partial(_want_readings, item, body), "summary": partial(_want_summaries, item, body)}


def _want_fields(item: EventEvidence, body: EventBody) -> None:
    want_same("number of fields", got=len(item.fields), want=body.fields)
    names = [utf16_key(field.name) for field in item.fields if isinstance(field, Disclosed)]
    if names != sorted(set(names)):
        raise VerifyError("names of the fields", got="another order", want="each once, in RFC 8785 order")
    tree = Tree(tuple(field.leaf_hash() for field in item.fields))
    want_same("root over the fields", got=tree.root_hash, want=body.root)


def _want_readings(item: WindowEvidence, body: WindowBody) -> None:
    positions = [found.reading.position for found in item.readings]
    if positions != sorted(set(positions)):
        raise VerifyError("positions of the readings", got="another order", want="each once, rising")
    for found in item.readings:
        at = found.reading.position
        verify_inclusion(leaf_hash(found.reading.leaf()), at, body.count, found.path, body.root)


def _want_summaries(item: WindowEvidence, body: WindowBody) -> None:
    listed = _listed_series(item, body)
    for found in item.readings:
        reading = found.reading
        summary = listed.get(reading.series)
        if summary is None:
            raise VerifyError("series of a reading", got=reading.series, want="one that the window lists")
        if not max(summary.first_ms, body.start_ms) <= reading.time_ms <= summary.last_ms < body.end_ms:
            want = f"{summary.first_ms} to {summary.last_ms}, in the window"
            raise VerifyError("time of a reading", got=reading.time_ms, want=want)
        if reading.value is not None and not summary.holds(reading.value):
            want = f"{summary.min_milli} to {summary.max_milli} thousandths"
            raise VerifyError("value of a reading", got=reading.value, want=want)


def _listed_series(item: WindowEvidence, body: WindowBody) -> dict[bytes, SeriesSummary]:
    if body.series.items is not None:
        want_same("series shown beside the entry's own list", got=len(item.series), want=0)
        return {summary.series: summary for summary in body.series.items}
    for shown in item.series:
        data = leaf_hash(strict(shown.summary.item()))
        verify_inclusion(data, shown.position, body.series.count, shown.path, body.series.root)
    return {shown.summary.series: shown.summary for shown in item.series}


def _want_order(before: _Sound, after: _Sound) -> None:
    if before.entry.n == after.entry.n:
        want_same(f"entry {after.entry.n} of the stream", got=after.hash, want=before.hash)
        return
    if before.index >= after.index:
        raise VerifyError("place in the log", got=after.index, want=f"after {before.index}")
    if before.entry.n + 1 == after.entry.n:
        want_same("prev of the entry", got=after.entry.prev, want=before.hash)


def _want_amended(earlier: _Sound, found: _Sound, amends: Amends) -> None:
    want_same("amended leaf", got=amends.leaf, want=earlier.hash)
    want_same("stream of the amended window", got=earlier.entry.stream, want=found.entry.stream)
    want_same("type of the amended entry", got=earlier.entry.type, want="window")
    starts = [WindowBody.read(entry.body).start_ms for entry in (earlier.entry, found.entry)]
    want_same("start of the amended window", got=starts[0], want=starts[1])
