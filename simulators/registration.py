"""The registry document of a world: who and what there is, before anything happens.

Contract: organisations, places, vehicles, products, devices with their channels and calibrations, plates, names of
regions; placements are events and are not here. The logger that nobody registered is not here either.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

from simulators import keys, places, scenario, statements
from simulators.devices import Device

Document = dict[str, Any]

TERMINAL_INTERVAL_S: Final = 3600  # terminals measure nothing; the document wants a number
NEVER_CALIBRATED: Final = "logger-02"
LAPSED: Final = "stall-1"  # its certificate ran out before the fruit came


def document(devices: tuple[Device, ...], day: date) -> Document:
    """`day`: on which the world starts."""
    return {
        "organisations": [_organisation(item) for item in places.ORGANISATIONS],
        "places": [_place(place) for place in places.PLACES],
        "vehicles": [_place(place) for place in places.VEHICLES],
        "products": [_product()],
        "devices": [
            *(_device(device, day) for device in devices),
            *(_terminal(*item) for item in statements.TERMINALS.items()),
        ],
        "aliases": [_plate(vehicle) for vehicle in places.VEHICLES],
        "regions": [_region(region) for region in places.REGIONS],
    }


def _organisation(item: places.Organisation) -> Document:
    return {
        "id": item.id,
        "name": _name(item.zh, item.en),
        "party": item.party,
        "kind": item.kind,
        "region": item.region,
        "gs1_prefix": item.gs1_prefix,
    }


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


def _device(device: Device, day: date) -> Document:
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
        "calibrations": _calibrations(device.id, day),
    }


def _calibrations(device: str, day: date) -> list[Document]:
    """A year each, most of them begun half a year ago."""
    if device == NEVER_CALIBRATED:
        return []
    calibrated_on = day - timedelta(days=380 if device == LAPSED else 170)
    return [
        {
            "certificate": f"JZ-{calibrated_on:%Y}-{device.upper()}",
            "laboratory": "台州市计量所(演示)",
            "calibrated_on": calibrated_on.isoformat(),
            "due_on": (calibrated_on + timedelta(days=364)).isoformat(),
        }
    ]


def _plate(vehicle: places.Place) -> Document:
    """What stands on the truck, and means its reefer body."""
    return {
        "scheme": "plate",
        "value": vehicle.plate,
        "entity": vehicle.id,
        "organisation": vehicle.organisation,
    }


def _region(region: places.Region) -> Document:
    return {"code": region.code, "name": _name(region.zh, region.en), "level": region.level}


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
