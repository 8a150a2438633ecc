"""A witness: it cosigns what follows from all that it cosigned of a log before, and nothing else.

`suyuan witness` runs it at a market's or an authority's, far from our database; a log sends it checkpoints
(`ledger.translog.add_checkpoint`), `ledger.witness_store` is its memory. Contract: of one log it never cosigns two
checkpoints that no consistency proof joins, nor a smaller one after a larger; what it answers is on its disk first;
any bytes get an answer. Source: c2sp.org/tlog-witness.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from ledger.translog.add_checkpoint import SIZE_TYPE, AddCheckpoint, parse_add_checkpoint
from ledger.translog.checkpoint import Checkpoint, parse_checkpoint
from ledger.translog.cosignature import Cosigner
from ledger.translog.merkle import EMPTY_ROOT
from ledger.translog.note import Note, Verifier, add_signatures, open_note, split_note
from ledger.translog.verify import VerifyError, verify_consistency
from ledger.witness_store import Fault, Refused, Seen, WitnessStore

MAX_BODY_SIZE = 128 * 1024
_TEXT = "text/plain; charset=utf-8"

Trusted = Mapping[str, Sequence[Verifier]]
"""The keys that each log signs with, by its origin."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`status`: of HTTP."""

    status: int
    body: str
    content_type: str = _TEXT


class _Refusal(Exception):
    """Ends the examination of a request with an answer."""

    def __init__(self, status: int, reason: object, content_type: str = _TEXT) -> None:
        self.answer = Answer(status, f"{reason}\n", content_type)
        super().__init__(str(reason))


class Witness:
    """`trusted`: asked at each request, so that a log may be added while we run; `now`: seconds since 1970, UTC."""

    def __init__(
        self,
        store: WitnessStore,
        cosigners: Sequence[Cosigner],
        trusted: Callable[[], Trusted],
        now: Callable[[], int],
    ) -> None:
        self._store = store
        self._cosigners = cosigners
        self._trusted = trusted
        self._now = now

    def add_checkpoint(self, body: bytes) -> Answer:
        """200 with our signature lines; 400, 403, 404, 409, 422 as the specification has them; 503 while our
        clock is behind our own last cosignature.
        """
        try:
            request, note, checkpoint = self._read(body)
            while True:
                seen = self._store.latest(checkpoint.origin)
                self._examine(request, note, checkpoint, seen)
                new, lines = self._cosign(note, checkpoint, seen)
                if self._store.advance(seen, new):
                    return Answer(200, lines)
                # Another request was first: what it left is what this one has to follow from.
        except _Refusal as refusal:
            return refusal.answer

    def checkpoint(self, origin_hash: str) -> Answer:
        """The newest cosigned checkpoint of the log with this SHA-256 of its origin, in hex."""
        for seen in self._store.all_seen():
            if sha256(seen.origin.encode()).hexdigest() == origin_hash:
                return Answer(200, seen.note)
        return Answer(404, "nothing was cosigned of such a log\n")

    def _read(self, body: bytes) -> tuple[AddCheckpoint, Note, Checkpoint]:
        """A request whose checkpoint a log signed that we know."""
        if len(body) > MAX_BODY_SIZE:
            raise _Refusal(413, f"length of the request: want at most {MAX_BODY_SIZE} bytes")
        try:
            request = parse_add_checkpoint(body)
            text, _ = split_note(request.note)
            checkpoint = parse_checkpoint(text)
        except VerifyError as error:
            raise _Refusal(400, error) from error
        keys = self._trusted().get(checkpoint.origin)
        if not keys:
            raise _Refusal(404, f"this witness does not know the log {checkpoint.origin!r:.100}")
        try:
            note = open_note(request.note, keys)
        except VerifyError as error:
            raise _Refusal(403, error) from error
        if request.old_size > checkpoint.size:
            raise _Refusal(400, f"old size: got {request.old_size}, want at most {checkpoint.size}")
        return request, note, checkpoint

    def _examine(self, request: AddCheckpoint, note: Note, checkpoint: Checkpoint, seen: Seen | None) -> None:
        """The checkpoint follows from what we saw, or a _Refusal. A contradiction is kept, with both notes."""
        size, root_hash = (seen.size, seen.root_hash) if seen is not None else (0, EMPTY_ROOT)
        other_root = checkpoint.size == size and checkpoint.root_hash != root_hash
        if other_root:
            # Whatever the request says: two roots of one size, both signed, are a fork.
            self._keep("other_root", note, checkpoint, seen)
        if request.old_size != size:
            raise _Refusal(409, size, SIZE_TYPE)
        if other_root:
            # By the size that was asked from, a client sees that it is the root. Some take no 409 without one.
            raise _Refusal(409, size, SIZE_TYPE)
        try:
            verify_consistency(size, checkpoint.size, root_hash, checkpoint.root_hash, request.proof)
        except VerifyError as error:
            self._keep("no_proof", note, checkpoint, seen)
            raise _Refusal(422, error) from error

    def _keep(self, fault: Fault, note: Note, checkpoint: Checkpoint, seen: Seen | None) -> None:
        """With the log's lines alone: what else stood under the note, anybody may have put there."""
        if seen is not None:
            signed = note.text + "\n" + "".join(map(str, note.verified))
            self._store.refuse(Refused(checkpoint.origin, fault, seen.note, signed, self._now()))

    def _cosign(self, note: Note, checkpoint: Checkpoint, seen: Seen | None) -> tuple[Seen, str]:
        """What will have been seen, and our lines. They leave us only once it is on the disk."""
        time = self._now()
        if seen is not None and time < seen.time:
            raise _Refusal(503, f"this witness's clock is {seen.time - time} s behind its last cosignature")
        try:
            lines = [cosigner.cosign(checkpoint, time) for cosigner in self._cosigners]
        except ValueError as error:
            raise _Refusal(400, error) from error
        signed = add_signatures(note.text + "\n" + "".join(map(str, note.verified)), lines)
        new = Seen(checkpoint.origin, checkpoint.size, checkpoint.root_hash, signed, time)
        return new, "".join(map(str, lines))
