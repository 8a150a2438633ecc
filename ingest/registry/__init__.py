"""Organisations, places, products, devices and their series: what admission knows, and how it gets there.

`document` is the form, `loading` and `channels` write it, `shipped` adds what comes with the package, `known` is what a worker
holds, `quantities` what is measured and in which unit it is stored, `conversion` how a sent value becomes that and back.
"""

from __future__ import annotations

from ingest.registry.channels import joined, line_of
from ingest.registry.conversion import normalise, original
from ingest.registry.document import Name, RegistryDocument, RegistryError, parse_registry
from ingest.registry.known import SCHEME, Device, Registry, Series
from ingest.registry.loading import load, load_token
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
    "line_of",
    "load",
    "load_duty_rules",
    "load_limit_versions",
    "load_regions",
    "load_shipped",
    "load_token",
    "normalise",
    "original",
    "parse_registry",
]
