"""What the checks look at, of one portion: values without a database behind them.

In the line: evidence.py reads them as the asker may see them -> checks.py. Contract: what is not recorded, or not shared with
the asker, is None or absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ingest.coldchain.limits import Force, Text
from trace_api.access import Person
from trace_api.check.rules import Rules
from trace_api.story import Name, VerdictState


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, when, and by which numbers."""

    person: Person
    rules: Rules
    now: datetime


@dataclass(frozen=True, slots=True)
class Mark:
    """Goods are kept from sale. `for_test`: the hold was set by a rapid test, whose finding tells more. `setter`: the
    organisation that set it, which alone may lift it. `ours`: the asker's own."""

    kind: Literal["recalled", "refused", "held"]
    by: Name | None
    since: datetime | None
    for_test: bool = False
    setter: str | None = None
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Paper:
    """A 承诺达标合格证 or a small grower's information card: a self-declaration. `status` "named": the record names it, and
    its text is not shared with the asker. `quantity_kg`: None where it is not known."""

    number: str
    kind: Literal["producer", "buyer", "producer_card", "named"]
    status: Literal["valid", "void", "replaced", "named"]
    quantity_kg: float | None
    issued_at: datetime | None
    issuer: Name | None
    replaced_by: str | None = None


@dataclass(frozen=True, slots=True)
class TestResult:
    """One result, or a sample that waits for one. `here`: taken where the goods are now. `notified_at`: when the seller
    was told, from which on a retest may be asked for."""

    __test__ = False  # no test class, whatever its name

    kind: Literal["rapid", "laboratory"]
    outcome: Literal["negative", "positive", "pending"]
    method: str
    at: datetime
    here: bool
    by: Name | None
    value: float | None = None
    uom: str | None = None
    threshold: float | None = None
    notified_at: datetime | None = None
    deadline: datetime | None = None
    not_covered: tuple[str, ...] = ()
    id: str | None = None
    organisation: str | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Pulp:
    """Measured at this gate since the goods came."""

    boxes: int
    coldest_c: float
    warmest_c: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Cold:
    """The verdict on the record so far. `way_out`: the verdict's own, by its code. `limit_c`: the upper limit that the goods
    stand under now, None where no rule asks for cold. `hidden`: steps of the chain that the asker may not see."""

    state: VerdictState
    headline: Text
    reasons: tuple[Text, ...]
    way_out: Literal["upload_now", "measure_boxes"] | None
    limit_c: float | None
    wording: Text | None
    force: Force | None
    verified: bool
    pulp: Pulp | None = None
    hidden: int = 0
    lower_c: float | None = None
    lower_force: Force | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the checks look at, of one portion. `kilograms`: how much of it there is, None where nobody said;
    `lot_kilograms`: how much of its lot, this included, is out of its maker's hands and still there, as far as is recorded and
    shared. `others`: numbers of certificates that came with it and are for another lot."""

    now: datetime
    marks: tuple[Mark, ...]
    papers: tuple[Paper, ...]
    tests: tuple[TestResult, ...]
    cold: Cold
    kilograms: float | None
    lot_kilograms: float | None = None
    others: tuple[str, ...] = ()
