"""How much, how deep and what kind of JSON one event may be.

Runs before anything else looks at an event, and keeps from everything after it what would hurt: depth
(recursive readers), size, numbers and texts that RFC 8785, UTF-8 or a database cannot carry, values that are
not JSON.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterator
from typing import Any

from ledger.epcis.problems import EventError, Problem, pointer_to, short

DEEPEST = 32
"""Levels of nesting taken in one event. The standard's own fields need 5."""
MOST_VALUES = 100_000
"""Values (object members and array items) taken in one event: a truck of boxes named one by one fits."""
MOST_CHARACTERS = 4_000_000
"""Characters taken in one event, names and texts together."""
LARGEST_NUMBER = 2**53 - 1
"""Beyond it RFC 8785 and every JavaScript reader round: such a number must be written as text. A float as well,
since RFC 8785 writes 1e17 as an integer, and what is recorded must be taken again when it is read back."""


def refuse_unbounded(obj: object) -> None:
    """Refuse what would hurt whoever comes after: depth (recursive readers), size, numbers and texts that RFC
    8785, UTF-8 or a database cannot carry, values that are not JSON. Goes level by level, so that no depth
    can break it; it runs on every event, hence the pointer is looked for only once something is known to be
    wrong."""
    if type(obj) is not dict:
        raise EventError([Problem("", f"got {short(obj)}, want a JSON object with the fields of one event")])
    level: list[Any] = [obj]
    values = characters = 0
    for depth in range(1, DEEPEST + 1):
        inside: list[Any] = []
        for container in level:
            inside.extend(container)  # an object's names, or an array's items
            if type(container) is dict:
                inside.extend(container.values())
        values += len(inside)
        characters += sum(len(value) for value in inside if type(value) is str)
        if values > MOST_VALUES or characters > MOST_CHARACTERS:
            wanted = f"at most {MOST_VALUES} names and values, {MOST_CHARACTERS} characters"
            raise EventError([Problem("", f"is too large: want {wanted}; split the event")])
        if not all(map(_is_carried, inside)):
            raise EventError(_uncarried(obj, depth))
        level = [value for value in inside if type(value) is dict or type(value) is list]
        if not level:
            return
    raise EventError([Problem("", f"is nested too deep; want at most {DEEPEST} levels")])


def _is_carried(value: object) -> bool:
    """Can this one value, its inside apart, go through UTF-8, RFC 8785 and a database unchanged?"""
    if type(value) is str:
        return "\0" not in value and (value.isascii() or not _SURROGATE.search(value))
    if type(value) is float or type(value) is int:
        return -LARGEST_NUMBER <= value <= LARGEST_NUMBER  # NaN and the infinities are not
    return value is None or type(value) in (bool, dict, list)


_SURROGATE = re.compile("[\ud800-\udfff]")


def _uncarried(obj: dict[str, Any], levels: int) -> Iterator[Problem]:
    """Where the values are that `_is_carried` refused, in the `levels` looked at so far: what lies deeper may
    yet have no end."""
    waiting: deque[tuple[int, str, Any]] = deque([(1, "", obj)])
    while waiting:
        depth, pointer, container = waiting.popleft()
        for name, value in container.items() if type(container) is dict else enumerate(container):
            place = pointer + pointer_to([name])
            if not _is_carried(name):
                yield Problem(pointer, f"got the name {short(name)}, want {_carried_instead(name)}")
            elif not _is_carried(value):
                yield Problem(place, f"got {short(value)}, want {_carried_instead(value)}")
            elif type(value) in (dict, list) and depth < levels:
                waiting.append((depth + 1, place, value))


def _carried_instead(value: object) -> str:
    if isinstance(value, str):
        return "text without the NUL character and without unpaired surrogates"
    if isinstance(value, float) and not math.isfinite(value):
        return "a finite number, or no field at all"
    if isinstance(value, int | float):
        return f"a number of at most {LARGEST_NUMBER} either side of 0; write a greater one as text"
    return "a JSON value"
