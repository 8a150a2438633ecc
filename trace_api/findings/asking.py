"""What is asked of the findings, as it stands in the address. Contract: as `trace_api.audit.asking` has it: what is no filter is left
out and named in `wrong`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final
from urllib.parse import urlencode

from trace_api.audit.asking import PAGE, Asked, ask

KINDS: Final = (
    "outputs_over_inputs", "no_cull", "moved_before_made", "more_than_made", "two_places",
    "harvest_over_ceiling", "certificates_over_lot", "scanned_too_often", "copied_values",
)  # fmt: skip
STANDINGS: Final = ("standing", "look_into", "explained", "closed", "all")
SAYS: Final = ("look_into", "explained")
_COMMON: Final = ("from", "to", "region", "text", "page", "lang")
_LONGEST: Final = 300


@dataclass(frozen=True, slots=True)
class AskedFindings:
    """`common`: period, region, words and page. `standing`: which of them, by what was said of them and whether they hold."""

    common: Asked
    kind: str | None = None
    standing: str = "standing"
    lot: str | None = None
    wrong: tuple[str, ...] = ()

    @property
    def page(self) -> int:
        return self.common.page

    @property
    def since(self) -> date | None:
        return self.common.since

    @property
    def until(self) -> date | None:
        return self.common.until

    def filters(self, limit: int = PAGE, offset: int | None = None) -> dict[str, Any]:
        common = self.common.filters(limit, offset)
        kept = {name: common[name] for name in ("from", "to", "region", "text", "limit", "offset")}
        return kept | {"finding_kind": self.kind, "standing": self.standing, "lot": self.lot}

    def query(self, **changes: Any) -> str:
        asked = replace(self, **{name: value for name, value in changes.items() if name != "page"})
        own = {
            "kind": asked.kind,
            "lot": asked.lot,
            "standing": None if asked.standing == "standing" else asked.standing,
        }
        common = asked.common.query(page=changes.get("page", 1))
        return "&".join(
            part
            for part in (common, urlencode({name: value for name, value in own.items() if value}))
            if part
        )

    @property
    def narrowed(self) -> bool:
        return self.common.narrowed or bool(self.kind or self.lot) or self.standing != "standing"


def ask_findings(pairs: Iterable[tuple[str, str]], today: date) -> AskedFindings:
    """Without a period: all of it, since a finding stands until it is explained."""
    given = [(name, value.strip()) for name, value in pairs]
    own: dict[str, list[str]] = {"kind": [], "standing": [], "lot": []}
    rest = []
    for name, value in given:
        own[name].append(value) if name in own else rest.append((name, value))
    if not {"from", "to"} & {name for name, _ in rest}:
        rest.append(("from", ""))
    common = ask(rest, today, _COMMON)
    wrong = list(common.wrong)
    found: dict[str, str] = {}
    allowed = {"kind": KINDS, "standing": STANDINGS, "lot": None}
    for name, values in own.items():
        value = next(iter(values), "")
        known = allowed[name]
        if (
            len(set(values)) > 1
            or "\x00" in value
            or len(value) > _LONGEST
            or (value and known is not None and value not in known)
        ):
            wrong.append(name)
        elif value:
            found[name] = value
    return AskedFindings(
        common, found.get("kind"), found.get("standing", "standing"), found.get("lot"), tuple(wrong)
    )
