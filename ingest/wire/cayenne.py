"""CayenneLPP, the low-power payload of many LoRaWAN sensors: channel, type, value, and again.

Contract: `decode` of any bytes gives samples or raises `WireError`, in time and memory linear in the payload. Names are
`{type}_{channel}` (`temperature_3`), those of a vector `accelerometer_6.x`; a GPS record is the channel `position`.
Sources: the Cayenne LPP documentation for the core types; the extended ones and their signs as the ElectronicCats and
pycayennelpp libraries have them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ingest.wire.errors import WireError
from ingest.wire.samples import Sample, scaled

MAX_BYTES = 4_096  # a LoRaWAN frame has 242; over MQTT a gateway may join a few


@dataclass(frozen=True, slots=True)
class _Type:
    """`size`: bytes of each part. `parts`: suffixes of the names, "" for a plain value."""

    name: str
    size: int
    scale: Fraction = Fraction(1)
    unit: str | None = None
    signed: bool = False
    parts: tuple[str, ...] = ("",)


_XYZ = (".x", ".y", ".z")
_G = Fraction("9.80665")  # m/s2, standard gravity
_TYPES: dict[int, _Type] = {
    0: _Type("digital_input", 1),
    1: _Type("digital_output", 1),
    2: _Type("analog_input", 2, Fraction("0.01"), signed=True),
    3: _Type("analog_output", 2, Fraction("0.01"), signed=True),
    100: _Type("generic", 4),
    101: _Type("illuminance", 2, unit="lx"),
    102: _Type("presence", 1),
    103: _Type("temperature", 2, Fraction("0.1"), "Cel", signed=True),
    104: _Type("humidity", 1, Fraction("0.5"), "%RH"),
    113: _Type("accelerometer", 2, Fraction("0.001") * _G, "m/s2", signed=True, parts=_XYZ),
    115: _Type("barometer", 2, Fraction("0.1"), "hPa"),
    116: _Type("voltage", 2, Fraction("0.01"), "V"),
    117: _Type("current", 2, Fraction("0.001"), "A"),
    118: _Type("frequency", 4, unit="Hz"),
    120: _Type("percentage", 1, unit="%"),
    121: _Type("altitude", 2, unit="m", signed=True),
    122: _Type("load", 3, Fraction("0.001"), "kg", signed=True),
    125: _Type("concentration", 2, unit="ppm"),
    128: _Type("power", 2, unit="W"),
    130: _Type("distance", 4, Fraction("0.001"), "m"),
    131: _Type("energy", 4, Fraction("0.001"), "kWh"),
    132: _Type("direction", 2, unit="deg"),
    # SenML has no unit of angular velocity; "deg/s" is ours.
    134: _Type("gyrometer", 2, Fraction("0.01"), "deg/s", signed=True, parts=_XYZ),
    135: _Type("colour", 1, parts=(".r", ".g", ".b")),
    142: _Type("switch", 1),
}
_UNIX_TIME, _GPS = 133, 136
_DEGREES, _CENTIMETRES = Fraction("0.0001"), Fraction("0.01")


def decode(payload: bytes) -> list[Sample]:
    """All samples of a frame; a time in it (type 133) is the time of each. Raises WireError."""
    if len(payload) > MAX_BYTES:
        raise WireError("too_large", f"got {len(payload)} bytes, a CayenneLPP frame has at most {MAX_BYTES}")
    samples: list[Sample] = []
    times: list[int] = []
    at = 0
    while at < len(payload):
        channel, kind = payload[at], payload[at + 1] if at + 1 < len(payload) else None
        size = _size(kind, channel)
        value = payload[at + 2 : at + 2 + size]
        if kind is None or len(value) < size:
            raise WireError("truncated", f"the frame ends in the middle of channel {channel}")
        if kind == _UNIX_TIME:
            times.append(int.from_bytes(value) * 1000)
        elif kind == _GPS:
            samples += _gps(channel, value)
        else:
            samples += _plain(_TYPES[kind], channel, value)
        at += 2 + size
    if len(times) > 1:
        raise WireError("malformed_payload", "the frame has more than one time; send one a frame")
    return [_at(sample, times[0]) for sample in samples] if times else samples


def _size(kind: int | None, channel: int) -> int:
    if kind is None or kind == _UNIX_TIME:
        return 4
    if kind == _GPS:
        return 9
    if kind not in _TYPES:
        raise WireError(
            "malformed_payload", f"channel {channel} has the type {kind}, which CayenneLPP has not"
        )
    return _TYPES[kind].size * len(_TYPES[kind].parts)


def _plain(kind: _Type, channel: int, value: bytes) -> list[Sample]:
    samples = []
    for place, part in enumerate(kind.parts):
        raw = value[place * kind.size : (place + 1) * kind.size]
        number = scaled(int.from_bytes(raw, signed=kind.signed), kind.scale)
        samples.append(Sample(f"{kind.name}_{channel}{part}", kind.unit, number))
    return samples


def _gps(channel: int, value: bytes) -> list[Sample]:
    latitude, longitude, altitude = (int.from_bytes(value[at : at + 3], signed=True) for at in (0, 3, 6))
    return [
        Sample("position", "deg", position=(scaled(latitude, _DEGREES), scaled(longitude, _DEGREES))),
        Sample(f"gps_altitude_{channel}", "m", scaled(altitude, _CENTIMETRES), optional=True),
    ]


def _at(sample: Sample, time_ms: int) -> Sample:
    return Sample(
        sample.name,
        sample.unit,
        sample.value,
        position=sample.position,
        time_ms=time_ms,
        optional=sample.optional,
    )
