"""What an official asks for, as it stands in the address: a filter can be sent on as a link and stands in every export.

Contract: `ask` takes anything; what is no filter is left out and named in `wrong`, so that a list never looks filtered and
is not.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any, Literal, get_args
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from trace_api.digits import whole
from trace_api.words import Words

Order = Literal["newest", "worst"]
State = Literal["open", "closed", "merged", "void"]
Kind = Literal["missing_record", "interval_too_long", "calibration"]

ORDERS: tuple[Order, ...] = get_args(Order)
STATES: tuple[State, ...] = get_args(State)
KINDS: tuple[Kind, ...] = get_args(Kind)
OVER_C = ("1", "3", "5", "10")
ZONE = "Asia/Shanghai"
DAYS = 30
PAGE = 25
MOST = 5000
"""So many rows go into one file; a file that has not all of them says so."""
_REGION = re.compile(r"[0-9]{2}|[0-9]{4}|[0-9]{6}|[0-9]{9}|[0-9]{12}")
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Asked:
    """`since`, `until`: days of the area's zone, both inclusive, None: unbounded. `over_c`: at least so far beyond the
    limit. `wrong`: fields whose value is none."""

    since: date | None = None
    until: date | None = None
    region: str | None = None
    product: str | None = None
    place: str | None = None
    holder: str | None = None
    state: State | None = None
    over_c: str | None = None
    kind: Kind | None = None
    text: str | None = None
    order: Order = "newest"
    page: int = 1
    wrong: tuple[str, ...] = ()

    @property
    def begins(self) -> datetime | None:
        return None if self.since is None else datetime.combine(self.since, time(), ZoneInfo(ZONE))

    @property
    def ends(self) -> datetime | None:
        """Exclusive."""
        if self.until is None:
            return None
        return datetime.combine(self.until + timedelta(days=1), time(), ZoneInfo(ZONE))

    def filters(self, limit: int = PAGE, offset: int | None = None) -> dict[str, Any]:
        """For the functions of the database."""
        moments = {"from": self.begins, "to": self.ends}
        plain = {name: getattr(self, name) for name in _PLAIN}
        return {name: None if moment is None else moment.isoformat() for name, moment in moments.items()} | plain | {
            "limit": limit,
            "offset": (self.page - 1) * limit if offset is None else offset,
        }  # fmt: skip

    def query(self, **changes: Any) -> str:
        """The address's query. Another filter begins at the first page; a period that was taken away stands there as empty,
        since no period at all means the last days."""
        asked = replace(self, **({"page": 1} | changes))
        values = {"from": asked.since or "", "to": asked.until or ""} | {
            name: getattr(asked, name) for name in (*_PLAIN, "page")
        }
        dull = {"order": "newest", "page": 1}
        return urlencode(
            {
                name: value
                for name, value in values.items()
                if value is not None and dull.get(name) != value and (value != "" or name in ("from", "to"))
            }
        )

    @property
    def narrowed(self) -> bool:
        """Whether anything besides the period filters."""
        return any(getattr(self, name) is not None for name in _PLAIN if name != "order")


_PLAIN = ("region", "product", "place", "holder", "state", "over_c", "kind", "text", "order")
NAMES = ("from", "to", *_PLAIN, "page", "lang")
BREACHES = tuple(name for name in NAMES if name != "kind")
DUTIES = tuple(name for name in NAMES if name not in ("state", "over_c", "order"))
"""The filters that each list has."""


def ask(pairs: Iterable[tuple[str, str]], today: date, names: Collection[str] = NAMES) -> Asked:
    """Without any period: the last days. `pairs`: of an address. `names`: the filters that the list has; another one is wrong,
    whatever it says, and so is a name that is none: a misspelt filter filters nothing. One with two values is wrong too."""
    given: dict[str, set[str]] = {}
    for name, value in pairs:
        given.setdefault(name, set()).add(value.strip())
    found: dict[str, Any] = {}
    wrong = []
    for name, values in given.items():
        try:
            if name not in NAMES or (name not in names and values != {""}):
                raise ValueError(name)
            if name != "lang":
                (value,) = values
                found |= _one(name, value)
        except ValueError:
            wrong.append(name)
    if "from" not in given and "to" not in given:
        found["since"] = today - timedelta(days=DAYS)
    if found.get("since") and found.get("until") and found["since"] > found["until"]:
        wrong += ["from", "to"]
        del found["since"], found["until"]
    return Asked(**found, wrong=tuple(wrong))


def _one(name: str, value: str) -> dict[str, Any]:
    if not value:
        return {}
    if "\x00" in value or len(value) > _LONGEST:
        raise ValueError(name)
    known: Mapping[str, tuple[str, ...]] = {"order": ORDERS, "state": STATES, "kind": KINDS, "over_c": OVER_C}
    if name in known and value not in known[name]:
        raise ValueError(name)
    if name == "region" and not _REGION.fullmatch(value):
        raise ValueError(name)
    if name in ("from", "to"):
        day = date.fromisoformat(value)
        if not 2000 <= day.year <= 2999:
            raise ValueError(name)
        return {{"from": "since", "to": "until"}[name]: day}
    if name == "page":
        page = whole(value, 10_000)
        if not page:
            raise ValueError(name)
        return {"page": page}
    return {name: value}


def filter_name(name: str, words: Words) -> str:
    """As the page calls it; a name that is none of ours as it was written."""
    return words(f"audit_{name}") if name in NAMES and name != "lang" else name[:40]


def today_of(now: datetime) -> date:
    return now.astimezone(ZoneInfo(ZONE)).date()
