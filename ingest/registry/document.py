"""The registry document (docs/wire.md): what exists, as somebody wrote it down, before anything happens.

In the line: JSON -> here -> `loading`. Contract: what is not in the form is refused by name; nothing is repaired.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

_REGION = r"^([0-9]{2}|[0-9]{4}|[0-9]{6}|[0-9]{9}|[0-9]{12})$"
Region = Annotated[str, Field(pattern=_REGION)]


class RegistryError(ValueError):
    """The registry document cannot be taken. The message names the entry and what is wrong with it."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Name(_Entry):
    zh: str
    en: str


class FigureEntry(_Entry):
    """A number that a rule needs, and where it is from. `verified`: somebody read it there."""

    value: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    source: Annotated[str, Field(max_length=300)] | None = None
    verified: bool = False

    @model_validator(mode="after")
    def _is_from_somewhere(self) -> FigureEntry:
        if self.verified and not (self.source or "").strip():
            raise ValueError("a figure that is verified names its source")
        return self


class OrganisationEntry(_Entry):
    """`region`: of its seat. `gs1_prefix`: its company prefix, None where it has none and gets instance URIs."""

    id: str
    name: Name
    party: str
    kind: str
    publishes: bool = True
    region: Region | None = None
    gs1_prefix: Annotated[str, Field(pattern=r"^[0-9]{4,12}$")] | None = None


class CompartmentEntry(_Entry):
    """A part of a place or vehicle, a place itself: `code` is what follows its parent's id. `kind` None: of a vehicle a
    compartment, of a place what that is."""

    code: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,20}$")]
    name: Name
    kind: str | None = None


class PlaceEntry(_Entry):
    """`parent`: the place or vehicle that it is part of. `area_m2`, `area_mu`: of a plot, one of the two."""

    id: str
    organisation: str
    kind: str
    name: Name
    region: Region | None = None
    lat: Annotated[float, Field(ge=-90, le=90)] | None = None
    lon: Annotated[float, Field(ge=-180, le=180)] | None = None
    time_zone: str = "Asia/Shanghai"
    parent: str | None = None
    compartments: tuple[CompartmentEntry, ...] = ()
    area_m2: FigureEntry | None = None
    area_mu: FigureEntry | None = None

    @model_validator(mode="after")
    def _has_both_or_neither(self) -> PlaceEntry:
        if (self.lat is None) != (self.lon is None):
            raise ValueError("a place has both a latitude and a longitude, or neither")
        if self.area_m2 is not None and self.area_mu is not None:
            raise ValueError("a place has one area: in m2 or in mu, not both")
        return self


class ProductFigures(_Entry):
    """Shares of what goes in, or of what was made (0.05 is 5 %); kilograms for each mu and season; a month."""

    mass_tolerance: FigureEntry | None = None
    moisture_gain: FigureEntry | None = None
    yield_most: FigureEntry | None = None
    cull_least: FigureEntry | None = None
    yield_kg_per_mu: FigureEntry | None = None
    season_starts: FigureEntry | None = None


class ProductEntry(_Entry):
    """`figures`: what the rules of docs/radar.md need; None: as they are registered."""

    id: str
    organisation: str | None = None
    name: Name
    rule_product: str
    net_content_kg: float | None = None
    classes: tuple[str, ...] = ()
    figures: ProductFigures | None = None


class ChannelEntry(_Entry):
    """`unit`: as it is sent. `scale`, `offset`: of a unit that is none of the quantity, such as the mV of a probe; stored =
    sent * scale + offset. `minimum`, `maximum`: what the sensor can measure, in the quantity's canonical unit."""

    channel: str
    quantity: str
    unit: str
    scale: Annotated[float, Field(allow_inf_nan=False)] | None = None
    offset: Annotated[float, Field(allow_inf_nan=False)] | None = None
    minimum: Annotated[float, Field(allow_inf_nan=False)] | None = None
    maximum: Annotated[float, Field(allow_inf_nan=False)] | None = None


class CalibrationEntry(_Entry):
    """`due_on`: the last day the certificate speaks for; None where it names none and the rule's validity counts."""

    certificate: str
    laboratory: str
    calibrated_on: date
    due_on: date | None = None


class DeviceEntry(_Entry):
    """`id`: its number in `scheme`. `independent`: of the control system that it watches; None: nobody said."""

    id: str
    organisation: str
    scheme: str = "suyuan"
    profile: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._/-]{0,62}$")] | None = None
    independent: bool | None = None
    giai: str
    model: str
    accuracy_c: float = 0.5
    interval_s: int
    channels: tuple[ChannelEntry, ...] = ()
    calibrations: tuple[CalibrationEntry, ...] = ()


class AliasEntry(_Entry):
    """A code seen in the field (a plate, an old label) and what it stands for, by whose word."""

    scheme: str
    value: str
    entity: str
    organisation: str


class RegionEntry(_Entry):
    """`valid_to`: the day on which another took its place, `successor` its code."""

    code: Region
    name: Name
    level: Literal["province", "prefecture", "county", "town", "village"]
    valid_from: date | None = None
    valid_to: date | None = None
    successor: Region | None = None


class RegistryDocument(_Entry):
    organisations: tuple[OrganisationEntry, ...] = ()
    places: tuple[PlaceEntry, ...] = ()
    vehicles: tuple[PlaceEntry, ...] = ()
    products: tuple[ProductEntry, ...] = ()
    devices: tuple[DeviceEntry, ...] = ()
    aliases: tuple[AliasEntry, ...] = ()
    regions: tuple[RegionEntry, ...] = ()


SHOWN = 20  # faults; a document made by a program has the same one everywhere


def parse_registry(text: str | bytes) -> RegistryDocument:
    """Raises RegistryError, which names the first faults by their place."""
    try:
        return RegistryDocument.model_validate_json(text)
    except ValidationError as error:
        found = error.errors(include_url=False)
        said = [_in_words(each["loc"], each["msg"], each["input"]) for each in found[:SHOWN]]
        more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        raise RegistryError("the registry document is not valid: " + "\n".join([*said, *more])) from error


def _in_words(place: tuple[int | str, ...], said: str, given: object) -> str:
    """`devices[3].interval_s: Input should be a valid integer (got 'x')`."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")
    got = f" (got {given!r:.60})" if isinstance(given, str | int | float) else ""
    return f"{path}: {said}{got}" if path else said
