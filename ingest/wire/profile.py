"""A sensor's profile: a file that says what its bytes mean, so that a new sensor is a file and no code (docs/profiles.md).

In the line: JSON -> here -> `profile_reading`, `members`. Contract: what is not in the form is refused by name, with where
and why; nothing is repaired. A profile has exactly one of four parts: `messages` (bytes), `cayenne`, `object` (what a
network server decoded), `teltonika` (I/O elements).
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ingest.registry.quantities import QUANTITIES, canonical_line
from ledger.epcis.units import UnitError


class ProfileError(ValueError):
    """The profile cannot be taken. The message names the file and what is wrong with it."""


def _whole(value: object) -> object:
    """Data sheets write raw values in hexadecimal."""
    return int(value, 16) if isinstance(value, str) and value.lower().startswith("0x") else value


Raw = Annotated[
    int,
    BeforeValidator(
        _whole, json_schema_input_type=int | Annotated[str, Field(pattern="^0[xX][0-9a-fA-F]+$")]
    ),
]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Channel = Annotated[str, Field(min_length=1, max_length=255)]
Number = Annotated[
    float, Field(ge=-1e15, le=1e15)
]  # so that no raw value of 64 bits becomes more than a double holds
Byte = Annotated[int, Field(ge=0, le=1023)]
Order = Literal["big", "little"]
TEXT = "text"
_QUANTITIES = QUANTITIES.keys() - {"position"}  # a position is a latitude and a longitude


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Bits(_Part):
    """Which bits: `length` bytes from `byte` on, read in `order` as one number, of which `bits` are taken above the lowest
    `shift`. `bits`: all that are left."""

    byte: Byte
    length: Annotated[int, Field(ge=1, le=8)] = 1
    order: Order | None = None
    shift: Annotated[int, Field(ge=0, le=63)] = 0
    bits: Annotated[int, Field(ge=1, le=64)] | None = None

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.shift + (self.bits or 1) > 8 * self.length:
            raise ValueError(f"{self.length} bytes have no bits beyond {8 * self.length}")
        return self

    @property
    def width(self) -> int:
        return self.bits or 8 * self.length - self.shift

    @property
    def end(self) -> int:
        return self.byte + self.length


class Condition(Bits):
    equals: Annotated[tuple[Raw, ...], Field(min_length=1)]


class Meaning(_Part):
    """What a number means: reading = raw x `scale` + `offset`, in `unit`. `invalid`: raw values that say there is none.
    `words`: a text for each raw value instead. `optional`: wanted only where the channel is registered."""

    channel: Channel
    quantity: str
    unit: str | None = None
    scale: Number = 1.0
    offset: Number = 0.0
    invalid: tuple[Raw, ...] = ()
    words: dict[str, str] = {}
    optional: bool = False

    @model_validator(mode="after")
    def _known(self) -> Self:
        if bool(self.words) != (self.quantity == TEXT):
            raise ValueError("a text has its words, and a number has none")
        if self.quantity == TEXT:
            if self.unit is not None:
                raise ValueError("a text has no unit")
            return self
        if self.quantity not in _QUANTITIES:
            raise ValueError(
                f"quantity {self.quantity!r} is none of {', '.join(sorted({*_QUANTITIES, TEXT}))}"
            )
        wanted = QUANTITIES[self.quantity].unit
        if self.unit is None:
            raise ValueError(f"{self.quantity} needs a unit, such as {wanted!r}")
        try:
            canonical_line(self.quantity, self.unit)
        except UnitError as error:
            raise ValueError(f"unit of {self.channel!r}: {error}") from error
        return self

    @cached_property
    def line(self) -> tuple[Fraction, Fraction]:
        return Fraction(str(self.scale)), Fraction(str(self.offset))

    @cached_property
    def none(self) -> frozenset[int]:
        return frozenset(self.invalid)


class FieldEntry(Bits, Meaning):
    """`type`: how the bits are a number. `when`: all of them must hold, or the payload has no such field."""

    type: Literal["unsigned", "signed", "float"] = "unsigned"
    when: tuple[Condition, ...] = ()

    @model_validator(mode="after")
    def _float(self) -> Self:
        if self.type == "float" and (self.shift or self.width not in (16, 32, 64)):
            raise ValueError("a float has 16, 32 or 64 bits and begins with a byte")
        return self


class TimeEntry(Bits):
    """The device's own time. `invalid`: raw values of a clock that was never set; the time of receipt stands instead."""

    format: Literal["unix_s", "unix_ms"] = "unix_s"
    invalid: tuple[Raw, ...] = (0,)


class _Layout(_Part):
    fields: tuple[FieldEntry, ...] = ()
    time: TimeEntry | None = None

    def _check(self, length: int) -> None:
        parts: list[Bits] = [*self.fields, *([self.time] if self.time is not None else [])]
        parts += [condition for field in self.fields for condition in field.when]
        for part in parts:
            if part.end > length:
                raise ValueError(f"byte {part.end - 1} lies behind the length of {length}")
        always = [field.channel for field in self.fields if not field.when]
        for channel in always:
            if [field.channel for field in self.fields].count(channel) > 1:
                raise ValueError(f"channel {channel!r} stands twice, and one of them always holds")


class Item(_Layout):
    """One entry of a tag-length-value payload. `tag`: its bytes in hexadecimal, `length`: those that follow."""

    tag: Annotated[str, Field(pattern="^([0-9a-f]{2}){1,4}$")]
    length: Annotated[int, Field(ge=0, le=255)]

    @model_validator(mode="after")
    def _inside(self) -> Self:
        self._check(self.length)
        return self


class MessageEntry(_Layout):
    """One form of payload: the first whose port, length and conditions fit is taken. Either `fields` at fixed places in
    `length` bytes (`repeat`: any number of such groups, each with its time), or `items`, each behind its tag."""

    f_port: Annotated[int, Field(ge=1, le=255)] | None = None
    length: Annotated[int, Field(ge=1, le=1024)] | None = None
    order: Order = "big"
    when: tuple[Condition, ...] = ()
    repeat: bool = False
    items: tuple[Item, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.items) == (self.length is not None):
            raise ValueError("a message has either a length and fields, or items")
        if self.length is not None:
            self._check(self.length)
            if self.repeat and self.time is None:
                raise ValueError("groups that repeat need a time each: they would be readings of one moment")
            if any(condition.end > self.length for condition in self.when):
                raise ValueError(f"a condition lies behind the length of {self.length}")
        elif self.fields or self.time or self.repeat:
            raise ValueError("fields and time of a message with items stand in its items")
        tags = [item.tag for item in self.items]
        if len({len(tag) for tag in tags}) > 1:
            raise ValueError("all tags of a message have the same length")
        if len(set(tags)) != len(tags):
            raise ValueError(f"a tag stands twice: {', '.join(sorted(tags))}")
        return self


class Member(Meaning):
    """What a named number means: a member of a decoded object (`a.b` for b inside a), or a CayenneLPP name
    (`temperature_3`)."""

    name: Channel


class Members(_Part):
    """`channels`: those with another name, unit or scale; any other keeps its name and has no unit. `ignore`: those that
    are no readings."""

    channels: tuple[Member, ...] = ()
    ignore: tuple[Channel, ...] = ()

    @model_validator(mode="after")
    def _once(self) -> Self:
        _each_once([member.name for member in self.channels] + list(self.ignore), "name")
        return self

    @cached_property
    def by_name(self) -> dict[str, Member]:
        return {member.name: member for member in self.channels}

    @cached_property
    def ignored(self) -> frozenset[str]:
        return frozenset(self.ignore)


class Element(Meaning):
    """What a Teltonika I/O element means."""

    id: Annotated[int, Field(ge=0, le=65535)]
    type: Literal["unsigned", "signed"] = "unsigned"


class Elements(_Part):
    """`ignore`: ids of elements that are no readings. Any other keeps the name `io_{id}` and has no unit."""

    elements: tuple[Element, ...] = ()
    ignore: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _once(self) -> Self:
        _each_once([element.id for element in self.elements] + list(self.ignore), "id")
        return self

    @cached_property
    def by_id(self) -> dict[int, Element]:
        return {element.id: element for element in self.elements}

    @cached_property
    def ignored(self) -> frozenset[int]:
        return frozenset(self.ignore)


def _each_once(names: Iterable[object], what: str) -> None:
    seen: set[object] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{what} {name!r} stands twice")
        seen.add(name)


class Profile(_Part):
    """`source`: where the layout is described, for who checks it."""

    profile: Name
    vendor: str = ""
    model: str = ""
    source: str = ""
    messages: tuple[MessageEntry, ...] = ()
    cayenne: Members | None = None
    object: Members | None = None
    teltonika: Elements | None = None

    @model_validator(mode="after")
    def _one_part(self) -> Self:
        parts = [
            bool(self.messages),
            *(part is not None for part in (self.cayenne, self.object, self.teltonika)),
        ]
        if sum(parts) != 1:
            raise ValueError("a profile has exactly one of messages, cayenne, object and teltonika")
        return self

    @property
    def reads_bytes(self) -> bool:
        return bool(self.messages) or self.cayenne is not None
