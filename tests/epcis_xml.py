"""EPCIS JSON written as EPCIS 2.0 XML: the other format of the same events, for tests and benchmarks alone.

Place in the line: beside it. Extension fields have the prefixes of `distinct_events`; wrappers, which 2.0 no longer
has, are not written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from tests.distinct_events import NAMESPACES

_EPCS = ("epcList", "childEPCs", "inputEPCList", "outputEPCList")
_QUANTITIES = ("quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList")
_WORDS = {"bizStep": "bizstep", "disposition": "disp", "set": "disp", "unset": "disp"}
_LISTS = {
    "bizTransactionList": ("bizTransaction", "btt"),
    "sourceList": ("source", "sdt"),
    "destinationList": ("destination", "sdt"),
}


def document_xml(events: list[dict[str, Any]]) -> bytes:
    """An EPCISDocument in UTF-8."""
    declared = "".join(f" xmlns:{prefix}={quoteattr(uri)}" for prefix, uri in NAMESPACES.items())
    inside = "".join(f"<{event['type']}>{_fields(event)}</{event['type']}>" for event in events)
    return (
        '<?xml version="1.0" encoding="UTF-8"?><epcis:EPCISDocument xmlns:epcis="urn:epcglobal:epcis:xsd:2"'
        f' schemaVersion="2.0" creationDate="2026-06-22T16:00:00.000+08:00"{declared}>'
        f"<EPCISBody><EventList>{inside}</EventList></EPCISBody></epcis:EPCISDocument>"
    ).encode()


def _fields(said: dict[str, Any]) -> str:
    return "".join(_field(name, value) for name, value in said.items() if name != "type")


def _field(name: str, value: Any) -> str:
    if name in _EPCS:
        return _element(name, "".join(_element("epc", escape(epc)) for epc in value))
    if name in _QUANTITIES:
        return _element(name, "".join(_element("quantityElement", _fields(item)) for item in value))
    if name in _LISTS:
        item, vocabulary = _LISTS[name]
        return _element(name, "".join(_typed(item, vocabulary, each) for each in value))
    if name == "sensorElementList":
        return _element(name, "".join(_element("sensorElement", _sensor(each)) for each in value))
    if isinstance(value, list):
        return "".join(_field(name, each) for each in value)
    if isinstance(value, dict):
        return _element(name, _fields(value))
    text = (
        _word(_WORDS[name], value)
        if name in _WORDS
        else _word("er", value)
        if name == "reason"
        else _text(value)
    )
    return _element(name, escape(text))


def _sensor(said: dict[str, Any]) -> str:
    for_all = f"<sensorMetadata{_attributes(said['sensorMetadata'])}/>"
    reports = "".join(f"<sensorReport{_attributes(report)}/>" for report in said["sensorReport"])
    others = {name: value for name, value in said.items() if not name.startswith("sensor")}
    return for_all + reports + _fields(others)


def _attributes(said: dict[str, Any]) -> str:
    return "".join(f" {name}={quoteattr(value)}" for name, value in _spelled(said))


def _spelled(said: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in said.items():
        text = _text(value)
        bare = ":" not in text
        if name in ("type", "exception") and bare:
            text = f"gs1:{text}"
        elif name == "component" and bare:
            text = f"cbv:Comp-{text}"
        yield name, text


def _typed(name: str, vocabulary: str, said: dict[str, Any]) -> str:
    return f"<{name} type={quoteattr(_word(vocabulary, said['type']))}>{escape(said[name])}</{name}>"


def _word(vocabulary: str, text: str) -> str:
    return text if ":" in text else f"urn:epcglobal:cbv:{vocabulary}:{text}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _element(name: str, inside: str) -> str:
    return f"<{name}>{inside}</{name}>"
