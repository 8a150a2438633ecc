"""Which roles do which acts: the one table, for the JSON API and the pages alike."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from trace_api.access import Person

_FIELD = frozenset({"register_batch", "weigh_in"})
_PACKHOUSE = frozenset({"precool_start", "precool_end", "mix", "pack"})
_STORE = frozenset({"store", "shrink", "hold", "release", "inspect", "attach_logger"})
_ROAD_OUT = frozenset({"load", "depart"})
_ROAD_IN = frozenset({"arrive", "unload", "receive"})
_SALE = frozenset({"split", "ship", "sell"})
CERTIFYING: Final = frozenset({"grower", "packer", "stall"})
"""Roles whose organisation stands behind goods with its own name: who grew, packed or bought them."""

ACTS_BY_ROLE: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "grower": frozenset({"register_batch", "shrink", "ship", "attach_logger"}),
        "packer": _FIELD
        | _PACKHOUSE
        | _STORE
        | _ROAD_OUT
        | {"receive", "split", "ship", "sell", "sample", "rapid_test", "laboratory"},
        "carrier": frozenset({"load", "depart", "hand_over", "arrive", "unload", "attach_logger"}),
        "warehouse": frozenset({"precool_start", "precool_end", "pack"})
        | _STORE
        | _ROAD_OUT
        | _ROAD_IN
        | {"split", "ship"},
        "market": _STORE
        | _ROAD_IN
        | {"refuse_part", "accept", "sample", "rapid_test", "laboratory", "split", "ship", "load", "depart"},
        "stall": _STORE | _ROAD_IN | _SALE | {"refuse_part", "accept", "load", "depart"},
        "retailer": _STORE | {"unload", "receive", "refuse_part", "accept"} | _SALE,
    }
)


def kinds_for(person: Person) -> frozenset[str]:
    if person.organisation is None:
        return frozenset()
    return frozenset().union(*(ACTS_BY_ROLE.get(role, frozenset()) for role in person.roles))


def may_certify(person: Person) -> bool:
    return person.organisation is not None and not CERTIFYING.isdisjoint(person.roles)
