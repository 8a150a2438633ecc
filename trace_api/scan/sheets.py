"""Which fields the form of each act has: one table, read by the page that shows it and by what reads it back.

Contract: names are those of the acts' models (dotted for what lies inside); the words are `scan_ask_{name}` in the
catalogues, or `scan_ask_{kind}_{name}` where an act calls it otherwise. What is needed stands first; the rest lies folded
behind "more".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Input = Literal[
    "text",
    "number",
    "moment",
    "date",
    "yes",
    "yes_no",
    "choice",
    "code",
    "goods",
    "units",
    "outputs",
    "pulp",
    "basis",
]
# What a list of choices holds; see choices.py.
Source = Literal[
    "products", "own_products", "plots", "at_collection", "at_precooling", "at_packhouse", "at_cold_store", "destinations", "docks", "gates",
    "yards", "vehicles", "carriers", "growers", "organisations", "buyers", "weighed", "boxed", "kilograms", "loose",
    "everything", "units", "loaded", "shrink_reasons", "where_it_lies",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ask:
    """One field. `source`: where its choices come from. `more`: folded away. `unit`: written behind the input."""

    name: str
    input: Input = "text"
    required: bool = False
    source: Source | None = None
    unit: str = ""
    more: bool = False
    default: str = ""

    @property
    def list(self) -> bool:
        """Filled bit by bit, with a button of its own."""
        return self.input in ("goods", "units")


def need(name: str, input: Input = "text", source: Source | None = None, **more: str) -> Ask:
    return Ask(name, input, required=True, source=source, **more)  # type: ignore[arg-type]


def may(
    name: str, input: Input = "text", source: Source | None = None, unit: str = "", default: str = ""
) -> Ask:
    return Ask(name, input, source=source, unit=unit, more=True, default=default)


_WHEN = may("at", "moment")
_PULP = need("pulp", "pulp")
_SEALS = may("seals")
_FROM = may("place", "choice", "where_it_lies")

SHEETS: Final[Mapping[str, tuple[Ask, ...]]] = MappingProxyType(
    {
        "register_batch": (
            need("product", "choice", "products"),
            need("plot", "choice", "plots"),
            need("kg", "number", unit="kg"),
            Ask("called"),
            Ask("interval_checked", "yes"),
            may("measured", "yes"),
            may("variety"),
            may("grower"),
            may("harvested_from", "moment"),
            may("harvested_to", "moment"),
            may("into", "code", "kilograms"),
            may("lot"),
            _WHEN,
        ),
        "weigh_in": (
            need("lot", "code", "weighed"),
            need("kg", "number", unit="kg"),
            need("place", "choice", "at_collection"),
            need("bought", "yes_no"),
            may("grower", "choice", "growers"),
            may("tare_kg", "number", unit="kg"),
            may("slip"),
            may("grade"),
            may("card"),
            may("pulp", "pulp"),
            _WHEN,
        ),
        "precool_start": (need("goods", "goods", "kilograms"), need("place", "choice", "at_precooling"), _WHEN),
        "precool_end": (need("goods", "goods", "kilograms"), _PULP, may("place", "choice", "at_precooling"), _WHEN),
        "mix": (
            need("inputs", "goods", "kilograms"),
            need("outputs", "outputs", "products"),
            need("cull_kg", "number", unit="kg"),
            need("place", "choice", "at_packhouse"),
            Ask("certify", "yes"),
            Ask("certify.contact"),
            Ask("certify.basis", "basis"),
            may("certify.origin"),
            may("best_before", "date"),
            _WHEN,
        ),
        "pack": (
            need("lot", "code", "boxed"),
            need("boxes", "number"),
            may("unit"),
            may("place", "choice", "at_packhouse"),
            may("packaging"),
            _WHEN,
        ),
        "store": (need("units", "units", "units"), need("place", "choice", "at_cold_store"), may("goods", "goods", "loose"), _WHEN),
        "load": (
            need("units", "units", "units"),
            Ask("place", "choice", source="docks"),
            need("vehicle", "code", "vehicles"),
            _PULP,
            Ask("seals"),
            need("agreed_low_c", "number", unit="°C"),
            need("agreed_high_c", "number", unit="°C"),
            Ask("set_point_c", "number", unit="°C"),
            Ask("compartment_c", "number", unit="°C"),
            Ask("carrier", "choice", source="carriers"),
            may("buyer", "choice", "organisations"),
            may("waybill"),
            may("remark"),
            may("packaging"),
            _WHEN,
        ),
        "depart": (need("vehicle", "code", "loaded"), Ask("destination", "choice", source="destinations"), _SEALS, _WHEN),
        "hand_over": (need("vehicle", "code", "vehicles"), need("giver", "choice", "carriers"), Ask("seals"), _WHEN),
        "arrive": (
            need("vehicle", "code", "vehicles"),
            need("gate", "choice", "gates"),
            need("yard", "choice", "yards"),
            _WHEN,
        ),
        "unload": (
            need("vehicle", "code", "vehicles"),
            need("place", "choice", "destinations"),
            need("seal_intact", "yes_no"),
            Ask("seals_found"),
            may("units", "units", "units"),
            _WHEN,
        ),
        "receive": (
            Ask("units", "units"),
            Ask("goods", "goods"),
            Ask("outside", "yes"),
            Ask("kg", "number", unit="kg"),
            Ask("called"),
            need("place", "choice", "at_cold_store"),
            need("bought", "yes_no"),
            Ask("for_sale", "yes"),
            may("giver", "choice", "organisations"),
            may("product", "choice", "own_products"),
            may("receipt"),
            may("rma"),
            may("pulp", "pulp"),
            _WHEN,
        ),
        "ship": (
            Ask("goods", "goods", source="loose"),
            Ask("units", "units", source="units"),
            need("buyer", "choice", "buyers"),
            _FROM,
            may("sale"),
            may("rma"),
            _WHEN,
        ),
        "split": (
            need("unit", "code", "units"),
            need("boxes", "number"),
            may("buyer", "choice", "buyers"),
            may("lot"),
            may("serials"),
            may("sale"),
            _WHEN,
        ),
        "sell": (need("goods", "goods", "loose"), _FROM, may("basis"), _WHEN),
        "shrink": (need("goods", "goods", "loose"), need("reason", "choice", "shrink_reasons"), _FROM, may("proof"), may("note"), _WHEN),
    }
)  # fmt: skip

GROUPS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("field", ("register_batch", "weigh_in")),
    ("packhouse", ("precool_start", "precool_end", "mix", "pack", "store")),
    ("road", ("load", "depart", "hand_over", "arrive", "unload", "receive")),
    ("sale", ("split", "ship", "sell", "shrink")),
)
"""The order of the start page: that of a day's work."""

NEXT: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "register_batch": ("register_batch", "weigh_in", "precool_start", "ship"),
        "weigh_in": ("weigh_in", "precool_start", "mix"),
        "precool_start": ("precool_end", "precool_start"),
        "precool_end": ("mix", "store"),
        "mix": ("pack",),
        "pack": ("pack", "store", "load"),
        "store": ("load",),
        "load": ("depart", "load"),
        "depart": ("arrive",),
        "hand_over": ("arrive",),
        "arrive": ("unload",),
        "unload": ("store", "receive"),
        "receive": ("store", "split", "precool_start", "mix"),
        "split": ("ship", "split"),
    }
)
"""What usually follows."""


def offered(kinds: frozenset[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The groups with the acts that somebody may do and that have a form here."""
    for group, members in GROUPS:
        found = tuple(kind for kind in members if kind in kinds)
        if found:
            yield group, found
