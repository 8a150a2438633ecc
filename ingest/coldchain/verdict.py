"""The verdict on a portion: compliant, breach, indeterminate or not applicable, and why.

In the line: exposure + limits + accuracy -> `decide` -> page, gate, audit, sealed entry. Contract:
- `breach` only if the time beyond, with the sensors' accuracy in the judged party's favour and every
  unknown minute left out, reaches the allowance. `compliant` only if the time beyond, with accuracy
  against and every unknown minute counted as out, stays under it. Anything else is `indeterminate`,
  and then the verdict names the cheapest way out of not knowing.
- What nobody measured is never compliant, however short it was.
- The words say what was measured. They promise nothing, and they never turn an agreed or recommended
  number into law.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from ingest.coldchain.excursions import MINUTE_MS
from ingest.coldchain.exposure import Disagreement, Exposure, LimitExposure
from ingest.coldchain.limits import ColdChainError, Force, Limit, Text
from ingest.coldchain.timeline import Band, Leg, band

VerdictState = Literal["compliant", "breach", "indeterminate", "not_applicable"]
ReasonCode = Literal[
    "no_limit",
    "over_limit",
    "within_limit",
    "exceedance",
    "unobserved",
    "never_measured",
    "near_limit",
    "near_allowance",
    "sensors_disagree",
    "limit_unverified",
    "upload_now",
    "measure_boxes",
]

ACCURACY_C: Final = 0.5
_WORST_FIRST: Final[tuple[VerdictState, ...]] = ("breach", "indeterminate", "compliant")
_NOUN: Final[Mapping[Force, Text]] = {
    "mandatory": Text("强制标准规定的温度", "mandatory temperature"),
    "local": Text("地方标准规定的温度", "locally required temperature"),
    "recommended": Text("推荐温度", "recommended temperature"),
    "agreed": Text("约定温度", "agreed temperature"),
    "internal": Text("企业自定温度", "company's own temperature"),
}


class VerdictError(ColdChainError):
    """The question makes no sense; the message says what to correct."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: a code for programs, a sentence for people, the numbers in it for both."""

    code: ReasonCode
    text: Text
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LimitVerdict:
    """The judgement by one limit as it stood. Minutes are in the limit's own mode."""

    limit: Limit
    state: VerdictState
    minutes_at_least: float
    minutes_at_most: float
    headline: Text
    reasons: tuple[Reason, ...]
    way_out: Reason | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The worst of all limits decides. `limit` is that one, None where no rule asks for cold.

    `way_out` is what would settle an indeterminate verdict most cheaply.
    """

    state: VerdictState
    headline: Text
    detail: Text
    reasons: tuple[Reason, ...]
    way_out: Reason | None
    minutes_at_least: float
    minutes_at_most: float
    limit: Limit | None
    by_limit: tuple[LimitVerdict, ...]


def decide(exposure: Exposure, limits: Sequence[Limit], accuracy_c: float = ACCURACY_C) -> Verdict:
    """The verdict on a portion's exposure.

    `limits`: the rules to judge by; one that was in force in no leg is passed over. `accuracy_c`:
    °C, for sensors that state no accuracy of their own. Raises VerdictError.
    """
    if not accuracy_c >= 0:
        raise VerdictError(f"accuracy is 0 °C or more, got {accuracy_c}")
    legs = [leg.leg for leg in exposure.legs]
    judged = [
        _judge(exposure, legs, found, accuracy_c)
        for found in exposure.limits
        if any(limit.key == found.limit.key for limit in limits)
    ]
    if not judged:
        return _not_applicable()
    judged.sort(key=lambda one: (_WORST_FIRST.index(one.state), -_share(one), one.limit.key))
    worst = judged[0]
    reasons = (*worst.reasons, *(_disagreement(found) for found in exposure.disagreements))
    return Verdict(
        state=worst.state,
        headline=worst.headline,
        detail=_detail(exposure, worst),
        reasons=reasons,
        way_out=worst.way_out,
        minutes_at_least=worst.minutes_at_least,
        minutes_at_most=worst.minutes_at_most,
        limit=worst.limit,
        by_limit=tuple(judged),
    )


def _judge(exposure: Exposure, legs: Sequence[Leg], found: LimitExposure, accuracy_c: float) -> LimitVerdict:
    limit = found.limit
    judged = band(legs, limit, accuracy_c, exposure.gap_factor)
    plain = band(legs, limit, None, exposure.gap_factor)
    state = _state(limit, judged)
    way_out = _way_out(limit, judged) if state == "indeterminate" else None
    return LimitVerdict(
        limit=limit,
        state=state,
        minutes_at_least=judged.at_least_ms / MINUTE_MS,
        minutes_at_most=judged.at_most_ms / MINUTE_MS,
        headline=_headline(state, limit, passed=plain.surely_out),
        reasons=tuple(_reasons(state, found, judged, plain)),
        way_out=way_out,
    )


def _state(limit: Limit, judged: Band) -> VerdictState:
    # With a hold of 0 one reading is enough although it lasts no time, hence the two flags.
    if judged.surely_out and judged.at_least_ms >= limit.hold_ms:
        return "breach"
    under = judged.at_most_ms < limit.hold_ms or (judged.at_most_ms == 0 and not judged.maybe_out)
    return "compliant" if judged.measured and under else "indeterminate"


def _share(one: LimitVerdict) -> float:
    """How much of its allowance a limit has used, so that of two breaches the graver one is told first."""
    return one.minutes_at_most / one.limit.minutes if one.limit.minutes else one.minutes_at_most


# --- reasons ----------------------------------------------------------------------------------------


def _reasons(state: VerdictState, found: LimitExposure, judged: Band, plain: Band) -> list[Reason]:
    """`plain` is the band with every reading taken at its word: what it settles, accuracy does not hide."""
    limit, reasons = found.limit, list[Reason]()
    if state == "breach":
        reasons.append(_over(limit, judged))
    elif plain.surely_out:
        reasons.append(_exceedance(limit, found, judged))
    elif state == "compliant":
        reasons.append(_within(limit))
    if not judged.measured:
        reasons.append(_never_measured(limit))
    elif judged.unknown_ms:
        reasons.append(_unobserved(judged))
    if state == "indeterminate" and judged.maybe_out and judged.at_most_if_filled_ms >= limit.hold_ms:
        about = plain.at_least_ms < limit.hold_ms <= plain.at_most_if_filled_ms
        reasons.append(_near_allowance(limit) if about else _near_limit(limit))
    if not limit.verified:
        reasons.append(_unverified())
    return reasons


def _over(limit: Limit, judged: Band) -> Reason:
    took = _duration(judged.at_least_ms)
    beyond = _beyond(limit)
    if limit.minutes == 0:
        text = Text(f"测得温度{beyond.zh}", f"The temperature measured was {beyond.en}")
    elif limit.mode == "consecutive":
        text = Text(
            f"测得至少连续{took.zh}{beyond.zh}，允许的时长不到{_hold(limit).zh}",
            f"Measured {beyond.en} for at least {took.en} on end; less than {_hold(limit).en} is allowed",
        )
    else:
        text = Text(
            f"测得累计至少{took.zh}{beyond.zh}，允许的时长不到{_hold(limit).zh}",
            f"Measured {beyond.en} for at least {took.en} in all; less than {_hold(limit).en} is allowed",
        )
    numbers = {
        "minutes_at_least": judged.at_least_ms / MINUTE_MS,
        "minutes_allowed": limit.minutes,
        "limit_c": limit.limit_c,
    }
    return Reason("over_limit", text, numbers)


def _exceedance(limit: Limit, found: LimitExposure, judged: Band) -> Reason:
    took, beyond = _duration(round(found.minutes_out_at_most * MINUTE_MS), up=True), _beyond(limit)
    if found.minutes_out_at_most > 0:
        text = Text(
            f"测得的时段内{beyond.zh} 的时间合计不超过{took.zh}",
            f"In the time measured it was {beyond.en} for no more than {took.en} in all",
        )
    else:  # a lone reading between two gaps: beyond, but for no measured time
        text = Text(f"有读数{beyond.zh}，但前后没有测到", f"A reading was {beyond.en}, with none around it")
    numbers = {
        "minutes_at_least": judged.at_least_ms / MINUTE_MS,
        "minutes_out_at_most": found.minutes_out_at_most,
        "minutes_allowed": limit.minutes,
        "limit_c": limit.limit_c,
    }
    return Reason("exceedance", text, numbers)


def _within(limit: Limit) -> Reason:
    beyond = _beyond(limit)
    text = Text(f"测得的读数没有{beyond.zh} 的", f"No reading was {beyond.en}")
    return Reason("within_limit", text, {"limit_c": limit.limit_c})


def _unobserved(judged: Band) -> Reason:
    total, longest = _duration(judged.unknown_ms, up=True), _duration(judged.longest_unknown_ms, up=True)
    text = Text(
        f"共有{total.zh}没有测到温度，最长一段{longest.zh}",
        f"Nothing was measured for {total.en} in all, {longest.en} at the longest",
    )
    numbers = {
        "minutes_unobserved": judged.unknown_ms / MINUTE_MS,
        "minutes_longest_gap": judged.longest_unknown_ms / MINUTE_MS,
    }
    return Reason("unobserved", text, numbers)


def _never_measured(limit: Limit) -> Reason:
    text = Text(
        "需要低温的时段内没有任何温度记录",
        "There is no temperature record of the time for which this limit holds",
    )
    return Reason("never_measured", text, {"limit_c": limit.limit_c})


def _near_limit(limit: Limit) -> Reason:
    text = Text(
        f"读数与 {limit.limit_c:g} °C 太接近，传感器的误差使人无法分辨",
        f"Readings are too close to {limit.limit_c:g} °C for the sensors' accuracy to tell",
    )
    return Reason("near_limit", text, {"limit_c": limit.limit_c})


def _near_allowance(limit: Limit) -> Reason:
    text = Text(
        f"{_beyond(limit).zh} 的时长接近允许的{_hold(limit).zh}，记录间隔使人无法分辨",
        f"It was {_beyond(limit).en} for about the {_hold(limit).en} allowed; the interval between readings "
        "is too long to tell",
    )
    return Reason("near_allowance", text, {"limit_c": limit.limit_c, "minutes_allowed": limit.minutes})


def _disagreement(found: Disagreement) -> Reason:
    took = _duration(round(found.minutes * MINUTE_MS))
    text = Text(
        f"同一位置的两个传感器相差最多 {found.largest_c:.1f} °C，持续{took.zh}，各自单独判断",
        f"Two sensors at one position differed by up to {found.largest_c:.1f} °C for {took.en}; "
        "each was judged alone",
    )
    return Reason("sensors_disagree", text, {"minutes": found.minutes, "largest_c": found.largest_c})


def _unverified() -> Reason:
    text = Text(
        "这一限值尚未与原文核对",
        "This limit has not yet been compared with its source",
    )
    return Reason("limit_unverified", text)


# --- the cheapest way out ---------------------------------------------------------------------------


def _way_out(limit: Limit, judged: Band) -> Reason:
    """An upload costs nothing, so it comes first where what devices may still hold could settle it."""
    if judged.measured and judged.at_most_if_uploaded_ms < limit.hold_ms:
        return Reason("upload_now", Text("请让记录仪现在上传数据", "Ask the logger to upload now"))
    return Reason(
        "measure_boxes",
        Text("请现场测量三箱的果肉温度", "Measure the pulp temperature of three boxes now"),
        {"boxes": 3},
    )


# --- words ------------------------------------------------------------------------------------------


def _headline(state: VerdictState, limit: Limit, passed: bool) -> Text:
    noun = _NOUN[limit.force]
    verb, en = ("超过", "above") if limit.side == "above" else ("低于", "below")
    if state == "breach" and limit.minutes == 0:
        return Text(f"测得的温度{verb}{noun.zh}", f"Measured {en} the {noun.en}")
    if state == "breach":
        return Text(f"测得的温度{verb}{noun.zh}，时间过长", f"Measured {en} the {noun.en} for too long")
    if state == "indeterminate":
        return Text(
            f"现有记录还不能判断是否{verb}{noun.zh}",
            f"The record cannot tell whether it was {en} the {noun.en}",
        )
    if passed:
        return Text(
            f"测得的时段内曾短时{verb}{noun.zh}，在允许的时长内",
            f"Briefly {en} the {noun.en} in the time measured, for less than is allowed",
        )
    return Text(f"测得的时段内未{verb}{noun.zh}", f"Not {en} the {noun.en} in the time measured")


def _detail(exposure: Exposure, worst: LimitVerdict) -> Text:
    found = next(one for one in exposure.limits if one.limit.key == worst.limit.key)
    whole, seen = (
        _duration(round(found.minutes * MINUTE_MS)),
        _duration(round(found.minutes_measured * MINUTE_MS)),
    )
    wording = worst.limit.wording
    zh, en = (
        [f"依据：{wording.zh}", f"需要低温的{whole.zh}中测到{seen.zh}"],
        [
            f"By {wording.en}",
            f"measured {seen.en} of the {whole.en} for which it holds",
        ],
    )
    if found.minutes_unobserved > 0:
        zh.append("没有测到的时段不作判断")
        en.append("what was not measured is not judged")
    if worst.way_out is not None:
        zh.append(worst.way_out.text.zh)
        en.append(worst.way_out.text.en[0].lower() + worst.way_out.text.en[1:])
    return Text("，".join(zh) + "。", "; ".join(en) + ".")


def _not_applicable() -> Verdict:
    reason = Reason(
        "no_limit",
        Text("没有适用于这批货的温度要求", "No temperature requirement applies to these goods"),
    )
    headline = Text("没有适用的温度要求", "No temperature requirement applies")
    detail = Text("这不表示温度好或不好。", "This does not say that the temperature was good or bad.")
    return Verdict("not_applicable", headline, detail, (reason,), None, 0.0, 0.0, None, ())


def _beyond(limit: Limit) -> Text:
    words = {
        ">": Text("高于", "above"),
        ">=": Text("达到或高于", "at or above"),
        "<": Text("低于", "below"),
        "<=": Text("达到或低于", "at or below"),
    }[limit.operator]
    return Text(f"{words.zh} {limit.limit_c:g} °C", f"{words.en} {limit.limit_c:g} °C")


def _hold(limit: Limit) -> Text:
    return _duration(limit.hold_ms)


def _duration(ms: int, up: bool = False) -> Text:
    """Whole minutes in words; rounded down, or up where the number is an upper bound."""
    minutes = -(-ms // MINUTE_MS) if up else ms // MINUTE_MS
    hours, rest = divmod(minutes, 60)
    if not hours:
        return Text(f" {rest} 分钟", f"{rest} min")
    if not rest:
        return Text(f" {hours} 小时", f"{hours} h")
    return Text(f" {hours} 小时 {rest} 分钟", f"{hours} h {rest} min")
