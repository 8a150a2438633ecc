"""What a sensor's payload says, before it is a reading: the form in which every decoder but SenML hands over.

In the line: bytes -> `cayenne`, `profile_reading`, `chirpstack` or `teltonika` -> `Sample` -> here -> `senml.Measured`.
Contract: each sample becomes one record of the pack, so that admission takes or refuses it and the account finds it
again; a message without any is refused as that. Three do not: one that says there is no value, one that the device's
profile lists under `ignore`, and an optional one whose channel is not registered. All three were somebody's word in a file
or a registration, never a default here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from ingest.wire.errors import WireError
from ingest.wire.senml import Measured

Registered = Mapping[str, str]
"""The device's registered channels, each with its quantity."""

TEXT = "text"
LATEST_MS = 2**40 * 1000  # beyond it no column of ours holds a time


@dataclass(frozen=True, slots=True)
class Sample:
    """`name`: the channel, or the source's own name where a profile renames it. `unit`: a SenML unit, None where the source
    has none. `time_ms`: the device's own time, UTC ms, None where the payload has none. One of `value`, `text`, `data` and
    `position` (latitude, longitude in degrees, WGS-84) is set. `optional`: wanted only where its channel is registered."""

    name: str
    unit: str | None = None
    value: float | None = None
    text: str | None = None
    data: bytes | None = None
    position: tuple[float, float] | None = None
    time_ms: int | None = None
    optional: bool = False


def measured(samples: Iterable[Sample], registered: Registered, time_ms: int) -> tuple[Measured, ...]:
    """`time_ms`: for samples without a time of their own. Raises WireError: impossible_time, of one that no clock shows;
    empty_pack, where nothing was measured."""
    records = tuple(
        Measured(
            sample.name,
            sample.unit,
            _time(sample, time_ms),
            sample.value,
            sample.text,
            sample.data,
            sample.position,
        )
        for sample in _positions(samples)
        if not sample.optional or sample.name in registered
    )
    if not records:
        raise WireError(
            "empty_pack", "nothing measured is in it: every value says that there is none, or it carries none"
        )
    return records


def _time(sample: Sample, time_ms: int) -> int:
    time_ms = time_ms if sample.time_ms is None else sample.time_ms
    if not abs(time_ms) < LATEST_MS:
        raise WireError(
            "impossible_time", f"the time of {sample.name} is {time_ms} ms since 1970; set the device's clock"
        )
    return time_ms


def _positions(samples: Iterable[Sample]) -> Iterator[Sample]:
    """A latitude and the longitude of the same time are one position: apart they name no place."""
    waiting: dict[int | None, Sample] = {}
    for sample in samples:
        if sample.unit not in ("lat", "lon") or sample.value is None:
            yield sample
            continue
        other = waiting.pop(sample.time_ms, None)
        if other is None or other.unit == sample.unit or other.value is None:
            if other is not None:
                yield other
            waiting[sample.time_ms] = sample
            continue
        latitude, longitude = (
            (sample.value, other.value) if sample.unit == "lat" else (other.value, sample.value)
        )
        yield Sample("position", "deg", position=(latitude, longitude), time_ms=sample.time_ms)
    yield from waiting.values()


def scaled(raw: int, scale: Fraction, offset: Fraction = Fraction(0)) -> float:
    """raw x scale + offset, exact and rounded once: 2781 hundredths are 27.81 and not 27.810000000000002."""
    shared = scale.denominator * offset.denominator
    exact = raw * scale.numerator * offset.denominator + offset.numerator * scale.denominator
    return exact / shared  # of two whole numbers: the nearest double
