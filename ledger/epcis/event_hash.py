"""The CBV 2.0 event hash: one name for an event, whatever its field order, identifier spelling or time zone.

Used as the key of events that came without an eventID, and to compare what two parties recorded. It is no
integrity proof: `recordTime`, `eventID`, `errorDeclaration` and comments stay outside, so an event and its
own error declaration hash alike. A claimed `ni:` eventID that does not recompute is no reason to refuse
anything; most published ones are stale.

The pre-hash string lists the fields in the standard's order as `name=value`, without separators; lists are
sorted, extension fields come last in their object as `{namespace}name=value`, sorted. What a prefix stands
for is said by the JSON-LD context, so the document's `@context` is part of the input. Contexts named by
address are not fetched: the standard's own prefixes are known here, those of another address are taken as
they are written.

Source: CBV 2.0 section 8.9; the JSON-LD examples of its reference implementation are the tests.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ledger.epcis import vocabulary
from ledger.epcis.bounds import MOST_CHARACTERS, refuse_unbounded
from ledger.epcis.contexts import declared, expanded, refuse_context
from ledger.epcis.events import Event, event_to_json
from ledger.epcis.identifiers import LONGEST, constrained
from ledger.epcis.problems import EventError, Problem

VERSION = "CBV2.0"
MOST_WRITTEN = 8 * MOST_CHARACTERS
"""Characters of names and values written for one event. A list repeats its name with every item and a prefix
stands for a whole namespace, so that without a bound a small event writes out to gigabytes."""


def event_hash(event: Event, context: Any = None, *, ignored: Iterable[str] = ()) -> str:
    """`ni:///sha-256;<64 hex digits>?ver=CBV2.0`. Arguments and errors as for `pre_hash`."""
    digest = hashlib.sha256(pre_hash(event, context, ignored=ignored).encode()).hexdigest()
    return f"ni:///sha-256;{digest}?ver={VERSION}"


def pre_hash(event: Event, context: Any = None, *, ignored: Iterable[str] = ()) -> str:
    """The string that is hashed.

    `context`: the `@context` of the document the event came in, as written; the event's own is added to it.
    `ignored`: extension fields to leave out, by the names written (a repository's own marks, which were not
    there when the event was made).
    Raises EventError for a context that `parse_document` would not take, and for an event that writes out to
    more than MOST_WRITTEN characters.
    """
    refuse_unbounded({"@context": context})
    refuse_context(context)
    said = event_to_json(event)
    names = _Names.of(context, event.context)
    left_out = _NEVER | {names.braced(name) for name in ignored}
    return f"eventType={event.type}" + _Writer(names, left_out).inside(_EVENT, said)


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
_NEVER = frozenset({"{http://www.w3.org/2000/01/rdf-schema#}comment"})


@dataclass(frozen=True)
class _Names:
    """What prefixes and terms stand for in one event: `declared` by its contexts, or in `meaning` by the
    standard's own context as well; `namespaces` are the meanings that a local name may follow."""

    declared: Mapping[str, str]
    meaning: Mapping[str, str]
    namespaces: frozenset[str]

    @classmethod
    def of(cls, *contexts: Any) -> _Names:
        theirs = declared(contexts)
        meaning = {**_KNOWN_PREFIXES, **theirs}
        return cls(theirs, meaning, frozenset(uri for uri in meaning.values() if uri.endswith(_ENDS)))

    def braced(self, name: str) -> str:
        """A field's name as `{namespace}name`."""
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

_Value = Callable[[_Names, Any], str]

_NUMERIC = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


def _text(_: _Names, value: Any) -> str:
    """A text that reads as a number is one: in XML, which must hash alike, there is no difference."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value).strip()
    return _plain(Decimal(text)) if _NUMERIC.fullmatch(text) else text


def _number(_: _Names, value: Any) -> str:
    return _plain(Decimal(repr(value)))


def _plain(number: Decimal) -> str:
    """Decimal notation without superfluous zeros: 26.0 and 26 are one value, 1e-3 is 0.001, -0 is 0."""
    written = format(number, "f")
    if "." in written:
        written = written.rstrip("0").rstrip(".")
    sign, digits = ("-", written[1:]) if written[0] == "-" else ("", written)
    digits = digits.lstrip("0")
    digits = digits if digits[:1] not in ("", ".") else "0" + digits
    return digits if digits == "0" else sign + digits


def _time(_: _Names, value: Any) -> str:
    """UTC to the millisecond, further digits cut."""
    moment = datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds") + "Z"


def _uri(names: _Names, value: Any) -> str:
    uri = expanded(str(value).strip(), names.meaning)
    return constrained(uri) or uri


def _word(words: vocabulary.Vocabulary) -> _Value:
    return lambda names, value: words.full(expanded(str(value).strip(), names.meaning))


def _foreign(names: _Names, value: Any) -> str:
    """The value of an extension field, of which only its own look tells what it is."""
    text = expanded(_text(names, value), names.declared)
    if text.startswith("urn:epcglobal:cbv:"):
        return next((full for words in _VOCABULARIES if (full := words.full(text)) != text), text)
    return constrained(text) or text


_VOCABULARIES = (
    vocabulary.BIZ_STEP,
    vocabulary.DISPOSITION,
    vocabulary.BIZ_TRANSACTION_TYPE,
    vocabulary.SOURCE_DESTINATION_TYPE,
    vocabulary.ERROR_REASON,
)


# --- the order of fields ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Field:
    """One field: a value (`value`), or an object (`inside`); `each` is the name before every item of a list,
    or None where the field is no list. A list without item names (`each=""`) sets its items side by side."""

    name: str
    value: _Value | None = None
    inside: tuple[_Field, ...] = ()
    each: str | None = None


def _quantities(name: str) -> _Field:
    return _Field(
        name,
        inside=(_Field("epcClass", _uri), _Field("quantity", _number), _Field("uom", _text)),
        each="quantityElement",
    )


def _epcs(name: str) -> _Field:
    return _Field(name, _uri, each="epc")


def _parties(name: str, party: str) -> _Field:
    return _Field(
        name, inside=(_Field("type", _word(vocabulary.SOURCE_DESTINATION_TYPE)), _Field(party, _uri)), each=""
    )


_PROVENANCE = (
    _Field("deviceID", _uri),
    _Field("deviceMetadata", _uri),
    _Field("rawData", _uri),
    _Field("dataProcessingMethod", _uri),
)
_METADATA = (
    _Field("time", _time),
    _Field("startTime", _time),
    _Field("endTime", _time),
    *_PROVENANCE,
    _Field("bizRules", _uri),
)
_REPORT = (
    _Field("type", _word(vocabulary.MEASUREMENT_TYPE)),
    _Field("exception", _word(vocabulary.SENSOR_ALERT)),
    *_PROVENANCE,
    _Field("bizRules", _uri),
    _Field("time", _time),
    _Field("microorganism", _uri),
    _Field("chemicalSubstance", _uri),
    _Field("value", _number),
    _Field("component", _word(vocabulary.COMPONENT)),
    _Field("stringValue", _text),
    _Field("booleanValue", _text),
    _Field("hexBinaryValue", _text),
    _Field("uriValue", _uri),
    _Field("minValue", _number),
    _Field("maxValue", _number),
    _Field("meanValue", _number),
    _Field("sDev", _number),
    _Field("percRank", _number),
    _Field("percValue", _number),
    _Field("uom", _text),
    _Field("coordinateReferenceSystem", _uri),
)
_EVENT = (
    _Field("eventTime", _time),
    _Field("eventTimeZoneOffset", _text),
    _Field("certificationInfo", _uri),
    _epcs("epcList"),
    _Field("parentID", _uri),
    _epcs("inputEPCList"),
    _epcs("childEPCs"),
    _quantities("quantityList"),
    _quantities("childQuantityList"),
    _quantities("inputQuantityList"),
    _epcs("outputEPCList"),
    _quantities("outputQuantityList"),
    _Field("action", _text),
    _Field("transformationID", _uri),
    _Field("bizStep", _word(vocabulary.BIZ_STEP)),
    _Field("disposition", _word(vocabulary.DISPOSITION)),
    _Field(
        "persistentDisposition",
        inside=(
            _Field("set", _word(vocabulary.DISPOSITION)),
            _Field("unset", _word(vocabulary.DISPOSITION)),
        ),
    ),
    _Field("readPoint", inside=(_Field("id", _uri),)),
    _Field("bizLocation", inside=(_Field("id", _uri),)),
    _Field(
        "sensorElementList",
        inside=(
            _Field("sensorMetadata", inside=_METADATA),
            _Field("sensorReport", inside=_REPORT),
        ),
        each="sensorElement",
    ),
    _Field(
        "bizTransactionList",
        inside=(
            _Field("type", _word(vocabulary.BIZ_TRANSACTION_TYPE)),
            _Field("bizTransaction", _uri),
        ),
        each="",
    ),
    _parties("destinationList", "destination"),
    _Field("ilmd", inside=()),
    _parties("sourceList", "source"),
)
_OUTSIDE = frozenset({"@context", "type", "eventID", "recordTime", "errorDeclaration"})
"""The event's own fields that are not hashed here; `type` opens the string."""


# --- writing ------------------------------------------------------------------------------------------------


@dataclass
class _Allowance:
    """What may still be written."""

    left: int = MOST_WRITTEN

    def spend(self, text: str) -> str:
        self.left -= len(text)
        if self.left < 0:
            wanted = f"want at most {MOST_WRITTEN} characters; give it an eventID, or split it"
            raise EventError([Problem("", f"writes out to too long a text for the event hash: {wanted}")])
        return text


@dataclass(frozen=True)
class _Writer:
    names: _Names
    left_out: frozenset[str]
    allowance: _Allowance = field(default_factory=_Allowance)

    def inside(self, fields: tuple[_Field, ...], said: Mapping[str, Any]) -> str:
        """An object: the standard's fields in its order, then extension fields, sorted."""
        known = "".join(self._field(field, said[field.name]) for field in fields if field.name in said)
        names = {field.name for field in fields} | (_OUTSIDE if fields is _EVENT else frozenset())
        others = (pair for name in said.keys() - names for pair in self._extension(name, said[name]))
        return known + "".join(sorted(others))

    def _field(self, field: _Field, said: Any) -> str:
        if field.each is not None:
            written = "".join(sorted(field.each + self._one(field, item) for item in said))
            return field.name + written if written else ""
        items = said if isinstance(said, list) else [said]
        return "".join(sorted(field.name + text for item in items if (text := self._one(field, item))))

    def _one(self, field: _Field, item: Any) -> str:
        if field.value is None:
            return self.inside(field.inside, item)
        return self.allowance.spend(f"={field.value(self.names, item)}")

    def _extension(self, name: str, said: Any) -> Iterator[str]:
        """One string for every value: a list is so many fields of the same name."""
        braced = self.names.braced(name)
        if not name.startswith("@") and braced not in self.left_out:
            yield from self._values(braced, said)

    def _values(self, braced: str, said: Any) -> Iterator[str]:
        for item in said if isinstance(said, list) else [said]:
            if isinstance(item, list):
                yield from self._values(braced, item)
            elif isinstance(item, dict):
                yield self.allowance.spend(braced) + self.inside((), item)
            elif item is not None:
                text = self.allowance.spend(_foreign(self.names, item))
                yield self.allowance.spend(braced) + (f"={text}" if text else "")
