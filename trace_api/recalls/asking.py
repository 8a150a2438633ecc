"""What a recall is asked from, and what an order says.

In the line: a JSON body -> here -> ordering.py. Contract: well formed, with identifiers in the one form we index by, or Refused with
a fault for each wrong field in both languages.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import psycopg
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ledger.epcis.identifiers import canonical
from ledger.genealogy.names import identify
from trace_api.acts.codes import resolve
from trace_api.acts.fields import Code, Moment, Remark, Word
from trace_api.acts.shapes import Form

Mode = Literal["preview", "drill", "real"]
Kind = Literal["lot", "unit", "field", "place", "device", "excursion"]
LEGAL_BASIS: Final = "食品召回管理办法"


class From(Form):
    """`id`: a lot or box, a load unit, a plot, a place or vehicle, a device. `since`, `until`: at a place, in a unit or near a device
    only then. `number`: of the excursion."""

    kind: Kind
    id: Code | None = None
    number: Annotated[int, Field(ge=1, lt=2**62)] | None = None
    since: Moment | None = None
    until: Moment | None = None

    @model_validator(mode="after")
    def _says_from_what(self) -> From:
        if self.kind == "excursion" and self.number is None:
            raise PydanticCustomError("recall_no_number", "want the number of the excursion")
        if self.kind != "excursion" and self.id is None:
            raise PydanticCustomError("recall_no_code", "want a code")
        if self.kind == "place" and (self.since is None or self.until is None):
            raise PydanticCustomError("recall_no_interval", "want since and until")
        if self.since is not None and self.until is not None and self.until <= self.since:
            raise PydanticCustomError("recall_backwards", "want until after since")
        return self

    def ask(self, conn: psycopg.Connection) -> dict[str, Any]:
        """As the database's functions take it. Raises Refused 422 for a code that is none."""
        if self.kind == "excursion":
            return {"kind": "excursion", "number": self.number}
        said = self.id or ""
        if self.kind in ("lot", "unit"):
            return self._goods(resolve(conn, _full(said), "from.id"))
        named = canonical(_full(said)) if self.kind != "device" else _device(said)
        return {"kind": self.kind, "id": named} | self._interval()

    def _goods(self, uri: str) -> dict[str, Any]:
        found = identify(uri)
        serial, lot = found.parts.get("21"), found.lot
        if self.kind == "lot" and serial and lot:
            return {"kind": "box", "id": uri, "lot": lot, "serial": serial}
        return {"kind": self.kind, "id": uri} | (self._interval() if self.kind == "unit" else {})

    def _interval(self) -> dict[str, Any]:
        return {
            name: moment.isoformat(timespec="milliseconds")
            for name, moment in (("from", self.since), ("to", self.until))
            if moment is not None
        }


class Reason(Form):
    """In one language or both; what is said in one stands for the other."""

    zh: Remark | None = None
    en: Remark | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Reason:
        if self.zh is None and self.en is None:
            raise PydanticCustomError("recall_no_reason", "want zh or en")
        return self


class Order(Form):
    mode: Mode
    source: From = Field(alias="from")
    level: Annotated[int, Field(ge=1, le=3)] = 1
    reason: Reason | None = None
    legal_basis: Word = LEGAL_BASIS

    @model_validator(mode="after")
    def _says_why(self) -> Order:
        if self.mode == "real" and self.reason is None:
            raise PydanticCustomError("recall_no_reason", "want a reason")
        return self

    def reasons(self, without: tuple[str, str]) -> tuple[str, str]:
        """zh and en."""
        if self.reason is None:
            return without
        zh, en = self.reason.zh or self.reason.en, self.reason.en or self.reason.zh
        return zh or "", en or ""


class Closing(Form):
    outcome: Literal["completed", "withdrawn"]
    note: Remark


def _full(code: str) -> str:
    """A Digital Link path gets its resolver back."""
    head, slash, _ = code.partition("/")
    return f"https://id.gs1.org/{code}" if slash and head.isdigit() else code


def _device(said: str) -> str:
    """By its GIAI, or as the registry calls it."""
    return canonical(_full(said)) if ":" in said or "/" in said else said


def moment(at: datetime) -> datetime:
    """As events have it: whole milliseconds."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
