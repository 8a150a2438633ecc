"""What an event says, for the checks: its step, and what was measured in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ledger.epcis import vocabulary
from ledger.epcis.events import Event
from ledger.genealogy import RecordedEvent


def step(item: RecordedEvent) -> str:
    """Its business step by the short name, empty where it says none."""
    return vocabulary.biz_step(item.event.biz_step) if item.event.biz_step else ""


def reports(event: Event) -> Iterator[Any]:
    for element in event.sensor_element_list:
        yield from element.sensor_report
