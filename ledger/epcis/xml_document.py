"""EPCIS XML (2.0, and 1.2 on the way) into the JSON-LD that everything else here reads.

Beside `files`, which asks for it where a file begins with `<`. The contract: an event says the same in both
formats, so that its hash, its genealogy and its duplicates are the same. Lists lose their item elements,
`extension` and `baseExtension` wrappers go, standard vocabulary becomes bare words, numbers become numbers, and
a field of a foreign namespace gets the document's prefix, which `@context` declares. Any bytes end in a document
or in EventError, in bounded time and memory: no DTD, no entities, nothing outside the bytes is read.

What XML alone can say is kept so that nothing is lost: an extension element with attributes is an object with
`#text` beside them (as the hash's reference implementation has it), and `xsi:` attributes, which say how XML is
to be read and nothing of the event, go. Not read is EPCISHeader. Source: EPCIS 2.0 section 9 (XML Schema) and
its JSON schema.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from lxml import etree

from ledger.epcis import vocabulary
from ledger.epcis.bounds import DEEPEST, LARGEST_NUMBER
from ledger.epcis.contexts import refuse_context
from ledger.epcis.problems import EventError, Problem, printable, short
from ledger.epcis.xml_names import CONTEXT, WRAPPERS, Prefixes

MOST_XML_BYTES = 48 * 2**20
MOST_XML_MARKS = 2_500_000
"""Tags and attributes of one document: the smallest element of four bytes takes some hundred in memory."""
MOST_XML_ATTRIBUTES = 1_000
"""Of one element: libxml2 takes time with their square."""
MOST_XML_EVENTS = 100_000


def read_xml(data: bytes, *, literal: bool = False) -> dict[str, Any]:
    """An EPCISDocument, EPCISQueryDocument or one bare event as its JSON-LD object, `@context` included. Raises
    EventError.

    `literal`: with the names and values that published hashes of XML were made of (`xml_names`); to be hashed,
    and for nothing else.
    """
    root = _root(data)
    prefixes = Prefixes.of(root, literal)
    found = _Reader(prefixes, literal).document(root)
    terms = prefixes.terms()
    context = [CONTEXT, terms] if terms else [CONTEXT]
    refuse_context(context)
    return {"@context": context, **found}


# --- bytes --------------------------------------------------------------------------------------------------


def _root(data: bytes) -> Any:
    if len(data) > MOST_XML_BYTES:
        raise _refused(f"is too large: want at most {MOST_XML_BYTES} bytes; split it into several documents")
    if data.count(b"<") + data.count(b"=") > MOST_XML_MARKS:
        raise _refused(
            f"holds too many elements: want at most {MOST_XML_MARKS} tags and attributes; split it"
        )
    if _crowded(data):
        raise _refused(
            f"holds more than {MOST_XML_ATTRIBUTES} attributes in one element; want elements instead"
        )
    # In UTF-16 and UTF-32 every other byte is NUL. In no comment of an honest document does this stand.
    if b"<!DOCTYPE" in data.replace(b"\0", b""):
        raise _refused(_DOCTYPE)
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        recover=False,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError, LookupError) as error:
        raise _refused(
            f"is no XML: {printable(str(error))[:200]}; mend it there, or export it again"
        ) from None
    if root is None or root.getroottree().docinfo.internalDTD is not None:
        raise _refused(_DOCTYPE)
    return root


def _crowded(data: bytes) -> bool:
    """Do more equals signs stand between one `<` and the next than an element may have attributes?"""
    raw = np.frombuffer(data, dtype=np.uint8)
    signs = np.flatnonzero(raw == ord("="))
    if signs.size <= MOST_XML_ATTRIBUTES:
        return False
    element = np.searchsorted(np.flatnonzero(raw == ord("<")), signs)
    first, last = element[:-MOST_XML_ATTRIBUTES], element[MOST_XML_ATTRIBUTES:]
    return bool(np.any((first == last) & (first > 0)))


_DOCTYPE = "holds a DOCTYPE, which may name files and expand without end; take it out, EPCIS needs none"


def _refused(message: str) -> EventError:
    return EventError([Problem("", message)])


# --- documents ----------------------------------------------------------------------------------------------

_WANTED = "an EPCISDocument, an EPCISQueryDocument or one event"


class _Reader:
    """Reads one document; its element names go through `prefixes`."""

    def __init__(self, prefixes: Prefixes, literal: bool) -> None:
        self.names, self.literal = prefixes, literal
        self.as_it_stands = prefixes.leave_values

    def document(self, root: Any) -> dict[str, Any]:
        kind = self.names.local(root)
        if kind.endswith("Event"):
            return self.event(root)
        if kind not in ("EPCISDocument", "EPCISQueryDocument", "QueryResults"):
            raise _refused(f"got the element {short(kind)}, want {_WANTED}")
        events = self._events(root)
        head = {name: root.get(name) for name in ("schemaVersion", "creationDate") if root.get(name)}
        own = self._own_fields(root)
        if kind == "EPCISDocument":
            return {"type": kind, **head, **own, "epcisBody": {"eventList": events}}
        about = {name: text for name in ("queryName", "subscriptionID") if (text := self._found(root, name))}
        results = {**about, "resultsBody": {"eventList": events}}
        return {"type": "EPCISQueryDocument", **head, **own, "epcisBody": {"queryResults": results}}

    def _events(self, root: Any) -> list[dict[str, Any]]:
        for element in root.iter(etree.Element):
            if self.names.local(element) == "EventList":
                if len(element) > MOST_XML_EVENTS:
                    raise _refused(f"holds too many events: want at most {MOST_XML_EVENTS}; split it")
                return [self.event(event) for event in self.children(element)]
        raise _refused(
            "has no EventList; want the events in EPCISBody/EventList, or in QueryResults/resultsBody"
        )

    def _found(self, root: Any, name: str) -> str:
        return next((_text(each) for each in root.iter(etree.Element) if self.names.local(each) == name), "")

    def _own_fields(self, root: Any) -> dict[str, Any]:
        """What stands beside the body under names of others."""
        own: dict[str, Any] = {}
        for child in self.children(root):
            if self.names.is_foreign(child):
                _put(own, self.names.local(child), self.foreign(child, 1))
        return own

    def event(self, element: Any) -> dict[str, Any]:
        said: dict[str, Any] = {"type": self.names.local(element)}
        self.fill(said, element, _EVENT)
        if not self.literal and said["type"] in ("ObjectEvent", "TransformationEvent"):
            # A set of things in JSON, which may name none twice; XML may, and means the same.
            for name in _SETS:
                if isinstance(said.get(name), list):
                    said[name] = list(dict.fromkeys(said[name]))
        return said

    # --- objects ---

    def children(self, element: Any, depth: int = 0) -> Iterator[Any]:
        """Child elements; those in wrappers, which only XML needs, in the wrapper's place."""
        if depth > DEEPEST:
            raise _refused(_TOO_DEEP)
        for child in element:
            if child.tag in WRAPPERS:
                yield from self.children(child, depth + 1)
            else:
                yield child

    def fill(self, said: dict[str, Any], element: Any, fields: dict[str, _Field]) -> None:
        for key, value in element.items():
            name, read = key, fields.get(key)
            if read is None:
                if key[:1] == "{":
                    name = self.names.attribute(key)
                    read = fields.get(name)
                if not name or name in _ENVELOPE:
                    continue
            _put(said, name, read(self, element, value) if read else self.value(element, value))
        self._fill_from(said, element, fields, 0)

    def value(self, element: Any, text: str) -> str:
        """A text, as a value of JSON-LD has it."""
        said = text.strip()
        return said if self.as_it_stands else self.names.value(element, said)

    def _fill_from(self, said: dict[str, Any], element: Any, fields: dict[str, _Field], depth: int) -> None:
        """The fields of the child elements, as `children` has them."""
        if depth > DEEPEST:
            raise _refused(_TOO_DEEP)
        for child in element:
            # A tag of no namespace is its own name, and one of another namespace gets a prefix.
            name = child.tag
            read = fields.get(name)
            if read is None:
                if name in WRAPPERS:
                    self._fill_from(said, child, fields, depth + 1)
                    continue
                name = self.names.local(child)
                read = fields.get(name)
            value = read(self, child, child.text or "") if read else self.foreign(child, 1)
            if value is not None:
                _put(said, name, value)

    def foreign(self, element: Any, depth: int) -> Any:
        """An element of somebody's own: its text, or an object of what is in it."""
        if depth > DEEPEST:
            raise _refused(_TOO_DEEP)
        said: dict[str, Any] = {}
        for key, value in element.items():
            name = self.names.attribute(key)
            if name:
                said[name] = self.value(element, value)
        text = self.value(element, element.text or "")
        for child in element:
            _put(said, self.names.local(child), self.foreign(child, depth + 1))
        if not said:
            return text
        return {"#text": text, **said} if text else said


_TOO_DEEP = f"is nested too deep; want at most {DEEPEST} levels"
_ENVELOPE = ("schemaVersion", "creationDate")
_SETS = ("epcList", "inputEPCList", "outputEPCList")


def _put(said: dict[str, Any], name: str, value: Any) -> None:
    """A field that comes again becomes a list, so that nothing is lost."""
    if name not in said:
        said[name] = value
    elif isinstance(said[name], list):
        said[name].extend(value if isinstance(value, list) else [value])
    else:
        said[name] = [said[name], *(value if isinstance(value, list) else [value])]


def _text(element: Any) -> str:
    return (element.text or "").strip()


# --- fields -------------------------------------------------------------------------------------------------

_Field = Callable[[_Reader, Any, str], Any]
"""Reads an element or one of its attributes: the reader, the element, the text of either. None: it is empty, and
no field."""


def _plain(reader: _Reader, element: Any, text: str) -> str | None:
    said = text.strip()
    return (said if reader.as_it_stands else reader.names.value(element, said)) or None


def _word(words: vocabulary.Vocabulary) -> _Field:
    """A standard word is bare in JSON, whatever its spelling here; another one stays."""

    bare = {head + word: word for head in ("", *words.heads) for word in words.words}

    def read(reader: _Reader, element: Any, text: str) -> str | None:
        return bare.get(text) or bare.get(text.strip()) or _plain(reader, element, text)

    return read


def _number(reader: _Reader, element: Any, text: str) -> int | float | str | None:
    """A number where JSON can carry it, else the text."""
    if "_" in text or not text.isascii():  # numbers to Python, and to nobody else
        return _plain(reader, element, text)
    try:
        number = float(text)
    except ValueError:
        return _plain(reader, element, text)
    if not math.isfinite(number) or not -LARGEST_NUMBER <= number <= LARGEST_NUMBER:
        return text.strip()
    return int(number) if number.is_integer() else number


def _truth(reader: _Reader, element: Any, text: str) -> bool | str | None:
    return _TRUTHS.get(text.strip(), _plain(reader, element, text))


_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


def _items(item: _Field) -> _Field:
    """A list element: its items without their names."""

    def read(reader: _Reader, element: Any, text: str) -> list[Any]:
        found = [item(reader, child, child.text or "") for child in reader.children(element)]
        return [value for value in found if value is not None]

    return read


def _object(**fields: _Field) -> _Field:
    def read(reader: _Reader, element: Any, text: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        reader.fill(found, element, fields)
        return found

    return read


def _alone(read_one: _Field) -> _Field:
    """A field that is a list in JSON, whose items follow one another here without a list around them."""

    def read(reader: _Reader, element: Any, text: str) -> list[Any] | None:
        found = read_one(reader, element, text)
        return None if found is None else [found]

    return read


def _typed(name: str, words: vocabulary.Vocabulary) -> _Field:
    """`<source type="...">...</source>`: the text becomes the field of the element's own name."""
    kind = _word(words)

    def read(reader: _Reader, element: Any, text: str) -> dict[str, Any]:
        said = element.get("type")
        found: dict[str, Any] = {"type": kind(reader, element, said)} if said else {}
        return found | {name: _plain(reader, element, text) or ""}

    return _items(read)


_REPORT_NUMBERS = ("value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue")
_EPCS = _items(_plain)
_QUANTITIES = _items(_object(epcClass=_plain, quantity=_number, uom=_plain))
_PLACE = _object(id=_plain)
_DISPOSITION = _word(vocabulary.DISPOSITION)
_EVENT: dict[str, _Field] = {
    "eventTime": _plain,
    "recordTime": _plain,
    "eventTimeZoneOffset": _plain,
    "eventID": _plain,
    "errorDeclaration": _object(
        declarationTime=_plain, reason=_word(vocabulary.ERROR_REASON), correctiveEventIDs=_items(_plain)
    ),
    "certificationInfo": _plain,
    "epcList": _EPCS,
    "parentID": _plain,
    "childEPCs": _EPCS,
    "inputEPCList": _EPCS,
    "outputEPCList": _EPCS,
    "quantityList": _QUANTITIES,
    "childQuantityList": _QUANTITIES,
    "inputQuantityList": _QUANTITIES,
    "outputQuantityList": _QUANTITIES,
    "action": _plain,
    "transformationID": _plain,
    "bizStep": _word(vocabulary.BIZ_STEP),
    "disposition": _DISPOSITION,
    "persistentDisposition": _object(set=_alone(_DISPOSITION), unset=_alone(_DISPOSITION)),
    "readPoint": _PLACE,
    "bizLocation": _PLACE,
    "bizTransactionList": _typed("bizTransaction", vocabulary.BIZ_TRANSACTION_TYPE),
    "sourceList": _typed("source", vocabulary.SOURCE_DESTINATION_TYPE),
    "destinationList": _typed("destination", vocabulary.SOURCE_DESTINATION_TYPE),
    "sensorElementList": _items(
        _object(
            sensorMetadata=_object(),
            sensorReport=_alone(
                _object(
                    type=_word(vocabulary.MEASUREMENT_TYPE),
                    exception=_word(vocabulary.SENSOR_ALERT),
                    component=_word(vocabulary.COMPONENT),
                    booleanValue=_truth,
                    **dict.fromkeys(_REPORT_NUMBERS, _number),
                )
            ),
        )
    ),
    "ilmd": _object(),
}
