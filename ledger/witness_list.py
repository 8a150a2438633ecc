"""Which witnesses our logs ask, who runs each, and on whom it depends: the TOML file of SUYUAN_WITNESSES_FILE.

Read by the sequencer's process, which asks them, and by whoever makes evidence or a page, which names them. What is
said of an operator is the installation's word; only the keys prove anything. Contract: any file is a
`WitnessList` or a `WitnessListError` that says what to mend. `docs/witnesses.md` describes the file.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from ledger.errors import LedgerError
from ledger.translog.cosignature import (
    ML_DSA_44,
    CosignerVerifier,
    parse_cosigner_vkey,
    verify_cosignatures,
)
from ledger.translog.note import VerifierKey, split_note
from ledger.translog.policy import NONE, Policy, PolicyGroup, PolicyLog, PolicyWitness
from ledger.translog.verify import VerifyError

Relation = Literal["independent", "operator", "authority"]
"""`operator`: run by whoever runs the logs, so that it proves nothing against them."""
Asked = Literal["all", "root"]
QUORUM = "witnesses"
MAX_TEXT = 200
_MEMBERS = {"vkey", "url", "operator", "relation", "depends_on", "logs"}


class WitnessListError(LedgerError):
    """The file of SUYUAN_WITNESSES_FILE cannot be used. Mend what the message names."""


@dataclass(frozen=True, slots=True)
class InTwoLanguages:
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class ListedWitness:
    """One witness. `keys`: one, or one of each algorithm, all of one name; `url`: its submission prefix, without
    a slash at its end; `depends_on`: None where nobody wrote it down.
    """

    keys: tuple[CosignerVerifier, ...]
    url: str
    relation: Relation
    operator: InTwoLanguages
    depends_on: InTwoLanguages | None
    logs: Asked

    @property
    def name(self) -> str:
        return self.keys[0].name

    @property
    def independent(self) -> bool:
        """Whether it is run by somebody else than the logs."""
        return self.relation != "operator"


@dataclass(frozen=True, slots=True)
class WitnessList:
    """`quorum`: how many of those that are not our own our policy asks for."""

    witnesses: tuple[ListedWitness, ...] = ()
    quorum: int = 0

    def policy(self, logs: Sequence[VerifierKey], url: str) -> Policy:
        """What we publish at `/log/policy`. `url`: under which each log's id is found; the keys are the logs'.

        A witness of our own is named, and counts for nothing.
        """
        witnesses, groups = list[PolicyWitness](), list[PolicyGroup]()
        for each in self.witnesses:
            if len(each.keys) == 1:
                witnesses.append(PolicyWitness(each.name, each.keys[0], each.url))
            else:
                named = [PolicyWitness(f"{each.name}/{_suffix(key)}", key, each.url) for key in each.keys]
                witnesses += named
                groups.append(PolicyGroup(each.name, 1, tuple(key.name for key in named)))
        counted = tuple(each.name for each in self.witnesses if each.independent)
        if self.quorum:
            groups.append(PolicyGroup(QUORUM, self.quorum, counted))
        listed = tuple(PolicyLog(key, f"{url}/{key.name.rsplit('/', 1)[-1]}") for key in logs)
        return Policy(listed, tuple(witnesses), tuple(groups), QUORUM if self.quorum else NONE)


def independent_cosigners(listed: WitnessList, note: str | bytes) -> tuple[str, ...]:
    """The names of those that are not our own and cosigned this checkpoint; none if a line of one is false."""
    keys = [key for each in listed.witnesses if each.independent for key in each.keys]
    try:
        text, lines = split_note(note)
        found = verify_cosignatures(text, lines, keys)
    except VerifyError:
        return ()
    return tuple(dict.fromkeys(one.cosigner.name for one in found))


def read_witnesses(path: Path | None) -> WitnessList:
    """The file's list; of no file, the empty one. WitnessListError if there is no such file or it is no list."""
    if path is None:
        return WitnessList()
    try:
        return parse_witnesses(path.read_bytes())
    except OSError as cause:
        raise WitnessListError(f"{path}: {cause.strerror}") from cause
    except WitnessListError as error:
        raise WitnessListError(f"{path}: {error}") from error


def parse_witnesses(data: bytes) -> WitnessList:
    """WitnessListError on anything else."""
    try:
        found = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as cause:
        raise WitnessListError(f"it is no TOML: {str(cause)[:MAX_TEXT]}") from cause
    _want_members(found, {"witness", "quorum"}, "the file")
    listed = found.get("witness", [])
    if not isinstance(listed, list):
        raise WitnessListError("witness: want tables, each begun with [[witness]]")
    witnesses = tuple(_witness(value, f"witness {number}") for number, value in enumerate(listed, start=1))
    _want_different(witnesses)
    return WitnessList(witnesses, _quorum(found.get("quorum"), sum(each.independent for each in witnesses)))


def _quorum(value: Any, counted: int) -> int:
    """One of those that are not our own is enough unless the file says otherwise."""
    if value is None:
        return min(1, counted)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= counted:
        raise WitnessListError(
            f"quorum: got {value!r:.60}, want 0 to {counted}, the number of witnesses that are not `operator`"
        )
    return value


def _witness(value: Any, where: str) -> ListedWitness:
    _want_members(value, _MEMBERS, where)
    depends_on = value.get("depends_on")
    return ListedWitness(
        _keys(value.get("vkey"), where),
        _url(value.get("url"), where),
        _one_of(value.get("relation"), get_args(Relation), f"{where}: relation"),
        _texts(value.get("operator"), f"{where}: operator"),
        None if depends_on is None else _texts(depends_on, f"{where}: depends_on"),
        _one_of(value.get("logs", "all"), get_args(Asked), f"{where}: logs"),
    )


def _keys(value: Any, where: str) -> tuple[CosignerVerifier, ...]:
    """A vkey, or a list of them."""
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise WitnessListError(f"{where}: vkey: want the witness's verifier key (name+hash+base64)")
    try:
        keys = tuple(parse_cosigner_vkey(text) for text in texts)
    except VerifyError as error:
        raise WitnessListError(f"{where}: vkey: {error}") from error
    if len({key.name for key in keys}) != 1 or len({key.algorithm for key in keys}) != len(keys):
        raise WitnessListError(f"{where}: vkey: want keys of one name, at most one of each algorithm")
    return keys


def _url(value: Any, where: str) -> str:
    parts = urlsplit(value) if isinstance(value, str) and value.isprintable() and " " not in value else None
    try:
        good = parts is not None and parts.scheme in ("http", "https") and bool(parts.hostname)
        good = good and parts is not None and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if parts is None or not good or parts.query or parts.fragment:
        raise WitnessListError(f"{where}: url: got {value!r:.60}, want http(s)://host[:port][/prefix]")
    return parts.geturl().rstrip("/")


def _texts(value: Any, where: str) -> InTwoLanguages:
    _want_members(value, {"zh", "en"}, where)
    for language in ("zh", "en"):
        text = value.get(language)
        if not isinstance(text, str) or not 1 <= len(text) <= MAX_TEXT or not text.isprintable():
            raise WitnessListError(f"{where}.{language}: want one line of 1 to {MAX_TEXT} characters")
    return InTwoLanguages(value["zh"], value["en"])


def _one_of(value: Any, allowed: Sequence[str], where: str) -> Any:
    if value not in allowed:
        raise WitnessListError(f"{where}: got {value!r:.60}, want one of {', '.join(allowed)}")
    return value


def _want_members(value: Any, names: set[str], where: str) -> None:
    if not isinstance(value, Mapping):
        raise WitnessListError(f"{where}: want a table with {', '.join(sorted(names))}")
    if unknown := sorted(value.keys() - names):
        raise WitnessListError(
            f"{where}: got {unknown[0]!r:.60}, want no other names than {', '.join(sorted(names))}"
        )


def _want_different(witnesses: Sequence[ListedWitness]) -> None:
    """One key under two names would count twice, and a name is what the policy and people tell them apart by."""
    names, keys = {NONE, QUORUM}, set[bytes]()
    for each in witnesses:
        if each.name in names or keys & {key.public_key for key in each.keys}:
            raise WitnessListError(
                f"{each.name}: want each witness once, under a name and with keys of its own"
            )
        names |= {each.name, *(f"{each.name}/{_suffix(key)}" for key in each.keys)}
        keys |= {key.public_key for key in each.keys}


def _suffix(key: CosignerVerifier) -> str:
    return "ml-dsa-44" if key.algorithm == ML_DSA_44 else "ed25519"
