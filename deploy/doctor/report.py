"""`suyuan doctor` as the command runs it: the checks in their order, and how their findings are shown."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import chain

from deploy.doctor import (
    accounts,
    alerts,
    background,
    broker,
    capture,
    clock,
    database,
    deep,
    disk,
    environment,
    keys,
    logs,
    profiles,
    quarantine,
    retention,
    services,
    sparkplug,
    trial,
    windows,
    witnesses,
)
from deploy.doctor.examination import Check, Patient, examine
from deploy.doctor.findings import Finding, Mark, exit_status, listed, unasked

CHECKS: dict[str, Check] = {
    "settings": environment.names,
    "settings' values": environment.values,
    "database": database.reachable,
    "schema": database.schema,
    "roles": database.roles,
    "rights": database.tried,
    "connections": database.urls,
    "broker": broker.broker,
    "clock": clock.database_clock,
    "time server": clock.time_server,
    "keys": keys.closed,
    "keys of logs": keys.fit,
    "keys of quarantine": keys.of_quarantine,
    "quarantine": quarantine.quarantine,
    "capture": capture.capture,
    "alerts": alerts.alerts,
    "disk": disk.of_files,
    "database's disk": disk.of_database,
    "logs": logs.logs,
    "frozen logs": witnesses.frozen,
    "witnesses": witnesses.witnesses,
    "time stamps": witnesses.timestamps,
    "services": services.alive,
    "work that waits": services.waiting,
    "sparkplug": sparkplug.sparkplug,
    "profiles": profiles.profiles,
    "background jobs": background.policies,
    "retention": retention.retention,
    "sealed hours": windows.windows,
    "web": services.web,
    "accounts": accounts.accounts,
    "tokens": trial.tokens,
    "passwords": trial.in_settings,
    "roles' passwords": trial.of_roles,
    "trial data": trial.demo_data,
}

_MARKS = {Mark.OK: "ok  ", Mark.WARN: "WARN", Mark.FAIL: "FAIL", Mark.UNKNOWN: "?   "}


def run(
    database_url: str | None,
    is_deep: bool,
    as_json: bool,
    say: Callable[[str], None],
    tell: Callable[[str], None],
) -> int:
    """`say`: a line of the report; `tell`: progress, for a person who waits. Returns the exit status."""
    settings, found = environment.read_settings()
    url = database_url or settings.database_url
    patient = Patient(settings, url, database_url is not None, dict(os.environ), _now)
    read, found = found, []
    for finding in chain(read, _examined(patient, is_deep, tell)):
        found.append(finding)
        if not as_json:
            say(in_words(finding))
    owed = frozenset({"invariants", "tiles"}) if is_deep else frozenset[str]()
    status = exit_status(found, owed)
    say(as_value(found, status) if as_json else summary(found))
    if not as_json and (missed := unasked(found, owed)):
        say(
            f"--deep did not ask all that it is for: {listed((f'{each.about}: {each.text}' for each in missed), 3)}"
        )
    return status


def _examined(patient: Patient, is_deep: bool, tell: Callable[[str], None]) -> Iterator[Finding]:
    yield from examine(patient, CHECKS)
    if is_deep:
        yield from examine(patient, deep.checks(tell), limit_s=deep.LIMIT_S)


def in_words(finding: Finding) -> str:
    line = f"{_MARKS[finding.mark]} {finding.about}: {finding.text}"
    return f"{line}\n     -> {finding.next}" if finding.next else line


def summary(found: list[Finding]) -> str:
    counts = Counter(finding.mark for finding in found)
    said = [
        f"{counts[mark]} {word}"
        for mark, word in (
            (Mark.OK, "well"),
            (Mark.WARN, "to look at"),
            (Mark.FAIL, "to mend"),
            (Mark.UNKNOWN, "could not be told"),
        )
        if counts[mark]
    ]
    return ", ".join(said)


def as_value(found: list[Finding], status: int) -> str:
    checks = [
        {"about": each.about, "mark": each.mark, "text": each.text}
        | ({"next": each.next} if each.next else {})
        for each in found
    ]
    counts = Counter(each.mark for each in found)
    return json.dumps(
        {"status": status, **{mark: counts[mark] for mark in Mark}, "findings": checks}, ensure_ascii=False
    )


def _now() -> datetime:
    return datetime.now(UTC)
