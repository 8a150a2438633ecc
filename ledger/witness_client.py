"""One log, one witness, one question: would you cosign this checkpoint?

Pure but for the transport and the log's files; `ledger.witnessing` asks and acts on the outcome. Contract: whatever the
other side answers is an `Outcome`. A witness is believed only as far as it shows: a cosignature that verifies, or a
checkpoint that this very log signed and that contradicts the one it was asked about. A number alone, or a refusal
alone, is an alarm and not a proof. Source: c2sp.org/tlog-witness.
"""

from dataclasses import dataclass
from hashlib import sha256

from ledger.errors import LedgerError
from ledger.http_exchange import Exchange, PeerAway, Transport
from ledger.published_log import PublishedLog
from ledger.translog.add_checkpoint import SIZE_TYPE, AddCheckpoint, parse_size_answer
from ledger.translog.checkpoint import SignedCheckpoint, open_checkpoint
from ledger.translog.cosignature import Cosignature, verify_cosignatures
from ledger.translog.note import parse_signatures
from ledger.translog.verify import VerifyError
from ledger.witness_list import ListedWitness

MOST_TRIES = 3
MAX_CLOCK_OFF_S = 300


@dataclass(frozen=True, slots=True)
class Cosigned:
    """`found`: one for each of the witness's keys that signed; verified, of now."""

    found: tuple[Cosignature, ...]


@dataclass(frozen=True, slots=True)
class NotNow:
    """It did not cosign, and that proves nothing against the log. `away`: it did not answer at all, or not as a
    witness; `unknown`: it does not know the log. `reason`: in words.
    """

    reason: str
    away: bool = False
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Contradicted:
    """The log signed `theirs` and what it was asked about, and they do not go together. `size`: of theirs."""

    reason: str
    theirs: str
    size: int


Outcome = Cosigned | NotNow | Contradicted


def ask(
    transport: Transport, witness: ListedWitness, log: PublishedLog, old_size: int, now: float
) -> tuple[Outcome, int]:
    """What came of it, and the size that the witness is known to have seen now. `old_size`: what it is thought to have
    seen; `now`: seconds since 1970.
    """
    outcome: Outcome = NotNow("the size it saw last is another each time it is asked")
    try:
        for _ in range(MOST_TRIES):
            old_size = min(old_size, log.size)
            answer = _post(
                transport, witness, AddCheckpoint(old_size, log.consistency_proof(old_size), log.note)
            )
            if answer.status == 409 and answer.content_type == SIZE_TYPE:
                asked_from, old_size = old_size, parse_size_answer(answer.body)
                if old_size > log.size:
                    return _shown(transport, witness, log, f"it has seen {old_size} entries"), old_size
                if old_size != asked_from:
                    continue
            outcome = _outcome(transport, witness, log, answer, now)
            return outcome, log.size if isinstance(outcome, Cosigned) else old_size
    except PeerAway as error:
        return NotNow(str(error), away=True), old_size
    except VerifyError as error:
        return NotNow(f"its answer does not verify: {error}"), old_size
    except (LedgerError, OSError) as error:
        return NotNow(f"the log's own files cannot be read: {error}"), old_size
    return outcome, old_size


def _post(transport: Transport, witness: ListedWitness, request: AddCheckpoint) -> Exchange:
    return transport(
        f"{witness.url}/add-checkpoint", request.encode(), {"Content-Type": "text/plain; charset=utf-8"}
    )


def _outcome(
    transport: Transport, witness: ListedWitness, log: PublishedLog, answer: Exchange, now: float
) -> Outcome:
    match answer.status:
        case 200:
            return Cosigned(_cosignatures(witness, log, answer.body, now))
        case 404:
            return NotNow("it does not know this log; give its operator the log's address", unknown=True)
        case 403:
            return NotNow("it knows this log by another key; give its operator the new one")
        case 409 | 422:
            return _shown(transport, witness, log, f"it refused (status {answer.status})")
        case _:
            return NotNow(
                f"it answered with status {answer.status}", away=answer.status >= 500 or answer.status == 429
            )


def _cosignatures(
    witness: ListedWitness, log: PublishedLog, body: bytes, now: float
) -> tuple[Cosignature, ...]:
    try:
        text = body.decode()
    except UnicodeDecodeError as cause:
        raise VerifyError("cosignature", got="bytes that are not UTF-8", want="signature lines") from cause
    found = verify_cosignatures(log.checkpoint.text, parse_signatures(text), witness.keys)
    if not found:
        raise VerifyError("cosignature", got="lines of other keys", want=f"one by {witness.name}")
    for one in found:
        if abs(one.time - now) > MAX_CLOCK_OFF_S:
            raise VerifyError(
                "time of the cosignature", got=one.time, want=f"{int(now)}, or {MAX_CLOCK_OFF_S} s from it"
            )
    return found


def _shown(transport: Transport, witness: ListedWitness, log: PublishedLog, claim: str) -> Outcome:
    """Asks for the checkpoint on which it founds its refusal. Only one that this log signed is a proof."""
    theirs = _their_checkpoint(transport, witness, log)
    if theirs is None:
        return NotNow(f"{claim}, and shows no checkpoint that this log signed: ask its operator for it")
    checkpoint, note = theirs.checkpoint, _own_lines(theirs)
    if checkpoint.size > log.size:
        reason = f"{witness.name} shows a checkpoint of {checkpoint.size} entries signed by this log, which holds {log.size}"
        return Contradicted(reason, note, checkpoint.size)
    if log.root_hash_at(checkpoint.size) != checkpoint.root_hash:
        reason = f"{witness.name} shows another root of {checkpoint.size} entries, signed by this log"
        return Contradicted(reason, note, checkpoint.size)
    return NotNow(f"{claim}, though what it shows goes together with this log: its operator has to look")


def _their_checkpoint(
    transport: Transport, witness: ListedWitness, log: PublishedLog
) -> SignedCheckpoint | None:
    address = f"{witness.url}/{sha256(log.origin.encode()).hexdigest()}/checkpoint"
    answer = transport(address, None, {})
    if answer.status != 200:
        return None
    try:
        return open_checkpoint(answer.body, log.keys, origin=log.origin)
    except VerifyError:
        return None


def _own_lines(signed: SignedCheckpoint) -> str:
    return signed.note.text + "\n" + "".join(map(str, signed.note.verified))
