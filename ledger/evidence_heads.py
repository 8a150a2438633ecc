"""Checks who signed what in an evidence file: the root log, the logs anchored in it, keys, witnesses, stamps.

The half of `ledger.evidence` that comes before any item (heads), and after all of them (who saw the head, and
when, which depends on the newest entry shown). Contract: a head is in `heads` only if its note verified under a
key that the reader trusts, or, where none is, the file's own; a check that builds on a failed one is not made.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from hashlib import sha256

from cryptography import x509

from ledger.entry import Entry, log_pseudonym, parse_entry
from ledger.entry_bodies import CheckpointAnchor, KeyBody, TimestampAnchor, read_anchor
from ledger.errors import EntryError
from ledger.evidence_file import (
    AnchoredEvidence,
    LeafEvidence,
    LogEvidence,
    RootEvidence,
    TimestampEvidence,
    WitnessEvidence,
)
from ledger.evidence_report import Checks, Facts, LogFact, State, TimestampFact, WitnessFact
from ledger.key_rotation import verify_rotation
from ledger.timestamp_token import read_token
from ledger.timestamping import verify_stamp
from ledger.translog.checkpoint import Checkpoint, open_checkpoint
from ledger.translog.cosignature import (
    ED25519_COSIGNATURE,
    Cosignature,
    CosignerVerifier,
    parse_cosigner_vkey,
    verify_cosignatures,
)
from ledger.translog.merkle import leaf_hash
from ledger.translog.note import Signature, VerifierKey, parse_vkey
from ledger.translog.policy import Policy, parse_log_vkey
from ledger.translog.verify import VerifyError, verify_consistency, verify_inclusion, want_same

MAX_CLOCK_DIFFERENCE_MS = 300_000
"""By how much a cosignature's time may lie before the newest entry's: two clocks are never the same."""


@dataclass(frozen=True)
class Trust:
    """What the reader brings along. `keys`: by origin, None: nothing, so the file's own are used; `clocks`:
    keys of root logs' own cosignatures, by name; `policy`: for its witnesses and its quorum; `certificates`: of
    time-stamp authorities, their roots among them.
    """

    keys: Mapping[str, Collection[VerifierKey]] | None = None
    clocks: Mapping[str, CosignerVerifier] = field(default_factory=dict)
    policy: Policy | None = None
    certificates: Sequence[x509.Certificate] = ()


class Heads:
    """The heads of one file. `head`: of the logs that items are in, by origin."""

    def __init__(self, evidence: AnchoredEvidence, trust: Trust, checks: Checks, facts: Facts) -> None:
        self.evidence = evidence
        self.trust = trust
        self.checks = checks
        self.facts = facts
        self.head: dict[str, Checkpoint] = {}
        self._root_head: Checkpoint | None = None
        self._root_lines: tuple[Signature, ...] = ()
        self._anchors: list[int] = []

    def check(self) -> None:
        """Keys, checkpoints, anchors and rotations."""
        root = self.evidence.root
        if root is not None:
            self._check_root(root)
        for log in self.evidence.logs:
            self._check_log(log)

    def check_seen(self) -> None:
        """Clock, witnesses, time stamps and quorum; to be called when all entries have been looked at."""
        root = self.evidence.root
        if root is not None and self._root_head is not None:
            if root.clock is not None:
                self._attempt_root("clock", partial(self._want_clock, root, root.clock))
            for witness in self.evidence.witnesses:
                name = witness.vkey.partition("+")[0]
                check = partial(self._want_witness, witness)
                self.checks.attempt("cosignature", check, log=root.origin, witness=name)
            holding: State = "held" if self.trust.certificates else "unknown"
            for stamp in self.evidence.timestamps:
                check = partial(self._want_timestamp, stamp)
                self.checks.attempt("timestamp", check, log=root.origin, holding=holding)
        if self.trust.policy is not None:
            self.checks.attempt("quorum", partial(self._want_quorum, self.trust.policy))

    def _check_root(self, root: RootEvidence) -> None:
        key = self._key("root_key", root)
        if key is None:
            return

        def open_head() -> None:
            signed = open_checkpoint(root.checkpoint, [key], origin=root.origin)
            self._root_head = signed.checkpoint
            self._root_lines = signed.note.unverified
            self.facts.root = LogFact(root.origin, key.key_id.hex(), signed.checkpoint.size, anchored=False)

        if self._attempt_root("root_checkpoint", open_head):
            self._check_rotations(root, key)

    def _check_log(self, log: LogEvidence) -> None:
        key = self._key("key", log)
        if key is None:
            return
        notes = [log.checkpoint] if log.checkpoint is not None else list[str]()
        anchored = log.anchor is not None and self.checks.attempt(
            "anchor", partial(self._want_anchor, log, log.anchor, notes), log=log.origin
        )

        def open_head() -> None:
            self.head[log.origin] = open_checkpoint(notes[0], [key], origin=log.origin).checkpoint

        # The note in an anchor that is not where it should be still shows whether the log signed it.
        if notes and self.checks.attempt("checkpoint", open_head, log=log.origin):
            size = self.head[log.origin].size
            self.facts.logs.append(LogFact(log.origin, key.key_id.hex(), size, anchored))
            self._check_rotations(log, key)

    def _key(self, name: str, log: LogEvidence | RootEvidence) -> VerifierKey | None:
        found: list[VerifierKey] = []

        def choose() -> None:
            key = parse_vkey(log.vkey)
            want_same("name of the log's key", got=key.name, want=log.origin)
            if self.trust.keys is not None:
                trusted = self.trust.keys.get(log.origin)
                if not trusted:
                    want = ", ".join(self.trust.keys) or "a trusted log"
                    raise VerifyError("log", got=log.origin, want=want)
                reached = [self._led_to(each) for each in trusted]
                if key not in (*trusted, *reached):
                    want_same("the log's key", got=key, want=reached[0])
            found.append(key)

        name = "own_key" if self.trust.keys is None else name
        return found[0] if self.checks.attempt(name, choose, log=log.origin) else None

    def _led_to(self, trusted: VerifierKey) -> VerifierKey:
        """The key that the file's `key` entries lead to from the one trusted."""
        for leaf in self._rotations(trusted.name):
            try:
                body = _key_body(parse_entry(leaf.entry), trusted.name)
            except (VerifyError, EntryError):
                continue
            trusted = body.new if body.old == trusted else trusted
        return trusted

    def _check_rotations(self, log: LogEvidence | RootEvidence, key: VerifierKey) -> None:
        leaves = self._rotations(log.origin)
        follows: list[VerifierKey] = []
        for leaf in leaves:
            last = key if leaf is leaves[-1] else None
            check = partial(self._want_rotation, leaf, follows, last)
            self.checks.attempt("rotation", check, log=log.origin)

    def _rotations(self, origin: str) -> list[LeafEvidence]:
        return [leaf for leaf in self.evidence.keys if leaf.log == origin]

    def _want_rotation(
        self, leaf: LeafEvidence, follows: list[VerifierKey], last: VerifierKey | None
    ) -> None:
        """`follows`: the key that the entry before led to, if there was one."""
        entry = self._entry(leaf, "key")
        self.facts.saw(entry.rec)
        body = _key_body(entry, leaf.log)
        before = tuple(follows)
        follows[:] = [body.new]  # whether or not it follows: the next is held against this one
        if before:
            want_same("old key of the rotation", got=body.old, want=before[0])
        if last is not None:
            want_same("new key of the last rotation", got=body.new, want=last)

    def _want_anchor(self, log: LogEvidence, leaf: LeafEvidence, notes: list[str]) -> None:
        body = read_anchor(parse_entry(leaf.entry).body)
        if not isinstance(body, CheckpointAnchor):
            raise VerifyError("anchor", got="a time stamp", want="a checkpoint")
        notes.append(body.note)
        want_same("origin of the anchored checkpoint", got=body.checkpoint.origin, want=log.origin)
        self.facts.saw(self._entry(leaf, "anchor").rec)
        self._anchors.append(leaf.index)

    def _entry(self, leaf: LeafEvidence, entry_type: str) -> Entry:
        """The entry of a leaf, which is of this type and proven to be in its log; or VerifyError."""
        entry = parse_entry(leaf.entry)
        want_same("type of the entry", got=entry.type, want=entry_type)
        want_same("pseudonym of the log", got=entry.org, want=log_pseudonym(leaf.log))
        head = self.head.get(leaf.log) or self._root(leaf.log)
        verify_inclusion(leaf_hash(leaf.entry), leaf.index, head.size, leaf.proof, head.root_hash)
        return entry

    def _root(self, origin: str) -> Checkpoint:
        """The root log's verified head, if that is its name; or VerifyError."""
        if self._root_head is None or self._root_head.origin != origin:
            raise VerifyError("log of the entry", got=origin, want="a log whose checkpoint verified")
        return self._root_head

    def _want_clock(self, root: RootEvidence, vkey: str) -> None:
        key = parse_cosigner_vkey(vkey)
        want_same("name of the clock's key", got=key.name, want=f"{root.origin}/clock")
        want_same("algorithm of the clock's key", got=key.algorithm, want=ED25519_COSIGNATURE)
        want_same("the clock's key", got=key, want=self.trust.clocks.get(key.name, key))
        self.facts.clock_s = self._cosignature(key).time
        self.facts.clock_known = key.name in self.trust.clocks

    def _want_witness(self, witness: WitnessEvidence) -> None:
        key = parse_cosigner_vkey(witness.vkey)
        if key.public_key in self._own_keys:
            raise VerifyError("key of the witness", got="the log's own", want="another's")
        seen = self._cosignature(key)
        policy = self.trust.policy
        known = policy is not None and key in [each.key for each in policy.witnesses]
        self.facts.witnesses.append(
            WitnessFact(
                key.name, witness.operator_zh, witness.operator_en, witness.relation, seen.time, known
            )
        )

    @cached_property
    def _own_keys(self) -> set[bytes]:
        """Public keys of those that a witness is to watch: nobody is a witness of himself."""
        root = self.evidence.root
        vkeys = [log.vkey for log in self.evidence.logs] + ([root.vkey, root.clock or ""] if root else [])
        found = set[bytes]()
        for vkey in vkeys:
            with suppress(VerifyError):
                found.add(parse_log_vkey(vkey).public_key)
        return found

    def _cosignature(self, key: CosignerVerifier) -> Cosignature:
        """The key's line over the root checkpoint, from after all that the file shows; or VerifyError."""
        text = self._root(self._root_origin).text
        found = verify_cosignatures(text, self._root_lines, [key])
        if not found:
            got = ", ".join(f"{line.name}+{line.key_id.hex()}" for line in self._root_lines)
            raise VerifyError("cosigners", got=got or "none", want=f"{key.name}+{key.key_id.hex()}")
        newest = self.facts.newest_rec
        if newest is not None and found[0].time * 1000 < newest - MAX_CLOCK_DIFFERENCE_MS:
            want = f"{newest / 1000:.0f} or later, the time of the newest entry shown"
            raise VerifyError("time of the cosignature", got=found[0].time, want=want)
        return found[0]

    def _want_timestamp(self, stamp: TimestampEvidence) -> None:
        entry = self._entry(stamp.leaf, "anchor")
        body = read_anchor(entry.body)
        if not isinstance(body, TimestampAnchor):
            raise VerifyError("anchor", got="a checkpoint", want="a time stamp")
        head = self._root(stamp.leaf.log)
        if body.size == 0:
            raise VerifyError("size that the time stamp is over", got=0, want="at least 1")
        verify_consistency(body.size, head.size, body.root, head.root_hash, stamp.consistency)
        want_same("SHA-256 of the time stamp", got=sha256(stamp.token).digest(), want=body.token)
        token = read_token(stamp.token)
        text = Checkpoint(head.origin, body.size, body.root).text
        want_same("what the time stamp is over", got=token.imprint, want=sha256(text.encode()).digest())
        want_same("time of the time stamp", got=token.time_ms, want=body.time_ms)
        if self.trust.certificates:
            verify_stamp(stamp.token, self.trust.certificates, text)
        anchored = len(self._anchors) == len(self.evidence.logs)
        covers = anchored and all(index < body.size for index in self._anchors)
        self.facts.timestamps.append(TimestampFact(body.authority, token.time_ms, covers))
        self.facts.stamps_vouched = bool(self.trust.certificates)

    def _want_quorum(self, policy: Policy) -> None:
        held = [each.key for each in policy.witnesses if self._holds(each.key)]
        if not policy.is_met(held):
            got = ", ".join(key.name for key in held) or "none of the policy's witnesses"
            raise VerifyError("cosigners", got=got, want=policy.quorum)

    def _holds(self, key: CosignerVerifier) -> bool:
        try:
            self._cosignature(key)
        except VerifyError:
            return False
        return True

    @property
    def _root_origin(self) -> str:
        return "" if self.evidence.root is None else self.evidence.root.origin

    def _attempt_root(self, name: str, check: Callable[[], object]) -> bool:
        return self.checks.attempt(name, check, log=self._root_origin)


def _key_body(entry: Entry, origin: str) -> KeyBody:
    """A `key` entry's body whose two signatures hold for `origin`, or VerifyError."""
    want_same("type of the entry", got=entry.type, want="key")
    return verify_rotation(entry.body, origin)


def read_trust(
    keys: Iterable[str] | None,
    policy: Policy | None = None,
    certificates: Sequence[x509.Certificate] = (),
) -> Trust:
    """From verifier keys of logs (0x01) and of root logs' clocks (0x04). VerifyError on what is none."""
    if keys is None and policy is None:
        return Trust(certificates=certificates)
    logs: dict[str, list[VerifierKey]] = {}
    clocks: dict[str, CosignerVerifier] = {}
    named = [log.key for log in policy.logs] if policy is not None else []
    for key in (*named, *map(parse_log_vkey, keys or ())):
        if isinstance(key, VerifierKey):
            logs.setdefault(key.name, []).append(key)
        else:
            clocks[key.name] = key
    return Trust(logs, clocks, policy, certificates)
