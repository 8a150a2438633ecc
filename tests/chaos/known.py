"""What is published: messages of which everything is known beforehand, by (device, boot, seq).

Contract: each message holds exactly one record, so that the account in records counts messages too; no two messages that
are to be stored share a series and a time. A device restarts once, in the middle: its count begins again under another boot.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

ORGANISATION = "coop"
STRANGER = "stranger"
LONGITUDE = 120.5
POSITION_EVERY = 8  # the others are temperatures

Fate = Literal["stored", "quarantined"]


@dataclass(frozen=True, slots=True)
class Known:
    """`time_s`, `value`: what the store must hold, None for what must lie in quarantine."""

    device: str
    boot: int
    seq: int
    payload: str
    fate: Fate = "stored"
    channel: str = "t"
    time_s: int | None = None
    value: float | None = None
    organisation: str = ORGANISATION

    @property
    def topic(self) -> str:
        return f"suyuan/v1/{self.organisation}/{self.device}/readings"

    @property
    def key(self) -> tuple[str, int]:
        return self.device, self.boot


def device_names(number: int) -> list[str]:
    return [f"logger-{index:03d}" for index in range(number)]


def registry(devices: int) -> str:
    """The registry document (docs/wire.md) of that many devices."""
    channels = [
        {"channel": "t", "quantity": "temperature", "unit": "Cel"},
        {"channel": "note", "quantity": "text", "unit": "/"},
        {"channel": "lat", "quantity": "latitude", "unit": "lat"},
        {"channel": "lon", "quantity": "longitude", "unit": "lon"},
    ]
    organisation = {
        "id": ORGANISATION,
        "name": {"zh": "合作社", "en": "Cooperative"},
        "party": "https://id.gs1.org/417/9521234002000",
        "kind": "packer",
    }
    return json.dumps(
        {
            "organisations": [organisation],
            "devices": [
                {
                    "id": name,
                    "organisation": ORGANISATION,
                    "giai": f"https://id.gs1.org/8004/95212340{name.upper()}",
                    "model": "T1",
                    "interval_s": 1,
                    "channels": channels,
                }
                for name in device_names(devices)
            ],
        }
    )


def messages(number: int, devices: int) -> list[Known]:
    """So many good messages, device after device in turn, each device's a second apart and all within the last day."""
    names = device_names(devices)
    each = -(-number // devices)
    start_s = int(time.time()) - each - 3600
    return [_good(names[index % devices], index // devices, each // 2, start_s) for index in range(number)]


def _good(device: str, ordinal: int, restart: int, start_s: int) -> Known:
    boot, seq = (7, ordinal + 1) if ordinal < restart else (8, ordinal - restart + 1)
    time_s, value = start_s + ordinal, (ordinal % 97) / 4
    if ordinal % POSITION_EVERY == POSITION_EVERY - 1:
        records = f'{{"n":"lat","u":"lat","t":{time_s},"v":{value}}},{{"n":"lon","u":"lon","t":{time_s},"v":{LONGITUDE}}}'
        return Known(device, boot, seq, pack(boot, seq, records), "stored", "position", time_s, value)
    return Known(device, boot, seq, pack(boot, seq, temperature(time_s, value)), "stored", "t", time_s, value)


def temperature(time_s: int, value: float, unit: str = "Cel") -> str:
    return f'{{"n":"t","u":"{unit}","t":{time_s},"v":{value}}}'


def pack(boot: int, seq: int, records: str) -> str:
    return (
        f'[{{"n":"boot","v":{boot}}},{{"n":"seq","v":{seq}}},{{"n":"sent","v":{time.time():.3f}}},{records}]'
    )


def poisons(good: Known, seq: int) -> Iterator[tuple[str, Known]]:
    """Each way in which a message of that device can be bad, with its name. `good`: a temperature that came before;
    `seq`: the first number that is free for them in its boot."""
    assert good.time_s is not None and good.value is not None
    after = good.time_s + 86_400 * 400  # free of any other reading, were it taken

    def bad(name: str, records: str, offset: int, **changes: Any) -> tuple[str, Known]:
        number = seq + offset
        payload = pack(good.boot, number, records)
        return name, Known(
            **{
                "device": good.device,
                "boot": good.boot,
                "seq": number,
                "payload": payload,
                "fate": "quarantined",
                **changes,
            }
        )

    name, cut = bad("cut off", temperature(after, 1), 0)
    yield name, Known(cut.device, cut.boot, cut.seq, cut.payload[:-9], "quarantined")
    name, broken = bad("no JSON", temperature(after, 1), 1)
    yield (
        name,
        Known(broken.device, broken.boot, broken.seq, broken.payload.replace('"u":', '"u"'), "quarantined"),
    )
    yield bad("wrong unit", temperature(after, 1, "%RH"), 2)
    yield bad("impossible time", temperature(after, 1), 3)
    yield bad("conflict", temperature(good.time_s, good.value + 0.5), 4)
    yield bad("unknown channel", f'{{"n":"humidity","u":"%RH","t":{good.time_s},"v":5}}', 5)
    # jsonb holds no NUL: what passes decoding is refused by the database itself.
    yield bad("refused by the database", f'{{"n":"note","t":{good.time_s},"vs":"a\\u0000b"}}', 6)
    yield bad("unknown device", temperature(good.time_s, 1), 7, device=STRANGER)
    yield bad("another's topic", temperature(good.time_s, 1), 8, organisation="rival")


POISONS = 9
