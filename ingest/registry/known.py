"""What a worker holds in memory of the registry, so that admission asks no database per message.

Contract: what was committed to the registry is in force at the latest two seconds later; a device or channel that is not
known is asked for at once, so that one registered while ingest runs is known at its next message. Both ask for one number
(`registry_version`) and read everything only if it is another one, so strangers cannot make us read it time and again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import psycopg

from ingest.registry.quantities import QUANTITIES, Quantity

SCHEME = "suyuan"


@dataclass(frozen=True, slots=True)
class Series:
    """One channel of a device. stored = sent * `scale` + `offset`, in `unit`, the canonical one of `quantity`.

    `original_unit`: what the device sends, None where that is `unit`. `minimum`, `maximum`: what the sensor can measure, in
    `unit`; None: no bound. `ingest.registry.conversion` computes with them.
    """

    id: int
    channel: str
    quantity: str
    unit: str
    original_unit: str | None = None
    scale: float = 1.0
    offset: float = 0.0
    minimum: float | None = None
    maximum: float | None = None

    @property
    def sent_unit(self) -> str:
        return self.original_unit or self.unit

    @property
    def as_sent(self) -> bool:
        """Stored as it is sent: nothing is to be computed."""
        return self.scale == 1.0 and self.offset == 0.0


@dataclass(frozen=True, slots=True)
class Device:
    """`external_id`: its number in `scheme`. `profile`: how its payload is read, where it is no SenML."""

    id: int
    organisation: str
    external_id: str
    giai: str
    interval_s: int
    series: dict[str, Series] = field(default_factory=dict)
    scheme: str = SCHEME
    profile: str | None = None


_VERSION = "SELECT version FROM registry_version"

_DEVICES = """
SELECT device.id, device.organisation, device.external_id, device.giai, device.interval_s, device.scheme, device.profile,
       series.id, series.channel, series.quantity, series.unit, series.original_unit, series.scale, series."offset", series.minimum, series.maximum
FROM device LEFT JOIN series ON series.device_id = device.id
"""

_UNBOUNDED = Quantity("")


class Registry:
    """Devices by (scheme, external id) in memory. `monotonic`: seconds, for how often the database is asked for changes."""

    def __init__(self, monotonic: Callable[[], float], refresh_s: float = 2.0) -> None:
        self._monotonic = monotonic
        self._refresh_s = refresh_s
        self._asked_at: float | None = None
        self._version: int | None = None
        self._devices: dict[tuple[str, str], Device] = {}
        self._organisations: frozenset[str] = frozenset()

    def is_due(self) -> bool:
        """Whether it is time to ask for changes."""
        return self._asked_at is None or self._monotonic() - self._asked_at >= self._refresh_s

    def refresh(self, conn: psycopg.Connection) -> None:
        """Read again if anything was registered since the last reading."""
        self._asked_at = self._monotonic()
        if self._version is None or _version(conn) != self._version:
            self.read(conn)

    def read(self, conn: psycopg.Connection) -> None:
        version = _version(conn)  # before the rows: what changes between is read once more, not missed
        devices: dict[tuple[str, str], Device] = {}
        for row in conn.execute(_DEVICES):
            identity, organisation, external_id, giai, interval_s, scheme, profile = row[:7]
            device = devices.setdefault(
                (scheme, external_id),
                Device(identity, organisation, external_id, giai, interval_s, {}, scheme, profile),
            )
            if row[7] is not None:
                device.series[row[8]] = _series(Series(*row[7:]))
        self._devices = devices
        self._organisations = frozenset(name for (name,) in conn.execute("SELECT id FROM organisation"))
        self._version = version

    def device(self, external_id: str, scheme: str = SCHEME) -> Device | None:
        return self._devices.get((scheme, external_id))

    def knows_organisation(self, organisation: str) -> bool:
        return organisation in self._organisations


def _version(conn: psycopg.Connection) -> int:
    return max((int(version) for (version,) in conn.execute(_VERSION)), default=0)


def _series(row: Series) -> Series:
    """With the bounds of its quantity where the sensor has none of its own; they are in that quantity's unit."""
    bounds = QUANTITIES.get(row.quantity, _UNBOUNDED)
    if bounds.unit != row.unit:
        return row
    low = bounds.minimum if row.minimum is None else row.minimum
    high = bounds.maximum if row.maximum is None else row.maximum
    return row if (low, high) == (row.minimum, row.maximum) else replace(row, minimum=low, maximum=high)
