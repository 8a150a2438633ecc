"""What stands in a form: as it was typed, so that it can be shown again, and as the acts want it.

In the line: what a browser sent -> here -> `acts.read_act`, or the same form once more. Contract: pure; nothing that was
typed is lost or changed on the way back to the page; a fault of the act finds the field on the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from trace_api.acts.fields import ZONE
from trace_api.scan.sheets import Ask
from trace_api.words import decimal
from trace_api.work import Sent

PULPS: Final = 3
"""Boxes whose pulp is measured: JUDGEMENT's number for a gate, and as many fields on the form."""
GRADES: Final = ("A", "B")
CORRECTS: Final = "corrects"
"""The hidden field with the act that this one stands in place of."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A lot that was put on the list, and how much of it: "" is all."""

    lot: str
    quantity: str


@dataclass(frozen=True, slots=True)
class Typed:
    """`texts`: of the plain fields. `goods`, `units`: the lists so far, by field. `pending`: what stands in the fields of a
    list and was not put on it yet: lot, code and quantity."""

    texts: Mapping[str, str] = field(default_factory=dict)
    many: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    goods: Mapping[str, tuple[Taken, ...]] = field(default_factory=dict)
    pending: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        return self.texts.get(name, "")

    def pulp(self, name: str) -> tuple[str, ...]:
        return tuple(self.text(f"{name}.{box}") for box in range(PULPS))


def from_form(asks: Iterable[Ask], form: Sent) -> Typed:
    texts: dict[str, str] = {}
    many: dict[str, tuple[str, ...]] = {}
    goods: dict[str, tuple[Taken, ...]] = {}
    pending: dict[str, str] = {}
    for ask in asks:
        if ask.input in ("units", "basis"):
            many[ask.name] = tuple(dict.fromkeys(form.all(ask.name)))
        if ask.input == "goods":
            goods[ask.name] = tuple(_taken(form, ask.name))
        if ask.list:
            pending |= {
                f"{ask.name}.{part}": form.text(f"{ask.name}.{part}") for part in ("pick", "code", "quantity")
            }
        texts |= {name: form.text(name) for name in _names(ask)}
    texts[CORRECTS] = form.text(CORRECTS)
    return Typed(texts, many, goods, pending)


def from_query(asks: Iterable[Ask], query: Mapping[str, str]) -> Typed:
    """A form that is opened from a lot or a unit has it on its list."""
    texts = {name: query.get(name, ask.default) for ask in asks for name in _names(ask)}
    many = {ask.name: (query["unit"],) if query.get("unit") else () for ask in asks if ask.input == "units"}
    # Where a list of lots is one of two, they go on it unless they are in the unit that is on the other.
    goods = {
        ask.name: (Taken(query["lot"], query.get("quantity", "")),)
        if query.get("lot") and (ask.required or not query.get("unit"))
        else ()
        for ask in asks
        if ask.input == "goods"
    }
    many |= {ask.name: ("self_declaration",) for ask in asks if ask.input == "basis"}
    return Typed(texts, many, goods)


def from_said(asks: Iterable[Ask], said: Mapping[str, Any]) -> Typed:
    """A form as the act that it recorded has it, to be put right: the other way round of `fields_of`."""
    texts: dict[str, str] = {}
    many: dict[str, tuple[str, ...]] = {}
    goods: dict[str, tuple[Taken, ...]] = {}
    certify = said.get("certify")
    for ask in asks:
        head, _, inside = ask.name.partition(".")
        value = (certify or {}).get(inside) if inside else said.get(head)
        if ask.input == "goods":
            goods[ask.name] = tuple(Taken(each["lot"], _text(each.get("quantity"))) for each in value or ())
        elif ask.input in ("units", "basis"):
            many[ask.name] = tuple(value or (("self_declaration",) if ask.input == "basis" else ()))
        elif ask.input == "outputs":
            texts |= _outputs(ask, value or ())
        elif ask.input == "pulp":
            texts |= {f"{ask.name}.{box}": _text(each) for box, each in enumerate(value or ())}
        elif ask.input == "yes_no":
            texts[ask.name] = "" if value is None else "yes" if value else "no"
        elif ask.input == "yes":
            texts[ask.name] = "yes" if value else ""
        elif ask.input == "moment":
            texts[ask.name] = _clock(value)
        else:
            texts[ask.name] = "-".join(value) if ask.name == "serials" and value else _text(value)
    return Typed(texts, many, goods)


def _clock(moment: str | None) -> str:
    """Of a wall, to the minute, as a form knows it."""
    if moment is None:
        return ""
    return datetime.fromisoformat(moment).astimezone(ZoneInfo(ZONE)).strftime("%Y-%m-%dT%H:%M")


def _outputs(ask: Ask, said: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Each in the row of its grade; one of another grade has none."""
    rows = {grade: row for row, grade in enumerate(GRADES)}
    texts: dict[str, str] = {}
    for each in said:
        row = rows.pop(each.get("grade", ""), None)
        if row is not None:
            parts = ("product", "boxes", "grade")
            texts |= {f"{ask.name}.{row}.{part}": _text(each.get(part)) for part in parts}
    return texts


def _text(value: Any) -> str:
    """As somebody types it: numbers without an idle zero, several seals divided by blanks."""
    if value is None:
        return ""
    if isinstance(value, float):
        return decimal(value)
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value)


def _names(ask: Ask) -> Iterable[str]:
    """The inputs that a field has on the page, lists apart."""
    if ask.input == "code":
        return ask.name, f"{ask.name}.code"
    if ask.input == "pulp":
        return [f"{ask.name}.{box}" for box in range(PULPS)]
    if ask.input == "outputs":
        parts = ("product", "boxes", "grade")
        return [f"{ask.name}.{row}.{part}" for row in range(len(GRADES)) for part in parts]
    return () if ask.list else (ask.name,)


def _taken(form: Sent, name: str) -> Iterable[Taken]:
    row = 0
    while lot := form.text(f"{name}.{row}.lot"):
        yield Taken(lot, form.text(f"{name}.{row}.quantity"))
        row += 1


# --- lists ----------------------------------------------------------------------------------------------------------


def added(typed: Typed, ask: Ask, code: str) -> Typed:
    """With what stands in the list's own fields put on the list. `code`: what it names."""
    left = {f"{ask.name}.{part}": "" for part in ("pick", "code", "quantity")}
    if ask.input == "units":
        units = tuple(dict.fromkeys([*typed.many.get(ask.name, ()), code]))
        return replace(typed, many={**typed.many, ask.name: units}, pending={**typed.pending, **left})
    kept = [each for each in typed.goods.get(ask.name, ()) if each.lot != code]
    taken = Taken(code, typed.pending.get(f"{ask.name}.quantity", ""))
    return replace(typed, goods={**typed.goods, ask.name: (*kept, taken)}, pending={**typed.pending, **left})


def without(typed: Typed, ask: Ask, row: int) -> Typed:
    goods = typed.goods.get(ask.name, ())
    return replace(typed, goods={**typed.goods, ask.name: (*goods[:row], *goods[row + 1 :])})


def waiting(typed: Typed, ask: Ask) -> str:
    """The code that was scanned or picked for a list and is not on it yet; a scan wins over a choice."""
    return typed.pending.get(f"{ask.name}.code") or typed.pending.get(f"{ask.name}.pick") or ""


# --- for the acts -----------------------------------------------------------------------------------------------------


def fields_of(asks: Sequence[Ask], typed: Typed) -> dict[str, Any]:
    """As `acts.read_act` wants them."""
    found: dict[str, Any] = {}
    for ask in asks:
        if not ask.name.startswith("certify"):
            found[ask.name] = _value(ask, typed)
    if typed.text("certify"):
        basis = list(typed.many.get("certify.basis", ()))
        found["certify"] = {
            "contact": typed.text("certify.contact"),
            "origin": typed.text("certify.origin"),
            "basis": basis,
        }
    return {name: value for name, value in found.items() if value not in ("", None, [])}


def _value(ask: Ask, typed: Typed) -> Any:
    if ask.input == "goods":
        return [{"lot": each.lot, "quantity": each.quantity} for each in typed.goods.get(ask.name, ())]
    if ask.input == "units":
        return list(typed.many.get(ask.name, ()))
    if ask.input == "outputs":
        return [_output(ask, typed, row) for row in made(ask, typed)]
    if ask.input == "pulp":
        return [value for value in typed.pulp(ask.name) if value]
    if ask.input == "code":
        return typed.text(f"{ask.name}.code") or typed.text(ask.name)
    return typed.text(ask.name)


def _output(ask: Ask, typed: Typed, row: int) -> dict[str, str]:
    parts = {part: typed.text(f"{ask.name}.{row}.{part}") for part in ("product", "boxes", "grade")}
    return {part: value for part, value in parts.items() if value}


def made(ask: Ask, typed: Typed) -> list[int]:
    """The rows of the outputs in which something is said."""
    return [row for row in range(len(GRADES)) if typed.text(f"{ask.name}.{row}.boxes") not in ("", "0")]


def place_on_page(asks: Sequence[Ask], typed: Typed, where: str | None) -> str | None:
    """The name of the input that a fault is about, or None where it has none on the page."""
    if where is None:
        return None
    head, _, rest = where.partition(".")
    ask = next((each for name in (where, head) for each in asks if each.name == name), None)
    if ask is None:
        return None
    if ask.input == "outputs" and rest:
        row, _, part = rest.partition(".")
        rows = made(ask, typed)
        shown = rows[int(row)] if row.isdigit() and int(row) < len(rows) else 0
        return f"{head}.{shown}.{part if part in ('product', 'boxes') else 'boxes'}"
    if ask.input == "goods":
        row = rest.partition(".")[0]
        return f"{head}.{row}" if row.isdigit() else head
    return where if ask.name == where else head
