"""What a person says when they do something: one model an act, as the pages' forms and the JSON API send it.

In the line: a form or a JSON body -> here -> the planners. Contract: a model is well formed by itself (a weight is a
weight, a time is on the calendar); whether the goods exist, are ours and are enough is asked of the record later. An
empty field is an absent one. What is wrong is an error with a code of `acts_fault_*` in the catalogues.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from trace_api.acts.fields import (
    Boxes,
    Called,
    Celsius,
    Code,
    Codes,
    Kilograms,
    LotNumber,
    Moment,
    PaperNumber,
    Percent,
    PulpValues,
    Remark,
    Weight,
    Word,
    Words,
    typed_list,
)
from trace_api.acts.shapes import Act, Carried, Certify, Form, GoodsList, Moved, Part

# --- field and packhouse --------------------------------------------------------------------------------------------


class RegisterBatch(Act):
    kind = "register_batch"
    codes = ("into",)

    product: Code
    plot: Code
    kg: Kilograms
    harvested_from: Moment | None = None
    harvested_to: Moment | None = None
    variety: Word | None = None
    grower: Word | None = None
    interval_checked: bool = False
    measured: bool = False
    lot: LotNumber | None = None
    called: Called | None = (
        None  # what people call it (3号棚上午): shown to its own, and never part of a number
    )
    into: Code | None = None

    def happened(self) -> datetime | None:
        """A harvest happened when it ended."""
        return self.at or self.harvested_to

    @model_validator(mode="after")
    def _from_before_to(self) -> RegisterBatch:
        if self.harvested_from and self.harvested_to and self.harvested_from > self.harvested_to:
            raise PydanticCustomError("harvest_backwards", "harvested_to lies before harvested_from")
        return self


class WeighIn(Act):
    kind = "weigh_in"
    codes = ("lot",)

    lot: Code
    kg: Kilograms
    place: Code
    bought: bool
    grower: Code | None = None
    slip: PaperNumber | None = None
    tare_kg: Weight | None = None
    grade: Word | None = None
    card: Code | None = None
    pulp: PulpValues | None = None
    probe: Code | None = None


class PrecoolStart(Act):
    kind = "precool_start"
    codes = ("goods",)

    goods: Annotated[GoodsList, Field(min_length=1)]
    place: Code


class PrecoolEnd(Act):
    kind = "precool_end"
    codes = ("goods",)

    goods: Annotated[GoodsList, Field(min_length=1)]
    place: Code | None = None
    pulp: PulpValues
    probe: Code | None = None


class Output(Form):
    """What came out of a run: so many boxes of a product, or kilograms."""

    product: Code
    boxes: Boxes | None = None
    kg: Kilograms | None = None
    grade: Word | None = None
    lot: LotNumber | None = None

    @model_validator(mode="after")
    def _one_amount(self) -> Output:
        if (self.boxes is None) == (self.kg is None):
            raise PydanticCustomError("boxes_or_kg", "want boxes or kg, and not both")
        return self


class Mix(Act):
    kind = "mix"
    codes = ("inputs",)

    inputs: Annotated[GoodsList, Field(min_length=1)]
    outputs: Annotated[tuple[Output, ...], Field(min_length=1, max_length=20)]
    cull_kg: Weight
    place: Code
    best_before: date | None = None
    certify: Certify | None = None


class Pack(Act):
    kind = "pack"
    codes = ("lot", "unit")

    lot: Code
    boxes: Boxes
    unit: Code | None = None
    place: Code | None = None
    packaging: Word | None = None


class Store(Moved):
    kind = "store"

    place: Code
    door: Code | None = None


# --- the road --------------------------------------------------------------------------------------------------------


class Load(Act):
    kind = "load"
    codes = ("units",)  # not the vehicle: all it ever carried would come along

    units: Annotated[Codes, Field(min_length=1)]
    vehicle: Code
    pulp: PulpValues
    agreed_low_c: Celsius
    agreed_high_c: Celsius
    place: Code | None = None
    carrier: Code | None = None
    buyer: Code | None = None
    waybill: PaperNumber | None = None
    probe: Code | None = None
    seals: Words = ()
    compartment_c: Celsius | None = None
    set_point_c: Celsius | None = None
    remark: Remark | None = None
    packaging: Word | None = None

    @model_validator(mode="after")
    def _low_below_high(self) -> Load:
        if self.agreed_low_c >= self.agreed_high_c:
            raise PydanticCustomError("range_backwards", "agreed_low_c is not below agreed_high_c")
        return self


class Depart(Carried):
    kind = "depart"

    place: Code | None = None
    destination: Code | None = None
    seals: Words = ()


class HandOver(Carried):
    kind = "hand_over"

    giver: Code
    place: Code | None = None
    seals: Words = ()


class Arrive(Carried):
    kind = "arrive"

    gate: Code
    yard: Code


class Unload(Act):
    kind = "unload"
    codes = ("vehicle", "units")

    vehicle: Code
    units: Codes = ()
    place: Code
    seals_found: Words = ()
    seal_intact: bool | None = None


# --- the market -------------------------------------------------------------------------------------------------------


class Inspect(Moved):
    kind = "inspect"

    conformant: bool
    place: Code | None = None
    pulp: PulpValues | None = None
    probe: Code | None = None
    certificates: Annotated[tuple[Code, ...], BeforeValidator(typed_list), Field(max_length=20)] = ()
    rules: Code | None = None
    reason: Word | None = None


class AttachLogger(Moved):
    """`file`: the hash of one that was handed in, as 64 digits or as `ni:///sha-256;...`; `time_zone`: of its clock; `unit`, `date_order`: of
    what the file does not say."""

    kind = "attach_logger"

    file: Word
    column: Word | None = None
    device: Code | None = None
    place: Code | None = None
    time_zone: Word | None = None
    unit: Literal["C", "F"] | None = None
    date_order: Literal["dmy", "mdy", "ymd"] | None = None


class RefusePart(Part):
    kind = "refuse_part"

    reason: Word


class Accept(Moved):
    kind = "accept"

    place: Code
    seller: Code
    giver: Code | None = None
    receipt: PaperNumber | None = None


class Receive(Moved):
    """`outside`: of the goods nothing is recorded yet. `kg`: they do not even have a label, and are given a lot of their own,
    of the product or of none; `called` as of a harvest. `rma`: the slip under which goods come back."""

    kind = "receive"

    kg: Kilograms | None = None
    product: Code | None = None
    called: Called | None = None
    place: Code
    bought: bool
    for_sale: bool = False
    giver: Code | None = None
    receipt: PaperNumber | None = None
    rma: PaperNumber | None = None
    pulp: PulpValues | None = None
    probe: Code | None = None
    outside: bool = False

    @property
    def unlabelled(self) -> bool:
        return self.kg is not None

    @model_validator(mode="after")
    def _names_something(self) -> Receive:
        named = bool(self.units or self.goods)
        if not named and not self.unlabelled:
            raise PydanticCustomError("nothing_named", "want units, goods or the kg of goods without a label")
        if named and self.unlabelled:
            raise PydanticCustomError("unlabelled_alone", "want goods without a label in an act of their own")
        return self


class Sample(Act):
    kind = "sample"
    codes = ("lot", "unit")

    lot: Code | None = None
    unit: Code | None = None
    kg: Kilograms
    authority: Literal["market", "agriculture", "market_regulation"] = "market"
    place: Code | None = None
    number: PaperNumber | None = None

    @model_validator(mode="after")
    def _names_something(self) -> Sample:
        if self.lot is None and self.unit is None:
            raise PydanticCustomError("nothing_named", "want a lot or a unit")
        return self


class RapidTest(Moved):
    """`lot`: of which the sample was, where the record does not tell. `told`: when the seller was told of the result."""

    kind = "rapid_test"
    codes = ("units", "goods", "lot")

    lot: Code | None = None
    sample: PaperNumber
    method: Word
    value: Percent
    threshold: Percent = 50.0
    place: Code | None = None
    instrument: Code | None = None
    covers: Words = ()
    not_covered: Words = ()
    sampled_at: Moment | None = None
    result_at: Moment | None = None
    told: Moment | None = None
    retest: bool = False


class Substance(Form):
    """What a laboratory found of one: `substance` by its InChIKey URI, `value` and `limit` in mg/kg, `item` of the standard."""

    substance: Code
    value: Weight
    limit: Weight | None = None
    item: Word | None = None


class Laboratory(Moved):
    """A final result. `sample`: the report's number; `lot` as for a rapid test."""

    kind = "laboratory"
    codes = ("units", "goods", "lot")

    lot: Code | None = None
    sample: PaperNumber
    outcome: Literal["negative", "positive"]
    method: Word | None = None
    substances: Annotated[tuple[Substance, ...], Field(max_length=100)] = ()
    place: Code | None = None
    covers: Words = ()
    sampled_at: Moment | None = None
    result_at: Moment | None = None
    retest_of: UUID | None = None


class Hold(Moved):
    kind = "hold"

    reason: Word
    place: Code | None = None


class Release(Moved):
    kind = "release"

    reason: Word
    place: Code | None = None
    report: PaperNumber | None = None


# --- stall and shop ----------------------------------------------------------------------------------------------------


class Split(Part):
    kind = "split"

    buyer: Code | None = None
    sale: PaperNumber | None = None


class Ship(Moved):
    """`rma`: the slip under which goods go back that were recalled or refused; it is no sale."""

    kind = "ship"

    buyer: Code
    place: Code | None = None
    sale: PaperNumber | None = None
    rma: PaperNumber | None = None


class Sell(Moved):
    kind = "sell"

    place: Code | None = None
    basis: Word | None = None


class Shrink(Moved):
    """`proof`: the number of the certificate of destruction."""

    kind = "shrink"

    reason: Literal[
        "cull_to_compost",
        "spoiled",
        "past_best_before",
        "refused",
        "recalled",
        "weighing_difference",
        "other",
    ]
    place: Code | None = None
    proof: PaperNumber | None = None
    note: Remark | None = None


ACTS: Final[Mapping[str, type[Act]]] = {
    model.kind: model
    for model in (
        RegisterBatch, WeighIn, PrecoolStart, PrecoolEnd, Mix, Pack, Store,
        Load, Depart, HandOver, Arrive, Unload,
        Inspect, AttachLogger, RefusePart, Accept, Receive, Sample, RapidTest, Laboratory, Hold, Release,
        Split, Ship, Sell, Shrink,
    )
}  # fmt: skip
