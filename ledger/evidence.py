"""Checks an evidence file with nothing at hand but the file and, better, a key from elsewhere.

The last station of the line: what `ledger.reader` wrote, a shopper's phone (the same checks in TypeScript) or
`suyuan verify` judges here. Contract: any bytes give a `Report` or `VerifyError`, never another exception;
`verified` is true only if every check held; a change of anything committed makes it false. What it cannot
show is said too (`docs/entry-v1.md`, `docs/evidence-v2.md`). Heads and signatures are `ledger.evidence_heads`,
what entries say is `ledger.evidence_checks`.
"""

from collections.abc import Mapping

from ledger.entry import Entry, log_pseudonym, parse_entry
from ledger.evidence_checks import Sound, check_amendments, check_streams, content_checks
from ledger.evidence_file import AnchoredEvidence, Evidence, Item, build_event, build_window
from ledger.evidence_heads import Heads, Trust, read_trust
from ledger.evidence_reading import read_evidence
from ledger.evidence_report import LIMITS, TEXTS, Check, Checks, Facts, Report, Text
from ledger.translog.merkle import leaf_hash
from ledger.translog.note import parse_vkey
from ledger.translog.verify import VerifyError, verify_inclusion, want_same

__all__ = [
    "LIMITS",
    "TEXTS",
    "Check",
    "Facts",
    "Report",
    "Text",
    "Trust",
    "build_event",
    "build_window",
    "read_evidence",
    "read_trust",
    "verify_evidence",
]


def verify_evidence(data: bytes | str, trusted: Mapping[str, str] | Trust | None = None) -> Report:
    """Checks all that the file claims. `trusted`: origin -> vkey, or a whole `Trust`; None: the file's own
    keys, and the report says so.

    VerifyError if the file cannot be read, or a trusted key cannot.
    """
    evidence = read_evidence(data)
    if isinstance(trusted, Mapping):
        trusted = Trust({origin: [parse_vkey(text)] for origin, text in trusted.items()})
    if isinstance(evidence, Evidence):
        # A file of version 1 says what one of version 2 without a root log does.
        evidence = AnchoredEvidence(None, evidence.logs, evidence.items)
    return _Verification(evidence, trusted or Trust()).report()


class _Verification:
    """One run over one file; gathers checks as it goes. A check that builds on a failed one is not made."""

    def __init__(self, evidence: AnchoredEvidence, trust: Trust) -> None:
        self.evidence = evidence
        self.checks = Checks()
        self.facts = Facts()
        self.own_key = trust.keys is None
        self.heads = Heads(evidence, trust, self.checks, self.facts)

    def report(self) -> Report:
        self.checks.attempt("content", self._want_content)
        self.heads.check()
        items = enumerate(self.evidence.items)
        sound = [found for at, item in items if (found := self._check_item(at, item))]
        check_streams(self.checks, sound)
        check_amendments(self.checks, sound)
        self.heads.check_seen()
        return Report(tuple(self.checks.made), self.own_key, self.facts)

    def _want_content(self) -> None:
        if not self.evidence.items:
            raise VerifyError("items of the file", got=0, want="at least one")

    def _check_item(self, at: int, item: Item) -> Sound | None:
        leaf = item.leaf
        entries: list[Entry] = []

        def read_entry() -> None:
            entries.append(parse_entry(leaf.entry))
            want_same("type of the entry", got=entries[0].type, want=item.kind)

        def find_in_log() -> None:
            head = self.heads.head.get(leaf.log)
            if head is None:
                raise VerifyError("log of the item", got=leaf.log, want="a log whose checkpoint verified")
            verify_inclusion(leaf_hash(leaf.entry), leaf.index, head.size, leaf.proof, head.root_hash)

        def belongs_to_log() -> None:
            want_same("pseudonym of the log", got=entries[0].org, want=log_pseudonym(leaf.log))

        steps = {"entry": read_entry, "log": belongs_to_log, "inclusion": find_in_log}
        if not all(self.checks.attempt(name, step, log=leaf.log, item=at) for name, step in steps.items()):
            return None
        self.facts.saw(entries[0].rec)
        for name, step in content_checks(item, entries[0]).items():
            self.checks.attempt(name, step, log=leaf.log, item=at)
        return Sound(at, item, entries[0])
