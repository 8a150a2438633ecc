"""Names of things, lots and places, and what can be read off a name alone.

In the line: every module of this room names things through here. Contract: never raises, because what is
recorded must stay traceable, however it is written.
"""

from __future__ import annotations

from functools import lru_cache

from ledger.epcis.identifiers import Identifier, IdentifierError, canonical, parse


@lru_cache(maxsize=1 << 16)
def identify(text: str) -> Identifier:
    """The identifier taken apart; one that is not well made stands for itself, because what is already
    recorded must stay traceable."""
    try:
        return parse(text)
    except IdentifierError:
        return Identifier(scheme="uri", uri=canonical(text))


def uri(text: str) -> str:
    """The one form we index by; never raises."""
    return identify(text).uri


def lot_of(epc: str) -> str | None:
    """The lot that an instance belongs to: a box names its lot, a serial without a lot is a lot of one.
    None for what is no trade item."""
    identifier = identify(epc)
    return (identifier.lot or identifier.uri) if identifier.scheme == "sgtin" else None


def product_of(lot: str) -> str:
    """The class a lot is of: its GTIN, or `O/class/{product}` of `O/class/{product}.{lot}`; else itself."""
    gtin = identify(lot).parts.get("01")
    if gtin:
        return f"https://id.gs1.org/01/{gtin}"
    head, slash, tail = lot.rpartition("/")
    return f"{head}/{tail.partition('.')[0]}" if slash and head.endswith("/class") else lot


def is_class(name: str) -> bool:
    """A kind of goods without a lot (a bare GTIN, `O/class/{product}`)."""
    scheme = identify(name).scheme
    head, _, tail = name.rpartition("/")
    return scheme == "gtin" or (scheme == "uri" and head.endswith("/class") and "." not in tail)


def site(place: str | None) -> str | None:
    """The location number of a place without its extension: doors and stalls of one GLN are one site."""
    return place.split("/254/", 1)[0] if place else None
