"""What a log's entries say one after the other: streams, record times, windows, keys, an end.

Contract: `take` is called with the log's scanned parts in order; a rule broken is `Damaged` (a key, `KeyProblem`), and
names the entry. What is remembered between passes is in `Memory`, so a log of any length takes the same memory here.
Rules: `docs/entry-v1.md`.
"""

from __future__ import annotations

from ledger.entry_bodies import CheckpointAnchor, KeyBody, TimestampAnchor, read_anchor
from ledger.key_rotation import verify_rotation
from ledger.monitor.findings import Damaged, KeyProblem
from ledger.monitor.memory import Anchored, Kept, Memory
from ledger.monitor.scanning import Scanned, Special, Window, want_next
from ledger.translog.verify import VerifyError

MOST_KEYS = 1000


class Chains:
    """One pass over one log of entries, from what was kept (`begun`) on. `vkeys`: the keys that `key` entries led through in this pass, oldest first;
    `stamped`: (size, root) that time stamps of the part taken last speak of, to be compared with the log's tiles.
    """

    def __init__(self, memory: Memory, origin: str, begun: Kept | None) -> None:
        self.last_rec = 0 if begun is None else begun.last_rec
        self.frozen_at = None if begun is None else begun.frozen_at
        self._vkey = None if begun is None else begun.vkey
        self.vkeys: list[str] = []
        self.stamped: list[tuple[int, bytes]] = []
        self._memory = memory
        self._origin = origin

    def take(self, first: int, scanned: Scanned) -> None:
        """`first`: index of the first entry that was scanned."""
        self.stamped = []
        if scanned.count and self.frozen_at is not None:
            raise Damaged(
                f"entry {first}", got="an entry", want=f"none after the log's freeze at {self.frozen_at}"
            )
        if scanned.first_rec is not None:
            if scanned.first_rec < self.last_rec:
                raise Damaged(
                    f"record time of entry {first}", got=scanned.first_rec, want=f"{self.last_rec} or later"
                )
            self.last_rec = scanned.last_rec
        self._streams(scanned)
        self._windows(scanned.windows)
        for special in scanned.special:
            self._special(special)
        if self.frozen_at is not None and self.frozen_at != first + scanned.count - 1:
            raise Damaged(
                f"entry {self.frozen_at + 1}",
                got="an entry",
                want=f"none after the log's freeze at {self.frozen_at}",
            )

    def _streams(self, scanned: Scanned) -> None:
        for stream, link in scanned.links.items():
            end = self._memory.stream_end(stream)
            if end is not None:
                want_next(link.at, link.n, link.prev, *end)
            elif link.n:
                raise Damaged(f"number of entry {link.at} in its stream", got=link.n, want="0, as the first")
        self._memory.end_streams(
            [(stream, link.last_n, link.last_leaf) for stream, link in scanned.links.items()]
        )

    def _windows(self, windows: list[Window]) -> None:
        first = list[Window]()
        for window in windows:
            if window.amends is None:
                first.append(window)
                continue
            self._begin(first)
            first = []
            self._amend(window, window.amends)
        self._begin(first)

    def _begin(self, windows: list[Window]) -> None:
        if self._memory.begin_windows(windows):
            return
        hours = set[tuple[bytes, int]]()
        for window in windows:
            hour = window.stream, window.start
            there = self._memory.newest_window(window)
            if hour in hours or (there is not None and there[0] != window.at):
                raise Damaged(
                    f"window of entry {window.at}", got="one that was sealed before", want="its amendment"
                )
            hours.add(hour)

    def _amend(self, window: Window, cited: tuple[int, bytes]) -> None:
        newest = self._memory.newest_window(window)
        what = f"amended window of entry {window.at}"
        if newest is None:
            raise Damaged(
                what, got=f"entry {cited[0]}", want="a window of the same stream and start before it"
            )
        index, leaf = newest
        if cited[0] != index:
            raise Damaged(what, got=f"entry {cited[0]}", want=f"entry {index}, its newest version")
        if cited[1] != leaf:
            raise Damaged(f"leaf of the {what}", got=cited[1], want=leaf)
        self._memory.amend_window(window)

    def _special(self, special: Special) -> None:
        what = f"entry {special.at}"
        if self.frozen_at is not None:
            raise Damaged(
                what, got=f"a {special.type}", want=f"nothing after the log's freeze at {self.frozen_at}"
            )
        if special.type == "freeze":
            self.frozen_at = special.at
        elif special.type == "key":
            self._rotate(KeyBody.read(special.body), what)
        else:
            said = read_anchor(special.body)
            if isinstance(said, TimestampAnchor):
                self._stamp(said, special.at)
            else:
                self._anchor(said, what)

    def _rotate(self, body: KeyBody, what: str) -> None:
        try:
            verify_rotation(body, self._origin)
        except VerifyError as cause:
            raise KeyProblem(f"{cause.what} of the key in {what}", got=cause.got, want=cause.want) from cause
        old, new = str(body.old), str(body.new)
        current = self.vkeys[-1] if self.vkeys else self._vkey
        if current is not None and old != current:
            return  # a key that was given up before gives up nothing (`key_rotation.Keyring`)
        self.vkeys += [new] if self.vkeys else [old, new]
        if len(self.vkeys) > MOST_KEYS:
            raise Damaged(f"keys up to {what}", got=len(self.vkeys), want=f"at most {MOST_KEYS}")

    def _anchor(self, said: CheckpointAnchor, what: str) -> None:
        checkpoint = said.checkpoint
        before = self._memory.anchored(checkpoint.origin)
        if before is not None and checkpoint.size < before.size:
            raise Damaged(
                f"size of {checkpoint.origin} in {what}", got=checkpoint.size, want=f"{before.size} or more"
            )
        if before is not None and checkpoint.size == before.size and checkpoint.root_hash != before.root:
            raise Damaged(
                f"root of {checkpoint.origin} in {what}", got=checkpoint.root_hash, want=before.root
            )
        self._memory.anchor(Anchored(checkpoint.origin, checkpoint.size, checkpoint.root_hash, said.note))

    def _stamp(self, said: TimestampAnchor, at: int) -> None:
        if not 0 < said.size <= at:
            raise Damaged(f"size of the time stamp in entry {at}", got=said.size, want=f"1 to {at}")
        self.stamped.append((said.size, said.root))
