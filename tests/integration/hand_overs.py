"""A chain of hand-overs, said in a line each, and who asks about it.

The cooperative and the carrier keep their records to themselves. The cooperative packs a lot on two pallets; one goes by
truck to a market and is accepted by a stall there, the other stays. Times are hours before `lines.NOW`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg

from ledger import recorded
from ledger.epcis.events import parse_event
from ledger.epcis.identifiers import check_digit, sscc_uri
from ledger.persons import Vault
from ledger.recording import record
from tests.acceptance.instance import Instance
from tests.acceptance.people import open_session, session_of
from tests.integration.lines import NOW
from tests.integration.said import (
    FRUIT,
    LOT,
    PALLET,
    REGISTRY,
    STORE,
    TRUCK,
    at,
    made,
    packed,
    said,
)

LATER = NOW + timedelta(minutes=5)
NOW_MS = round(LATER.timestamp() * 1000)
PLOT = "https://id.gs1.org/414/9521234001010/254/P01"
YARD = "https://id.gs1.org/414/9521234003007"
STALL_ROOM = "https://id.gs1.org/414/9521234003106"
RIVAL_ROOM = "https://id.gs1.org/414/9521234006015"
SECOND = sscc_uri("09521234000000002" + check_digit("09521234000000002"))
PARTIES = {
    "coop": "https://id.gs1.org/417/9521234002000",
    "carrier": "https://id.gs1.org/417/9521234005001",
    "market": "https://id.gs1.org/417/9521234003009",
    "stall": "https://id.gs1.org/417/9521234003108",
    "rival": "https://id.gs1.org/417/9521234006017",
    "friend": "https://id.gs1.org/417/9521234006024",
}  # fmt: skip
PUBLISHING = ("market",)


def _place(identity: str, organisation: str, region: str) -> dict[str, Any]:
    name = {"zh": organisation, "en": organisation}
    return {"id": identity, "organisation": organisation, "kind": "site", "name": name, "region": region}


PLACES = [
    _place(PLOT, "coop", "331024"),
    _place(STORE, "coop", "331024"),
    _place(YARD, "market", "330110"),
    _place(STALL_ROOM, "stall", "330110"),
    _place(RIVAL_ROOM, "rival", "320102"),
]
CHAIN_REGISTRY = REGISTRY | {
    "organisations": [
        {
            "id": name,
            "name": {"zh": name, "en": name},
            "party": party,
            "kind": "trade",
            "publishes": name in PUBLISHING,
        }
        for name, party in PARTIES.items()
    ],
    "places": PLACES,
}


def to(kind: str, *organisations: str) -> dict[str, Any]:
    return {"destinationList": [{"type": kind, "destination": PARTIES[name]} for name in organisations]}


def step(biz_step: str, hours_ago: float, *units: str, **fields: Any) -> dict[str, Any]:
    event = said("ObjectEvent", hours_ago, action="OBSERVE", bizStep=biz_step, epcList=list(units), **fields)
    return event | {"eventID": event["eventID"] + "-" + "-".join(unit[-4:] for unit in units)}


def harvest(hours_ago: float = 14) -> dict[str, Any]:
    return said(
        "ObjectEvent",
        hours_ago,
        action="ADD",
        bizStep="commissioning",
        quantityList=[{"epcClass": FRUIT, "quantity": 86.5, "uom": "KGM"}],
        **at(PLOT),
        **{"suyuan:remark": "the cooperative's own words"},
    )


def second_packed(hours_ago: float = 7.5) -> dict[str, Any]:
    event = packed(hours_ago, 20, "0021")
    return event | {"parentID": SECOND, "eventID": event["eventID"] + "-2"}


def loading(
    hours_ago: float = 6, *, carrier: str = "carrier", unit: str = PALLET, **fields: Any
) -> dict[str, Any]:
    event = said(
        "AggregationEvent", hours_ago, action="ADD", bizStep="loading", parentID=TRUCK, childEPCs=[unit],
        readPoint={"id": STORE}, **(to("possessing_party", carrier) | fields),
    )  # fmt: skip
    return event | {"eventID": f"{event['eventID']}-{unit[-4:]}"}


DEPARTING = step("departing", 5.5, PALLET, disposition="in_transit")
ARRIVING = step("arriving", 4, PALLET, readPoint={"id": YARD}, bizLocation={"id": YARD})
UNLOADING = said(
    "AggregationEvent",
    3.8,
    action="DELETE",
    bizStep="unloading",
    parentID=TRUCK,
    childEPCs=[PALLET],
    **at(YARD),
)
ACCEPTING = step("accepting", 3.5, PALLET, **at(STALL_ROOM), **to("owning_party", "stall"))
PRIVATE = step("storing", 2, SECOND, **at(STORE), **{"suyuan:remark": "the cooperative's own words"})


def say(instance: Instance, organisation: str, *events: dict[str, Any]) -> None:
    with instance.as_role("ingest") as conn:
        for event in events:
            record(conn, organisation, parse_event(event), NOW, Vault(instance.keys.organisation_key))


def settle(instance: Instance) -> None:
    instance.settle(NOW, consumers=("projection",))


def grown_and_packed(instance: Instance) -> None:
    say(instance, "coop", harvest(), made(10), packed(8), second_packed())


def sent_to_the_stall(instance: Instance) -> None:
    grown_and_packed(instance)
    say(instance, "coop", loading())
    say(instance, "carrier", DEPARTING, ARRIVING)
    say(instance, "market", UNLOADING)
    say(instance, "stall", ACCEPTING)
    say(instance, "coop", PRIVATE)
    settle(instance)


@contextmanager
def asking(instance: Instance, organisation: str = "", account: str = "") -> Iterator[psycopg.Connection]:
    with instance.as_role("api") as conn:
        conn.execute(
            "SELECT set_config('suyuan.org', %s, false), set_config('suyuan.session', %s, false)",
            [organisation, session_of(account)],
        )
        yield conn


def seen(instance: Instance, organisation: str = "", account: str = "") -> dict[str, str]:
    """Step and who said it, with why it is shown: of all that hangs together with the lot."""
    with asking(instance, organisation, account) as conn:
        connected = recorded.connected(conn, {LOT, PALLET, SECOND}, recorded.ASKER)
    return {
        f"{event.organisation} {event.event.biz_step}": connected.why[event.position]
        for event in connected.events
    }


def grants(instance: Instance) -> set[tuple[str, str]]:
    return set(instance.rows("SELECT DISTINCT organisation, lot FROM lot_grant"))


BEHIND = {"coop commissioning", "coop packing", "coop loading", "carrier departing", "carrier arriving"}


def official(instance: Instance, department: str | None, *regions: str, role: str = "official") -> str:
    login = f"{role}-{department or 'both'}-{'-'.join(regions)}".replace("_", "-")
    account = str(
        instance.one(
            "INSERT INTO user_account (login, name, roles, department, regions, password_hash, created_at, password_changed_at)"
            " VALUES (%s, %s, %s, %s, %s, '$argon2id$none', now(), now()) RETURNING id",
            login,
            login,
            [role],
            department,
            list(regions),
        )
    )
    open_session(instance, account)
    return account
