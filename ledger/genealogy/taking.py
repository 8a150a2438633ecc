"""Which parcels an event means when it names a quantity of a lot and not the boxes.

In the line: stock.py asks here before it moves anything. Contract: pure ranking; the first is the likeliest,
equals are ordered by what was touched last, and the caller says when equals made the choice a guess.
The rules are argued one by one, because EPCIS leaves this open: a class quantity has no identity.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.genealogy.facts import Fact
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


class Rank(NamedTuple):
    """Smaller is likelier. The first three say why; the last two only order equals."""

    document: int
    journey: int
    place: int
    other_amount: bool
    idle: int

    @property
    def reason(self) -> tuple[int, int, int]:
        return self.document, self.journey, self.place


def site(place: str | None) -> str | None:
    """The location number of a place without its extension: doors and stalls of one GLN are one site."""
    return place.split("/254/", 1)[0] if place else None


def place_rank(parcel: Parcel, fact: Fact) -> int:
    """0, 1: loose, here or at this site; 2, 3: packed, the same; 4, 5: loose, packed elsewhere."""
    here = {each for each in (fact.biz_location, fact.read_point) if each}
    packed = parcel.container is not None
    if parcel.place in here:
        return 2 if packed else 0
    if site(parcel.place) in {site(each) for each in here}:
        return NEAR if packed else 1
    return ELSEWHERE_PACKED if packed else ELSEWHERE_LOOSE


def packing_rank(parcel: Parcel, fact: Fact, wanted: float | None) -> Rank:
    """What is packed is taken from what lies loose at the line."""
    return Rank(0, 0, place_rank(parcel, fact), parcel.quantity != wanted, _idle(parcel))


def removal_rank(parcel: Parcel, fact: Fact, wanted: float | None) -> Rank:
    """What is sold, used up or destroyed: goods under the same paper (the recall, the return) come first."""
    place = place_rank(parcel, fact)
    return Rank(_document(parcel, fact), 0, place, parcel.quantity != wanted, _idle(parcel))


def here_rank(parcel: Parcel, fact: Fact, wanted: float | None) -> Rank | None:
    """What is looked at stands where the event says; None for all that stands elsewhere."""
    nowhere_said = fact.biz_location is None and fact.read_point is None
    rank = removal_rank(parcel, fact, wanted)
    return rank if nowhere_said or rank.place <= NEAR else None


def entry_rank(parcel: Parcel, fact: Fact, wanted: float | None) -> Rank:
    """What is received was on its way, or was the giver's; what already stands here comes last."""
    place = _arrivals_first(place_rank(parcel, fact))
    under_way = parcel.place is None or parcel.stage == "loaded"
    from_giver = fact.giver is not None and parcel.holder == fact.giver
    journey = 0 if under_way or from_giver else 1
    return Rank(_document(parcel, fact), journey, place, parcel.quantity != wanted, _idle(parcel))


def _arrivals_first(rank: int) -> int:
    """Elsewhere before here, loose before packed."""
    return rank - ELSEWHERE_LOOSE if rank >= ELSEWHERE_LOOSE else rank + 2


def _document(parcel: Parcel, fact: Fact) -> int:
    return 0 if fact.documents & parcel.documents else 1


def _idle(parcel: Parcel) -> int:
    # What was unpacked a minute ago is what is packed now.
    return -(parcel.steps[-1].ordinal if parcel.steps else -1)
