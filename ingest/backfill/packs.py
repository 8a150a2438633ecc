"""Files of SenML, one pack a line, as they would have come by MQTT: what a gateway spooled, or what `mosquitto_sub -v` wrote.

Contract: a line is `topic pack`, or a pack alone whose device is given or stands in its base name (`"bn": "truck-1/"`). Packs go
the plain way of messages, with their numbers, and what is refused of them lies in quarantine; but `sent` says nothing of the
device's clock, since our own time of receipt is that of the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

from ingest.admission import FLAG_SERVER_TIME
from ingest.backfill.cells import find_device
from ingest.backfill.frames import Fault, Form
from ingest.intake import NONE, Intake, intake
from ingest.message import Message
from ingest.pipeline import Line
from ingest.registry import Registry
from ingest.replay import EVER
from ingest.wire.errors import WireError
from ingest.wire.topics import ROOT, readings_topic

LINES = 2_000
BATCH_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Packs:
    """Some lines. `line`: of each message; `through`: lines that are done with these."""

    messages: list[Message]
    line: list[int]
    through: int
    faults: list[Fault]
    position: int


def is_senml(begun: bytes) -> bool:
    return begun.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"[" or begun.startswith(ROOT.encode())


def read(path: Path, form: Form, registry: Registry, done: int) -> Iterator[Packs]:
    with path.open("rb") as file:
        for _ in islice(file, done):
            pass
        while True:
            packs = Packs([], [], done, [], 0)
            size = 0
            for text in islice(file, LINES):
                done += 1
                size += len(text)
                _take(text.strip(b"\xef\xbb\xbf \t\r\n"), done, form, registry, packs)
                if size >= BATCH_BYTES:
                    break
            if not size:
                return
            yield Packs(packs.messages, packs.line, done, packs.faults, file.tell())


def _take(text: bytes, number: int, form: Form, registry: Registry, packs: Packs) -> None:
    if not text:
        return
    topic, payload = b"", text
    if not text.startswith(b"["):
        topic, _, payload = text.partition(b" ")
    try:
        if not topic:
            device = find_device(registry, form.device or _base_name(payload), form)
            topic = readings_topic(device.organisation, device.external_id).encode()
    except WireError as error:
        packs.faults.append(Fault(number, "", error.reason, error.detail))
        return
    packs.messages.append(Message(topic, payload, redelivered=False))
    packs.line.append(number)


def _base_name(payload: bytes) -> str:
    try:
        name = json.loads(payload)[0]["bn"]
        return str(name).rstrip("/:")
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise WireError(
            "unknown_device", "the line is no pack with a base name (bn) that is its device: say --device"
        ) from error


_TIMELESS = "its times are relative to its receipt, and it has no `sent`: of when it is, nobody knows"


def gather(packs: Packs, line: Line, now: datetime) -> Intake:
    """The messages of `packs`. One whose times rest on the moment at which it is received becomes a fault of it in place of a
    message: a file has no such moment."""
    batch = intake(packs.messages, line.registry, line.profiles, EVER, now)
    columns = batch.readings()
    timeless = set(columns.message[columns.flags & FLAG_SERVER_TIME > 0].tolist())
    timeless |= {item.message for item in batch.observations if item.flags & FLAG_SERVER_TIME}
    if timeless:
        packs.faults.extend(Fault(packs.line[at], "", "malformed_time", _TIMELESS) for at in sorted(timeless))
        kept = [at for at in range(len(packs.messages)) if at not in timeless]
        packs.messages[:] = [packs.messages[at] for at in kept]
        packs.line[:] = [packs.line[at] for at in kept]
        return gather(packs, line, now)
    batch.sent_ms = [NONE] * len(batch.messages)
    return batch
