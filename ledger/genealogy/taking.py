"""Which parcels an event means when it names a quantity of a lot and not the boxes.

In the line: stock.py asks here before it moves anything. Contract: pure; of equal reasons pool.py takes
what the event's own organisation made, then the parcel of just that quantity, then what was touched last, and
the caller says when equals made the choice a guess. The rules are argued one by one, because EPCIS leaves this
open: a class quantity has no identity.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.genealogy.facts import Fact
from ledger.genealogy.names import site
from ledger.genealogy.parcels import Parcel

# Goods come in through these, so what is still on its way is meant before what already stands here.
ENTERING: Final = frozenset({"receiving", "arriving", "accepting"})
# These look at goods where they are. A wrong count must not fetch goods from the other end of the province.
STILL: Final = frozenset(
    {"holding", "inspecting", "sensor_reporting", "cycle_counting", "stock_taking", "sampling", "other"}
)
# These end a stay in the open or in a room without opening another.
LEAVING: Final = frozenset({"departing", "shipping", "loading", "transporting", "consigning"})
# Nobody does these in a closed vehicle: whoever reports them has unloaded, even if the unloading was not
# told.
OUT_OF_VEHICLE: Final = frozenset({"storing", "receiving", "accepting", "stocking", "retail_selling"})

ELSEWHERE_LOOSE: Final = 4
ELSEWHERE_PACKED: Final = 5
NEAR: Final = 3


class Reason(NamedTuple):
    """Why these goods are likelier than others; smaller is likelier. It depends on nothing but what pool.py
    groups parcels by."""

    document: int
    journey: int
    place: int


def place_rank(parcel: Parcel, fact: Fact) -> int:
    """0, 1: loose, here or at this site; 2, 3: packed, the same; 4, 5: loose, packed elsewhere."""
    packed = parcel.container is not None
    if parcel.place in fact.here:
        return 2 if packed else 0
    if site(parcel.place) in fact.sites:
        return NEAR if packed else 1
    return ELSEWHERE_PACKED if packed else ELSEWHERE_LOOSE


def packing_reason(parcel: Parcel, fact: Fact) -> Reason:
    """What is packed is taken from what lies loose at the line."""
    return Reason(0, 0, place_rank(parcel, fact))


def removal_reason(parcel: Parcel, fact: Fact) -> Reason:
    """What is sold, used up or destroyed: goods under the same paper (the recall, the return) come first."""
    return Reason(_document(parcel, fact), 0, place_rank(parcel, fact))


def here_reason(parcel: Parcel, fact: Fact) -> Reason | None:
    """What is looked at stands where the event says; None for all that stands elsewhere."""
    reason = removal_reason(parcel, fact)
    return reason if not fact.here or reason.place <= NEAR else None


def entry_reason(parcel: Parcel, fact: Fact) -> Reason:
    """What is received was on its way, or was the giver's; what already stands here comes last."""
    place = place_rank(parcel, fact)
    elsewhere_first = place - ELSEWHERE_LOOSE if place >= ELSEWHERE_LOOSE else place + 2
    under_way = parcel.place is None or parcel.stage == "loaded"
    from_giver = fact.giver is not None and parcel.holder == fact.giver
    return Reason(_document(parcel, fact), 0 if under_way or from_giver else 1, elsewhere_first)


def _document(parcel: Parcel, fact: Fact) -> int:
    return 0 if fact.documents & parcel.documents else 1
