"""The order in which the XML Schema of EPCIS 2.0 wants an event's elements, of which JSON knows nothing.

Beside `files`, for events that were read from XML: their fields stand in the order of the elements. Contract: pure, and for
validation and the doors alone; the hash and a trace read what a document says in whatever order.

The published documents contradict each other. By the schema both `ObjectEvent_with_wrong_element_order`, published as invalid, and
`JumbledFieldsOrder`, published as valid, are wrong, and so are six documents with published hashes. What the first has and none of
the others is `action` before `eventTime`: a door refuses that (`refused`); everything else that the schema forbids makes a document
invalid for `suyuan epcis validate`, and is taken (`misplaced`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ledger.epcis.problems import Problem

_WHEN: Final = "eventTime recordTime eventTimeZoneOffset eventID errorDeclaration certificationInfo"
_WHY: Final = "bizStep disposition readPoint bizLocation"
_PARTIES: Final = "sourceList destinationList"
_ORDERS: Final = {
    "ObjectEvent": f"{_WHEN} epcList action {_WHY} bizTransactionList quantityList {_PARTIES}",
    "AggregationEvent": f"{_WHEN} parentID childEPCs action {_WHY} bizTransactionList childQuantityList {_PARTIES}",
    "TransactionEvent": f"{_WHEN} bizTransactionList parentID epcList action {_WHY} quantityList {_PARTIES}",
    "TransformationEvent": f"{_WHEN} inputEPCList inputQuantityList outputEPCList outputQuantityList transformationID {_WHY}"
    f" bizTransactionList {_PARTIES}",
    "AssociationEvent": f"{_WHEN} parentID childEPCs childQuantityList action {_WHY} bizTransactionList {_PARTIES}",
}
# Version 1.2 has them the other way round, ilmd before the extension that holds the others.
_LAST: Final = ("sensorElementList", "persistentDisposition", "ilmd")
_RANKS: Final[Mapping[str, Mapping[str, int]]] = {
    kind: {name: rank for rank, name in enumerate(order.split())} | dict.fromkeys(_LAST, 98)
    for kind, order in _ORDERS.items()
}
_FOREIGN: Final = 99
"""After all of the standard's own."""


def refused(event: Mapping[str, Any]) -> Iterator[Problem]:
    """What keeps an event from being taken. `event`: as `read_xml` has it."""
    names = list(event)
    if "action" in names and "eventTime" in names and names.index("action") < names.index("eventTime"):
        yield Problem("/action", f"stands before eventTime; the XML Schema wants {_wanted(event)}")


def misplaced(event: Mapping[str, Any]) -> Iterator[Problem]:
    """The first element that the schema wants before another one, if any. `event`: as `read_xml` has it."""
    ranks = _RANKS.get(str(event.get("type")))
    if ranks is None:
        return
    highest, before = -1, ""
    for name in event:
        # An attribute of the event comes first here, wherever it was written.
        rank = ranks.get(name, _FOREIGN if ":" in name else -1)
        if 0 <= rank < highest:
            wanted = _wanted(event)
            yield Problem(f"/{name}", f"stands after {before}; the XML Schema wants {wanted}")
            return
        if rank > highest:
            highest, before = rank, name


def _wanted(event: Mapping[str, Any]) -> str:
    """The order of the elements that are there."""
    ranks = _RANKS.get(str(event.get("type")), {})
    names = sorted((name for name in event if name in ranks), key=ranks.__getitem__)
    return f"the order {', '.join(names)}, and then elements of other namespaces"
