"""What the standard's text asks of an event and a schema cannot: check digits, parents, the order of times.

Two kinds. Who breaks `faults` is refused at every door. `breaches` are what the text forbids and the standard's
own published examples do, so that no door can refuse them; `suyuan epcis validate` does. Every rule is a generator
of faults over an event whose fields are each well formed (`models`). Source: EPCIS 2.0 sections 7.3 and 7.4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from ledger.epcis.identifiers import IdentifierError
from ledger.epcis.identifiers import parse as parse_identifier
from ledger.epcis.models import (
    MODELS,
    AggregationEvent,
    AssociationEvent,
    ErrorDeclaration,
    Event,
    EventFields,
    ObjectEvent,
    PersistentDisposition,
    QuantityElement,
    Said,
    SensorElement,
    SensorReport,
    TransactionEvent,
    TransformationEvent,
    json_name,
)
from ledger.epcis.problems import Problem, pointer_to


def faults(event: Event) -> Iterator[Problem]:
    """The rules of the standard's text, over an event whose every field is well formed by itself."""
    yield from _RULES[event.type](event)
    yield from _identifier_faults(event)
    yield from _quantity_faults(event)
    yield from _name_faults("", event)
    if event.error_declaration is not None:
        yield from _declaration_faults(event, event.error_declaration)
    for place, element in enumerate(event.sensor_element_list):
        yield from _sensor_faults(f"/sensorElementList/{place}", element)


def breaches(event: Event) -> Iterator[Problem]:
    """What the text forbids and published documents do: sensor metadata in two places, sensor times after the event
    (no tolerance: "lower or equal"), an error declaration without the eventID of the event that it takes back."""
    if event.error_declaration is not None and event.event_id is None:
        wanted = "an error declaration repeats the eventID of the event that it declares wrong"
        yield Problem("/eventID", f"is missing; {wanted}")
    for place, element in enumerate(event.sensor_element_list):
        yield from _sensor_breaches(f"/sensorElementList/{place}", event, element)


# Sensor metadata that holds for all reports of an element, or for one, and stands in one place: JSON name -> attribute.
_IN_ONE_PLACE = {
    json_name(attribute): attribute
    for attribute in (
        *("time_text", "device_id", "device_metadata", "raw_data", "data_processing_method", "biz_rules"),
    )
}


def _sensor_breaches(pointer: str, event: Event, element: SensorElement) -> Iterator[Problem]:
    meta = element.sensor_metadata
    shared: set[str] = set()
    if meta is not None:
        shared = {name for name, held in _IN_ONE_PLACE.items() if getattr(meta, held) is not None}
        for name, moment in (("time", meta.time), ("startTime", meta.start_time), ("endTime", meta.end_time)):
            if moment is not None and moment > event.event_time:
                yield _later(f"{pointer}/sensorMetadata/{name}", moment, event)
    for place, report in enumerate(element.sensor_report):
        where = f"{pointer}/sensorReport/{place}"
        if report.time is not None and report.time > event.event_time:
            yield _later(f"{where}/time", report.time, event)
        for name, held in _IN_ONE_PLACE.items():
            if name in shared and getattr(report, held) is not None:
                remedy = (
                    "keep it in sensorMetadata where it holds for all reports, and in the reports where not"
                )
                yield Problem(f"{where}/{name}", f"stands in sensorMetadata as well; {remedy}")


def _later(pointer: str, moment: datetime, event: Event) -> Problem:
    got = f"got {moment.isoformat()}, after the eventTime {event.event_time_text}"
    return Problem(
        pointer, f"{got}; an event tells of what was measured before: correct the one or the other"
    )


def _object_faults(event: ObjectEvent) -> Iterator[Problem]:
    named = event.quantity_list or "epc_list" in event.model_fields_set
    if not named and not (event.sensor_element_list and event.read_point):
        about = "epcList, quantityList, or sensorElementList with readPoint"
        yield Problem("/epcList", f"is missing; say what the event is about: {about}")
    if event.ilmd is not None and event.action != "ADD":
        yield Problem("/ilmd", f"got action {event.action}; master data of a lot goes with action ADD only")
    yield from _ilmd_faults(event.ilmd)
    yield from _persistent_faults(event.persistent_disposition)


def _parent_faults(event: AggregationEvent | AssociationEvent) -> Iterator[Problem]:
    if event.parent_id is None and (event.type == "AssociationEvent" or event.action != "OBSERVE"):
        yield Problem("/parentID", f"is missing; a {event.type} with action {event.action} names its parent")
    if event.action != "DELETE" and not event.child_epcs and not event.child_quantity_list:
        yield Problem(
            "/childEPCs",
            f"is missing; with action {event.action} name the children in childEPCs or childQuantityList "
            f"(only DELETE may leave both out, and then means all)",
        )
    if event.parent_id is not None and event.parent_id in event.child_epcs:
        yield Problem("/childEPCs", f"got the parent {event.parent_id} among its own children; take it out")


def _transaction_faults(event: TransactionEvent) -> Iterator[Problem]:
    if not event.biz_transaction_list:
        yield Problem("/bizTransactionList", "is missing or empty; name at least one business transaction")
    named = event.quantity_list or "epc_list" in event.model_fields_set
    if event.action != "DELETE" and not named:
        yield Problem("/epcList", f"is missing; with action {event.action} give epcList or quantityList")


def _transformation_faults(event: TransformationEvent) -> Iterator[Problem]:
    inputs = event.input_epc_list or event.input_quantity_list
    outputs = event.output_epc_list or event.output_quantity_list
    if not inputs and not outputs:
        yield Problem("/inputEPCList", "is missing; name inputs and outputs")
    elif not (inputs and outputs) and event.transformation_id is None:
        side, name = ("outputs", "/outputEPCList") if inputs else ("inputs", "/inputEPCList")
        yield Problem(name, f"is missing; name the {side}, or link the events of one run by transformationID")
    yield from _ilmd_faults(event.ilmd)
    yield from _persistent_faults(event.persistent_disposition)


_RULES: dict[str, Callable[[Any], Iterator[Problem]]] = {
    "ObjectEvent": _object_faults,
    "AggregationEvent": _parent_faults,
    "AssociationEvent": _parent_faults,
    "TransactionEvent": _transaction_faults,
    "TransformationEvent": _transformation_faults,
}


def _ilmd_faults(ilmd: dict[str, Any] | None) -> Iterator[Problem]:
    for name in ilmd or ():
        if ":" not in name:
            yield Problem(f"/ilmd{pointer_to([name])}", _UNPREFIXED)


def _persistent_faults(said: PersistentDisposition | None) -> Iterator[Problem]:
    if said is not None and not said.set and not said.unset:
        yield Problem("/persistentDisposition", "is empty; say what is set, what is unset, or both")


_UNPREFIXED = (
    "is no field of the standard here; a field of your own needs a prefix (suyuan:name) or a whole URI"
)


def _name_faults(pointer: str, said: Said) -> Iterator[Problem]:
    for name in said.model_extra or ():
        if ":" not in name:
            homes = _homes(name) if isinstance(said, EventFields) else []
            belongs = f"belongs to {' and '.join(homes)}, not to {type(said).__name__}; take it out"
            yield Problem(pointer + pointer_to([name]), belongs if homes else _UNPREFIXED)


def _homes(name: str) -> list[str]:
    """The event types that do have a field of this name."""
    return [
        kind
        for kind, model in MODELS.items()
        if any(json_name(attribute) == name for attribute in model.model_fields)
    ]


def _declaration_faults(event: Event, declared: ErrorDeclaration) -> Iterator[Problem]:
    yield from _name_faults("/errorDeclaration", declared)
    for place, corrective in enumerate(declared.corrective_event_ids):
        if corrective == event.event_id:
            pointer = f"/errorDeclaration/correctiveEventIDs/{place}"
            yield Problem(pointer, "got the wrong event's own eventID; name the event that takes its place")


def _identifier_faults(event: Event) -> Iterator[Problem]:
    for pointer, text in _identifiers(event):
        try:
            parse_identifier(text)
        except IdentifierError as error:
            # A Digital Link at another host is vouched for there, and whether that path is a GS1 key at all
            # is its owner's to say; published test documents have such keys with a wrong check digit.
            if text.startswith(_OURS_TO_CHECK):
                yield Problem(pointer, str(error))


_OURS_TO_CHECK = ("https://id.gs1.org/", "http://id.gs1.org/", "urn:epc:", "geo:")


def _identifiers(event: Event) -> Iterator[tuple[str, str]]:
    """Each identifier of things and places with its pointer."""
    for attribute in event.identifier_lists:
        for place, epc in enumerate(getattr(event, attribute)):
            yield f"/{json_name(attribute)}/{place}", epc
    for attribute in event.quantity_lists:
        for place, element in enumerate(getattr(event, attribute)):
            yield f"/{json_name(attribute)}/{place}/epcClass", element.epc_class
    parent = getattr(event, "parent_id", None)
    if parent is not None:
        yield "/parentID", parent
    if event.read_point is not None:
        yield "/readPoint/id", event.read_point.id
    if event.biz_location is not None:
        yield "/bizLocation/id", event.biz_location.id


def _quantity_faults(event: Event) -> Iterator[Problem]:
    for attribute in event.quantity_lists:
        for place, element in enumerate(getattr(event, attribute)):
            message = _quantity_fault(element)
            if message:
                yield Problem(f"/{json_name(attribute)}/{place}/quantity", message)


def _quantity_fault(element: QuantityElement) -> str | None:
    if element.quantity is None:
        return None if element.uom is None else "is missing; a uom needs the quantity it measures"
    if element.quantity < 0:
        return f"got {element.quantity}, want 0 or more; say by action or disposition what went out"
    if element.uom is None and element.quantity != int(element.quantity):
        return f"got {element.quantity}, want a whole count of pieces, or a uom such as KGM for a measure"
    return None


def _sensor_faults(pointer: str, element: SensorElement) -> Iterator[Problem]:
    yield from _name_faults(pointer, element)
    meta = element.sensor_metadata
    if meta is not None:
        yield from _name_faults(f"{pointer}/sensorMetadata", meta)
        if meta.start_time and meta.end_time and meta.start_time > meta.end_time:
            yield Problem(
                f"{pointer}/sensorMetadata/endTime",
                f"got {meta.end_time_text}, before startTime {meta.start_time_text}; exchange them",
            )
    for place, report in enumerate(element.sensor_report):
        yield from _name_faults(f"{pointer}/sensorReport/{place}", report)
        yield from _report_faults(f"{pointer}/sensorReport/{place}", report)


def _report_faults(pointer: str, report: SensorReport) -> Iterator[Problem]:
    low, high = report.min_value, report.max_value
    # A mean outside minimum and maximum is let pass: the standard's own examples of every field have one.
    if low is not None and high is not None and low > high:
        yield Problem(f"{pointer}/minValue", f"got {low}, above maxValue {high}; exchange them")
    if report.s_dev is not None and report.s_dev < 0:
        yield Problem(f"{pointer}/sDev", f"got {report.s_dev}, want 0 or more")
    if (report.perc_rank is None) != (report.perc_value is None):
        yield Problem(f"{pointer}/percRank", "percRank and percValue say something only together; give both")
