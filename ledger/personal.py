"""Which values of an event are personal, and the event with other values in their place. Pure.

In the line: an event's JSON -> here, by the schema in `known_fields` -> `persons` gives each value its URN -> `recording`.
Contract: `restored(replaced(fields, urns), {urn: value})` gives the fields back; names of fields, lists and objects stay as
they are, so an event in its replaced form says the same of the same goods. Text and numbers are replaced; true, false and null
tell nobody's name and stay. A URN of a person is no value of one and stays too, so replacing twice is replacing once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ledger.known_fields import FIELDS, FORMS, OPEN, PERSON_URN, STRUCTURAL, Known

Value = str | int | float
"""A personal value as it stood in the JSON."""

_Swap = Callable[[Value], Any]
_UNKNOWN: Final[Mapping[str, Known]] = {}


def personal_values(fields: Mapping[str, Any]) -> list[Value]:
    """The personal values of an event's JSON object, in order, each once."""
    found: dict[tuple[type, Value], Value] = {}

    def note(value: Value) -> Value:
        found[type(value), value] = value
        return value

    swapped(fields, note)
    return list(found.values())


def swapped(fields: Mapping[str, Any], swap: _Swap) -> dict[str, Any]:
    """The event with `swap(value)` in the place of each personal value."""
    return {
        name: value if name in STRUCTURAL else _field(name, value, OPEN.get(name), swap)
        for name, value in fields.items()
    }


def restored(value: Any, values: Mapping[str, Any]) -> Any:
    """`values`: what stands behind a URN. A URN that is not among them stays."""
    if isinstance(value, str):
        return values.get(value, value)
    if isinstance(value, Mapping):
        return {name: restored(each, values) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [restored(each, values) for each in value]
    return value


def person_urns(value: Any) -> Iterator[str]:
    """The URNs of persons anywhere in a JSON value."""
    if isinstance(value, str):
        if is_person(value):
            yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from person_urns(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from person_urns(each)


def is_person(value: Any) -> bool:
    return isinstance(value, str) and PERSON_URN.fullmatch(value) is not None


def _field(name: str, value: Any, known: Known | None, swap: _Swap) -> Any:
    if known is None:
        known = FIELDS.get(name, "person")
    return value if known == "structural" else _value(value, known, swap)


def _value(value: Any, known: Known, swap: _Swap) -> Any:
    """`known`: the form of a plain value; of an object its own fields."""
    if isinstance(value, Mapping):
        inside = known if isinstance(known, Mapping) else _UNKNOWN
        return {name: _field(name, each, _inner(name, inside), swap) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_value(each, known, swap) for each in value]
    if value is None or isinstance(value, bool) or is_person(value):
        return value
    return value if isinstance(known, str) and FORMS[known](value) else swap(value)


def _inner(name: str, inside: Mapping[str, Known]) -> Known | None:
    """Our names stand in a certificate's record with our vocabulary's address or prefix before them."""
    if name in inside:
        return inside[name]
    bare = name.removeprefix("suyuan:").removeprefix("https://suyuan.example/voc/")
    return inside.get(bare) if bare != name else None
