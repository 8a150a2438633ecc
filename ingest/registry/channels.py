"""The channels of a device into `series`: quantity, canonical unit, how what is sent becomes it, what the sensor can measure.

In the line: `document` -> here -> `series`. Contract: a series that has readings keeps its unit and how they were made of what
was sent, so that the original of each can be had again; before its first reading all of it may be put right, and its bounds
always.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from ingest.registry.document import ChannelEntry, RegistryError
from ingest.registry.quantities import NUMBERLESS, QUANTITIES, canonical_line
from ledger.epcis.units import UnitError


@dataclass(frozen=True, slots=True)
class Line:
    """The columns of `series` that say how a sent value is stored; `original_unit` None: as it is sent."""

    quantity: str
    unit: str
    original_unit: str | None
    scale: float
    offset: float
    minimum: float | None
    maximum: float | None

    @property
    def stored_as(self) -> tuple[str, str, str | None, float, float]:
        return self.quantity, self.unit, self.original_unit, self.scale, self.offset


def joined(channels: tuple[ChannelEntry, ...]) -> tuple[ChannelEntry, ...]:
    """Latitude and longitude are one series, `position`, as the decoder joins them."""
    if not {"latitude", "longitude"} <= {channel.quantity for channel in channels}:
        return channels
    others = tuple(channel for channel in channels if channel.quantity not in ("latitude", "longitude"))
    return (*others, ChannelEntry(channel="position", quantity="position", unit="deg"))


def line_of(entry: ChannelEntry) -> Line:
    """How this channel is stored. Raises RegistryError: a unit of something else without a line, bounds that are none."""
    if entry.minimum is not None and entry.maximum is not None and entry.minimum > entry.maximum:
        raise RegistryError(
            f"channel {entry.channel}: minimum {entry.minimum} lies above maximum {entry.maximum}"
        )
    if entry.scale is None and entry.offset is None:
        return _by_unit(entry)
    scale = 1.0 if entry.scale is None else entry.scale
    if scale == 0 or entry.quantity in NUMBERLESS or entry.quantity == "boolean":
        raise RegistryError(
            f"channel {entry.channel}: scale {scale} for {entry.quantity}; a number times something other than 0 is stored"
        )
    known = QUANTITIES.get(entry.quantity)
    unit = known.unit if known is not None else entry.unit
    offset = 0.0 if entry.offset is None else entry.offset
    return Line(entry.quantity, unit, entry.unit, scale, offset, entry.minimum, entry.maximum)


def _by_unit(entry: ChannelEntry) -> Line:
    try:
        unit, factor, offset = canonical_line(entry.quantity, entry.unit)
    except UnitError as error:
        raise RegistryError(
            f"channel {entry.channel}: {error}; for a sensor's own scale (mV, counts) give scale and offset"
        ) from error
    sent = None if unit == entry.unit else entry.unit
    return Line(entry.quantity, unit, sent, float(factor), float(offset), entry.minimum, entry.maximum)


_INSERT = """
INSERT INTO series (organisation, device_id, channel, quantity, unit, original_unit, scale, "offset", minimum, maximum)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (device_id, channel) DO NOTHING
"""

_STANDING = """
SELECT id, quantity, unit, original_unit, scale, "offset", minimum, maximum FROM series WHERE device_id = %s AND channel = %s FOR UPDATE
"""

# In order, so that the index is read: for EXISTS alone the planner expects to meet a reading soon, and goes through all of
# them where there is none.
_HAS_READINGS = "SELECT time FROM reading_store WHERE series_id = %s ORDER BY time LIMIT 1"
_HAS_OBSERVATIONS = "SELECT time FROM observation WHERE series_id = %s ORDER BY time LIMIT 1"

_UPDATE = """
UPDATE series SET quantity = %s, unit = %s, original_unit = %s, scale = %s, "offset" = %s, minimum = %s, maximum = %s WHERE id = %s
"""


def load_channels(
    conn: psycopg.Connection, name: str, device: int, organisation: str, channels: tuple[ChannelEntry, ...]
) -> bool:
    """Whether a series is new or another quantity than it was. `name`: of the device, for what is said. Raises RegistryError."""
    changed = False
    for channel in joined(channels):
        try:
            wanted = line_of(channel)
        except RegistryError as error:
            raise RegistryError(f"device {name}, {error}") from error
        values = (*wanted.stored_as, wanted.minimum, wanted.maximum)
        if conn.execute(_INSERT, [organisation, device, channel.channel, *values]).rowcount:
            changed = True
        else:
            changed |= _follow(conn, f"{name}/{channel.channel}", device, channel, wanted)
    return changed


def has_readings(conn: psycopg.Connection, series: int) -> bool:
    return conn.execute(_HAS_READINGS, [series]).fetchone() is not None


def _holds_anything(conn: psycopg.Connection, series: int) -> bool:
    return has_readings(conn, series) or conn.execute(_HAS_OBSERVATIONS, [series]).fetchone() is not None


def _follow(conn: psycopg.Connection, name: str, device: int, entry: ChannelEntry, wanted: Line) -> bool:
    row = conn.execute(_STANDING, [device, entry.channel]).fetchone()
    assert row is not None
    standing = Line(*row[1:])
    holds = standing.stored_as != wanted.stored_as and _holds_anything(conn, row[0])
    # Registered before units were made one: what is stored is in the unit it was sent in, and stays so.
    as_before = standing.original_unit is None and (standing.quantity, standing.unit) == (
        entry.quantity,
        entry.unit,
    )
    keep = holds and as_before and entry.scale is None and entry.offset is None
    if holds and not keep:
        raise RegistryError(
            f"channel {name}: has readings, stored as {_said(standing)}, got {_said(wanted)}; what was sent could not be had"
            " again: register the channel under another name, or leave it as it is"
        )
    kept = standing if keep else wanted
    fresh = Line(*kept.stored_as, wanted.minimum, wanted.maximum)
    if fresh == standing:
        return False
    conn.execute(_UPDATE, [*fresh.stored_as, fresh.minimum, fresh.maximum, row[0]])
    return fresh.quantity != standing.quantity


def _said(line: Line) -> str:
    sent = (
        "" if line.original_unit is None else f" from {line.original_unit} x {line.scale:g} + {line.offset:g}"
    )
    return f"{line.quantity} in {line.unit}{sent}"
