"""The picture of `suyuan judge --plot`: readings, limits, what was beyond them, and what nobody measured.

Contract: a line ends where the logger had no reading; unknown time is hatched, not drawn through. Drawn by matplotlib (decision 51).
"""

from __future__ import annotations

import io
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Final

import matplotlib
import numpy as np
from matplotlib import dates, font_manager
from matplotlib.figure import Figure

from deploy.judge_words import described, of_state, say
from ingest.coldchain.excursions import unknown_steps
from ingest.coldchain.timeline import GAP_FACTOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from deploy.judging import Answer, Judged, Language
    from ingest.exports.exported import Floats, Line, Mask

FORMS: Final = ("png", "svg", "pdf")
_DAY_MS = 86_400_000
_LINE, _BEYOND, _LIMIT, _UNKNOWN = "#1d5fa8", "#b3261e", "#6b4b00", "#8a8f98"
_MOST_POINTS = 20_000


def picture(answer: Answer, form: str, language: Language) -> bytes:
    """One panel a column, one above the other."""
    with matplotlib.rc_context(
        {"font.family": [_font(), "sans-serif"], "svg.fonttype": "path", "axes.unicode_minus": True}
    ):
        count = len(answer.columns)
        figure = Figure(figsize=(10, 1.2 + 3.2 * count), dpi=130, layout="constrained")
        panels = figure.subplots(count, 1, squeeze=False, sharex=True)[:, 0]
        for axes, judged in zip(panels, answer.columns, strict=True):
            _draw(axes, answer, judged, language)
        panels[-1].set_xlabel(say("time", language))
        figure.suptitle(f"{answer.name}: {of_state(answer.verdict, language)}")
        made = io.BytesIO()
        figure.savefig(made, format=form, metadata={"Date": None} if form == "svg" else None)
        return made.getvalue()


def _font() -> str:
    """The papers' font, which has Chinese."""
    with as_file(files("pylopdf_fonts_zh_cn").joinpath("NotoSansSC-Regular.otf")) as path:
        font_manager.fontManager.addfont(path)
        return font_manager.FontProperties(fname=path).get_name()


def _draw(axes: Axes, answer: Answer, judged: Judged, language: Language) -> None:
    line, value = answer.export.line, judged.column.value_c
    known = ~np.isnan(value)
    at, values = line.time_ms[known], value[known]
    unknown = unknown_steps(
        at, GAP_FACTOR * judged.found.interval_ms, line.time_ms[~known & judged.column.rows]
    )
    moments = _moments(line, known)
    axes.plot(
        *_broken(moments, values, unknown),
        color=_LINE,
        linewidth=1.2,
        marker="." if at.size < 400 else "",
        markersize=4,
    )
    for threshold in sorted({limit.limit_c for limit in answer.rules.limits}):
        here = [limit for limit in answer.rules.limits if limit.limit_c == threshold]
        axes.axhline(threshold, color=_LIMIT, linewidth=0.9, linestyle="--")
        axes.annotate("; ".join(described(limit, language) for limit in here), (1, threshold), xycoords=("axes fraction", "data"), fontsize=7,
                      color=_LIMIT, ha="right", va="bottom" if here[0].side == "above" else "top")  # fmt: skip
    for each in judged.found.excursions:
        if each.limit.mode == "cumulative":  # its stretches are many and apart: when it was too much in all
            axes.axvline(
                *_moments(line, _place(line, [each.run.trigger_ms])).tolist(),
                color=_BEYOND,
                linewidth=0.9,
                linestyle=":",
            )
            continue
        end_ms = each.run.last_ms if each.run.end_ms is None else each.run.end_ms
        axes.axvspan(
            *_moments(line, _place(line, [each.run.start_ms, end_ms])).tolist(),
            color=_BEYOND,
            alpha=0.12,
            linewidth=0,
        )
    spans = _unknown_spans(line, known, unknown)
    for number, (start, end) in enumerate(spans):
        axes.axvspan(
            start,
            end,
            facecolor="none",
            edgecolor=_UNKNOWN,
            hatch="////",
            linewidth=0,
            label=say("no_reading", language) if not number else None,
        )
    if spans:
        axes.legend(loc="upper left", fontsize=8, frameon=False)
    axes.set_title(
        f"{judged.column.name}: {of_state(judged.found.verdict.state, language)}", loc="left", fontsize=10
    )
    axes.set_ylabel(say("temperature", language))
    locator = dates.AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.grid(visible=True, color="#e3e5e8", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _place(line: Line, time_ms: list[int]) -> np.ndarray:
    return np.searchsorted(line.time_ms, time_ms)


def _moments(line: Line, which: np.ndarray) -> Floats:
    """Days since 1970 on the clock that the export began with, which never goes back."""
    shown = line.time_ms[which] + (line.local_ms[0] - line.time_ms[0])
    days: Floats = shown / _DAY_MS
    return days


def _broken(moments: Floats, values: Floats, unknown: Mask) -> tuple[list[float], list[float]]:
    """With a break behind every reading after which it is unknown; thinned where there are more than a picture shows."""
    keep = np.ones(values.size, np.bool_)
    if values.size > _MOST_POINTS:
        keep = _extremes(values)
    x: list[float] = []
    y: list[float] = []
    for at in np.flatnonzero(keep).tolist():
        x.append(float(moments[at]))
        y.append(float(values[at]))
        if at < unknown.size and unknown[at]:
            x.append(float(moments[at]))
            y.append(float("nan"))
    return x, y


def _extremes(values: np.ndarray) -> np.ndarray:
    """Lowest and highest of each stretch: nothing that stood out is lost."""
    size = -(-values.size * 2 // _MOST_POINTS)
    keep = np.zeros(values.size, np.bool_)
    starts = np.arange(0, values.size, size)
    for start in starts.tolist():
        part = values[start : start + size]
        keep[[start + int(part.argmin()), start + int(part.argmax())]] = True
    keep[[0, -1]] = True
    return keep


def _unknown_spans(line: Line, known: np.ndarray, unknown: np.ndarray) -> list[tuple[float, float]]:
    places = np.flatnonzero(known)
    if not places.size:
        return [_span(line, 0, -1)]
    pairs = [(places[at], places[at + 1]) for at in np.flatnonzero(unknown).tolist()]
    if places[0] > 0:
        pairs.insert(0, (0, places[0]))
    if places[-1] < known.size - 1:
        pairs.append((places[-1], known.size - 1))
    return [_span(line, *pair) for pair in pairs]


def _span(line: Line, first: int, last: int) -> tuple[float, float]:
    start, end = _moments(line, np.array([first, last])).tolist()
    return start, end
