"""The whole chain in the order of sending: where probes are, then farm, road, market, retail.

In the line: plan and devices -> steps -> messages. Contract: a placement is an AssociationEvent and nothing
else, one for each channel; what a former world left installed or unsold is removed and cleared before a new
one begins, else two worlds in one database would hold the same room with the same probe.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulators import farm, market, places, retail, road
from simulators.devices import Device, Probe
from simulators.scenario import Plan
from simulators.statements import TERMINALS, Event, Forms, Step, where


def steps(plan: Plan, devices: tuple[Device, ...]) -> tuple[Step, ...]:
    """Every step of the world's life, in the order of sending."""
    forms = Forms(plan)
    parts = (
        *_placements(forms, devices),
        *farm.steps(forms),
        *road.steps(forms, devices),
        *market.steps(forms),
        *retail.steps(forms),
    )
    return tuple(sorted(parts, key=lambda step: step.sent_s))


def clearing(former: Plan, devices: tuple[Device, ...], at_s: float) -> tuple[Step, ...]:
    """What ends a former world at `at_s` of its own time: probes removed, unsold units disposed of.
    The steps' `sent_s` counts from then on."""
    forms = Forms(former)
    found: list[Step] = []
    for device in devices:
        for probe in device.probes:
            if probe.placement.removed_at is None:
                event = _association(forms, device, probe, "removing", at_s)
                found.append(_at_once(_terminal_of(device.organisation), event, len(found)))
    epcs_at = {
        "coop-terminal": (places.COLD_STORE, [unit.sscc for unit in former.units if unit.truck is None]),
        "stall-terminal": (places.STALL_ROOM, [unit.sscc for unit in former.units if unit.truck is not None]),
        "shop-terminal": (places.SHOP_SHELF, [drop.sscc for drop in former.drops]),
    }
    for terminal, (place, epcs) in epcs_at.items():
        reason = {"suyuan:reason": "past_best_before"}
        event = forms.end(
            f"clearing {terminal}", at_s, "destroying", "disposed", {"epcList": epcs}, where(place.id), reason
        )
        found.append(_at_once(terminal, event, len(found)))
    return tuple(found)


def _at_once(terminal: str, event: Event, place_in_line: int) -> Step:
    return Step(0.1 * place_in_line, terminal, lambda _model: (event,))


def _placements(forms: Forms, devices: tuple[Device, ...]) -> Iterator[Step]:
    """Fixed probes on the first morning, a logger with its load unit; a removal where one is found
    misplaced."""
    for device in devices:
        terminal = _terminal_of(device.organisation)
        for probe in device.probes:
            moments = [("installing", probe.placement.from_s)]
            if probe.placement.removed_at is not None:
                moments.append(("removing", probe.placement.removed_at))
            for biz_step, at_s in moments:
                event = _association(forms, device, probe, biz_step, at_s)
                yield forms.step(f"{biz_step} {device.id} {probe.channel}", at_s, terminal, event)


def _association(forms: Forms, device: Device, probe: Probe, biz_step: str, at_s: float) -> Event:
    extension = {"suyuan:channel": probe.channel}
    if probe.placement.position is not None:
        extension["suyuan:probePosition"] = probe.placement.position
    return forms.event(
        "AssociationEvent",
        f"{biz_step} {device.id} {probe.channel}",
        at_s,
        {"action": "ADD" if biz_step == "installing" else "DELETE", "bizStep": biz_step},
        {"parentID": probe.placement.parent, "childEPCs": [device.giai]},
        extension,
    )


def _terminal_of(organisation: str) -> str:
    return next(terminal for terminal, owner in TERMINALS.items() if owner == organisation)
