"""What the CBV 2.0 event hash writes: the standard's fields in the standard's order, and each kind of value.

Tables for `event_hash`, which walks an event along them. A value comes as JSON has it, or as the text of an XML
document, and is written alike. Contract: a value that cannot be written raises `Misshapen`, which says what is
wanted; that it is a valid value of its field is not asked.

Source: CBV 2.0 section 8.9, and where the published hashes differ from its text, those: `LATE` says where.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from ledger.epcis import vocabulary
from ledger.epcis.contexts import declared, expanded
from ledger.epcis.identifiers import LONGEST, constrained
from ledger.epcis.problems import short


class Misshapen(ValueError):
    """A value that the hash has no text for. `steps`: the way to it, from inside out, as who walks adds them."""

    def __init__(self, value: object, wanted: str) -> None:
        super().__init__(f"got {short(value)}, want {wanted}")
        self.steps: list[str | int] = []


# --- names --------------------------------------------------------------------------------------------------

_KNOWN_PREFIXES = {
    "epcis": "https://ref.gs1.org/epcis/",
    "cbv": vocabulary.CBV,
    "cbvmda": "urn:epcglobal:cbv:mda:",
    "gs1": vocabulary.GS1,
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "dcterms": "http://purl.org/dc/terms/",
}
_REMEMBERED = 1024
"""Names of one document whose braced form is kept."""


@dataclass(frozen=True)
class Names:
    """What prefixes and terms stand for: `declared` by contexts, or in `meaning` by the standard's own context
    as well; `namespaces` are the meanings that a local name may follow. `published`: see `Hasher`."""

    declared: Mapping[str, str]
    meaning: Mapping[str, str]
    namespaces: frozenset[str]
    published: bool = False
    _written: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, *contexts: Any, published: bool = False) -> Names:
        theirs = declared(contexts)
        meaning = {**_KNOWN_PREFIXES, **theirs}
        ends = frozenset(uri for uri in meaning.values() if uri.endswith(_ENDS))
        return cls(theirs, meaning, ends, published)

    def braced(self, name: str) -> str:
        """A field's name as `{namespace}name`."""
        known = self._written.get(name)
        if known is None:
            known = self._braced(name)
            if len(self._written) < _REMEMBERED:
                self._written[name] = known
        return known

    def _braced(self, name: str) -> str:
        prefix, colon, local = name.partition(":")
        if colon and prefix in self.meaning and not local.startswith("//"):
            return f"{{{self.meaning[prefix]}}}{local}"
        uri = name if colon else self.meaning.get(name, name)
        cut = self._end_of_namespace(uri)
        return f"{{{uri[:cut]}}}{uri[cut:]}" if cut else uri

    def _end_of_namespace(self, uri: str) -> int:
        """Where a name that is written as a whole URI is cut: where a declared namespace ends, so that both
        ways to write it give one hash, or else after the last separator. 0 if it has none. Only the last
        separators are looked at, more than any namespace has, so that no name costs much."""
        ends = [found.end() for found in _SEPARATOR.finditer(uri, max(0, len(uri) - LONGEST))][-64:]
        return next((end for end in reversed(ends) if uri[:end] in self.namespaces), ends[-1] if ends else 0)


_ENDS = ("/", "#", ":")
_SEPARATOR = re.compile("[/#:]")


# --- values -------------------------------------------------------------------------------------------------

Value = Callable[[Names, Any], str]

_BEGIN_NUMBERS = frozenset("+-.0123456789")
_NUMERIC = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


def text(names: Names, value: Any) -> str:
    """A text that reads as a number is one: in XML, which must hash alike, there is no difference."""
    if type(value) is str:
        written: str = value.strip()
        if written[:1] not in _BEGIN_NUMBERS or not _NUMERIC.fullmatch(written):
            return written
        return (
            _long(names, written) if len(written) > sys.float_info.dig else _double(float(written), written)
        )
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int or type(value) is float:
        return _double(float(value), str(value))
    raise Misshapen(value, "text, a number, true or false")


def _long(names: Names, value: str) -> str:
    """A number of more digits than every double carries. Published hashes have the nearest double; by that two
    waybills would be one, so that here a text that no double carries keeps its digits."""
    number, exact = float(value), Decimal(value)
    if names.published or Decimal(repr(number)) == exact:
        return _double(number, value)
    written = format(exact, "f")
    return written.rstrip("0").rstrip(".") if "." in written else written


def _number(names: Names, value: Any) -> str:
    if type(value) is str and not _NUMERIC.fullmatch(value.strip()):
        raise Misshapen(value, "a number")
    if type(value) is bool:
        raise Misshapen(value, "a number, not true or false")
    return text(names, value)


def _double(number: float, written: str) -> str:
    """Without superfluous zeros: 26.0 and 26 are one value, 1e3 is 1000, -0 is 0."""
    if number.is_integer():
        return str(int(number))
    return repr(number) if math.isfinite(number) else written


_HALF_A_MILLISECOND = timedelta(microseconds=500)


def _time(_: Names, value: Any) -> str:
    """UTC to the millisecond; half a millisecond and more is rounded up, as CBV 2.1's draft clarifies."""
    try:
        moment = datetime.fromisoformat(value.strip())
        if moment.microsecond % 1000:
            moment += _HALF_A_MILLISECOND
        if moment.tzinfo is None:
            raise ValueError("no zone")
        return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
    except (ValueError, OverflowError, AttributeError):
        raise Misshapen(value, "a date and time with its zone, e.g. 2026-06-18T03:20:00.000+08:00") from None


def _offset(_: Names, value: Any) -> str:
    """As written: it reads as no number."""
    if type(value) is not str:
        raise Misshapen(value, "an offset such as +08:00")
    return value.strip()


def uri(names: Names, value: Any) -> str:
    if type(value) is not str:
        raise Misshapen(value, "a URI")
    found = expanded(value.strip(), names.meaning)
    return _constrained(found) or text(names, found)


def _constrained(uri: str) -> str | None:
    # Long texts are no identifiers, and would make a bounded number of entries an unbounded size.
    return _remembered(uri) if len(uri) <= 256 else constrained(uri)


@lru_cache(maxsize=16384)
def _remembered(uri: str) -> str | None:
    return constrained(uri)


def _word(words: vocabulary.Vocabulary) -> Value:
    full = {word: words.full(word) for word in words.words}

    def write(names: Names, value: Any) -> str:
        if type(value) is not str:
            raise Misshapen(value, f"a word of {words.name}, or a URI")
        known = full.get(value)
        return words.full(expanded(value.strip(), names.meaning)) if known is None else known

    return write


def foreign(names: Names, value: Any) -> str:
    """The value of an extension field, of which only its own look tells what it is."""
    found = text(names, value)
    if ":" not in found:
        return found
    found = expanded(found, names.declared)
    if found.startswith("urn:epcglobal:cbv:"):
        return next((full for words in _VOCABULARIES if (full := words.full(found)) != found), found)
    return _constrained(found) or found


_VOCABULARIES = (
    vocabulary.BIZ_STEP,
    vocabulary.DISPOSITION,
    vocabulary.BIZ_TRANSACTION_TYPE,
    vocabulary.SOURCE_DESTINATION_TYPE,
    vocabulary.ERROR_REASON,
)


# --- the order of fields ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """One field: a value (`value`), or an object (`inside`); `each` is the name before every item of a list,
    or None where the field is no list. A list without item names (`each=""`) sets its items side by side.
    `elsewhere`: names in the object inside that are not written there. `rest`: the other way round, of the
    objects inside nothing but these fields is written."""

    name: str
    value: Value | None = None
    inside: tuple[Field, ...] = ()
    each: str | None = None
    rest: bool = False
    elsewhere: frozenset[str] = frozenset()


def _quantities(name: str) -> Field:
    inside = (Field("epcClass", uri), Field("quantity", _number), Field("uom", text))
    return Field(name, inside=inside, each="quantityElement")


def _epcs(name: str) -> Field:
    return Field(name, uri, each="epc")


def _parties(name: str, party: str) -> Field:
    kind = Field("type", _word(vocabulary.SOURCE_DESTINATION_TYPE))
    return Field(name, inside=(kind, Field(party, uri)), each="")


_PROVENANCE = (
    Field("deviceID", uri),
    Field("deviceMetadata", uri),
    Field("rawData", uri),
    Field("dataProcessingMethod", uri),
)
_METADATA = (
    Field("time", _time),
    Field("startTime", _time),
    Field("endTime", _time),
    *_PROVENANCE,
    Field("bizRules", uri),
)
_REPORT = (
    Field("type", _word(vocabulary.MEASUREMENT_TYPE)),
    Field("exception", _word(vocabulary.SENSOR_ALERT)),
    *_PROVENANCE,
    Field("time", _time),
    Field("microorganism", uri),
    Field("chemicalSubstance", uri),
    Field("value", _number),
    Field("component", _word(vocabulary.COMPONENT)),
    Field("stringValue", text),
    Field("booleanValue", text),
    Field("hexBinaryValue", text),
    Field("uriValue", uri),
    Field("minValue", _number),
    Field("maxValue", _number),
    Field("meanValue", _number),
    Field("sDev", _number),
    Field("percRank", _number),
    Field("percValue", _number),
    Field("uom", text),
    Field("coordinateReferenceSystem", uri),
)
_IN_THE_REST = frozenset({"bizRules"})
_DISPOSITION = _word(vocabulary.DISPOSITION)
EVENT = (
    Field("eventTime", _time),
    Field("eventTimeZoneOffset", _offset),
    Field("certificationInfo", uri),
    _epcs("epcList"),
    Field("parentID", uri),
    _epcs("inputEPCList"),
    _epcs("childEPCs"),
    _quantities("quantityList"),
    _quantities("childQuantityList"),
    _quantities("inputQuantityList"),
    _epcs("outputEPCList"),
    _quantities("outputQuantityList"),
    Field("action", text),
    Field("transformationID", uri),
    Field("bizStep", _word(vocabulary.BIZ_STEP)),
    Field("disposition", _DISPOSITION),
    Field("persistentDisposition", inside=(Field("set", _DISPOSITION), Field("unset", _DISPOSITION))),
    Field("readPoint", inside=(Field("id", uri),)),
    Field("bizLocation", inside=(Field("id", uri),)),
    Field(
        "sensorElementList",
        inside=(
            Field("sensorMetadata", inside=_METADATA),
            Field("sensorReport", inside=_REPORT, elsewhere=_IN_THE_REST),
        ),
        each="sensorElement",
    ),
)
LATE = (
    Field(
        "bizTransactionList",
        inside=(Field("type", _word(vocabulary.BIZ_TRANSACTION_TYPE)), Field("bizTransaction", uri)),
        each="",
    ),
    _parties("sourceList", "source"),
    _parties("destinationList", "destination"),
    Field("ilmd"),
    Field(
        "sensorElementList",
        inside=(Field("sensorReport", inside=(Field("bizRules", uri),)),),
        each="sensorElement",
        rest=True,
    ),
)
"""Written after the others, sorted among the event's extension fields. The text of the standard has the lists
before the sensors and does not mention the bizRules of a report; the published hashes have them so."""
OUTSIDE = frozenset({"@context", "type", "eventID", "recordTime", "errorDeclaration"})
"""The event's own fields that are not hashed there; `type` opens the string."""
NEVER = frozenset({"{http://www.w3.org/2000/01/rdf-schema#}comment"})
"""Extension fields that are not hashed anywhere."""
