"""What is allowed in an event and seldom meant: advice, which refuses nothing.

Beside `rules` in the line: over events that passed them, one by one (`advice`) and over those of one document
together (`Together`), where business steps exclude each other. Contract: pure; a walk over any number of events
remembers at most MOST_REMEMBERED names of goods, and is linear in their number.

Sources: CBV 2.0 section 7.1 (business steps that exclude each other; `sensor_reporting` only where nothing else
happened; `sampling` takes what it samples), EPCIS 2.0 section 7.3.5.5, UNECE Recommendation 20.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ledger.epcis import vocabulary
from ledger.epcis.identifiers import canonical
from ledger.epcis.models import Event, SensorElement, SensorReport
from ledger.epcis.problems import Problem
from ledger.epcis.units import UNITS

MOST_REMEMBERED = 100_000
"""Names of goods that a walk remembers; the ones named longest ago are forgotten first."""
SAME_STEP = timedelta(hours=24)
"""Two steps of one and the same thing so near to each other are the same stage of its way, said twice."""


def advice(event: Event) -> Iterator[Problem]:
    """Warnings about one event."""
    step = vocabulary.biz_step(event.biz_step or "")
    written = event.event_time.utcoffset()
    if not event.event_time_text.endswith("Z") and written != _offset(event.event_time_zone_offset):
        yield _warning(
            "/eventTimeZoneOffset",
            f"got {event.event_time_zone_offset}, and the eventTime {event.event_time_text} is written in another; "
            "say where the event took place",
        )
    if step == "sampling" and getattr(event, "action", "") != "DELETE":
        remedy = "take out what was sampled by action DELETE, or say inspecting where the goods stay whole"
        yield _warning("/bizStep", f"got sampling, which uses up the sample; {remedy}")
    if step == "sensor_reporting" and not event.sensor_element_list:
        yield _warning("/bizStep", "got sensor_reporting without a sensorElementList; add what was measured")
    for place, element in enumerate(event.sensor_element_list):
        yield from _sensor_advice(f"/sensorElementList/{place}", element)


def _offset(text: str) -> timedelta:
    size = timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
    return -size if text[0] == "-" else size


def _warning(pointer: str, message: str) -> Problem:
    return Problem(pointer, message, "warning")


# --- sensors ------------------------------------------------------------------------------------------------


def _sensor_advice(pointer: str, element: SensorElement) -> Iterator[Problem]:
    meta = element.sensor_metadata
    begin, end = (meta.start_time, meta.end_time) if meta is not None else (None, None)
    if meta is not None and meta.time is not None and (begin or end):
        yield _warning(
            f"{pointer}/sensorMetadata/time",
            "stands beside startTime or endTime; give the moment of one measurement or the interval of several",
        )
    for place, report in enumerate(element.sensor_report):
        where = f"{pointer}/sensorReport/{place}"
        if report.time and ((begin and report.time < begin) or (end and report.time > end)):
            outside = "lies outside startTime to endTime of its sensorMetadata; correct the one or the other"
            yield _warning(f"{where}/time", outside)
        yield from _report_advice(where, report)


_MEASURED_IN = {
    "Temperature": "temperature", "Mass": "mass", "Speed": "speed", "Pressure": "pressure", "Length": "length",
    "Time": "time", "Illuminance": "illuminance", "Voltage": "voltage", "Frequency": "frequency",
}  # fmt: skip


def _report_advice(pointer: str, report: SensorReport) -> Iterator[Problem]:
    kind = vocabulary.measurement_type(report.type)
    wanted = _MEASURED_IN.get(kind)
    if kind != report.type and kind not in vocabulary.MEASUREMENT_TYPES:
        of = "is none of GS1's measurement types; want one of them, or a URI of your own vocabulary"
        yield _warning(f"{pointer}/type", f"got {report.type[:100]}, which {of}")
    unit = UNITS.get(report.uom or "")
    measured = any(
        value is not None for value in (report.value, report.min_value, report.max_value, report.mean_value)
    )
    if wanted and measured and report.uom is None:
        yield _warning(f"{pointer}/uom", f"is missing; say in which unit this {kind} is")
    if wanted and unit is not None and unit.quantity != wanted:
        yield _warning(f"{pointer}/uom", f"got {report.uom}, a unit of {unit.quantity}, want one of {wanted}")


# --- events together ----------------------------------------------------------------------------------------

# A step of the left and one of the right say the same: the left is the whole of which the right are parts.
_WHOLES = {"shipping": ("loading", "departing"), "receiving": ("arriving", "accepting")}
_EXCLUDES: dict[str, tuple[str, ...]] = _WHOLES | {
    part: (whole,) for whole, parts in _WHOLES.items() for part in parts
}
_TAKES = ("sampling", "destroying")
_WATCHED = frozenset({*_EXCLUDES, *_TAKES, "sensor_reporting"})


@dataclass(frozen=True)
class _Seen:
    """The last time that a step named a thing, and the number of that event."""

    step: str
    at: datetime
    number: int


@dataclass
class Together:
    """Warnings about events of one document, given in its order."""

    _seen: dict[str, list[_Seen]] = field(default_factory=dict)

    def add(self, event: Event, number: int) -> Iterator[Problem]:
        """`number`: of the event in the document, from 1, by which messages name it. Each pair of steps is told once
        an event."""
        if event.error_declaration is not None:
            return
        step, told = vocabulary.biz_step(event.biz_step or ""), set[str]()
        seen = _Seen(step, event.event_time, number)
        for name, is_class in _goods(event):
            before = self._seen.pop(name, [])
            for other in before:
                message = _clash(seen, other, is_class)
                if message and other.step not in told:
                    told.add(other.step)
                    yield _warning("/bizStep", message)
            # As the newest. Of each step the last is enough, since a document tells mostly in the order of time, and
            # of those that exclude none the last of all.
            kept = (other for other in before if other.step in _WATCHED and other.step != step)
            self._seen[name] = [*kept, seen]
        while len(self._seen) > MOST_REMEMBERED:
            del self._seen[next(iter(self._seen))]


def _goods(event: Event) -> Iterator[tuple[str, bool]]:
    """What an event is about, and whether that is a class, of which other pieces may be elsewhere."""
    names = {
        canonical(epc): False for attribute in event.identifier_lists for epc in getattr(event, attribute)
    }
    for attribute in event.quantity_lists:
        names |= {canonical(element.epc_class): True for element in getattr(event, attribute)}
    parent = getattr(event, "parent_id", None)
    yield from (names | ({canonical(parent): False} if parent else {})).items()


def _clash(new: _Seen, old: _Seen, is_class: bool) -> str | None:
    apart = abs(new.at - old.at)
    if old.step in _EXCLUDES.get(new.step, ()) and apart <= (timedelta(0) if is_class else SAME_STEP):
        whole = new.step if new.step in _WHOLES else old.step
        part = old.step if whole == new.step else new.step
        return (
            f"got {new.step}, and event {old.number} says {old.step} of the same goods; {whole} stands for the whole of "
            f"which {part} is a part: say one or the other"
        )
    if apart == timedelta(0) and new.step != old.step and "sensor_reporting" in (new.step, old.step):
        other = old.step if new.step == "sensor_reporting" else new.step
        if other:
            return (
                f"got {new.step}, and event {old.number} says {old.step} of the same goods at the same time; "
                f"sensor_reporting is for where nothing else happened: put the sensorElementList into the other event"
            )
    if old.step in _TAKES and not is_class and new.at > old.at:
        return f"got {new.step or 'an event'} of what event {old.number} used up by {old.step}; check which goods it was"
    return None
