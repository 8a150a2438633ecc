"""GS1 keys of the world, under GS1's demonstration prefix 952, and event identities.

Contract: everything here is computed from its arguments alone, check digits included, so that a world
names its things the same on every run and no other room's idea of a check digit leaks into it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

COMPANY_PREFIX: Final = "9521234"
ROOT: Final = "https://id.gs1.org"
OWN: Final = "https://suyuan.example/xj-coop"
VOC: Final = "https://suyuan.example/voc/"
_EVENTS: Final = UUID("6f1d3c1e-5a52-5c0b-9a53-7d5e6f0c2b11")


def check_digit(digits: str) -> str:
    """The modulo 10 check digit over `digits`, weights 3 and 1 from the right. Source: GS1 General
    Specifications 7.9."""
    weighted = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return str(-weighted % 10)


def _with_check(digits: str) -> str:
    return digits + check_digit(digits)


def gtin(item: int) -> str:
    """GTIN-14 of the co-op's trade item, indicator 0."""
    return _with_check(f"0{COMPANY_PREFIX}{item:05d}")


def gln(location: int) -> str:
    return _with_check(f"{COMPANY_PREFIX}{location:05d}")


def place_uri(location: int, extension: str | None = None) -> str:
    return f"{ROOT}/414/{gln(location)}" + (f"/254/{extension}" if extension else "")


def party_uri(location: int) -> str:
    return f"{ROOT}/417/{gln(location)}"


def sscc_uri(reference: int) -> str:
    """`reference`: nine digits, unique per load unit."""
    return f"{ROOT}/00/" + _with_check(f"0{COMPANY_PREFIX}{reference:09d}")


def asset_uri(reference: str) -> str:
    """GIAI of a device, vehicle or compartment."""
    return f"{ROOT}/8004/{COMPANY_PREFIX}{reference}"


def document_uri(kind: int, serial: str) -> str:
    """GDTI of a document; `kind` is the document type."""
    return f"{ROOT}/253/" + _with_check(f"{COMPANY_PREFIX}{kind:05d}") + serial


def lot_uri(gtin14: str, lot: str) -> str:
    return f"{ROOT}/01/{gtin14}/10/{lot}"


def event_id(seed: int, start: datetime, step: str) -> str:
    """The same step of the same world has the same identity for ever: a replay is a duplicate, not a second
    event."""
    return f"urn:uuid:{uuid5(_EVENTS, f'{seed}/{start.isoformat()}/{step}')}"
