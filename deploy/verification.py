"""`suyuan verify`: an evidence file against keys, in a terminal, with nothing else at hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from ledger.evidence import Check, Report, verify_evidence
from ledger.translog.note import parse_vkey
from ledger.translog.verify import VerifyError

HOLDS, FAILS, KEY_PROBLEM, UNREADABLE = 0, 1, 2, 3


class KeyProblem(ValueError):
    """What was given as a key is none. The message says what was looked for."""


def verify_file(file: Path, keys: Iterable[str], as_json: bool, say: Callable[[str], None]) -> int:
    """Returns the exit status; every outcome is said in words."""
    try:
        given = tuple(keys)
        trusted = read_keys(given) if given else None
        report = verify_evidence(file.read_bytes(), trusted)
    except KeyProblem as error:
        say(json.dumps({"verified": False, "error": str(error)}) if as_json else str(error))
        return KEY_PROBLEM
    except VerifyError as error:
        say(
            json.dumps({"verified": False, "error": str(error)})
            if as_json
            else f"cannot be read as evidence: {error}"
        )
        return UNREADABLE
    say(json.dumps(report.value(), ensure_ascii=False) if as_json else _in_words(report))
    return HOLDS if report.verified else FAILS


def read_keys(keys: Iterable[str]) -> dict[str, str]:
    """origin -> verifier key, from keys themselves or files with one a line. Raises VerifyError."""
    found: dict[str, str] = {}
    for item in keys:
        for line in filter(None, map(str.strip, _key_text(item).splitlines())):
            try:
                found[parse_vkey(line).name] = line
            except VerifyError as error:
                raise KeyProblem(
                    f"--key {item}: no such file, and no verifier key (origin+hash+base64)"
                ) from error
    if not found:
        raise KeyProblem("--key was given, but holds no key")
    return found


def _key_text(item: str) -> str:
    try:
        path = Path(item)
        return path.read_text() if path.is_file() else item
    except (OSError, UnicodeDecodeError) as error:
        raise KeyProblem(f"--key {item[:80]}: cannot be read as text") from error


def _in_words(report: Report) -> str:
    lines = [_line(name, checks) for name, checks in _grouped(report).items()]
    for check in report.failures:
        lines.append(f"      item {check.item}: got {check.got}; want {check.want}")
    if report.own_key:
        lines.append(
            "no --key was given: the file's own keys were used, which shows that it is of one piece, not who made it"
        )
    lines.append(
        "VERIFIED: everything in this file holds"
        if report.verified
        else "NOT VERIFIED: something in this file does not hold"
    )
    return "\n".join(lines)


def _grouped(report: Report) -> dict[str, list[Check]]:
    groups: dict[str, list[Check]] = {}
    for check in report.checks:
        groups.setdefault(check.name, []).append(check)
    return groups


def _line(name: str, checks: list[Check]) -> str:
    held = sum(check.ok for check in checks)
    sign = "ok  " if held == len(checks) else "FAIL"
    return f"{sign} {name} {held}/{len(checks)}: {checks[0].text.en}"
