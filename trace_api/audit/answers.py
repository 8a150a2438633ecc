"""What a judged party may ask about a breach, and the field that answers.

Contract: each question has a line: held, not held, or not recorded; nothing is answered by silence, and what was not recorded
is said to speak against nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from ingest.admission import FLAG_SERVER_TIME
from trace_api.audit.picture import Picture
from trace_api.audit.reading import Dossier, HandOver
from trace_api.audit.sealing import covered
from trace_api.audit.telling import distance, said_celsius, stamp
from trace_api.words import Words

Standing = Literal["held", "not_held", "not_recorded"]


@dataclass(frozen=True, slots=True)
class Answer:
    question: str
    standing: Standing
    text: str


def calibration(found: Dossier, words: Words) -> tuple[Standing, str]:
    """On the day of the breach, in the place's zone."""
    day = found.breach.trigger_time.astimezone(ZoneInfo(found.breach.time_zone)).date()
    before = [each for each in found.calibrations if each.calibrated_on <= day]
    if not found.calibrations or not before:
        return "not_recorded", words("audit_calibration_none")
    last = before[-1]
    facts = {"certificate": last.certificate, "laboratory": last.laboratory, "on": last.calibrated_on}
    if last.counts_until is None:
        return "not_recorded", words("audit_calibration_undated", **facts)
    standing: Standing = "held" if last.counts_until >= day else "not_held"
    over = "" if standing == "held" else "_over"
    if last.due_on is None:
        return standing, words(f"audit_calibration_by_rule{over}", until=last.counts_until, **facts)
    return standing, words(f"audit_calibration{over or '_held'}", due=last.due_on, **facts)


def answers(found: Dossier, drawn: Picture, words: Words) -> Iterator[Answer]:
    breach = found.breach

    def answer(name: str, standing: Standing, **facts: object) -> Answer:
        return Answer(words(f"audit_ask_{name}"), standing, words(f"audit_answer_{name}_{standing}", **facts))

    standing, text = calibration(found, words)
    yield Answer(words("audit_ask_calibration"), standing, text)
    timed_by_us = sum(bool(reading.flags & FLAG_SERVER_TIME) for reading in found.readings)
    yield answer("clock", "not_held", count=timed_by_us) if timed_by_us else answer("clock", "not_recorded")
    conflicts = any(placed.conflict for placed in found.placed)
    yield (
        answer("position", "not_held")
        if conflicts
        else answer("position", "held" if found.placed else "not_recorded")
    )
    yield answer("identity", "held", giai=breach.giai)
    yield answer("independence", "not_recorded")
    silent = sum((b - a).total_seconds() / 60 for a, b in drawn.gaps)
    measured: Standing = "not_recorded" if not found.readings else "not_held" if drawn.gaps else "held"
    yield answer("interval", measured, interval=words.seconds(breach.interval_s),
                 count=len(drawn.gaps), minutes=words.minutes(silent))  # fmt: skip
    yield answer("rule", "held", id=breach.limit_id, version=breach.limit_version)
    agreed = [said_celsius(each.agreed, words) for each in found.hand_overs if each.agreed]
    yield (
        answer("agreed", "held", said=words("work_comma").join(dict.fromkeys(agreed)))
        if agreed
        else answer("agreed", "not_recorded")
    )
    entry = next((each for each in found.hand_overs if each.pulp_max is not None), None)
    if entry is None:
        yield answer("entry", "not_recorded")
    else:
        yield answer("entry", "held", lowest=words.celsius(entry.pulp_min), highest=words.celsius(entry.pulp_max),
                     when=stamp(entry.event_time, breach.time_zone))  # fmt: skip
    yield _seal(found.hand_overs, answer)
    yield answer("door", "not_recorded")
    yield answer("averaging", "held", count=len(found.readings))
    yield _sealing(found, answer)
    yield answer("told", "not_recorded")
    yield (
        answer("second", "held", count=len(found.beside))
        if found.beside
        else answer("second", "not_recorded")
    )
    near = [each for each in breach.concerns if each["basis"] == "vehicle"]
    yield (
        answer("gps", "held", km=distance(float(near[0]["distance_km"])))
        if near
        else answer("gps", "not_recorded")
    )


def _seal(hand_overs: Sequence[HandOver], answer: Callable[..., Answer]) -> Answer:
    seals = [str(seal) for each in hand_overs for seal in each.seals or ()]
    intact = [each.seal_intact for each in hand_overs if each.seal_intact is not None]
    if not seals and not intact:
        return answer("seal", "not_recorded")
    held = all(each == "true" for each in intact)
    return answer("seal", "held" if held else "not_held", seals=", ".join(dict.fromkeys(seals)) or "—")


def _sealing(found: Dossier, answer: Callable[..., Answer]) -> Answer:
    inside = [round(each.time.timestamp() * 1000) for each in found.readings if each.beyond]
    sealed = covered(found.windows, found.breach.series.bytes)
    done = sum(time_ms in sealed for time_ms in inside)
    if not done:
        return answer("edits", "not_recorded")
    return answer("edits", "held" if done == len(inside) else "not_held", sealed=done, count=len(inside))
