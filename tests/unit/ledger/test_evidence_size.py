"""The proof of one temperature reading from a log of 1,000,000 entries is under 3,000 bytes, packed."""

import gzip
from hashlib import sha256

import numpy as np
import pytest

from ledger.entry import Entry, log_pseudonym
from ledger.evidence import verify_evidence
from ledger.evidence_file import (
    AnchoredEvidence,
    LeafEvidence,
    LogEvidence,
    RootEvidence,
    build_window,
)
from ledger.translog.checkpoint import Checkpoint, sign_checkpoint
from ledger.translog.merkle import inclusion_ranges, leaf_hash
from ledger.translog.verify import root_from_inclusion
from ledger.window import WindowTree, readings, window_secret
from ledger.window_body import WindowBody
from tests.unit.ledger.vectors_of_ours import make, make_v2

SIZE = 1_000_000
MOST = 3_000
HOUR_MS = 3_600_000


def noise(*what: object) -> bytes:
    """32 bytes that pack as badly as hashes do."""
    return sha256(repr(what).encode()).digest()


def placed(origin: str, index: int, entry: bytes) -> tuple[LeafEvidence, Checkpoint]:
    """The entry in a log of SIZE, whose other nodes are anything: what a proof needs of them is their hashes."""
    count = len(inclusion_ranges(index, SIZE))
    proof = tuple(noise(origin, level) for level in range(count))
    root = root_from_inclusion(leaf_hash(entry), index, SIZE, proof)
    return LeafEvidence(origin, index, entry, proof), Checkpoint(origin, SIZE, root)


def hour_of_a_logger() -> WindowTree:
    """Temperature and humidity, once a minute."""
    minutes = make.START_MS + np.arange(60) * 60_000
    celsius, humidity = np.random.default_rng(1).normal((3.0, 88.0), 1.0, (60, 2)).round(2).T
    rows = [
        readings(noise(name)[:16], minutes, values, np.zeros(60))
        for name, values in (("temperature", celsius), ("humidity", humidity))
    ]
    secret = window_secret(make.ORG_KEY, make.DEVICE, make.START_MS)
    return WindowTree.of(secret, np.concatenate(rows))


def single_reading(index: int, anchor_index: int, *, clock: bool) -> str:
    tree, closed = hour_of_a_logger(), make.START_MS + HOUR_MS
    body = WindowBody.of(tree, make.START_MS, closed, "hour")
    org = log_pseudonym(make.ORIGIN)
    window = Entry("window", org, make.DEVICE, 5821, noise("prev"), closed + 4_123, body.value())
    leaf, head = placed(make.ORIGIN, index, window.encode())
    anchor = Entry(
        "anchor",
        log_pseudonym(make_v2.ROOT_ORIGIN),
        make_v2.log_stream(make.ORIGIN),
        70_000,
        noise("anchor"),
        closed + 60_123,
        {"checkpoint": sign_checkpoint(head, [make_v2.NEW])},
    )
    anchor_leaf, root = placed(make_v2.ROOT_ORIGIN, anchor_index, anchor.encode())
    cosigners = [*([make_v2.CLOCK] if clock else []), make_v2.AUTHORITY]
    note = make_v2.cosigned(root, cosigners, closed // 1000 + 90)
    evidence = AnchoredEvidence(
        RootEvidence(
            make_v2.ROOT_ORIGIN,
            str(make_v2.ROOT.verifier),
            str(make_v2.CLOCK.verifier) if clock else None,
            note,
        ),
        (LogEvidence(make.ORIGIN, str(make_v2.NEW.verifier), None, anchor_leaf),),
        (build_window(leaf, tree, [77]),),
        (),
        (make_v2.AUTHORITY_WITNESS,),
    )
    return evidence.to_json()


@pytest.mark.parametrize(
    ("index", "anchor_index", "clock"),
    [
        pytest.param(543_210, SIZE - 17, True, id="newly anchored, with witness and clock"),
        pytest.param(543_210, 345_678, False, id="the longest paths in both logs, with a witness"),
    ],
)
def test_a_single_reading_is_small(index: int, anchor_index: int, clock: bool) -> None:
    text = single_reading(index, anchor_index, clock=clock)
    report = verify_evidence(text)
    assert report.verified
    assert report.facts.independent
    assert len(gzip.compress(text.encode(), 9)) < MOST
