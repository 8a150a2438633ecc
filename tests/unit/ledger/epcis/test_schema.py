"""The official JSON schema beside our models: the same fields, and of everything published and of thousands of
events made wrong in one place the same verdict, but for differences that are named here."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from ledger.epcis import models
from ledger.epcis.event_hash import Hasher
from ledger.epcis.events import EventError, event_to_json, parse_document
from tests.unit.ledger.epcis.documents import GS1, published, read
from tests.vectors import count_vectors, vector_path


@cache
def schema() -> dict[str, Any]:
    return read(vector_path("epcis/gs1/EPCIS-JSON-Schema.json"))


@cache
def validator() -> Any:
    # Without the two the schema takes a time for a word; jsonschema[format] brings them.
    formats = jsonschema.FormatChecker()
    assert {"date-time", "uri"} <= set(formats.checkers)
    return jsonschema.Draft7Validator(schema(), format_checker=formats)


# --- fields -------------------------------------------------------------------------------------------------

EVENTS = {name: (name, "Event") for name in models.MODELS}
PARTS = {
    "errorDeclaration": models.ErrorDeclaration,
    "quantityElement": models.QuantityElement,
    "bizTransaction": models.BizTransaction,
    "source": models.Source,
    "destination": models.Destination,
    "persistentDisposition": models.PersistentDisposition,
    "readPoint": models.Place,
    "bizLocation": models.Place,
    "sensorElement": models.SensorElement,
    "sensorMetadata": models.SensorMetadata,
    "sensorReport": models.SensorReport,
}


def names_in(*definitions: str) -> set[str]:
    """The properties of these definitions, those inside `allOf` with them."""
    found: set[str] = set()
    for name in definitions:
        definition = schema()["definitions"][name]
        for part in (definition, *definition.get("allOf", [])):
            found |= set(part.get("properties", {}))
    return found


def names_of(model: type[models.Said]) -> set[str]:
    return {models.json_name(attribute) for attribute in model.model_fields}


@pytest.mark.parametrize("kind", sorted(models.MODELS))
def test_an_event_has_every_field_of_the_schema_and_no_other(kind: str) -> None:
    assert names_of(models.MODELS[kind]) == names_in(*EVENTS[kind])


@pytest.mark.parametrize("definition", sorted(PARTS))
def test_a_part_of_an_event_has_every_field_of_the_schema_and_no_other(definition: str) -> None:
    assert names_of(PARTS[definition]) == names_in(definition)


def test_no_definition_of_an_event_is_left_out() -> None:
    """Whatever the schema has with properties belongs to an event here, to an envelope or to master data."""
    envelopes = {
        *("epcisHeader", "epcisDocument", "epcisQueryDocument", "epcisQueryDocumentBody", "EPCIS-Document"),
        *("EPCIS-Document-Event", "queryResults", "resultsBody"),
    }
    master_data = {"vocabulary", "vocabularyElement", "vocabularyList", "attribute"}
    of_other_types = {"Extended-Event"}  # an event of somebody's own type, which none of the five models is
    known = envelopes | master_data | of_other_types | set(PARTS) | set(EVENTS) | {"Event"}
    assert {name for name in schema()["definitions"] if names_in(name)} - known == set()


# --- verdicts -----------------------------------------------------------------------------------------------


def is_taken(document: Any) -> bool:
    try:
        parse_document(document)
    except EventError:
        return False
    return True


def test_published_documents_have_one_verdict() -> None:
    """Asked anew, and not of the table of verdicts that came with the documents."""
    differing = {}
    for name, path, valid in published():
        document = read(path)
        theirs = validator().is_valid(document)
        if (is_taken(document), valid) != (theirs, theirs):
            differing[name] = theirs
    assert differing == {}


def wrong_in_one_place(kind: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Names of the field and of what was done to it, and the document: the standard's example of every field, with
    one value left out or replaced by what it cannot be."""
    path = vector_path(f"{GS1}/WithFullCombinationOfFields") / f"{kind}_event_all_possible_fields.jsonld"
    document = read(path)
    (event,) = document["epcisBody"]["eventList"]
    for steps in places(event):
        field = "/".join(step for step in steps if isinstance(step, str))
        shared = kind != "object" and (field.startswith("sensor") or steps[0] in OF_ALL)
        again = any(isinstance(step, int) and step > 1 for step in steps)
        if shared or again or ":" in field:
            continue
        for what, value in (("left out", None), ("a number", 5), ("an object", {})):
            if what == "a number" and not field.startswith("sensor"):
                continue
            changed = copy.deepcopy(document)
            inside = changed["epcisBody"]["eventList"][0]
            for step in steps[:-1]:
                inside = inside[step]
            if what == "left out":
                del inside[steps[-1]]
            else:
                inside[steps[-1]] = value
            yield field, what, changed


OF_ALL = {"eventID", "eventTime", "recordTime", "eventTimeZoneOffset", "bizStep", "disposition", "readPoint", "bizLocation",
          "errorDeclaration", "sourceList", "destinationList", "certificationInfo"}  # fmt: skip


def places(value: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in items:
        yield (*above, step)
        yield from places(inner, (*above, step))


# All are stricter, by the standard's text: a measure of no quantity, half a piece, half a percentile, a range upside down.
STRICTER = {
    ("quantityList/quantity", "left out"),
    ("childQuantityList/quantity", "left out"),
    ("childQuantityList/uom", "left out"),
    ("inputQuantityList/quantity", "left out"),
    ("outputQuantityList/quantity", "left out"),
    ("sensorElementList/sensorReport/percRank", "left out"),
    ("sensorElementList/sensorReport/percValue", "left out"),
    ("sensorElementList/sensorReport/maxValue", "a number"),
}


def test_events_wrong_in_one_place_have_one_verdict() -> None:
    stricter, laxer, asked = set(), set(), 0
    for kind in ("object", "aggregation", "transaction", "transformation", "association"):
        for field, what, document in wrong_in_one_place(kind):
            ours, theirs = is_taken(document), validator().is_valid(document)
            (stricter if theirs else laxer).update({(field, what)} if ours != theirs else ())
            asked += 1
    assert laxer == set()
    assert stricter == STRICTER
    assert asked >= 200
    count_vectors(asked)


# --- meaning ------------------------------------------------------------------------------------------------


def test_what_goes_out_means_what_came_in() -> None:
    """Field for field, and by the event hash, which expands names by the document's context and its own."""
    for name, path, valid in published():
        document = read(path)
        if not valid:
            continue
        parsed = parse_document(copy.deepcopy(document))
        hasher = Hasher.of(parsed.context)
        for event, written in zip(parsed.events, events_in(document), strict=True):
            out = event_to_json(event)
            assert out == written, name
            assert hasher.hash(out) == hasher.hash(written), name


def events_in(document: dict[str, Any]) -> list[dict[str, Any]]:
    body = document.get("epcisBody", {})
    results = body.get("queryResults", {}).get("resultsBody", {})
    return list(body.get("eventList", results.get("eventList", [document])))
