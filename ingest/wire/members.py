"""Named numbers of a source (a decoded object, CayenneLPP) into samples, by what the device's profile says of the names.

Contract: every name is a sample, except those that the profile ignores and those whose value the source or the profile
says is none. Sources return some numbers as strings; those are numbers here, unless their channel is registered as a text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

from ingest.wire.errors import WireError
from ingest.wire.profile import Member, Members
from ingest.wire.samples import TEXT, Registered, Sample

_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_DEGREES = {"latitude": "lat", "longitude": "lon"}
OPTIONAL = frozenset({"battery"})
"""Wanted only where registered, as the radio's own numbers: what a decoder says of the device and not of its surroundings."""


def of_object(members: Iterable[tuple[str, Any]], registered: Registered) -> Iterator[Sample]:
    """`registered`: a channel of texts keeps a number that came as a string as the text it is."""
    for name, value in members:
        unit = _DEGREES.get(name.rpartition(".")[2])
        number = None if registered.get(name) == TEXT else _number(name, value)
        if number is not None:
            yield Sample(name, unit, number, optional=name in OPTIONAL)
        elif isinstance(value, str):
            yield Sample(name, text=value, optional=name in OPTIONAL)


def _number(name: str, value: Any) -> float | None:
    if isinstance(value, str):
        value = value.strip()
        return float(value) if _NUMBER.fullmatch(value) else None
    if isinstance(value, bool | int | float):
        try:
            return float(value) + 0.0
        except OverflowError as error:
            raise WireError("not_a_number", f"{name[:100]} is a number beyond what a double holds") from error
    return None


def by(samples: Iterable[Sample], known: Members | None) -> Iterator[Sample]:
    """Renamed, scaled and left out as `known` says."""
    if known is None:
        yield from samples
        return
    for sample in samples:
        if sample.name in known.ignored:
            continue
        member = known.by_name.get(sample.name)
        if member is None:
            yield sample
        elif (meant := _meant(member, sample)) is not None:
            yield meant


def _meant(member: Member, sample: Sample) -> Sample | None:
    value = sample.value
    if value is None:
        return replace(sample, name=member.channel, unit=member.unit, optional=member.optional)
    if value in member.none:
        return None
    if member.words:
        key = str(int(value)) if value.is_integer() else repr(value)
        return replace(
            sample,
            name=member.channel,
            unit=None,
            value=None,
            text=member.words.get(key, key),
            optional=member.optional,
        )
    if math.isfinite(value):
        scale, offset = member.line
        value = _rounded(Fraction(repr(value)) * scale + offset)
    return replace(sample, name=member.channel, unit=member.unit, value=value, optional=member.optional)


def _rounded(exact: Fraction) -> float:
    try:
        return float(exact)
    except OverflowError:
        return math.copysign(math.inf, exact)
