"""One logger's own readings judged by themselves: no journey, no server; the same rules.

In the line: a logger's export (`ingest.exports`) -> here -> `suyuan judge`. Contract: each column is judged alone, as one leg from the
first row of the export to the last. A row without a reading is unknown, not good, be it only one. A verdict is that of `decide`; an
excursion is one of `find_excursions`. Means weigh each reading by the time until the next one, as loggers do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final

import numpy as np

from ingest.coldchain.excursions import (
    MINUTE_MS,
    BoolArray,
    FloatArray,
    IntArray,
    Run,
    find_excursions,
    unknown_steps,
)
from ingest.coldchain.exposure import expose
from ingest.coldchain.kinetics import (
    ACTIVATION_ENERGY_KJ_PER_MOL,
    Life,
    life_left,
    mean_kinetic_temperature,
)
from ingest.coldchain.limits import Limit, LimitError, consistent, parse_limit
from ingest.coldchain.lives import Lifetime
from ingest.coldchain.timeline import GAP_FACTOR, Leg, ObservedSeries
from ingest.coldchain.verdict import Verdict, decide

_SIDES: Final = {"above": ("超过", "above"), "below": ("低于", "below")}
_ALWAYS: Final = datetime(1970, 1, 1, tzinfo=UTC).isoformat()
_OF_A_LIMIT: Final = ("id", "side", "limit_c", "operator", "mode", "minutes", "guard_band_c")
_OF_RULES: Final = (
    "limits",
    "expected_interval_minutes",
    "activation_energy_kj_per_mol",
    "accuracy_c",
    "guard_band_c",
)
_MOST: Final = 1_000_000
_FAHRENHEIT_FROM_C: Final = 30.0
_FAHRENHEIT_SLACK_C: Final = 5.0


@dataclass(frozen=True, slots=True)
class Rules:
    """What a logger is judged by. `interval_ms`: how often it should have measured, None: as it was set; `accuracy_c`: of its probe;
    `lifetime`: of the goods, where one is known."""

    limits: tuple[Limit, ...]
    interval_ms: int | None = None
    accuracy_c: float = 0.0
    activation_energy_kj_per_mol: float | None = None
    lifetime: Lifetime | None = None


@dataclass(frozen=True, slots=True)
class Excursion:
    """One that reached its trigger."""

    limit: Limit
    run: Run


@dataclass(frozen=True, slots=True)
class Logged:
    """The judgement of one column. Temperatures are None where it has no reading."""

    verdict: Verdict
    readings: int
    interval_ms: int
    minutes_observed: float
    minutes_unobserved: float
    min_c: float | None
    max_c: float | None
    mean_c: float | None
    mean_kinetic_c: float | None
    excursions: tuple[Excursion, ...]
    life: Life | None


# --- rules -------------------------------------------------------------------------------------------------------


def parse_rules(obj: object, source: str) -> Rules:
    """The rules of a limits file, as parsed from JSON. `source`: the file's name. Raises LimitError with all its problems.

    A field that nobody knows is passed over unless it is nearly one that is known: a misspelt `minuts` would otherwise
    judge by a hold that nobody wrote.
    """
    if not isinstance(obj, Mapping) or not isinstance(obj.get("limits"), list):
        raise LimitError(['a limits file is an object with a list "limits"'])
    problems = [*_misspelt("the file", obj, _OF_RULES)]
    for name in _OF_RULES[1:]:
        problems += _not_a_number(
            "the file", name, obj.get(name), least=0.001 if name in _OF_RULES[1:3] else None
        )
    found = []
    for place, each in enumerate(obj["limits"]):
        try:
            found.append(_limit(each, place, source, obj.get("guard_band_c") or 0.0))
        except LimitError as error:
            problems += error.problems
    if problems:
        raise LimitError(problems)
    interval = obj.get("expected_interval_minutes")
    return Rules(
        consistent(found),
        None if interval is None else round(interval * MINUTE_MS),
        float(obj.get("accuracy_c") or 0.0),
        obj.get("activation_energy_kj_per_mol"),
    )


def own_rule(name: str, side: str, mode: str, limit_c: float, minutes: float, source: str) -> Limit:
    """An alarm that the logger itself was set to, as a limit."""
    operator = ">" if side == "above" else "<"
    fields = {
        "id": name,
        "side": side,
        "mode": mode,
        "limit_c": limit_c,
        "minutes": minutes,
        "operator": operator,
    }
    return _limit(fields, 0, source, 0.0)


def _limit(obj: object, place: int, source: str, guard_band_c: float) -> Limit:
    name = f"limit {place + 1}"
    if not isinstance(obj, Mapping):
        raise LimitError([f"{name} is an object, got {type(obj).__name__}"])
    problems = [*_misspelt(name, obj, _OF_A_LIMIT)]
    problems += [f"{name}: {key!r} is missing" for key in _OF_A_LIMIT[:-1] if key not in obj]
    if problems:
        raise LimitError(problems)
    if isinstance(obj["id"], str) and not obj["id"].isprintable():
        raise LimitError([f"{name}: 'id' has characters that cannot be printed: {obj['id']!a}"])
    zh, en = _SIDES.get(str(obj["side"]), ("", ""))
    return parse_limit({
        "version": 1,
        "product": "logged",
        "stages": ["cold"],
        "positions": ["in_box"],
        "guard_band_c": guard_band_c,
        "force": "agreed",
        "source": source,
        "clause": str(obj["id"]),
        "verified": True,
        "valid_from": _ALWAYS,
        "valid_to": None,
        # Without its id: that may say `safe`, which no wording does.
        "wording": {
            "zh": f"所给限值（{zh} {obj['limit_c']} °C，{obj['minutes']} 分钟）",
            "en": f"the given limit ({en} {obj['limit_c']} °C, {obj['minutes']} min)",
        },
    } | {key: obj[key] for key in _OF_A_LIMIT if key in obj})  # fmt: skip


def _misspelt(what: str, obj: Mapping[str, Any], known: Sequence[str]) -> list[str]:
    near = ((key, get_close_matches(str(key), known, 1, 0.8)) for key in obj if key not in known)
    return [f"{what}: {key!r} is not known, {match[0]!r} is" for key, match in near if match]


def _not_a_number(what: str, name: str, value: object, least: float | None) -> list[str]:
    if value is None:
        return []
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_MOST <= value <= _MOST:
        return [f"{what}: {name!r} is a number, at most {_MOST:,}, got {value!r:.60}"]
    if least is not None and value < least:
        return [f"{what}: {name!r} is {least:g} or more, got {value!r}"]
    return [f"{what}: {name!r} is 0 or more, got {value!r}"] if value < 0 else []


# --- the judgement -----------------------------------------------------------------------------------------------


def judge(time_ms: IntArray, value_c: FloatArray, rules: Rules, interval_ms: int | None = None) -> Logged:
    """`time_ms`: int64[n], rising strictly, n >= 1; `value_c`: float64[n], NaN where a row has no reading. `interval_ms`: as the logger was
    set; without it, and without one in the rules, the usual step. Raises LimitError and SeriesError."""
    known = ~np.isnan(value_c)
    at, values, failed = time_ms[known], value_c[known], time_ms[~known]
    interval = rules.interval_ms or interval_ms or usual_step(time_ms)
    series = ObservedSeries("logger", "in_box", at, values, interval, rules.accuracy_c, failed_ms=failed)
    limits = tuple(_everywhere(limit) for limit in rules.limits)
    # A leg ends before its end, and the last reading is one of it.
    leg = Leg("logger", "logger", "", "cold", int(time_ms[0]), int(time_ms[-1]) + 1, (series,), limits)
    exposure = expose([leg], GAP_FACTOR)
    found = [
        Excursion(limit, _with_ends(run, at, time_ms))
        for limit in limits
        for run in find_excursions(at, values, limit, [(None, None)], interval, GAP_FACTOR, failed)
    ]
    unknown = unknown_steps(at, GAP_FACTOR * interval, failed)
    observed_ms = int(np.diff(at)[~unknown].sum())
    means = _means(at, values, unknown, interval, rules.activation_energy_kj_per_mol)
    span_ms = int(time_ms[-1] - time_ms[0])
    return Logged(
        verdict=decide(exposure, limits, rules.accuracy_c),
        readings=int(at.size),
        interval_ms=interval,
        minutes_observed=observed_ms / MINUTE_MS,
        minutes_unobserved=(span_ms - observed_ms) / MINUTE_MS,
        min_c=float(values.min()) if at.size else None,
        max_c=float(values.max()) if at.size else None,
        mean_c=means[0],
        mean_kinetic_c=means[1],
        excursions=tuple(
            sorted(found, key=lambda each: (each.run.start_ms, each.run.trigger_ms, each.limit.id))
        ),
        life=_life(at, values, unknown, span_ms, rules.lifetime),
    )


def _life(
    at: IntArray, values: FloatArray, unknown: BoolArray, span_ms: int, lifetime: Lifetime | None
) -> Life | None:
    """Used while the logger ran: half of each known step at the rate of its first reading, half at that of its last."""
    known_s = np.where(unknown, 0, np.diff(at)) / 1000
    if lifetime is None or not known_s.any():
        return None
    weights = np.concatenate((known_s, [0.0])) / 2 + np.concatenate(([0.0], known_s)) / 2
    rest_s = span_ms / 1000 - float(known_s.sum())
    return life_left(values, weights, rest_s, lifetime.q10, lifetime.life_days, lifetime.reference_c)


def _with_ends(run: Run, at: IntArray, time_ms: IntArray) -> Run:
    """What the file begins or ends with and is unknown may have been beyond too."""
    before = int(at[0] - time_ms[0]) if run.start_ms == at[0] else 0
    after = int(time_ms[-1] - at[-1]) if run.last_ms == at[-1] else 0
    return replace(run, minutes_at_most=run.minutes_at_most + (before + after) / MINUTE_MS)


def usual_step(time_ms: IntArray) -> int:
    """The median step; a minute where there is none."""
    return int(np.median(np.diff(time_ms))) if time_ms.size > 1 else MINUTE_MS


def mean_c(time_ms: IntArray, value_c: FloatArray, interval_ms: int | None) -> float:
    """The mean of a column, as `judge` has it; at least one row has a reading."""
    known = ~np.isnan(value_c)
    interval = interval_ms or usual_step(time_ms)
    unknown = unknown_steps(time_ms[known], GAP_FACTOR * interval, time_ms[~known])
    weights = _weights(time_ms[known], unknown, interval)
    return float(np.average(value_c[known], weights=weights))


def perhaps_fahrenheit(value_c: FloatArray, limits: Sequence[Limit]) -> bool:
    """Whether readings whose unit nobody said are far too warm as °C, and within what the limits allow as °F."""
    known = value_c[~np.isnan(value_c)]
    if not known.size or not limits or float(np.percentile(known, 5)) < _FAHRENHEIT_FROM_C / 2:
        return False
    middle = float(np.median(known))
    converted = (middle - 32.0) / 1.8
    highest = min((limit.limit_c for limit in limits if limit.side == "above"), default=None)
    lowest = max((limit.limit_c for limit in limits if limit.side == "below"), default=None)
    fits = (highest is None or converted <= highest + _FAHRENHEIT_SLACK_C) and (
        lowest is None or converted >= lowest - _FAHRENHEIT_SLACK_C
    )
    return middle >= _FAHRENHEIT_FROM_C and fits and (highest is None or middle > highest)


def _everywhere(limit: Limit) -> Limit:
    """Whoever judges one logger by a limit holds that it speaks of where the logger was."""
    return replace(limit, stages=("cold",), positions=("in_box",))


def _means(
    at: IntArray, values: FloatArray, unknown: BoolArray, interval_ms: int, energy: float | None
) -> tuple[float | None, float | None]:
    if not at.size:
        return None, None
    weights = _weights(at, unknown, interval_ms)
    kinetic = mean_kinetic_temperature(values, weights, energy or ACTIVATION_ENERGY_KJ_PER_MOL)
    return float(np.average(values, weights=weights)), kinetic


def _weights(at: IntArray, unknown: BoolArray, interval_ms: int) -> FloatArray:
    """Each reading until the next one, or for an interval where that is unknown."""
    steps = np.diff(at)
    stands = np.where(unknown, np.minimum(steps, interval_ms), steps)
    return np.concatenate((stands, [interval_ms])).astype(np.float64)
