"""A trust policy: which logs and witnesses somebody believes, and how many of the witnesses it takes.

The text is c2sp.org/tlog-policy, so that a file of ours serves other people's verifiers and theirs serves ours. We
publish one at `/log/policy`; `suyuan verify --key` takes one. Contract: `parse_policy` and `str` are inverses on
what they keep (comments are not kept); any other text is a `VerifyError`. Groups name only what stands above
them, so that a policy is worked out in one pass, however deep it is.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NoReturn

from ledger.translog.checkpoint import SignedCheckpoint, open_checkpoint
from ledger.translog.cosignature import (
    Cosignature,
    CosignerVerifier,
    parse_cosigner_vkey,
    verify_cosignatures,
)
from ledger.translog.note import Signature, VerifierKey, parse_vkey
from ledger.translog.verify import VerifyError

MAX_POLICY_SIZE = 1_000_000
NONE = "none"


@dataclass(frozen=True, slots=True)
class PolicyLog:
    """A log that is believed; the key's name is its origin. `url`: empty where the policy gives none."""

    key: VerifierKey | CosignerVerifier
    url: str = ""


@dataclass(frozen=True, slots=True)
class PolicyWitness:
    """A witness under a name that means something in this policy alone."""

    name: str
    key: CosignerVerifier
    url: str = ""


@dataclass(frozen=True, slots=True)
class PolicyGroup:
    """Witnesses a checkpoint if `threshold` of its members do. `members`: names of witnesses and groups."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """`quorum`: the witness or group that has to have witnessed a checkpoint, or `none`."""

    logs: tuple[PolicyLog, ...]
    witnesses: tuple[PolicyWitness, ...]
    groups: tuple[PolicyGroup, ...]
    quorum: str

    def is_met(self, cosigners: Collection[CosignerVerifier]) -> bool:
        """Whether it is enough that these, whose cosignatures were verified, cosigned a checkpoint."""
        met = {NONE} | {witness.name for witness in self.witnesses if witness.key in cosigners}
        for group in self.groups:
            if sum(member in met for member in group.members) >= group.threshold:
                met.add(group.name)
        return self.quorum in met

    def __str__(self) -> str:
        lines = [
            *(f"log {log.key} {log.url}".rstrip() for log in self.logs),
            *(f"witness {each.name} {each.key} {each.url}".rstrip() for each in self.witnesses),
            *(f"group {each.name} {each.threshold} {' '.join(each.members)}" for each in self.groups),
            f"quorum {self.quorum}",
        ]
        return "".join(line + "\n" for line in lines)


def want_quorum(policy: Policy, text: str, lines: Sequence[Signature]) -> tuple[Cosignature, ...]:
    """What the policy's witnesses said of the checkpoint `text`, if it is enough for the policy; else
    VerifyError.
    """
    found = verify_cosignatures(text, lines, [witness.key for witness in policy.witnesses])
    if not policy.is_met([one.cosigner for one in found]):
        raise VerifyError(
            "quorum", got=", ".join(one.cosigner.name for one in found) or "no witness", want=policy.quorum
        )
    return found


def open_witnessed(
    note: str | bytes, policy: Policy, *, origin: str | None = None
) -> tuple[SignedCheckpoint, tuple[Cosignature, ...]]:
    """A checkpoint that one of the policy's logs signed under its own name and its quorum witnessed, or
    VerifyError.
    """
    opened = open_checkpoint(note, [log.key for log in policy.logs], origin=origin)
    signers = [line.name for line in opened.note.verified]
    if opened.checkpoint.origin not in signers:
        raise VerifyError("signer of the checkpoint", got=", ".join(signers), want=opened.checkpoint.origin)
    return opened, want_quorum(policy, opened.note.text, opened.note.unverified)


def parse_policy(data: str | bytes) -> Policy:
    """The file's text, or VerifyError naming the line that is none."""
    parsed = _Parsed()
    for number, line in enumerate(_text(data).split("\n"), start=1):
        words = re.split(r"[ \t]+", line.strip(" \t"))
        if words[0] and not words[0].startswith("#"):
            parsed.read(number, words)
    return parsed.policy()


def _text(data: str | bytes) -> str:
    """Octets above 127 are opaque: what is not UTF-8 is kept apart as surrogates, and no key's name has any."""
    if len(data) > MAX_POLICY_SIZE:
        raise VerifyError("length of the policy", got=len(data), want=f"at most {MAX_POLICY_SIZE}")
    text = data if isinstance(data, str) else data.decode(errors="surrogateescape")
    if any((char < " " and char not in "\t\n") or char == "\x7f" for char in text):
        raise VerifyError("policy", got="control characters", want="text, tabs and newlines")
    return text


class _Parsed:
    """What the lines above say."""

    def __init__(self) -> None:
        self._logs: list[PolicyLog] = []
        self._witnesses: list[PolicyWitness] = []
        self._groups: list[PolicyGroup] = []
        self._quorum: str | None = None
        self._names: set[str] = set()
        self._grouped: set[str] = set()
        self._keys: dict[str, set[bytes]] = {"log": set(), "witness": set()}

    def read(self, number: int, words: list[str]) -> None:
        try:
            match words:
                case ["log", vkey, *url] if len(url) <= 1:
                    self._log(vkey, *url)
                case ["witness", name, vkey, *url] if len(url) <= 1:
                    self._witness(name, vkey, *url)
                case ["group", name, threshold, *members] if members:
                    self._group(name, threshold, members)
                case ["quorum", name]:
                    self._set_quorum(name)
                case _:
                    _refuse("line", " ".join(words), "log, witness, group or quorum with what belongs to it")
        except VerifyError as error:
            raise VerifyError(
                f"line {number} of the policy: {error.what}", got=error.got, want=error.want
            ) from error

    def policy(self) -> Policy:
        if self._quorum is None:
            raise VerifyError("quorum lines of the policy", got=0, want=1)
        return Policy(tuple(self._logs), tuple(self._witnesses), tuple(self._groups), self._quorum)

    def _log(self, vkey: str, url: str = "") -> None:
        log = PolicyLog(parse_log_vkey(vkey), url)
        self._new_key("log", log.key.public_key)
        self._logs.append(log)

    def _witness(self, name: str, vkey: str, url: str = "") -> None:
        witness = PolicyWitness(name, parse_cosigner_vkey(vkey), url)
        self._new_key("witness", witness.key.public_key)
        self._new_name(name)
        self._witnesses.append(witness)

    def _group(self, name: str, threshold: str, members: list[str]) -> None:
        for member in members:
            if member not in self._names:
                _refuse("member of a group", member, "a witness or group of a line above")
            if member in self._grouped:
                _refuse("member of a group", member, "a name that is in no group yet")
            self._grouped.add(member)
        self._new_name(name)
        self._groups.append(PolicyGroup(name, _threshold(threshold, len(members)), tuple(members)))

    def _set_quorum(self, name: str) -> None:
        if self._quorum is not None:
            _refuse("quorum", "a second one", "one")
        if name != NONE and name not in self._names:
            _refuse("quorum", name, "none, or a witness or group of a line above")
        self._quorum = name

    def _new_key(self, kind: str, public_key: bytes) -> None:
        if public_key in self._keys[kind]:
            _refuse(f"key of a {kind}", "one of a line above", "another")
        self._keys[kind].add(public_key)

    def _new_name(self, name: str) -> None:
        if name in self._names or name == NONE:
            _refuse("name", name, "one that is not taken")
        self._names.add(name)


def parse_log_vkey(text: str) -> VerifierKey | CosignerVerifier:
    """A log's key: Ed25519 (0x01), or one that signs checkpoints as cosigners do (0x04, 0x06). Or
    VerifyError.
    """
    try:
        return parse_vkey(text)
    except VerifyError as error:
        if not error.what.startswith("algorithm"):
            raise
    return parse_cosigner_vkey(text)


def _threshold(text: str, members: int) -> int:
    if text == "any":
        return 1
    if text == "all":
        return members
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text) or int(text) > members:
        _refuse("threshold of a group", text, f"any, all, or 1 to {members}")
    return int(text)


def _refuse(what: str, got: object, want: object) -> NoReturn:
    raise VerifyError(what, got=got, want=want)
