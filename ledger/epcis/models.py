"""The fields of the five event types as frozen pydantic models; `events` is the door that uses them.

A field here is well formed by itself: a URI is a URI, a time is on the calendar, a word is in its vocabulary.
What only several fields together can break is in `rules`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from ledger.epcis import vocabulary
from ledger.epcis.identifiers import LONGEST
from ledger.epcis.problems import Problem, pointer_to, short

# --- kinds of value -----------------------------------------------------------------------------------------


def _read_time(text: str) -> datetime:
    """RFC 3339 text to an aware datetime. Fractions beyond microseconds are cut here, never in the kept
    text."""
    return datetime.fromisoformat(text)


def _checked_time(text: str) -> str:
    try:
        # To UTC as well: the first and last day of the calendar have instants outside it.
        _read_time(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise PydanticCustomError("time", "is no date and time of the calendar") from None
    return text


def _checked_number(value: object) -> int | float:
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return value
    raise PydanticCustomError("number", "want a finite JSON number, not text")


def _word_of(words: vocabulary.Vocabulary) -> Callable[[str], str]:
    def known(text: str) -> str:
        if words.knows(text):
            return text
        near = get_close_matches(words.bare(text), words.words, n=3, cutoff=0.5) or sorted(words.words)
        wanted = f"want a word of {words.name} ({', '.join(near[:14])}) or a URI of your own vocabulary"
        raise PydanticCustomError("word", "{wanted}", {"wanted": wanted})

    return known


def _without_repeats(items: tuple[str, ...]) -> tuple[str, ...]:
    seen: set[str] = set()
    for item in items:
        if item in seen:
            raise PydanticCustomError(
                "repeated", "want each item once; {item} is there again", {"item": short(item)}
            )
        seen.add(item)
    return items


def _not_empty(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """After the items and not as a bound on the length, which would count those that are there but faulty."""
    if items:
        return items
    raise PydanticCustomError("empty", "want at least one item; leave the field out where there is none")


def _checked_certification(value: object) -> str | tuple[str, ...]:
    items = tuple(value) if isinstance(value, list) else (value,)
    if all(isinstance(item, str) and len(item) <= LONGEST and _A_URI.fullmatch(item) for item in items):
        return items if isinstance(value, list) else str(value)
    raise PydanticCustomError("certification", "want a URI or a list of URIs of certificates")


_T = TypeVar("_T")


class _NotNull:
    """Takes `null` out of an optional field: it may be absent, not empty. The schema has no null anywhere,
    and two ways to say nothing would be two hashes of one event."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        return schema["schema"] if schema["type"] == "nullable" else schema


@dataclass(frozen=True)
class _Checked:
    """One function is the whole check. A union would name its branches in the pointer, and pydantic's own
    PlainValidator calls back into Python once more for every value written."""

    check: Callable[[object], object]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)


Maybe: TypeAlias = Annotated[_T | None, _NotNull()]
"""A field that may be absent (then None)."""

# [0-9] and not \d, which takes the digits of every script.
_CLOCK = "[0-9]{2}:[0-9]{2}"
TIME_PATTERN = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{_CLOCK}:[0-9]{{2}}(\.[0-9]{{1,12}})?(Z|[+-]{_CLOCK})$"
URI_PATTERN = r"^[A-Za-z][A-Za-z0-9+.\-]*:[!#$&-;=?-Z\[\]_a-z~%]+$"
_A_URI = re.compile(URI_PATTERN)

TimeText: TypeAlias = Annotated[str, StringConstraints(pattern=TIME_PATTERN), AfterValidator(_checked_time)]
Uri: TypeAlias = Annotated[str, StringConstraints(pattern=URI_PATTERN, max_length=LONGEST)]
Number: TypeAlias = Annotated[int | float, _Checked(_checked_number)]
Offset: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00)$")]
Action: TypeAlias = Literal["ADD", "OBSERVE", "DELETE"]
BizStep: TypeAlias = Annotated[str, AfterValidator(_word_of(vocabulary.BIZ_STEP))]
Disposition: TypeAlias = Annotated[str, AfterValidator(_word_of(vocabulary.DISPOSITION))]
Certification: TypeAlias = Annotated[str | tuple[str, ...], _Checked(_checked_certification)]

# strict=False only lets a JSON array become a tuple; the items keep the strictness of their model.
Uris: TypeAlias = Annotated[tuple[Uri, ...], Field(strict=False)]
UniqueUris: TypeAlias = Annotated[tuple[Uri, ...], Field(strict=False), AfterValidator(_without_repeats)]
UniqueDispositions: TypeAlias = Annotated[
    tuple[Disposition, ...], Field(strict=False), AfterValidator(_not_empty), AfterValidator(_without_repeats)
]


# --- models -------------------------------------------------------------------------------------------------

_JSON_NAMES = {
    "context": "@context",
    "event_id": "eventID",
    "parent_id": "parentID",
    "device_id": "deviceID",
    "transformation_id": "transformationID",
    "child_epcs": "childEPCs",
    "input_epc_list": "inputEPCList",
    "output_epc_list": "outputEPCList",
    "corrective_event_ids": "correctiveEventIDs",
}


def json_name(attribute: str) -> str:
    """`biz_step` -> `bizStep`, `event_time_text` -> `eventTime`; the standard's capital IDs and EPCs are
    listed."""
    if attribute in _JSON_NAMES:
        return _JSON_NAMES[attribute]
    head, *rest = attribute.removesuffix("_text").split("_")
    return head + "".join(word.capitalize() for word in rest)


class Said(BaseModel):
    """Frozen, strict, and open to extension fields."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow", alias_generator=json_name)


class SaidExactly(Said):
    """Where the standard leaves no room for extension fields."""

    model_config = ConfigDict(extra="forbid")


class Place(Said):
    """A read point or business location."""

    id: Uri


class QuantityElement(SaidExactly):
    """So much of a class: `quantity` in `uom` (UN/CEFACT code), or a count of pieces where `uom` is
    absent."""

    epc_class: Uri
    quantity: Maybe[Number] = None
    uom: Maybe[Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{2,3}$")]] = None


class BizTransaction(SaidExactly):
    """A business document the event belongs to."""

    type: Maybe[Annotated[str, AfterValidator(_word_of(vocabulary.BIZ_TRANSACTION_TYPE))]] = None
    biz_transaction: Uri


class Source(SaidExactly):
    """Whence: owner, holder or place before."""

    type: Annotated[str, AfterValidator(_word_of(vocabulary.SOURCE_DESTINATION_TYPE))]
    source: Uri


class Destination(SaidExactly):
    """Whither: owner, holder or place after."""

    type: Annotated[str, AfterValidator(_word_of(vocabulary.SOURCE_DESTINATION_TYPE))]
    destination: Uri


class PersistentDisposition(SaidExactly):
    """Dispositions that stay with the goods over later events until they are unset."""

    set: UniqueDispositions = ()
    unset: UniqueDispositions = ()


class ErrorDeclaration(Said):
    """This event, recorded before, is declared wrong."""

    declaration_time_text: TimeText
    reason: Maybe[Annotated[str, AfterValidator(_word_of(vocabulary.ERROR_REASON))]] = None
    corrective_event_ids: Uris = ()

    @property
    def declaration_time(self) -> datetime:
        return _read_time(self.declaration_time_text)


class SensorMetadata(Said):
    """What holds for all reports of one sensor element; a report may say otherwise for itself."""

    time_text: Maybe[TimeText] = None
    start_time_text: Maybe[TimeText] = None
    end_time_text: Maybe[TimeText] = None
    device_id: Maybe[Uri] = None
    device_metadata: Maybe[Uri] = None
    raw_data: Maybe[Uri] = None
    data_processing_method: Maybe[Uri] = None
    biz_rules: Maybe[Uri] = None

    @property
    def time(self) -> datetime | None:
        return _read_time(self.time_text) if self.time_text is not None else None

    @property
    def start_time(self) -> datetime | None:
        return _read_time(self.start_time_text) if self.start_time_text is not None else None

    @property
    def end_time(self) -> datetime | None:
        return _read_time(self.end_time_text) if self.end_time_text is not None else None


class SensorReport(Said):
    """One observation or summary of observations, in the unit `uom` (UN/CEFACT code)."""

    type: Annotated[str, AfterValidator(_word_of(vocabulary.MEASUREMENT_TYPE))]
    exception: Maybe[Annotated[str, AfterValidator(_word_of(vocabulary.SENSOR_ALERT))]] = None
    device_id: Maybe[Uri] = None
    device_metadata: Maybe[Uri] = None
    raw_data: Maybe[Uri] = None
    data_processing_method: Maybe[Uri] = None
    biz_rules: Maybe[Uri] = None
    time_text: Maybe[TimeText] = None
    microorganism: Maybe[Uri] = None
    chemical_substance: Maybe[Uri] = None
    coordinate_reference_system: Maybe[Uri] = None
    value: Maybe[Number] = None
    component: Maybe[Annotated[str, AfterValidator(_word_of(vocabulary.COMPONENT))]] = None
    string_value: Maybe[str] = None
    boolean_value: Maybe[bool] = None
    hex_binary_value: Maybe[Annotated[str, StringConstraints(pattern=r"^[A-Fa-f0-9]+$")]] = None
    uri_value: Maybe[Uri] = None
    min_value: Maybe[Number] = None
    max_value: Maybe[Number] = None
    mean_value: Maybe[Number] = None
    s_dev: Maybe[Number] = None
    perc_rank: Maybe[Number] = None
    perc_value: Maybe[Number] = None
    uom: Maybe[str] = None

    @property
    def time(self) -> datetime | None:
        return _read_time(self.time_text) if self.time_text is not None else None


class SensorElement(Said):
    """Sensor reports that share their metadata."""

    sensor_metadata: Maybe[SensorMetadata] = None
    sensor_report: Annotated[tuple[SensorReport, ...], Field(strict=False), AfterValidator(_not_empty)]


Quantities: TypeAlias = Annotated[tuple[QuantityElement, ...], Field(strict=False)]


class EventFields(Said):
    """What all five types share."""

    context: Any = None
    event_id: Maybe[Uri] = None
    event_time_text: TimeText
    event_time_zone_offset: Offset
    record_time_text: Maybe[TimeText] = None
    biz_step: Maybe[BizStep] = None
    disposition: Maybe[Disposition] = None
    read_point: Maybe[Place] = None
    biz_location: Maybe[Place] = None
    biz_transaction_list: Annotated[tuple[BizTransaction, ...], Field(strict=False)] = ()
    source_list: Annotated[tuple[Source, ...], Field(strict=False)] = ()
    destination_list: Annotated[tuple[Destination, ...], Field(strict=False)] = ()
    sensor_element_list: Annotated[tuple[SensorElement, ...], Field(strict=False)] = ()
    certification_info: Maybe[Certification] = None
    error_declaration: Maybe[ErrorDeclaration] = None

    identifier_lists: ClassVar[tuple[str, ...]] = ()
    quantity_lists: ClassVar[tuple[str, ...]] = ()

    @property
    def event_time(self) -> datetime:
        return _read_time(self.event_time_text)

    @property
    def record_time(self) -> datetime | None:
        return _read_time(self.record_time_text) if self.record_time_text is not None else None

    @property
    def certifications(self) -> tuple[str, ...]:
        """`certification_info` as a tuple, whether one or several were written."""
        said = self.certification_info
        return () if said is None else (said,) if isinstance(said, str) else said


class ObjectEvent(EventFields):
    """Something happened to these things."""

    type: Literal["ObjectEvent"]
    action: Action
    epc_list: UniqueUris = ()
    quantity_list: Quantities = ()
    persistent_disposition: Maybe[PersistentDisposition] = None
    ilmd: Maybe[dict[str, Any]] = None

    identifier_lists: ClassVar[tuple[str, ...]] = ("epc_list",)
    quantity_lists: ClassVar[tuple[str, ...]] = ("quantity_list",)


class ParentEvent(EventFields):
    action: Action
    parent_id: Maybe[Uri] = None
    child_epcs: Uris = ()
    child_quantity_list: Quantities = ()

    identifier_lists: ClassVar[tuple[str, ...]] = ("child_epcs",)
    quantity_lists: ClassVar[tuple[str, ...]] = ("child_quantity_list",)


class AggregationEvent(ParentEvent):
    """Children were put into, seen in, or taken out of a parent."""

    type: Literal["AggregationEvent"]


class AssociationEvent(ParentEvent):
    """Children were fixed to, seen on, or taken off a thing or a place. `parent_id` is always there."""

    type: Literal["AssociationEvent"]


class TransactionEvent(EventFields):
    """Things were bound to, seen with, or released from business documents."""

    type: Literal["TransactionEvent"]
    action: Action
    parent_id: Maybe[Uri] = None
    epc_list: Uris = ()
    quantity_list: Quantities = ()

    identifier_lists: ClassVar[tuple[str, ...]] = ("epc_list",)
    quantity_lists: ClassVar[tuple[str, ...]] = ("quantity_list",)


class TransformationEvent(EventFields):
    """Inputs became outputs. `transformation_id` links the events of a run that stays open."""

    type: Literal["TransformationEvent"]
    input_epc_list: UniqueUris = ()
    input_quantity_list: Quantities = ()
    output_epc_list: UniqueUris = ()
    output_quantity_list: Quantities = ()
    transformation_id: Maybe[Uri] = None
    persistent_disposition: Maybe[PersistentDisposition] = None
    ilmd: Maybe[dict[str, Any]] = None

    identifier_lists: ClassVar[tuple[str, ...]] = ("input_epc_list", "output_epc_list")
    quantity_lists: ClassVar[tuple[str, ...]] = ("input_quantity_list", "output_quantity_list")


Event: TypeAlias = ObjectEvent | AggregationEvent | TransformationEvent | AssociationEvent | TransactionEvent

MODELS: dict[str, type[Event]] = {
    "ObjectEvent": ObjectEvent,
    "AggregationEvent": AggregationEvent,
    "TransformationEvent": TransformationEvent,
    "AssociationEvent": AssociationEvent,
    "TransactionEvent": TransactionEvent,
}


# --- wording ------------------------------------------------------------------------------------------------

_REMEDIES: dict[str, str] = {
    "missing": "is missing; add it",
    "extra_forbidden": "is no field of the standard here; take it out, or put it on the event, prefixed",
    "string_type": "want text",
    "bool_type": "want true or false",
    "literal_error": "want ADD, OBSERVE or DELETE",
    "tuple_type": "want an array",
    "dict_type": "want an object",
    "model_type": "want an object",
    "model_attributes_type": "want an object",
}
_PATTERNS: dict[str, str] = {
    TIME_PATTERN: "want an ISO 8601 date and time with zone, e.g. 2026-06-18T03:20:00.000+08:00",
    URI_PATTERN: "want a URI, with characters outside RFC 3986 percent-encoded",
    r"^[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00)$": "want an offset such as +08:00, at most 14:00",
    r"^[A-Z0-9]{2,3}$": "want a UN/CEFACT unit code such as KGM; leave it out for a count of pieces",
    r"^[A-Fa-f0-9]+$": "want hexadecimal digits",
}


def field_problem(detail: ErrorDetails) -> Problem:
    """One fault as pydantic found it, in our words."""
    kind = detail["type"]
    remedy = _REMEDIES.get(kind) or _PATTERNS.get(detail.get("ctx", {}).get("pattern", "")) or detail["msg"]
    pointer = pointer_to(detail["loc"])
    if kind in ("missing", "extra_forbidden"):
        return Problem(pointer, remedy)
    return Problem(pointer, f"got {short(detail['input'])}, {remedy}")
