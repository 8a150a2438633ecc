"""Where a device is put, as its owner says it outside of MQTT: a form or a sheet -> AssociationEvents -> the ledger.

Contract: a placement is nothing but what its events come to (`ingest.projection.devices`). Said again, in the same words, it is
recorded once: its events have ids made of what they say.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from ingest.admission import check_event_times
from ingest.registry.document import RegistryError
from ingest.wire.errors import WireError
from ledger.epcis.events import EventError, parse_event
from ledger.persons import NOBODY, PersonNamed
from ledger.recording import EventConflict, RecordingError, record

_NAMESPACE = uuid.UUID("6ab3f0b5-4f7c-5a0e-9d5c-8a1f9c1f7d21")


@dataclass(frozen=True, slots=True)
class Sitting:
    """A device (its GIAI), or one channel of it, at `parent` from `installed_at` to `removed_at` (aware, an offset of whole
    minutes; `removed_at` None: still there)."""

    giai: str
    channel: str | None
    parent: str
    probe_position: str | None
    installed_at: datetime
    removed_at: datetime | None = None


def place(conn: psycopg.Connection, organisation: str, sitting: Sitting, received_at: datetime) -> int:
    """Record it by the word of `organisation`, the device's owner, in the caller's transaction; how many of its events are new.

    Raises RegistryError: a time that cannot be, or the same installation already said with another probe position.
    """
    if sitting.removed_at is not None and sitting.removed_at <= sitting.installed_at:
        raise RegistryError("removed_at is not after installed_at")
    new = 0
    for said in _events(organisation, sitting):
        try:
            event = parse_event(said)
            check_event_times(event, round(received_at.timestamp() * 1000))
            new += not record(conn, organisation, event, received_at, NOBODY).duplicate
        except WireError as error:
            raise RegistryError(error.detail) from error
        except EventConflict as error:
            raise RegistryError(
                f"{said['bizStep']} is recorded already with another probe position; declare that event wrong first ({said['eventID']})"
            ) from error
        except (EventError, RecordingError, PersonNamed) as error:
            raise RegistryError(str(error)) from error
    return new


def _events(organisation: str, sitting: Sitting) -> Iterator[dict[str, Any]]:
    yield _event(organisation, sitting, "ADD", "installing", sitting.installed_at)
    if sitting.removed_at is not None:
        yield _event(organisation, sitting, "DELETE", "removing", sitting.removed_at)


def _event(organisation: str, sitting: Sitting, action: str, biz_step: str, at: datetime) -> dict[str, Any]:
    time = at.isoformat(timespec="milliseconds")
    key = "\n".join((organisation, sitting.giai, sitting.channel or "", sitting.parent, action, time))
    said: dict[str, Any] = {
        "type": "AssociationEvent",
        "eventID": f"urn:uuid:{uuid.uuid5(_NAMESPACE, key)}",
        "eventTime": time,
        "eventTimeZoneOffset": time[-6:],
        "action": action,
        "bizStep": biz_step,
        "parentID": sitting.parent,
        "childEPCs": [sitting.giai],
    }
    if sitting.channel is not None:
        said["suyuan:channel"] = sitting.channel
    if sitting.probe_position is not None and action == "ADD":
        said["suyuan:probePosition"] = sitting.probe_position
    return said
