"""`suyuan verify`: an evidence file against keys, in a terminal, with nothing else at hand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from deploy.shown_items import shown
from ledger.evidence import LIMITS, Check, Facts, Report, Trust, read_evidence, read_trust, verify_evidence
from ledger.evidence_file import AnchoredEvidence, Evidence
from ledger.evidence_reading import MAX_FILE_SIZE
from ledger.timestamping import CertificatesMissing, read_certificates
from ledger.translog.policy import Policy, parse_log_vkey, parse_policy
from ledger.translog.verify import VerifyError

HOLDS, FAILS, KEY_PROBLEM, UNREADABLE = 0, 1, 2, 3
_POLICY_LINE = re.compile(r"^[ \t]*(?:log|witness|group|quorum)[ \t]", re.MULTILINE)
_RELATIONS = {"independent": "independent", "operator": "the operator's own", "authority": "an authority"}


class KeyProblem(ValueError):
    """What was given as a key is none. The message says what was looked for."""


def verify_file(
    file: Path,
    keys: Iterable[str],
    as_json: bool,
    say: Callable[[str], None],
    certificates: Iterable[Path] = (),
) -> int:
    """Returns the exit status; every outcome is said in words. `certificates`: PEM files of time-stamp authorities."""
    try:
        given = tuple(keys)
        trust = read_keys(given) if given else Trust()
        trusted = [each for path in certificates for each in read_certificates(path)]
        data = _read(file)
        report = verify_evidence(data, replace(trust, certificates=trusted))
    except (KeyProblem, CertificatesMissing) as error:
        say(json.dumps({"verified": False, "error": str(error)}) if as_json else str(error))
        return KEY_PROBLEM
    except VerifyError as error:
        say(
            json.dumps({"verified": False, "error": str(error)})
            if as_json
            else _printable(f"cannot be read as evidence: {error}")
        )
        return UNREADABLE
    say(json.dumps(report.value(), ensure_ascii=False) if as_json else _in_words(report, read_evidence(data)))
    return HOLDS if report.verified else FAILS


def _read(file: Path) -> bytes:
    """No more than makes a file too long: a pipe may never end."""
    with file.open("rb") as source:
        return source.read(MAX_FILE_SIZE + 1)


def read_keys(keys: Iterable[str]) -> Trust:
    """From verifier keys, files with one a line, and one tlog-policy file. KeyProblem on anything else."""
    vkeys, policies = list[str](), list[Policy]()
    for item in keys:
        text = _key_text(item)
        try:
            if _POLICY_LINE.search(text):
                policies.append(parse_policy(text))
            else:
                vkeys += [
                    str(parse_log_vkey(line)) for line in filter(None, map(str.strip, text.splitlines()))
                ]
        except VerifyError as error:
            raise KeyProblem(
                f"--key {item}: no such file, no verifier key (origin+hash+base64) and no tlog-policy: {error}"
            ) from error
    if len(policies) > 1:
        raise KeyProblem("--key: want at most one tlog-policy file, since there is one quorum")
    if not vkeys and not policies:
        raise KeyProblem("--key was given, but holds no key")
    return read_trust(vkeys, policies[0] if policies else None)


def _key_text(item: str) -> str:
    try:
        path = Path(item)
        return path.read_text() if path.is_file() else item
    except (OSError, UnicodeDecodeError) as error:
        raise KeyProblem(f"--key {item[:80]}: cannot be read as text") from error


def _in_words(report: Report, evidence: Evidence | AnchoredEvidence) -> str:
    lines = [_line(name, checks) for name, checks in _grouped(report).items()]
    for check in report.failures:
        where = "" if check.item is None else f"item {check.item}: "
        lines.append(
            f"      {check.witness or check.log or check.name}: {where}got {check.got}; want {check.want}"
        )
    lines += shown(evidence, report)
    lines += _facts(report.facts)
    if report.own_key:
        lines.append(
            "no --key was given: the file's own keys were used, which shows that it is of one piece, not who made it"
        )
    lines += [f"not shown: {LIMITS[name].en}" for name in report.facts.limits(report.own_key)]
    lines.append(_verdict(report))
    return "\n".join(map(_printable, lines))


def _verdict(report: Report) -> str:
    if not report.verified:
        return "NOT VERIFIED: something in this file does not hold"
    if any(check.state == "unknown" for check in report.checks):
        return "VERIFIED: everything that can be checked holds; what is marked ? cannot be decided"
    return "VERIFIED: everything in this file holds"


def _printable(line: str) -> str:
    """A hostile file's names must not speak to the terminal."""
    return "".join(char if char.isprintable() else "�" for char in line)


def _facts(facts: Facts) -> Iterator[str]:
    for log in facts.logs:
        state = "in the root log" if log.anchored else "not in a root log"
        yield f"log {log.origin}, key {log.key_id}, {log.size} entries, {state}"
    if facts.root is not None:
        yield f"root log {facts.root.origin}, key {facts.root.key_id}, {facts.root.size} entries"
    if facts.oldest_rec is not None and facts.newest_rec is not None:
        first, last = _moment(facts.oldest_rec / 1000), _moment(facts.newest_rec / 1000)
        yield f"recorded {first} to {last}, by the logs' own clocks"
    if facts.root is not None:
        yield f"the root log's own clock: {'none shown' if facts.clock_s is None else _moment(facts.clock_s)}"
    if not facts.witnesses:
        yield "no witness is shown to have seen this"
    for witness in facts.witnesses:
        said = "named by your policy" if witness.known else "as the issuer says"
        relation = _RELATIONS[witness.relation]
        yield f"seen {_moment(witness.time_s)} by {witness.name}: {witness.operator_en} ({relation}, {said})"
    for stamp in facts.timestamps:
        covers = "over all that is shown" if stamp.covers else "NOT over all that is shown"
        yield f"time stamp {_moment(stamp.time_ms / 1000)} by {stamp.authority}, {covers}"
    if not facts.timestamps:
        yield "no time stamp of an authority is shown"


def _moment(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f} s after 1970"  # a time that was signed, however absurd


def _grouped(report: Report) -> dict[str, list[Check]]:
    groups: dict[str, list[Check]] = {}
    for check in report.checks:
        groups.setdefault(check.name, []).append(check)
    return groups


def _line(name: str, checks: list[Check]) -> str:
    held = sum(check.state == "held" for check in checks)
    states = {check.state for check in checks}
    sign = "FAIL" if "failed" in states else "?   " if "unknown" in states else "ok  "
    return f"{sign} {name} {held}/{len(checks)}: {checks[0].text.en}"
