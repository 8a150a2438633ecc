"""Logs written for a monitor to read: any leaves, as static files under one key, honest or not."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from ledger.entry import log_pseudonym
from ledger.strict_json import strict, to_base64
from ledger.translog.checkpoint import Checkpoint, sign_checkpoint
from ledger.translog.merkle import leaf_hash
from ledger.translog.note import SignerKey
from ledger.translog.tiles import TILE_WIDTH, Edge, bundles

ORIGIN = "log.example/xj-coop"
KEY = SignerKey.from_seed(ORIGIN, bytes(range(32)))
REC = 1_782_000_000_000


@dataclass
class Written:
    """A log's folder. `leaves`: all of them, since these logs are small."""

    folder: Path
    key: SignerKey = KEY
    origin: str = ORIGIN
    edge: Edge = field(default_factory=Edge.empty)
    leaves: list[bytes] = field(default_factory=list)

    def grow(self, leaves: Sequence[bytes], *, signers: Sequence[SignerKey] | None = None) -> Written:
        """Writes what comes of them, and the checkpoint over all."""
        tail = self.leaves[self.edge.size - self.edge.size % TILE_WIDTH :]
        for bundle in bundles(tail, self.edge.size, leaves):
            self.write(bundle.path, bundle.data)
        growth = self.edge.extend([leaf_hash(leaf) for leaf in leaves])
        for tile in growth.tiles:
            self.write(tile.path, tile.data)
        self.edge = growth.edge
        self.leaves += leaves
        self.sign(signers=signers)
        return self

    def sign(self, *, signers: Sequence[SignerKey] | None = None) -> None:
        checkpoint = Checkpoint(self.origin, self.edge.size, self.edge.root_hash)
        signers = [self.key] if signers is None else signers
        self.write("checkpoint", sign_checkpoint(checkpoint, signers).encode())
        self.write("vkey", f"{signers[-1].verifier}\n".encode())

    def write(self, path: str, data: bytes) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(data)

    def alter(self, path: str, change: Callable[[bytes], bytes]) -> None:
        self.write(path, change((self.folder / path).read_bytes()))

    @property
    def note(self) -> str:
        return (self.folder / "checkpoint").read_text()


class Speaker:
    """Makes entries that follow each other in their streams."""

    def __init__(self, origin: str = ORIGIN, rec: int = REC) -> None:
        self.org = log_pseudonym(origin)
        self.ends: dict[bytes, tuple[int, bytes]] = {}
        self.rec = rec
        self.count = 0

    def say(self, kind: Any, stream: int, body: dict[str, Any], **other: Any) -> bytes:
        name = sha256(b"stream %d" % stream).digest()[:16]
        n, prev = self.ends.get(name, (-1, None))
        self.rec += 1
        facts = {"org": self.org, "stream": name, "n": n + 1, "prev": prev, "rec": self.rec} | other
        spelt = {key: to_base64(value) if isinstance(value, bytes) else value for key, value in facts.items()}
        data = strict({"v": 1, "type": kind, "body": body, **spelt})
        self.ends[name] = (n + 1, leaf_hash(data))
        self.count += 1
        return data

    def event(self, stream: int = 0, **other: Any) -> bytes:
        root = to_base64(sha256(b"event %d" % self.count).digest())
        return self.say("event", stream, {"fields": 12, "root": root}, **other)

    def window(self, stream: int, hour: int, amends: tuple[int, bytes] | None = None, **other: Any) -> bytes:
        start = REC + hour * 3_600_000
        uuid = to_base64(sha256(b"series %d" % stream).digest()[:16])
        body: dict[str, Any] = {
            "window": [start, start + 3_600_000], "closed": "hour", "count": 60,
            "root": to_base64(sha256(b"window %d" % self.count).digest()),
            "series": [[uuid, 60, start, start + 3_540_000, 1875, 4250]], "missing": [],
        }  # fmt: skip
        if amends is not None:
            body |= {"amends": {"index": amends[0], "leaf": to_base64(amends[1])}, "added": [59]}
        return self.say("window", stream, body, **other)

    def rotation(self, old: SignerKey, new: SignerKey, **other: str) -> bytes:
        return self.say("key", 999, rotation(old, new) | other)

    def mixed(self, count: int, streams: int = 7) -> list[bytes]:
        """Events and windows, as they come."""
        return [
            self.event(self.count % streams)
            if self.count % 3 == 0
            else self.window(streams + self.count % streams, self.count)
            for _ in range(count)
        ]


def rotation(old: SignerKey, new: SignerKey) -> dict[str, str]:
    message = f"suyuan/key/v1\n{old.name}\n{old.verifier}\n{new.verifier}\n"
    signed = {
        name: base64.b64encode(key.sign(message)).decode()
        for name, key in (("sig_old", old), ("sig_new", new))
    }
    return {"old": str(old.verifier), "new": str(new.verifier), **signed}
