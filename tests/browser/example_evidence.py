"""The evidence file of the example story, made with the ledger's own code from a fixed key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ledger.entry import Entry, EntryType, commit_event, log_pseudonym, stream_pseudonym
from ledger.evidence_file import (
    AnchoredEvidence,
    EventEvidence,
    Evidence,
    LeafEvidence,
    LogEvidence,
    Relation,
    RootEvidence,
    WitnessEvidence,
    build_event,
    build_window,
)
from ledger.evidence_reading import read_evidence
from ledger.translog.checkpoint import Checkpoint, sign_checkpoint
from ledger.translog.cosignature import Cosigner
from ledger.translog.merkle import Tree, leaf_hash
from ledger.translog.note import SignerKey
from ledger.window import WindowTree, readings, window_secret
from ledger.window_body import WindowBody
from trace_api.story import Leg, Step, Story

ORIGIN = "log.suyuan.example/xianju"
SIGNER = SignerKey.from_seed(ORIGIN, bytes(range(32)))
_ROOT = SignerKey.from_seed("log.suyuan.example/root", bytes([9]) * 32)
_ORG_KEY = bytes(range(32, 64))
_PARTY = stream_pseudonym(_ORG_KEY, "party", "xj-coop")
_DEVICE = stream_pseudonym(_ORG_KEY, "device", "truck-1")
_SHOWN = {"type", "eventTime", "bizStep", "quantityList"}
_HOUR_MS = 3_600_000


class _Log:
    """Gives each entry its place in the stream and in the log, as the sequencer does."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self._heads: dict[bytes, tuple[int, bytes]] = {}

    def append(self, entry_type: EntryType, stream: bytes, body: dict[str, Any], rec: int) -> int:
        n, prev = self._heads.get(stream, (0, None))
        data = Entry(entry_type, log_pseudonym(ORIGIN), stream, n, prev, rec, body).encode()
        self._heads[stream] = (n + 1, leaf_hash(data))
        self.entries.append(data)
        return len(self.entries) - 1


def example_evidence(story: Story) -> str:
    """All events of the story that are sealed, with time, step and lot shown, and its readings of one hour."""
    log = _Log()
    steps = story.steps[: story.events_sealed]
    events = [_event(story, step) for step in steps]
    salts = [[bytes([at, field]) * 8 for field in range(len(event))] for at, event in enumerate(events)]
    for step, event, salt in zip(steps, events, salts, strict=True):
        log.append("event", _PARTY, commit_event(event, salt).body(), _ms(step))
    window, start = _window(story)
    body = WindowBody.of(window, start, start + _HOUR_MS, "excursion")
    at = log.append("window", _DEVICE, body.value(), start + _HOUR_MS)
    tree = Tree.of(log.entries)

    def leaf(index: int) -> LeafEvidence:
        return LeafEvidence(ORIGIN, index, log.entries[index], tree.inclusion_proof(index))

    items: list[EventEvidence] = [
        build_event(leaf(index), event, salt, _SHOWN)
        for index, (event, salt) in enumerate(zip(events, salts, strict=True))
    ]
    note = sign_checkpoint(Checkpoint(ORIGIN, tree.size, tree.root_hash), [SIGNER])
    head = LogEvidence(ORIGIN, str(SIGNER.verifier), note)
    return Evidence((head,), (*items, build_window(leaf(at), window, range(window.size)))).to_json()


def anchored_evidence(story: Story, time: int, relations: Sequence[Relation]) -> str:
    """The same in version 2: its log entered in a root log that, at `time` (s), its clock and a witness of each relation saw."""
    first = read_evidence(example_evidence(story))
    assert isinstance(first, Evidence)
    (log,) = first.logs
    body = {"checkpoint": log.checkpoint}
    entry = Entry("anchor", log_pseudonym(_ROOT.name), bytes(16), 0, None, (time - 1) * 1000, body).encode()
    tree = Tree.of([entry])
    head = Checkpoint(_ROOT.name, tree.size, tree.root_hash)
    clock = Cosigner.from_seed(f"{_ROOT.name}/clock", bytes([7]) * 32)
    cosigners = [
        Cosigner.from_seed(f"{relation}.example/w", bytes([at + 1]) * 32)
        for at, relation in enumerate(relations)
    ]
    lines = "".join(str(each.cosign(head, time)) for each in (clock, *cosigners))
    root = RootEvidence(
        _ROOT.name, str(_ROOT.verifier), str(clock.verifier), sign_checkpoint(head, [_ROOT]) + lines
    )
    anchor = LeafEvidence(_ROOT.name, 0, entry, tree.inclusion_proof(0))
    witnesses = tuple(
        WitnessEvidence(str(each.verifier), f"{relation} 见证方", f"{relation} witness", relation)
        for each, relation in zip(cosigners, relations, strict=True)
    )
    logs = (LogEvidence(log.origin, log.vkey, None, anchor),)
    return AnchoredEvidence(root, logs, first.items, witnesses=witnesses).to_json()


def _event(story: Story, step: Step) -> dict[str, Any]:
    return {
        "type": "ObjectEvent",
        "eventID": f"urn:uuid:00000000-0000-4000-8000-{step.event:012d}",
        "eventTime": step.at.isoformat(timespec="milliseconds"),
        "eventTimeZoneOffset": "+08:00",
        "action": "OBSERVE",
        "bizStep": step.code,
        "quantityList": [{"epcClass": f"https://id.gs1.org/01/{story.gtin}/10/{story.lot}", "quantity": 240}],
    }


def _window(story: Story) -> tuple[WindowTree, int]:
    """The hour in which the story's warmest limited leg begins, and its readings."""
    leg = next(leg for leg in story.legs if leg.stage == "loaded")
    start = round(leg.start.timestamp() * 1000) // _HOUR_MS * _HOUR_MS
    rows = np.concatenate(list(_rows(leg, start)))
    return WindowTree.of(window_secret(_ORG_KEY, _DEVICE, start), rows), start


def _rows(leg: Leg, start: int) -> Iterator[Any]:
    for number, curve in enumerate(leg.curves):
        points = [(time, value) for time, value in curve.points if start <= time < start + _HOUR_MS]
        times, values = zip(*points, strict=True)
        yield readings(bytes([number + 1]) * 16, times, values, np.zeros(len(points)))


def _ms(step: Step) -> int:
    return round(step.at.timestamp() * 1000)
