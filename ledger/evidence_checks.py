"""Checks what an item says inside its entry, and what neighbouring items say of each other.

The half of `ledger.evidence` that comes after an entry is proven to be in its log. Contract: a function
returns, or raises `VerifyError` or `EntryError`; nothing here looks at keys and signatures.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from ledger.entry import Entry
from ledger.entry_bodies import EventBody
from ledger.evidence_file import Disclosed, EventEvidence, Item, WindowEvidence
from ledger.evidence_report import Checks
from ledger.strict_json import strict, utf16_key
from ledger.translog.merkle import Tree, leaf_hash
from ledger.translog.verify import VerifyError, verify_inclusion, want_same
from ledger.window_body import Amends, SeriesSummary, WindowBody


@dataclass(frozen=True, slots=True)
class Sound:
    """An item whose entry is proven to be in its log. `at`: its place among the file's items."""

    at: int
    item: Item
    entry: Entry

    @property
    def hash(self) -> bytes:
        return leaf_hash(self.item.leaf.entry)

    @property
    def index(self) -> int:
        return self.item.leaf.index


def content_checks(item: Item, entry: Entry) -> dict[str, Callable[[], None]]:
    """What is said inside the entry. The entry's type is the item's kind, and its body has been read once."""
    if isinstance(item, EventEvidence):
        return {"fields": partial(_want_fields, item, EventBody.read(entry.body))}
    body = WindowBody.read(entry.body)
    return {"readings": partial(_want_readings, item, body), "summary": partial(_want_summaries, item, body)}


def check_streams(checks: Checks, sound: Iterable[Sound]) -> None:
    """The items of one stream, neighbours by their number in it."""
    streams: dict[tuple[str, bytes], list[Sound]] = {}
    for found in sound:
        streams.setdefault((found.item.leaf.log, found.entry.stream), []).append(found)
    for (log, _), members in streams.items():
        members.sort(key=lambda found: (found.entry.n, found.index))
        for before, after in pairwise(members):
            checks.attempt("stream", partial(_want_order, before, after), log=log, item=after.at)


def check_amendments(checks: Checks, sound: Sequence[Sound]) -> None:
    """Windows whose amended entry is in the file too."""
    places = {(found.item.leaf.log, found.index): found for found in sound}
    for found in sound:
        if found.entry.type != "window":
            continue
        log, amends = found.item.leaf.log, WindowBody.read(found.entry.body).amends
        if amends is not None and (earlier := places.get((log, amends.index))) is not None:
            checks.attempt("amends", partial(_want_amended, earlier, found, amends), log=log, item=found.at)


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


def _want_order(before: Sound, after: Sound) -> None:
    if before.entry.n == after.entry.n:
        want_same(f"entry {after.entry.n} of the stream", got=after.hash, want=before.hash)
        return
    if before.index >= after.index:
        raise VerifyError("place in the log", got=after.index, want=f"after {before.index}")
    if before.entry.n + 1 == after.entry.n:
        want_same("prev of the entry", got=after.entry.prev, want=before.hash)


def _want_amended(earlier: Sound, found: Sound, amends: Amends) -> None:
    want_same("amended leaf", got=amends.leaf, want=earlier.hash)
    want_same("stream of the amended window", got=earlier.entry.stream, want=found.entry.stream)
    want_same("type of the amended entry", got=earlier.entry.type, want="window")
    starts = [WindowBody.read(entry.body).start_ms for entry in (earlier.entry, found.entry)]
    want_same("start of the amended window", got=starts[0], want=starts[1])
