"""Why an act was not taken, as something to say and something to do next, in both languages.

Contract: whoever raises `Refused` has written nothing that stays: it leaves the transaction. A fault has a code, the field
it is about, and facts; its sentences are `acts_fault_{code}` and `acts_fault_{code}_next` of the catalogues.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from trace_api.acts.models import ACTS
from trace_api.acts.shapes import Act, Form
from trace_api.problems import Problem
from trace_api.story import Name
from trace_api.words import Language, Words


@dataclass(frozen=True, slots=True)
class Fault:
    """`field`: of the form, dotted; None: of the act as a whole. A fact may be a Name or a function of Words."""

    code: str
    field: str | None = None
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def text(self) -> Name:
        return Name(*(self._said(language, f"acts_fault_{self.code}") for language in ("zh", "en")))

    @property
    def next(self) -> Name:
        return Name(*(self._said(language, f"acts_fault_{self.code}_next") for language in ("zh", "en")))

    def _said(self, language: Language, key: str) -> str:
        words = Words(language)
        return words(key, **{name: _put(words, fact) for name, fact in self.facts.items()})

    def to_json(self) -> dict[str, Any]:
        text, further = self.text, self.next
        return {
            "code": self.code,
            "field": self.field,
            "zh": text.zh,
            "en": text.en,
            "next": {"zh": further.zh, "en": further.en},
        }


def _put(words: Words, fact: Any) -> Any:
    if isinstance(fact, Name):
        return words.name(fact)
    return fact(words) if callable(fact) else fact


class Refused(Exception):
    """Nothing was recorded. `faults`: at least one, in the order of the form."""

    def __init__(self, faults: Iterable[Fault], status: int = 409) -> None:
        self.faults = tuple(faults)
        self.status = status
        super().__init__("; ".join(f"{each.field or 'act'}: {each.text.en}" for each in self.faults))

    @property
    def by_field(self) -> dict[str | None, Fault]:
        """The first fault of each field."""
        found: dict[str | None, Fault] = {}
        for each in self.faults:
            found.setdefault(each.field, each)
        return found

    def problem(self) -> Problem:
        first = self.faults[0]
        problem = Problem.said(
            self.status,
            "acts_refused",
            what=lambda words: words.name(first.text),
            then=lambda words: words.name(first.next),
        )
        problem.more["faults"] = [each.to_json() for each in self.faults]
        return problem


def refuse(code: str, where: str | None = None, /, *, status: int = 409, **facts: Any) -> Refused:
    return Refused([Fault(code, where, facts)], status)


def read_act(kind: str, fields: Mapping[str, Any]) -> Act:
    """The act that a form or a JSON body says. Raises Refused 404 for no such kind, 422 with a fault for each wrong field."""
    model = ACTS.get(kind)
    if model is None:
        raise refuse("unknown_kind", status=404, kind=kind, kinds=", ".join(sorted(ACTS)))
    found = read_form(model, fields)
    assert isinstance(found, Act)
    return found


def read_form(model: type[Form], fields: Mapping[str, Any]) -> Form:
    try:
        return model.model_validate(dict(fields))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        inside = {detail["loc"][:depth] for detail in found for depth in range(len(detail["loc"]))}
        # A list whose one item is faulty is not empty as well.
        faults = [_fault(each) for each in found if each["type"] != "too_short" or each["loc"] not in inside]
        raise Refused(faults, 422) from None


# What pydantic calls it -> our code, and the facts it comes with.
_CODES: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "missing": ("missing", {}),
    "too_short": ("missing", {}),
    "string_too_short": ("missing", {}),
    "float_parsing": ("not_a_number", {}),
    "float_type": ("not_a_number", {}),
    "finite_number": ("not_a_number", {}),
    "int_parsing": ("not_whole", {}),
    "int_parsing_size": ("not_whole", {}),
    "int_from_float": ("not_whole", {}),
    "int_type": ("not_whole", {}),
    "greater_than": ("not_above", {"least": "gt"}),
    "greater_than_equal": ("below", {"least": "ge"}),
    "less_than_equal": ("above", {"most": "le"}),
    "string_too_long": ("too_long", {"most": "max_length"}),
    "too_long": ("too_many", {"most": "max_length"}),
    "string_pattern_mismatch": ("not_a_lot_number", {}),
    "literal_error": ("not_a_choice", {"choices": "expected"}),
    "bool_parsing": ("not_yes_or_no", {}),
    "bool_type": ("not_yes_or_no", {}),
    "extra_forbidden": ("unknown_field", {}),
    "string_unicode": ("unprintable", {}),
}
_OWN: Final = frozenset(
    {
        "comma_in_number", "unprintable", "nothing_named", "unlabelled_alone", "harvest_backwards", "boxes_or_kg", "range_backwards",
        "not_a_serial_range", "serials_do_not_fit",
    }
)  # fmt: skip


def _fault(detail: ErrorDetails) -> Fault:
    where = ".".join(str(part) for part in detail["loc"]) or None
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _OWN or kind.startswith("recall_"):
        return Fault(kind, where)
    if kind.startswith(("datetime_", "date_", "timezone_")):
        return Fault("not_a_time", where)
    code, names = _CODES.get(kind, ("not_understood", {}))
    return Fault(code, where, {name: context.get(said, "") for name, said in names.items()})
