"""What a worker holds in memory of the registry, so that admission asks no database per message.

Read once, read again when a device is unknown (at most every few seconds, so that strangers cannot make us ask the
database per message), so that a device registered while ingest runs is known at its next message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import psycopg

SCHEME = "suyuan"


@dataclass(frozen=True, slots=True)
class Series:
    id: int
    channel: str
    quantity: str
    unit: str


@dataclass(frozen=True, slots=True)
class Device:
    id: int
    organisation: str
    external_id: str
    giai: str
    interval_s: int
    series: dict[str, Series] = field(default_factory=dict)


_DEVICES = """
SELECT device.id, device.organisation, device.external_id, device.giai, device.interval_s,
       series.id, series.channel, series.quantity, series.unit
FROM device LEFT JOIN series ON series.device_id = device.id
WHERE device.scheme = %s
"""


class Registry:
    """Devices by (scheme, external id) in memory. `monotonic`: seconds, for how often it may be read again."""

    def __init__(self, monotonic: Callable[[], float], refresh_s: float = 2.0) -> None:
        self._monotonic = monotonic
        self._refresh_s = refresh_s
        self._read_at: float | None = None
        self._devices: dict[str, Device] = {}
        self._organisations: frozenset[str] = frozenset()

    def refresh_for(self, conn: psycopg.Connection, wanted: Iterable[tuple[str, str | None]]) -> None:
        """Read again if a (device, channel) of `wanted` is unknown and the last reading is old enough."""
        if all(self._knows(external_id, channel) for external_id, channel in wanted):
            return
        if self._read_at is None or self._monotonic() - self._read_at >= self._refresh_s:
            self.read(conn)

    def _knows(self, external_id: str, channel: str | None) -> bool:
        device = self._devices.get(external_id)
        return device is not None and (channel is None or channel in device.series)

    def read(self, conn: psycopg.Connection) -> None:
        devices: dict[str, Device] = {}
        for row in conn.execute(_DEVICES, [SCHEME]):
            device = devices.setdefault(row[2], Device(*row[:5]))
            if row[5] is not None:
                device.series[row[6]] = Series(*row[5:])
        self._devices = devices
        self._organisations = frozenset(name for (name,) in conn.execute("SELECT id FROM organisation"))
        self._read_at = self._monotonic()

    def device(self, external_id: str) -> Device | None:
        return self._devices.get(external_id)

    def knows_organisation(self, organisation: str) -> bool:
        return organisation in self._organisations
