"""`suyuan judge` in words: the table of the terminal, and what its picture and report say, in both languages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

from deploy.trace_command import padded

if TYPE_CHECKING:
    from deploy.judging import Answer, Judged, Language
    from ingest.coldchain.limits import Limit, Text

VERDICTS: Final = {
    "compliant": ("compliant", "符合"),
    "breach": ("breach", "超限"),
    "indeterminate": ("cannot tell", "无法判断"),
    "not_applicable": ("no limit applies", "没有适用的限值"),
}
CLOSED: Final = {
    "recovery": ("back within the limit", "温度恢复"),
    "sensor_silent": ("the sensor fell silent", "传感器静默"),
    "out_of_force": ("the limit no longer applied", "限值不再适用"),
    None: ("still beyond at the end", "文件结束时仍超限"),
}
WORDS: Final = {
    "title": ("Cold-chain judgement of a logger's export", "温度记录仪数据判定"),
    "readings": ("{n} readings, one every {every}; {start} to {end}", "{n} 个读数，每 {every}一个；{start} 至 {end}"),
    "observed": ("observed {observed}, not observed {unobserved}", "有记录 {observed}，无记录 {unobserved}"),
    "temperatures": (
        "lowest {low}, highest {high}, mean {mean}, mean kinetic temperature {kinetic}",
        "最低 {low}，最高 {high}，平均 {mean}，平均动力学温度 {kinetic}",
    ),
    "life": (
        "of a life of {life} days at {at} used {used}, left {left} days; not compared with its source ({source})",
        "在 {at} 下可存放 {life} 天，已用 {used} 天，剩余 {left} 天；未与原文核对（{source}）",
    ),
    "faults": ("in place of readings: {faults}", "读数处写着：{faults}"),
    "limit": ("limit", "限值"),
    "start": ("start", "开始"),
    "trigger": ("trigger", "触发"),
    "end": ("end", "结束"),
    "minutes": ("minutes", "分钟"),
    "extreme": ("extreme", "极值"),
    "closed": ("closed by", "结束缘由"),
    "none": ("No excursion reached its trigger.", "没有达到触发条件的超限。"),
    "unverified": ("limit {id}: not compared with its source ({source})", "限值 {id}：未与原文核对（{source}）"),
    "judged_by": ("judged by {by}", "判定依据：{by}"),
    "logger": ("the logger's own alarms", "记录仪自身的报警设置"),
    "above": ("above", "高于"),
    "below": ("below", "低于"),
    "time": ("Time, as the export has it", "时间（按文件所写）"),
    "temperature": ("Temperature, °C", "温度（°C）"),
    "no_reading": ("no reading", "无读数"),
    "page": ("page {page} of {pages}", "第 {page} 页，共 {pages} 页"),
    "file": ("File", "文件"),
    "sha256": ("SHA-256 of the file", "文件的 SHA-256"),
    "serial": ("Serial number", "序列号"),
    "notes": ("Notes", "说明"),
    "reasons": ("Reasons", "理由"),
    "excursions": ("Excursions that reached their trigger", "达到触发条件的超限"),
    "statement": (
        "This says what was measured and what was not, by the limits named. It does not say whether the goods are fit to eat.",
        "本报告只说明按所列限值测到了什么、没有测到什么，不说明货物能否食用。",
    ),
    "limits": ("Limits", "限值"),
    "and_more": ("and {n} more", "另有 {n} 条"),
}  # fmt: skip


def say(key: str, language: Language, **facts: object) -> str:
    return WORDS[key][language == "zh"].format(**facts)


def chosen(text: Text, language: Language) -> str:
    return text.zh if language == "zh" else text.en


def of_state(state: str, language: Language) -> str:
    return VERDICTS[state][language == "zh"]


def celsius(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} °C".replace("-0.0 ", "0.0 ").replace("-", "−")


def duration(minutes: float, language: Language) -> str:
    hours, rest = divmod(minutes, 60)
    left = f"{rest:.3g}" if rest % 1 else f"{rest:.0f}"
    if language == "zh":
        return f"{hours:.0f} 小时 {left} 分钟" if hours else f"{left} 分钟"
    return f"{hours:.0f} h {left} min" if hours else f"{left} min"


def described(limit: Limit, language: Language) -> str:
    """`> 8 °C for 30 min on end`."""
    hold = duration(limit.minutes, language)
    mode = {"consecutive": (" on end", "连续"), "cumulative": (" in all", "累计")}[limit.mode][
        language == "zh"
    ]
    return (
        f"{limit.operator} {limit.limit_c:g} °C {mode} {hold}"
        if language == "zh"
        else f"{limit.operator} {limit.limit_c:g} °C for {hold}{mode}"
    )


def judged_by(answer: Answer, language: Language) -> str:
    return say("judged_by", language, by=say("logger", language) if answer.by == "logger" else answer.by)


def facts(answer: Answer, judged: Judged, language: Language) -> Iterator[str]:
    """What was measured, a sentence each."""
    found, line = judged.found, answer.export.line
    every = duration(found.interval_ms / 60_000, language)
    first, last = judged.column.ends()
    ends = {"start": line.written(first).replace("T", " "), "end": line.written(last).replace("T", " ")}
    yield say("readings", language, n=f"{found.readings:,}", every=every, **ends)
    yield say(
        "observed",
        language,
        observed=duration(found.minutes_observed, language),
        unobserved=duration(found.minutes_unobserved, language),
    )
    yield say(
        "temperatures",
        language,
        low=celsius(found.min_c),
        high=celsius(found.max_c),
        mean=celsius(found.mean_c),
        kinetic=celsius(found.mean_kinetic_c),
    )
    life, lifetime = found.life, answer.rules.lifetime
    if life is not None and lifetime is not None:
        yield say(
            "life",
            language,
            life=_days(*lifetime.life_days),
            at=celsius(lifetime.reference_c),
            used=_days(life.used_at_least, life.used_at_most),
            left=_days(life.left_at_least, life.left_at_most),
            source=lifetime.source,
        )
    if judged.column.faults:
        told = ", ".join(f"{fault} × {count}" for fault, count in judged.column.faults.items())
        yield say("faults", language, faults=told)


def table(answer: Answer, judged: Judged, language: Language) -> list[tuple[str, ...]]:
    """A row per excursion, without a heading."""
    from ingest.exports.judged import written

    line = answer.export.line

    def moment(time_ms: int | None) -> str:
        text = written(line, time_ms)
        return "–" if text is None else text.replace("T", " ")

    return [
        (
            each.limit.id,
            moment(each.run.start_ms),
            moment(each.run.trigger_ms),
            moment(each.run.end_ms),
            _band(each.run.minutes_at_least, each.run.minutes_at_most),
            celsius(each.run.extreme_c),
            CLOSED[each.run.closed_by][language == "zh"],
        )
        for each in judged.found.excursions
    ]


def _days(at_least: float, at_most: float) -> str:
    low, high = f"{at_least:.1f}".removesuffix(".0"), f"{at_most:.1f}".removesuffix(".0")
    return low if low == high else f"{low}–{high}"


def _band(at_least: float, at_most: float) -> str:
    low, high = f"{np.floor(at_least):.0f}", f"{np.ceil(at_most):.0f}"
    return low if low == high else f"{low}–{high}"


def heading(language: Language) -> tuple[str, ...]:
    return tuple(
        say(key, language) for key in ("limit", "start", "trigger", "end", "minutes", "extreme", "closed")
    )


def lines(answer: Answer, language: Language) -> Iterator[str]:
    """The terminal's text."""
    yield f"{answer.name}: {of_state(answer.verdict, language)}  ({judged_by(answer, language)})"
    for judged in answer.columns:
        verdict = judged.found.verdict
        yield ""
        yield f"{judged.column.name}: {of_state(verdict.state, language)}"
        yield (
            f"  {chosen(verdict.headline, language)}. {chosen(verdict.detail, language)}"
            if language == "en"
            else (f"  {chosen(verdict.headline, language)}。{chosen(verdict.detail, language)}")
        )
        yield from (f"  {each}" for each in facts(answer, judged, language))
        for limit in answer.rules.limits:
            if not limit.verified:
                yield "  " + say("unverified", language, id=limit.id, source=limit.source)
        yield ""
        rows = table(answer, judged, language)
        if not rows:
            yield "  " + say("none", language)
            continue
        widths = [max(_cells(row[place]) for row in (heading(language), *rows)) for place in range(7)]
        for row in (heading(language), *rows):
            yield (
                "  "
                + "  ".join(padded(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()
            )


def _cells(text: str) -> int:
    from deploy.trace_command import cells

    return cells(text)
