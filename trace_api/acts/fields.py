"""The values of a form: as people write them in, as the planners want them out.

Contract: well formed or an error with a code of `acts_fault_*`. Full-width digits are digits; several values in one field are
divided by blanks, semicolons or 、; a time without a zone is the wall clock's of whoever typed it.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

ZONE: Final = "Asia/Shanghai"  # of a time that a form gives without one
_DIVIDERS = re.compile(r"[\s;；、，]+")
_RANGE = re.compile(r"([0-9]{1,20})\s*[-–—~至到]\s*([0-9]{1,20})")


def _typed_number(value: object) -> object:
    """`１２．５` is 12.5, and the minus that our own pages print (U+2212) is one. A comma is refused: it divides thousands for one
    reader and tenths for another."""
    if not isinstance(value, str):
        return value
    text = unicodedata.normalize("NFKC", value).strip().replace("\u2212", "-")
    if "," in text:
        raise PydanticCustomError("comma_in_number", "want a number without commas")
    return text


def typed_list(value: object) -> object:
    if isinstance(value, str):
        return tuple(part for part in _DIVIDERS.split(value.strip()) if part)
    if isinstance(value, list | tuple):
        return tuple(part for part in value if part not in ("", None))
    return value


def _printable(text: str) -> str:
    if any(unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn") for char in text):
        raise PydanticCustomError("unprintable", "want text without control characters")
    return text


def _local(value: datetime) -> datetime:
    """A time without a zone is the wall clock's of whoever typed it."""
    return value if value.tzinfo is not None else value.replace(tzinfo=ZoneInfo(ZONE))


Word = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
Remark = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_printable)]
Called = Annotated[str, Field(min_length=1, max_length=40), AfterValidator(_printable)]
Code = Annotated[str, Field(min_length=1, max_length=500)]
Codes = Annotated[tuple[Code, ...], BeforeValidator(typed_list), Field(max_length=200)]
Words = Annotated[tuple[Word, ...], BeforeValidator(typed_list), Field(max_length=20)]
PaperNumber = Annotated[str, Field(min_length=1, max_length=60), AfterValidator(_printable)]
LotNumber = Annotated[str, Field(min_length=1, max_length=20, pattern=r"^[A-Za-z0-9\-]+$")]
Kilograms = Annotated[float, BeforeValidator(_typed_number), Field(gt=0, le=1_000_000, allow_inf_nan=False)]
Weight = Annotated[float, BeforeValidator(_typed_number), Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Boxes = Annotated[int, BeforeValidator(_typed_number), Field(gt=0, le=100_000)]
Amount = Annotated[float, BeforeValidator(_typed_number), Field(gt=0, le=1_000_000, allow_inf_nan=False)]
Celsius = Annotated[float, BeforeValidator(_typed_number), Field(ge=-60, le=80, allow_inf_nan=False)]
Percent = Annotated[float, BeforeValidator(_typed_number), Field(ge=-20, le=200, allow_inf_nan=False)]
PulpValues = Annotated[tuple[Celsius, ...], BeforeValidator(typed_list), Field(min_length=1, max_length=50)]
Moment = Annotated[datetime, AfterValidator(_local)]


def _serial_range(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = _RANGE.fullmatch(unicodedata.normalize("NFKC", value).strip())
    if found is None or len(found[1]) != len(found[2]) or found[1] > found[2]:
        raise PydanticCustomError("not_a_serial_range", "want two serials of one width, first-last")
    return found[1], found[2]


Serials = Annotated[tuple[str, str], BeforeValidator(_serial_range)]
