"""Where covered fruit is, by place, vehicle and load unit: when the contract's one limit asks for cold there.

In the line: plan -> presence -> truth. Contract: intervals follow the events' account (the stages cold,
loaded, arrived and stall begin and end with events), since that is what an agreed limit is about; half-open,
in seconds.
"""

from __future__ import annotations

from simulators import places
from simulators.scenario import LIFETIME_S, Plan

Interval = tuple[float, float]


def covered(plan: Plan) -> dict[str, Interval]:
    """By the URI a sensor is installed at. A unit stays covered while it holds a box, so to the world's end
    here."""
    end = float(LIFETIME_S)
    stalled = min(trip.accepted_at for trip in plan.trips)
    intervals: dict[str, Interval] = {
        places.PRECOOLING.id: (min(pick.cooled_at for pick in plan.picks), plan.run_at),
        places.PACKHOUSE.id: (plan.run_at, max(plan.stored_at)),
        places.COLD_STORE.id: (min(plan.stored_at), end),  # grade B stays
        places.STALL_ROOM.id: (stalled, end),
    }
    for trip in plan.trips:
        intervals[places.VEHICLES[trip.truck].id] = (trip.pallets_at, trip.unloaded_at)
    intervals.update({unit.sscc: (unit.packed_at, end) for unit in plan.units})
    return intervals
