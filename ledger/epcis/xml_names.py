"""The names of an EPCIS XML document as JSON-LD has them: `{namespace}name` becomes `prefix:name`.

For `xml_document`. A prefix stands for one namespace in the whole of a JSON-LD document, while XML may declare it
anew in every element: the first meaning keeps the prefix, another one gets a prefix of its own, and values that
begin with such a prefix are spelled out.

`literal` names are for the event hash alone. The standard wants one hash for both formats, but the hashes that
are published for XML take a value as it stands (`example:thing` is no abbreviation there) and a namespace by its
letters: `urn:epcglobal:cbv:mda`, as XML documents have it, is another one than the JSON-LD context's with a colon.
"""

from __future__ import annotations

from typing import Any

from lxml import etree

from ledger.epcis import vocabulary
from ledger.epcis.contexts import MOST_TERMS
from ledger.epcis.problems import EventError, Problem

CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"

_EPCIS = frozenset(
    f"urn:epcglobal:{part}:xsd:{version}"
    for part in ("epcis", "epcis-query", "epcis-masterdata")
    for version in ("1", "2")
)
"""Of the standard's own elements. Their schemas leave them without a namespace; some senders do not."""
WRAPPERS = frozenset({"extension", "baseExtension"}) | {
    f"{{{namespace}}}{name}" for namespace in _EPCIS for name in ("extension", "baseExtension")
}
"""Tags around fields of later versions of the standard."""
_SYNTAX = frozenset(
    {
        "http://www.w3.org/2001/XMLSchema-instance",
        "http://www.w3.org/2001/XMLSchema",
        "http://www.w3.org/XML/1998/namespace",
        "http://www.unece.org/cefact/namespaces/StandardBusinessDocumentHeader",
        "urn:epcglobal:xsd:1",
    }
)
"""How XML is to be read, and headers: nothing of an event."""
_STANDARD = {
    "https://ref.gs1.org/epcis/": "epcis",
    vocabulary.CBV: "cbv",
    vocabulary.GS1: "gs1",
    "http://www.w3.org/2000/01/rdf-schema#": "rdfs",
    "urn:epcglobal:cbv:mda:": "cbvmda",
}
"""Prefixes that the standard's own context declares."""
_MDA = "urn:epcglobal:cbv:mda"


class Prefixes:
    """The prefixes of one document. Raises EventError where it declares more than a context may."""

    def __init__(self, literal: bool) -> None:
        self._literal = literal
        self._by_namespace = _STANDARD | ({} if literal else {_MDA: "cbvmda"})
        self._taken = dict.fromkeys(_STANDARD.values(), "")
        self._otherwise: set[str] = set()
        self._names: dict[str, tuple[str, bool]] = {}

    @classmethod
    def of(cls, root: Any, literal: bool = False) -> Prefixes:
        found = cls(literal)
        for _, (prefix, namespace) in etree.iterwalk(root, events=("start-ns",)):
            found._declare(prefix or "ns", namespace)
        return found

    def _declare(self, prefix: str, namespace: str) -> None:
        if not namespace or namespace in _EPCIS or namespace in _SYNTAX:
            return
        if namespace not in self._by_namespace:
            if len(self._by_namespace) > MOST_TERMS:
                wanted = f"want at most {MOST_TERMS}, those that the events use"
                raise EventError([Problem("", f"declares too many namespaces; {wanted}")])
            self._by_namespace[namespace] = self._free(prefix)
            self._taken[self._by_namespace[namespace]] = namespace
        if self._by_namespace[namespace] != prefix:
            self._otherwise.add(prefix)

    def _free(self, prefix: str) -> str:
        """The prefix, or with the first number that makes it another one."""
        if self._literal:  # no prefix of a document may begin so
            return f"xmlns-{len(self._taken)}"
        numbered = (f"{prefix}{number}" for number in range(2, 3 * MOST_TERMS))
        return next(name for name in (prefix, *numbered) if name not in self._taken)

    def terms(self) -> dict[str, Any]:
        """The object of `@context`: what the standard's own context does not declare."""
        return {prefix: _term(uri) for prefix, uri in self._taken.items() if uri}

    def local(self, element: Any) -> str:
        """An element's name as JSON has it."""
        return self._name(element.tag)[0]

    def is_foreign(self, element: Any) -> bool:
        """Is it of a namespace that is not the standard's?"""
        return self._name(element.tag)[1]

    def attribute(self, key: str) -> str:
        """An attribute's name as JSON has it; "" for one that is only XML's."""
        if key[:1] != "{":
            return key
        return "" if key[1:].partition("}")[0] in _SYNTAX else self._name(key)[0]

    def _name(self, tag: str) -> tuple[str, bool]:
        known = self._names.get(tag)
        if known is None:
            known = self._named(tag)
            if len(self._names) < 1024:
                self._names[tag] = known
        return known

    def _named(self, tag: str) -> tuple[str, bool]:
        if tag[:1] != "{":
            return tag, False
        namespace, _, local = tag[1:].partition("}")
        if namespace in _EPCIS:
            return local, False
        prefix = self._by_namespace.get(namespace)
        return (f"{prefix}:{local}" if prefix else namespace + local), True

    @property
    def leave_values(self) -> bool:
        """Does `value` leave all of them as they stand?"""
        return self._literal or not self._otherwise

    def value(self, element: Any, text: str) -> str:
        """A value; its prefix is spelled out where the JSON-LD document has another meaning for it."""
        if not self.leave_values and ":" in text:
            prefix, _, local = text.partition(":")
            if prefix in self._otherwise and (namespace := element.nsmap.get(prefix)):
                return f"{namespace}{local}"
        return text


def _term(namespace: str) -> Any:
    """JSON-LD takes a term as a prefix by itself only where its meaning ends like one."""
    return namespace if namespace[-1:] in ":/?#[]@" else {"@id": namespace, "@prefix": True}
