"""Limits: which temperature a product bears, where, in which stage, for how long, and who says so.

In the line: rule packs (`limits/*.json`, package data) -> here -> excursions, exposure, verdict.
Contract: a `Limit` that exists is consistent in itself, and a tuple from `load_limits` or
`parse_limits` is consistent as a whole; what contradicts is refused by name, never repaired.
A limit is immutable; a changed one is a new version, so that a verdict can show the rule as it
stood. Every number says where it comes from and whether anybody read it there (`verified`).
Words are checked too: a limit that is recommended or agreed cannot be worded as if it were law,
and no limit can promise that something is safe.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from importlib import resources
from itertools import combinations
from typing import Any, Final, Literal, cast, get_args

Side = Literal["above", "below"]
Operator = Literal[">", ">=", "<", "<="]
Mode = Literal["consecutive", "cumulative"]
Force = Literal["mandatory", "local", "recommended", "agreed", "internal"]
Stage = Literal["field", "collected", "precooling", "cold", "loaded", "arrived", "stall", "shelf"]
Position = Literal["pulp", "return_air", "supply_air", "in_box", "surface", "ambient"]

SIDES: Final[tuple[Side, ...]] = get_args(Side)
OPERATORS: Final[tuple[Operator, ...]] = get_args(Operator)
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
FORCES: Final[tuple[Force, ...]] = get_args(Force)
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
POSITIONS: Final[tuple[Position, ...]] = get_args(Position)

_ABSOLUTE_ZERO_C: Final = -273.15
_MOST_MINUTES: Final = 5_256_000
_OPERATORS_OF: Final[Mapping[str, tuple[str, ...]]] = {"above": (">", ">="), "below": ("<", "<=")}
# "safe" is a promise nobody here can keep; the others claim an offence, which only a law can make.
_NEVER_SAID: Final = ("safe", "安全")
_ONLY_OF_LAW: Final = ("unlawful", "illegal", "offence", "violation", "违法", "违规", "非法", "不合法")
_BINDING: Final[tuple[Force, ...]] = ("mandatory", "local")


class ColdChainError(Exception):
    """The judgement was asked for something that makes no sense; the message says what to correct."""


class LimitError(ColdChainError):
    """A rule pack cannot be used. Correct what `problems` names; nothing of the pack was taken."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Text:
    """One short sentence or phrase in both languages of the pages."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Limit:
    """One temperature limit in one version.

    `limit_c` in °C, `minutes` is the hold (0: one reading is enough). `guard_band_c` >= 0 is added to
    a sensor's accuracy, in the judged party's favour for a breach and against it for compliance.
    `valid_from` and `valid_to` are aware; the end is exclusive, None is open. `wording` is a noun
    phrase that names the limit ("the upper limit of 5 °C agreed on the waybill").
    Raises LimitError naming every contradiction.
    """

    id: str
    version: int
    product: str
    stages: tuple[Stage, ...]
    positions: tuple[Position, ...]
    side: Side
    limit_c: float
    operator: Operator
    mode: Mode
    minutes: float
    guard_band_c: float
    force: Force
    source: str
    clause: str
    verified: bool
    valid_from: datetime
    valid_to: datetime | None
    wording: Text

    def __post_init__(self) -> None:
        problems = [f"limit {self.id!r} version {self.version}: {problem}" for problem in _problems(self)]
        if problems:
            raise LimitError(problems)

    @property
    def key(self) -> tuple[str, int]:
        """What names this limit for ever: id and version."""
        return self.id, self.version

    @property
    def hold_ms(self) -> int:
        """The hold in milliseconds, the unit in which durations are compared exactly."""
        return round(self.minutes * 60_000)

    @property
    def binding(self) -> bool:
        """True where a law or a mandatory standard gives the number."""
        return self.force in _BINDING

    def valid_at(self, time_ms: int) -> bool:
        """Whether this version was valid at a UTC time in milliseconds."""
        starts_ms, ends_ms = self.valid_ms()
        return starts_ms <= time_ms and (ends_ms is None or time_ms < ends_ms)

    def valid_ms(self) -> tuple[int, int | None]:
        """Validity as [start, end) in UTC milliseconds; the end is None while open."""
        ends_ms = None if self.valid_to is None else _ms(self.valid_to)
        return _ms(self.valid_from), ends_ms

    def applies(self, product: str, stage: str, position: str | None = None) -> bool:
        """Whether the limit speaks of this product in this stage (and of this position, if given)."""
        return (
            self.product == product
            and stage in self.stages
            and (position is None or position in self.positions)
        )

    def snapshot(self) -> dict[str, Any]:
        """The rule as it stands, as JSON for a verdict to carry; `parse_limit` reads it back."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return plain | {
            "stages": list(self.stages),
            "positions": list(self.positions),
            "valid_from": self.valid_from.isoformat(),
            "valid_to": None if self.valid_to is None else self.valid_to.isoformat(),
            "wording": {"zh": self.wording.zh, "en": self.wording.en},
        }


def load_limits() -> tuple[Limit, ...]:
    """All limits shipped with the package, in order of id and version. Raises LimitError."""
    packs = resources.files("ingest.coldchain").joinpath("limits")
    found: list[Limit] = []
    for pack in sorted(packs.iterdir(), key=lambda entry: entry.name):
        if pack.name.endswith(".json"):
            found.extend(parse_limits(json.loads(pack.read_text(encoding="utf-8"))))
    return consistent(found)


def parse_limits(pack: object) -> tuple[Limit, ...]:
    """The limits of one rule pack, `{"pack": name, "limits": [...]}`, as parsed from JSON.

    Raises LimitError with the problems of all its limits at once, so that an author corrects them
    in one round.
    """
    if not isinstance(pack, Mapping) or not isinstance(pack.get("limits"), list):
        raise LimitError(['a rule pack is an object with a list "limits"'])
    found: list[Limit] = []
    problems: list[str] = []
    for obj in pack["limits"]:
        try:
            found.append(parse_limit(obj))
        except LimitError as error:
            problems.extend(error.problems)
    if problems:
        raise LimitError(problems)
    return consistent(found)


def parse_limit(obj: object) -> Limit:
    """One limit from its JSON object.

    Unknown fields are refused: a misspelt `minuts` would otherwise judge with a hold nobody wrote.
    """
    if not isinstance(obj, Mapping):
        raise LimitError([f"a limit is an object, got {type(obj).__name__}"])
    name = f"limit {obj.get('id', '(no id)')!r}"
    known = {field.name for field in fields(Limit)}
    problems = [f"{name}: unknown field {key!r}" for key in sorted(set(map(str, obj)) - known)]
    problems += [f"{name}: {key!r} is missing" for key in sorted(known - set(obj))]
    problems += [f"{name}: {problem}" for problem in _type_problems(obj)]
    if problems:
        raise LimitError(problems)
    return Limit(
        id=obj["id"],
        version=obj["version"],
        product=obj["product"],
        stages=tuple(obj["stages"]),
        positions=tuple(obj["positions"]),
        side=obj["side"],
        limit_c=float(obj["limit_c"]),
        operator=obj["operator"],
        mode=obj["mode"],
        minutes=float(obj["minutes"]),
        guard_band_c=float(obj["guard_band_c"]),
        force=obj["force"],
        source=obj["source"],
        clause=obj["clause"],
        verified=obj["verified"],
        valid_from=_moment(name, "valid_from", obj["valid_from"]),
        valid_to=None if obj["valid_to"] is None else _moment(name, "valid_to", obj["valid_to"]),
        wording=_wording(name, obj["wording"]),
    )


def limits_in_force(
    limits: Iterable[Limit], product: str, stage: str, time_ms: int, position: str | None = None
) -> tuple[Limit, ...]:
    """The limits that speak of this product and stage (and position) and are valid at `time_ms`."""
    return tuple(
        limit for limit in limits if limit.applies(product, stage, position) and limit.valid_at(time_ms)
    )


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _type_problems(obj: Mapping[str, Any]) -> list[str]:
    problems = []
    for key in ("id", "product", "source", "clause", "valid_from", "side", "operator", "mode", "force"):
        if key in obj and not isinstance(obj[key], str):
            problems.append(f"{key!r} is text, got {obj[key]!r}")
    for key in ("stages", "positions"):
        values = obj.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            problems.append(f"{key!r} is a list of names, got {values!r}")
    for key in ("limit_c", "minutes", "guard_band_c"):
        if key in obj and not _is_number(obj[key]):
            problems.append(f"{key!r} is a number, got {obj[key]!r}")
    if "version" in obj and (not isinstance(obj["version"], int) or isinstance(obj["version"], bool)):
        problems.append(f"'version' is a whole number, got {obj['version']!r}")
    if "verified" in obj and not isinstance(obj["verified"], bool):
        problems.append(f"'verified' is true or false, got {obj['verified']!r}")
    return problems


def _is_number(value: object) -> bool:
    """One that a float can hold; NaN and infinity are told apart by what they are said of."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) < 10**15


def _moment(name: str, key: str, value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(cast(str, value))
    except (TypeError, ValueError) as error:
        raise LimitError([f"{name}: {key!r} is an ISO 8601 time, got {value!r}"]) from error
    return moment


def _wording(name: str, value: object) -> Text:
    if not isinstance(value, Mapping) or not all(isinstance(value.get(tag), str) for tag in ("zh", "en")):
        raise LimitError([f"{name}: 'wording' has text under 'zh' and 'en', got {value!r}"])
    return Text(zh=value["zh"], en=value["en"])


def _problems(limit: Limit) -> list[str]:
    return [
        *_name_problems(limit),
        *_number_problems(limit),
        *_validity_problems(limit),
        *_word_problems(limit),
    ]


def _name_problems(limit: Limit) -> list[str]:
    problems = []
    for key, value in (("id", limit.id), ("product", limit.product), ("source", limit.source)):
        if not value.strip():
            problems.append(f"{key!r} is empty")
    for key, got, known in (
        ("side", (limit.side,), SIDES),
        ("operator", (limit.operator,), OPERATORS),
        ("mode", (limit.mode,), MODES),
        ("force", (limit.force,), FORCES),
        ("stages", limit.stages, STAGES),
        ("positions", limit.positions, POSITIONS),
    ):
        strange = [value for value in got if value not in known]
        if strange:
            problems.append(f"{key!r} has {strange[0]!r}, want one of {', '.join(known)}")
        if not got:
            problems.append(f"{key!r} is empty, so the limit would never apply")
        if len(set(got)) < len(got):
            problems.append(f"{key!r} names one thing twice")
    if limit.operator not in _OPERATORS_OF.get(limit.side, OPERATORS):
        problems.append(
            f"side {limit.side!r} with operator {limit.operator!r} contradict each other, "
            f"want {' or '.join(_OPERATORS_OF[limit.side])}"
        )
    return problems


def _number_problems(limit: Limit) -> list[str]:
    problems = []
    if limit.version < 1:
        problems.append(f"'version' starts at 1, got {limit.version}")
    if not math.isfinite(limit.limit_c) or limit.limit_c < _ABSOLUTE_ZERO_C:
        problems.append(f"'limit_c' is no temperature: {limit.limit_c}")
    if not math.isfinite(limit.minutes) or limit.minutes < 0:
        problems.append(f"'minutes' is 0 or more, got {limit.minutes}")
    elif limit.minutes > _MOST_MINUTES:
        problems.append(f"'minutes' is at most {_MOST_MINUTES:,} (ten years), got {limit.minutes:g}")
    if limit.mode == "cumulative" and limit.minutes == 0:
        problems.append("a cumulative limit needs more than 0 'minutes'; one reading has no duration to add")
    if not math.isfinite(limit.guard_band_c) or limit.guard_band_c < 0:
        problems.append(f"'guard_band_c' is 0 or more, got {limit.guard_band_c}")
    return problems


def _validity_problems(limit: Limit) -> list[str]:
    problems = []
    moments = [("valid_from", limit.valid_from), ("valid_to", limit.valid_to)]
    naive = [key for key, moment in moments if moment is not None and moment.utcoffset() is None]
    problems += [f"{key!r} has no time zone" for key in naive]
    if not naive and limit.valid_to is not None and limit.valid_to <= limit.valid_from:
        problems.append(
            f"ends ({limit.valid_to.isoformat()}) before it starts ({limit.valid_from.isoformat()})"
        )
    return problems


def _word_problems(limit: Limit) -> list[str]:
    problems = []
    for tag, words in (("zh", limit.wording.zh), ("en", limit.wording.en)):
        if not words.strip():
            problems.append(f"the wording in {tag!r} is empty")
        said = words.lower()
        problems += [
            f"the wording says {word!r}, which nobody can promise" for word in _NEVER_SAID if word in said
        ]
        if not limit.binding:
            problems += [
                f"the wording says {word!r}, but the limit is only {limit.force}"
                for word in _ONLY_OF_LAW
                if word in said
            ]
    return problems


def consistent(limits: Sequence[Limit]) -> tuple[Limit, ...]:
    """In order, where no two of them contradict each other. Raises LimitError."""
    problems = [problem for a, b in combinations(limits, 2) for problem in _contradictions(a, b)]
    if problems:
        raise LimitError(problems)
    return tuple(sorted(limits, key=lambda limit: limit.key))


def _contradictions(a: Limit, b: Limit) -> list[str]:
    names = f"limits {a.id!r} version {a.version} and {b.id!r} version {b.version}"
    if a.key == b.key:
        return [f"limit {a.id!r} version {a.version} is given twice"]
    if not _valid_together(a, b):
        return []
    if a.id == b.id:
        return [f"{names} are valid at the same time; end the older one first"]
    if _meet(a, b) and _leave_nothing(a, b):
        return [f"{names} leave no temperature allowed: {_said(a)}, {_said(b)}"]
    return []


def _valid_together(a: Limit, b: Limit) -> bool:
    a_from, a_to = a.valid_ms()
    b_from, b_to = b.valid_ms()
    return (b_to is None or a_from < b_to) and (a_to is None or b_from < a_to)


def _meet(a: Limit, b: Limit) -> bool:
    return (
        a.product == b.product
        and bool(set(a.stages) & set(b.stages))
        and bool(set(a.positions) & set(b.positions))
    )


def _leave_nothing(a: Limit, b: Limit) -> bool:
    """True if every steady temperature lies beyond one of two limits of opposite sides."""
    if a.side == b.side:
        return False
    above, below = (a, b) if a.side == "above" else (b, a)
    both_strict = above.operator == ">" and below.operator == "<"
    return above.limit_c < below.limit_c or (above.limit_c == below.limit_c and not both_strict)


def _said(limit: Limit) -> str:
    return f"{limit.operator} {limit.limit_c:g} °C is out"
