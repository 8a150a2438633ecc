"""`suyuan judge`: what it does. A logger's export and the rules it is judged by -> verdicts, as text, JSON, picture and report.

Contract: what could be wrong in silence is said in `notes` or refused; a column is judged alone; the exit status is that of the worst.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from ingest.coldchain import logged
from ingest.coldchain.limits import ColdChainError, Limit, LimitError, load_limits
from ingest.coldchain.lives import lifetime_of
from ingest.coldchain.logged import Logged, Rules
from ingest.exports import reading, tables
from ingest.exports.exported import Column, Export, ExportError
from ingest.exports.judged import document

Language = Literal["en", "zh"]
_EXIT: Final = {"breach": 1, "indeterminate": 2, "compliant": 0, "not_applicable": 0}
_WORST_FIRST: Final = ("breach", "indeterminate", "compliant", "not_applicable")


class NotUnderstood(Exception):
    """The input cannot be judged; each of `problems` says what to do."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Asked:
    """The command line."""

    file: Path
    product: str | None = None
    limits: Path | None = None
    columns: tuple[str, ...] = ()
    unit: str | None = None
    time_zone: str | None = None
    date_order: Literal["dmy", "mdy", "ymd"] | None = None
    encoding: str | None = None
    language: Language = "en"


@dataclass(frozen=True, slots=True)
class Judged:
    """One column and what was found."""

    column: Column
    found: Logged


@dataclass(frozen=True, slots=True)
class Answer:
    """`name`, `sha256`: the file's; `rules`: what all columns were judged by; `by`: whose rules these are."""

    name: str
    sha256: str
    export: Export
    rules: Rules
    by: str
    columns: tuple[Judged, ...]
    notes: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """The worst of all columns."""
        return min((each.found.verdict.state for each in self.columns), key=_WORST_FIRST.index)

    @property
    def exit_status(self) -> int:
        return _EXIT[self.verdict]


def judge(asked: Asked) -> Answer:
    """Raises NotUnderstood."""
    rules, by, notes = _rules(asked)
    data = _data(asked.file)
    export = _export(asked, data)
    if rules is None:
        rules, by = _own_rules(export), "logger"
    for column in export.columns:
        if column.unit is None and logged.perhaps_fahrenheit(column.value_c, rules.limits):
            middle = float(np.nanmedian(column.value_c))
            raise NotUnderstood(
                [
                    f"column {column.name!r}: readings around {middle:.0f} with limits for the cold are probably °F, and the file does not say:"
                    f" --unit F reads them so ({(middle - 32) / 1.8:.1f} °C), --unit C takes them as they stand"
                ]
            )
    try:
        columns = tuple(_judged(export, column, rules) for column in export.columns)
    except ColdChainError as error:
        raise NotUnderstood([str(error)]) from error
    return Answer(
        _printable(asked.file.name),
        sha256(data).hexdigest(),
        export,
        rules,
        by,
        columns,
        (*notes, *export.notes),
    )


def _printable(name: str) -> str:
    """A file's name of bytes that are no UTF-8, as some archives unpack Chinese ones."""
    return name.encode(errors="replace").decode()


def _judged(export: Export, column: Column, rules: Rules) -> Judged:
    energy = rules.activation_energy_kj_per_mol or export.activation_energy_kj_per_mol
    own = replace(rules, activation_energy_kj_per_mol=energy)
    return Judged(column, logged.judge(*column.series(export.line), own, export.interval_ms))


def _data(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise NotUnderstood([f"cannot read {path}: {error.strerror}"]) from error


def _export(asked: Asked, data: bytes) -> Export:
    try:
        zone = None if asked.time_zone is None else ZoneInfo(asked.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # a folder of zones, as Europe
        raise NotUnderstood(
            [f"{asked.time_zone!r} is no time zone: want one as Asia/Shanghai or Europe/Berlin"]
        ) from error
    try:
        return reading.read(
            data, tables.Asked(asked.unit, asked.columns, zone, asked.date_order), asked.encoding
        )
    except ExportError as error:
        raise NotUnderstood([f"{asked.file}: {error}"]) from error


# --- the rules ---------------------------------------------------------------------------------------------------


def _rules(asked: Asked) -> tuple[Rules | None, str, list[str]]:
    if asked.product is not None and asked.limits is not None:
        raise NotUnderstood(["--product and --limits are two sets of rules: give one of them"])
    if asked.limits is not None:
        return _rules_of(asked.limits), _printable(asked.limits.name), []
    if asked.product is None:
        return None, "", []
    limits = _of_product(asked.product)
    lifetime = lifetime_of(_as_named(asked.product))
    return Rules(limits, lifetime=lifetime), asked.product, [] if limits else [_no_limits(asked.product)]


def _rules_of(path: Path) -> Rules:
    try:
        said = json.loads(path.read_bytes())
    except OSError as error:
        raise NotUnderstood([f"cannot read {path}: {error.strerror}"]) from error
    except (ValueError, RecursionError) as error:
        raise NotUnderstood([f"{path} is no JSON: {error}"]) from error
    try:
        return logged.parse_rules(said, path.name)
    except LimitError as error:
        raise NotUnderstood([f"{path}: {problem}" for problem in error.problems]) from error


def _of_product(product: str) -> tuple[Limit, ...]:
    wanted = _as_named(product)
    return tuple(limit for limit in load_limits() if limit.product == wanted and limit.valid_to is None)


def _as_named(product: str) -> str:
    return product.strip().casefold().replace("-", "_").replace(" ", "_")


def _no_limits(product: str) -> str:
    known = sorted({limit.product for limit in load_limits()})
    near = get_close_matches(product.casefold(), known, 1)
    meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"no limits are known for {product!r}, so none applies; {meant}"


def _own_rules(export: Export) -> Rules:
    if not export.own_limits:
        raise NotUnderstood(
            ["say what to judge by: --product NAME or --limits FILE (the export names no alarms of its own)"]
        )
    try:
        return Rules(
            tuple(
                logged.own_rule(
                    own.name, own.side, own.mode, own.limit_c, own.minutes, "the logger's own alarms"
                )
                for own in export.own_limits
            )
        )
    except LimitError as error:
        raise NotUnderstood(
            [f"the logger's own alarms cannot be used: {problem}" for problem in error.problems]
        ) from error


def products(language: Language) -> Iterator[str]:
    """A line a product, with its limits."""
    limits = load_limits()
    for name in sorted({limit.product for limit in limits}):
        said = ", ".join(
            f"{limit.operator} {limit.limit_c:g} °C {_hold(limit, language)}"
            for limit in limits
            if limit.product == name
        )
        yield f"{name:16} {said}"


def _hold(limit: Limit, language: Language) -> str:
    mode = {"consecutive": ("连续", ""), "cumulative": ("累计", " in all")}[limit.mode]
    return f"{mode[0]} {limit.minutes:g} 分钟" if language == "zh" else f"for {limit.minutes:g} min{mode[1]}"


# --- JSON --------------------------------------------------------------------------------------------------------


def as_json(answer: Answer) -> str:
    each = {
        judged.column.name: document(answer.export, judged.column, judged.found)
        | {"notes": list(answer.notes)}
        for judged in answer.columns
    }
    said = next(iter(each.values())) if len(each) == 1 else each
    return json.dumps(said, ensure_ascii=False, indent=2, allow_nan=False)


# --- text ----------------------------------------------------------------------------------------------------------


def as_text(answer: Answer, language: Language) -> str:
    from deploy.judge_words import lines

    return "\n".join(lines(answer, language))


def plot(answer: Answer, suffix: str, language: Language) -> bytes:
    """A picture of the form that the file's name says: png, svg or pdf."""
    from deploy.judge_picture import FORMS, picture

    if suffix not in FORMS:
        raise NotUnderstood([f"--plot writes {', '.join(FORMS)}: give the file such a name, as out.png"])
    return picture(answer, suffix, language)


def pdf(answer: Answer, _suffix: str, language: Language) -> bytes:
    from deploy.judge_report import report

    return report(answer, language)
