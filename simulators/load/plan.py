"""What a load consists of: which devices there are, and the bytes of every message, made from its number alone.

In the line: plan -> run. Contract: message `index` (0, 1, 2, ...) is message `index // devices + 1` of device
`index % devices`, and its measurements are the same however often it is made; only `sent`, the clock at sending, is passed
in. So whoever knows the plan and how far it came knows every (device, boot, seq) and every reading, and nothing need be
kept for sending again. Measuring times of a device follow each other in steps of `interval_s` and never meet.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from simulators import keys

ORGANISATION: Final = "load"
STORE: Final = keys.place_uri(970)
PRODUCT: Final = keys.gtin(97)
MOST_DEVICES: Final = 100_000
LOWEST_C, HIGHEST_C, BREACH_C = 2.0, 4.0, 15.0
_VARIANTS: Final = 32  # ready-made packs; a device goes through them in turn

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Breach:
    """Device number `device` is too warm from its message `seq` on."""

    device: int
    seq: int


@dataclass(frozen=True, slots=True)
class Plan:
    """`pack`: readings in a message, dealt to `channels` channels. `interval_s`: from one measurement to the next.
    `start_ms`: of the first ones, UTC. `name`: what device ids begin with. `boot`: of all devices, of this run alone."""

    devices: int
    messages: int
    boot: int
    start_ms: int
    pack: int = 1
    channels: int = 1
    interval_s: int = 1
    seed: int = 1
    name: str = "load"
    breaches: tuple[Breach, ...] = ()

    @property
    def span_s(self) -> int:
        """Of the measuring times in one message, up to where the next one's begin."""
        return -(-self.pack // self.channels) * self.interval_s

    def device(self, number: int) -> str:
        return f"{self.name}-{number + 1:05d}"

    def channel(self, device: int, number: int = 0) -> str:
        """Probes are numbered through the whole load, as a plant's are."""
        return f"t{device + 1}.{number + 1}" if number else f"t{device + 1}"

    def topic(self, number: int, kind: str = "readings") -> str:
        return f"suyuan/v1/{ORGANISATION}/{self.device(number)}/{kind}"

    def last_seq(self, number: int, messages: int) -> int:
        """The device's highest number once the first `messages` of the plan are out."""
        return (messages - number - 1) // self.devices + 1 if messages > number else 0

    def measured_ms(self, seq: int) -> int:
        """When the first reading of a device's message is measured."""
        return self.start_ms + (seq - 1) * self.span_s * 1000

    def describe(self) -> Document:
        """As JSON, from which `Plan.of` makes it again."""
        return asdict(self)

    @classmethod
    def of(cls, told: Document) -> Plan:
        return cls(**{**told, "breaches": tuple(Breach(**each) for each in told.get("breaches", ()))})


def started(messages: int, devices: int, span_s: int, now: datetime) -> int:
    """`start_ms` of a plan whose last readings are measured shortly before `now`."""
    turns = -(-messages // devices) + 1
    return round((now.timestamp() - turns * span_s) * 1000)


def payloads(plan: Plan) -> Callable[[int, float], bytes]:
    """The pack of message `index`, sent at `sent_s` (seconds since 1970)."""
    usual = _templates(plan, LOWEST_C, HIGHEST_C)
    warm = _templates(plan, BREACH_C, BREACH_C + 1)
    devices, span_s, start_s = plan.devices, plan.span_s, plan.start_ms / 1000
    warm_from = {breach.device: breach.seq for breach in plan.breaches}

    def payload(index: int, sent_s: float) -> bytes:
        turn, device = divmod(index, devices)
        breached = device in warm_from and turn + 1 >= warm_from[device]
        template = (warm if breached else usual)[(device * 7 + turn) % _VARIANTS]
        ours = template.replace(b"@", str(device + 1).encode())
        return ours % (turn + 1, sent_s, start_s + turn * span_s)

    return payload


def _templates(plan: Plan, low_c: float, high_c: float) -> list[bytes]:
    chance = np.random.default_rng([plan.seed, round(low_c)])
    return [_template(plan, chance, low_c, high_c) for _ in range(_VARIANTS)]


def _template(plan: Plan, chance: np.random.Generator, low_c: float, high_c: float) -> bytes:
    """All of a pack but its number, its `sent`, its first time and, for @, its device's number, written out beforehand."""
    records = [f'{{"n":"boot","v":{plan.boot}}}', '{"n":"seq","v":%d}', '{"n":"sent","v":%.6f}']
    for place in range(plan.pack):
        turn, channel = divmod(place, plan.channels)
        base = '"bt":%.3f,"bu":"Cel",' if place == 0 else ""
        later = f'"t":{turn * plan.interval_s},' if turn else ""
        value = round(float(chance.uniform(low_c, high_c)), 2)
        probe = plan.channel(0, channel).replace("t1", "t@", 1)
        records.append(f'{{{base}"n":"{probe}",{later}"v":{value}}}')
    return f"[{','.join(records)}]".encode()


# --- what exists, and what gives a breach its meaning ---------------------------------------------------------------


def registry(plan: Plan) -> Document:
    """The registry document of the load: one organisation, a cold store, a product, the devices."""
    return {
        "organisations": [
            {
                "id": ORGANISATION,
                "name": {"zh": "负载", "en": "Load"},
                "party": keys.party_uri(970),
                "kind": "packer",
            }
        ],
        "places": [
            {
                "id": STORE,
                "organisation": ORGANISATION,
                "kind": "cold_store",
                "name": {"zh": "负载冷库", "en": "Cold store of the load"},
                "region": "331024",
                "lat": 28.85,
                "lon": 120.73,
            }
        ],
        "products": [
            {
                "id": PRODUCT,
                "organisation": ORGANISATION,
                "name": {"zh": "负载杨梅", "en": "Bayberries of the load"},
                "rule_product": "yangmei",
            }
        ],
        "devices": [_device(plan, number) for number in range(plan.devices)],
    }


def _device(plan: Plan, number: int) -> Document:
    return {
        "id": plan.device(number),
        "organisation": ORGANISATION,
        "giai": _giai(plan, number),
        "model": "load",
        "interval_s": plan.interval_s,
        "channels": [
            {"channel": plan.channel(number, each), "quantity": "temperature", "unit": "Cel"}
            for each in range(plan.channels)
        ],
    }


def _giai(plan: Plan, number: int) -> str:
    return keys.asset_uri(plan.device(number).upper().replace("-", ""))


def placing(plan: Plan, numbers: range) -> list[Document]:
    """Events that put a lot of the product and the first channel of these devices into the cold store, before the first
    reading: from then on a limit is in force on them."""
    when = datetime.fromtimestamp(plan.start_ms / 1000, UTC) - timedelta(minutes=1)
    at = {"readPoint": {"id": STORE}, "bizLocation": {"id": STORE}}
    lot = keys.lot_uri(PRODUCT, f"L{plan.boot}"[:20])
    fruit = [{"epcClass": f"{keys.OWN}/class/load.{plan.boot}", "quantity": 200, "uom": "KGM"}]
    made = _event(plan, when, "TransformationEvent", "made", bizStep="commissioning", disposition="active",
                  inputQuantityList=fruit, outputQuantityList=[{"epcClass": lot, "quantity": 100}], **at)  # fmt: skip
    hung = [
        _event(plan, when, "AssociationEvent", plan.device(number), action="ADD", bizStep="installing", parentID=STORE,
               childEPCs=[_giai(plan, number)],
               **{"suyuan:channel": plan.channel(number), "suyuan:probePosition": "ambient"})
        for number in numbers
    ]  # fmt: skip
    return [made, *hung]


def _event(plan: Plan, when: datetime, kind: str, what: str, **fields: Any) -> Document:
    context = ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", {"suyuan": keys.VOC}]
    return {
        "@context": context,
        "type": kind,
        "eventID": keys.event_id(plan.boot, when, what),
        "eventTime": when.isoformat(timespec="milliseconds"),
        "eventTimeZoneOffset": "+08:00",
        **fields,
    }


def events_payload(events: list[Document], now: datetime) -> bytes:
    """An EPCISDocument, as a terminal sends several events at once."""
    body = {
        "@context": events[0]["@context"],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": now.isoformat(timespec="milliseconds"),
        "epcisBody": {"eventList": [{k: v for k, v in each.items() if k != "@context"} for each in events]},
    }
    return json.dumps(body).encode()
