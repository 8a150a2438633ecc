"""The registry document of a world: who and what there is, before anything happens.

Contract: organisations, places, vehicles, products, devices with their channels; placements are events and
are not here. The logger that nobody registered is not here either.
"""

from __future__ import annotations

from typing import Any, Final

from simulators import keys, places, scenario, statements
from simulators.devices import Device

Document = dict[str, Any]

TERMINAL_INTERVAL_S: Final = 3600  # terminals measure nothing; the document wants a number


def document(devices: tuple[Device, ...]) -> Document:
    return {
        "organisations": [_organisation(item) for item in places.ORGANISATIONS],
        "places": [_place(place) for place in places.PLACES],
        "vehicles": [_place(place) for place in places.VEHICLES],
        "products": [_product()],
        "devices": [*map(_device, devices), *(_terminal(*item) for item in statements.TERMINALS.items())],
    }


def _organisation(item: places.Organisation) -> Document:
    return {"id": item.id, "name": _name(item.zh, item.en), "party": item.party, "kind": item.kind}


def _place(place: places.Place) -> Document:
    return {
        "id": place.id,
        "organisation": place.organisation,
        "kind": place.kind,
        "name": _name(place.zh, place.en),
        "region": place.region,
        "lat": place.lat,
        "lon": place.lon,
        "time_zone": places.TIME_ZONE,
    }


def _product() -> Document:
    return {
        "id": scenario.GTIN,
        "name": _name("东魁杨梅 2 kg 泡沫箱", "Dongkui bayberry, 2 kg foam box"),
        "rule_product": "yangmei",
        "net_content_kg": scenario.BOX_KG,
        "classes": [scenario.PICKED_CLASS],
    }


def _device(device: Device) -> Document:
    return {
        "id": device.id,
        "organisation": device.organisation,
        "giai": device.giai,
        "model": device.model,
        "accuracy_c": device.accuracy_c,
        "interval_s": device.interval_s,
        "channels": [
            {"channel": probe.channel, "quantity": probe.quantity, "unit": probe.unit}
            for probe in device.probes
        ],
    }


def _terminal(name: str, organisation: str) -> Document:
    """A phone or a hand scanner: it says events and measures nothing."""
    return {
        "id": name,
        "organisation": organisation,
        "giai": keys.asset_uri("0" + name.upper().replace("-", "")),
        "model": "terminal",
        "accuracy_c": 0.5,
        "interval_s": TERMINAL_INTERVAL_S,
        "channels": [],
    }


def _name(zh: str, en: str) -> Document:
    return {"zh": zh, "en": en}
