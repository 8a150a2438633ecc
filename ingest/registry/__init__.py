"""Organisations, places, products, devices and their series: what admission knows, and how it gets there.

`document` is the form, `loading` writes it, `shipped` adds what comes with the package, `known` is what a worker holds.
"""

from __future__ import annotations

from ingest.registry.document import Name, RegistryDocument, RegistryError, parse_registry
from ingest.registry.known import SCHEME, Device, Registry, Series
from ingest.registry.loading import joined, load, load_token
from ingest.registry.shipped import load_duty_rules, load_limit_versions, load_regions, load_shipped

__all__ = [
    "SCHEME",
    "Device",
    "Name",
    "Registry",
    "RegistryDocument",
    "RegistryError",
    "Series",
    "joined",
    "load",
    "load_duty_rules",
    "load_limit_versions",
    "load_regions",
    "load_shipped",
    "load_token",
    "parse_registry",
]
