"""The stages of a lot's life, driven by what is done to it and never by the clock.

In the line: a step of the walk -> here -> the stage that a limit asks for. Contract: the stages are those of
the limits (field, collected, precooling, cold, loaded, arrived, stall, shelf); an event that says nothing
about the stage leaves it as it was.
"""

from __future__ import annotations

from typing import Final

from ledger.genealogy.facts import KILOGRAM, Amount, Fact, extension, master_datum

STAGES: Final = ("field", "collected", "precooling", "cold", "loaded", "arrived", "stall", "shelf")
# Fruit that is still warm by right: moving it does not put it under a cold limit.
_BEFORE_COLD: Final = frozenset({"field", "collected", "precooling"})


def stage_after(fact: Fact, stage: str | None) -> str | None:
    """The stage of goods that this event is about, given the stage they were in (None: not known yet)."""
    if fact.kind == "AggregationEvent":
        return _loading(fact, stage)
    if fact.kind != "ObjectEvent":
        return stage
    if fact.step == "receiving":
        return _receiving(fact, stage)
    if fact.step == "storing":
        return _storing(fact, stage)
    if fact.step == "arriving":
        return stage if stage in _BEFORE_COLD else "arrived"
    if fact.step == "accepting":
        return _accepting(fact, stage)
    return stage


def stage_of_making(fact: Fact, amount: Amount) -> str | None:
    """Fruit is harvested by weight, or says when it was; of boxes that appear in the packhouse without having
    been anything before, nobody knows whether they were cooled."""
    harvested = any(master_datum(fact.event, name) for name in ("harvestStart", "harvestEnd"))
    return "field" if harvested or amount.uom == KILOGRAM else None


def stage_of_output(inputs: set[str | None]) -> str:
    """What a transformation makes is cold; repacking at a stall does not bring it back from there."""
    known = [STAGES.index(stage) for stage in inputs if stage in STAGES]
    return STAGES[max([STAGES.index("cold"), *known])]


def _loading(fact: Fact, stage: str | None) -> str | None:
    # From the field it is a cart to the collection station; whoever loads later sends goods out.
    if fact.step != "loading" or fact.action == "DELETE" or stage == "field":
        return stage
    return "loaded"


def _storing(fact: Fact, stage: str | None) -> str | None:
    activity = extension(fact.event, "activity")
    if activity == "precooling_start":
        return "precooling"
    return "cold" if activity == "precooling_end" else stage


def _receiving(fact: Fact, stage: str | None) -> str | None:
    if fact.disposition == "sellable_accessible":
        return "shelf"
    if stage in (None, "field"):
        return "collected"
    if stage in ("loaded", "arrived"):
        # CBV: receiving stands for arriving and accepting in one.
        return "stall" if fact.disposition == "sellable_not_accessible" else "arrived"
    return stage


def _accepting(fact: Fact, stage: str | None) -> str | None:
    if fact.disposition == "in_transit" or stage in ("collected", "precooling"):
        return stage  # another driver, or the cooperative's own door
    return "collected" if stage == "field" else "stall"
