"""Record duties: what must be measured and kept, whatever the temperature was; who says so, and who has read it there.

In the line: `duties.json` (package data) -> here -> `duty_rule` -> the official's second list. Contract: as with limits,
a duty that exists is consistent in itself, a changed one is a new version, and every number says where it comes from.
`verified` is for numbers that somebody read in the rule's own text; `basis` says what the others rest on.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib import resources
from typing import Any, Final, Literal, get_args

from ingest.coldchain.limits import FORCES, ColdChainError, Force, Text

DutyKind = Literal["missing_record", "interval_too_long", "calibration"]
PlaceKind = Literal["vehicle", "place"]
Basis = Literal["read", "second_hand", "recalled", "policy"]

KINDS: Final[tuple[DutyKind, ...]] = get_args(DutyKind)
PLACE_KINDS: Final[tuple[PlaceKind, ...]] = get_args(PlaceKind)
BASES: Final[tuple[Basis, ...]] = get_args(Basis)
# The number that each kind is about; the others are null.
_NUMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "missing_record": ("gap_factor", "upload_grace_minutes"),
    "interval_too_long": ("max_interval_s",),
    "calibration": ("validity_months",),
}
_ALL_NUMBERS: Final = ("max_interval_s", "gap_factor", "upload_grace_minutes", "validity_months")


class DutyError(ColdChainError):
    """A pack of duties cannot be used. Correct what the message names; nothing of the pack was taken."""


@dataclass(frozen=True, slots=True)
class Duty:
    """One duty in one version. `place_kinds` empty: wherever goods are.

    `gap_factor`: a silence longer than so many intervals, as configured, is a gap. `upload_grace_minutes`: a silence that
    still lasts counts only when it is longer, since a device may upload late. `validity_months`: of a calibration whose
    certificate names no due date. Raises DutyError.
    """

    id: str
    version: int
    kind: DutyKind
    place_kinds: tuple[PlaceKind, ...]
    max_interval_s: int | None
    gap_factor: float | None
    upload_grace_minutes: int | None
    validity_months: int | None
    force: Force
    source: str
    clause: str
    verified: bool
    basis: Basis
    wording: Text

    def __post_init__(self) -> None:
        problems = [f"duty {self.id!r} version {self.version}: {problem}" for problem in _problems(self)]
        if problems:
            raise DutyError("; ".join(problems))

    def snapshot(self) -> dict[str, Any]:
        """The duty as it stands, as JSON; `parse_duty` reads it back."""
        return asdict(self) | {"place_kinds": list(self.place_kinds)}


def load_duties() -> tuple[Duty, ...]:
    """The duties shipped with the package. Raises DutyError."""
    text = resources.files("ingest.coldchain").joinpath("duties.json").read_text(encoding="utf-8")
    found = tuple(parse_duty(obj) for obj in json.loads(text)["duties"])
    keys = [(duty.id, duty.version) for duty in found]
    if len(set(keys)) < len(keys):
        raise DutyError("a duty is given twice in one version")
    return found


def parse_duty(obj: Mapping[str, Any]) -> Duty:
    """One duty from its JSON object; unknown and missing fields are refused, so that none is misspelt unseen."""
    known = {field.name for field in fields(Duty)}
    if set(obj) != known:
        odd = sorted(set(obj) ^ known)
        raise DutyError(f"duty {obj.get('id', '(no id)')!r}: {', '.join(odd)} unknown or missing")
    wording = Text(obj["wording"]["zh"], obj["wording"]["en"])
    return Duty(**{**obj, "place_kinds": tuple(obj["place_kinds"]), "wording": wording})


def _problems(duty: Duty) -> list[str]:
    problems = []
    for key, got, known in (
        ("kind", (duty.kind,), KINDS),
        ("force", (duty.force,), FORCES),
        ("basis", (duty.basis,), BASES),
        ("place_kinds", duty.place_kinds, PLACE_KINDS),
    ):
        strange = [value for value in got if value not in known]
        if strange:
            problems.append(f"{key!r} has {strange[0]!r}, want one of {', '.join(known)}")
    if not duty.source.strip() or not duty.clause.strip():
        problems.append("where it stands is not said")
    if duty.verified and duty.basis != "read":
        problems.append(f"is called verified, but rests on {duty.basis!r}: only what was read there is")
    for name in _ALL_NUMBERS:
        value = getattr(duty, name)
        if (value is not None) != (name in _NUMBERS.get(duty.kind, ())):
            problems.append(f"{name!r} is {value} for the kind {duty.kind!r}")
        elif value is not None and value <= 0:
            problems.append(f"{name!r} is above 0, got {value}")
    return problems
