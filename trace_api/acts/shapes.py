"""What the models of acts are made of: an empty field is an absent one, goods by quantity, units or a vehicle, a certificate's
words.

In the line: models.py -> here -> fields.py. Contract: well formed by itself or an error with a code of `acts_fault_*`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from trace_api.acts.fields import Amount, Boxes, Code, Codes, Kilograms, Moment, Serials, Word, typed_list


class Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty_fields(cls, said: Any) -> Any:
        if not isinstance(said, Mapping):
            return said
        return {name: value for name, value in said.items() if value is not None and value != ""}


class Goods(Form):
    """`quantity` in the lot's own unit, kilograms or boxes; None: all of it that is there."""

    lot: Code
    quantity: Amount | None = None


GoodsList = Annotated[tuple[Goods, ...], Field(max_length=100)]


class Act(Form):
    """`at`: when it happened; None: now. `codes`: the fields that name goods, whose record is read."""

    kind: ClassVar[str]
    codes: ClassVar[tuple[str, ...]] = ()

    at: Moment | None = None

    def happened(self) -> datetime | None:
        return self.at


class Moved(Act):
    """About load units, goods by quantity, or both."""

    codes: ClassVar[tuple[str, ...]] = ("units", "goods")

    units: Codes = ()
    goods: GoodsList = ()

    @model_validator(mode="after")
    def _names_something(self) -> Moved:
        if not self.units and not self.goods:
            raise PydanticCustomError("nothing_named", "want units or goods")
        return self


class Carried(Act):
    """About a vehicle with all that is on it, or some load units."""

    codes: ClassVar[tuple[str, ...]] = ("vehicle", "units")

    vehicle: Code | None = None
    units: Codes = ()

    @model_validator(mode="after")
    def _names_something(self) -> Carried:
        if not self.units and self.vehicle is None:
            raise PydanticCustomError("nothing_named", "want a vehicle or units")
        return self


class Certify(Form):
    """What a 承诺达标合格证 says besides what the record knows."""

    contact: Word
    origin: Word | None = None
    basis: Annotated[
        tuple[Literal["self_inspection", "commissioned_test", "internal_control", "self_declaration"], ...],
        BeforeValidator(typed_list),
        Field(min_length=1, max_length=4),
    ] = ("self_declaration",)
    evidence: Annotated[tuple[Code, ...], BeforeValidator(typed_list), Field(max_length=20)] = ()


class Promise(Certify):
    """A certificate over `kg` of a lot. `kind`: only for the card of a small grower, over what they grew; else what went in
    decides."""

    lot: Code
    kg: Kilograms
    kind: Literal["producer_card"] | None = None


class Part(Act):
    """Some boxes of a unit. `lot`: which, if it holds several; `serials`: what stands on them."""

    codes = ("unit", "lot")

    unit: Code
    lot: Code | None = None
    boxes: Boxes
    place: Code | None = None
    serials: Serials | None = None

    @model_validator(mode="after")
    def _as_many_serials(self) -> Part:
        if self.serials is not None and int(self.serials[1]) - int(self.serials[0]) + 1 != self.boxes:
            raise PydanticCustomError("serials_do_not_fit", "the serials are not as many as the boxes")
        return self
