"""The roles that an account can have, and the areas of the working pages that each of them opens."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

GoodsRole = Literal["grower", "packer", "carrier", "warehouse", "market", "stall", "retailer"]
OverseeingRole = Literal["official", "auditor"]
Role = Literal[GoodsRole, OverseeingRole, "administrator"]
ROLES: tuple[str, ...] = get_args(Role)
GOODS: tuple[str, ...] = get_args(GoodsRole)
OVERSEEING: tuple[str, ...] = get_args(OverseeingRole)
DEPARTMENTS = ("agriculture", "market_regulation")

# Area -> who works there, in the order in which the pages show them. The first that a person may enter is where they land.
AREAS: dict[str, frozenset[str]] = {
    "check": frozenset({"market", "stall", "retailer"}),
    "scan": frozenset(GOODS),
    "alerts": frozenset(GOODS),
    "audit": frozenset(OVERSEEING),
    "holds": frozenset({*GOODS, *OVERSEEING}),
    "accounts": frozenset({"administrator"}),
    "channels": frozenset({"administrator"}),
}


def areas_of(roles: Collection[str]) -> tuple[str, ...]:
    return tuple(area for area, who in AREAS.items() if not who.isdisjoint(roles))


def landing(roles: Collection[str]) -> str:
    """Where a person begins to work: a path from the root."""
    return f"/{areas_of(roles)[0]}"
