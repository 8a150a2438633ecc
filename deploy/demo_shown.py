"""What a newcomer to the demo finds waiting: a recall drill, a proposal to hold goods, and a finding of the radar.

In the line: the world has reached now -> here, by the doors that users and shoppers have -> the demo's list of addresses. Contract: each
is made once in a folder's life; what cannot be made is left out of the list and stops nothing. The world itself stays honest: the test
is of grade B, which never left the cold store, and the label that went round is one of its too, so that the shopper's page that the
demo shows tells the same story as before.
"""

from __future__ import annotations

import hashlib
import json
import logging
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import psycopg

from ingest.radar import looking, scans
from simulators import keys
from simulators.scenario import GTIN
from simulators.world import World

logger = logging.getLogger(__name__)

VISITORS: Final = 400
NETWORKS: Final = 30
_COUNT: Final = "SELECT count_scans(%s, %s, %s, %s, %s, %s)"


@dataclass(frozen=True, slots=True)
class Shown:
    """`what` to see at `path`, and with whose sign-in."""

    what: str
    path: str
    login: str


@dataclass(frozen=True, slots=True)
class Maker:
    """The program of the organisation that made the goods. `url`: of the API; `token`: its capture token."""

    url: str
    token: str

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Raises OSError where it is refused."""
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        if body is not None:
            headers |= {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers)  # noqa: S310 - our own address
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            answer: dict[str, Any] = json.loads(response.read())
        return answer


def show(maker: Maker, world: World, public_url: str, jobs_url: str, now: datetime) -> list[Shown]:
    """`public_url`, `jobs_url`: the database, as those roles."""
    makes: tuple[Callable[[], Shown], ...] = (
        lambda: _proposal(maker, world, now),
        lambda: _finding(maker, world, public_url, jobs_url, now),
        lambda: _drill(maker, world),
    )
    shown = []
    for make in makes:
        try:
            shown.append(make())
        except (OSError, psycopg.Error, LookupError):
            logger.warning("something that the demo shows could not be made", exc_info=True)
    return shown


def _proposal(maker: Maker, world: World, now: datetime) -> Shown:
    """A rapid test of grade B is positive; grade A is of the same fruit, and is at the market by now."""
    plan = world.plan
    if not maker.ask("/api/v1/holds/proposals")["tests"]:
        unit = plan.unit("B1")
        sampled, result = (now - timedelta(minutes=minutes) for minutes in (40, 10))
        maker.ask("/api/v1/acts/rapid_test", {
            "units": [unit.sscc], "lot": keys.lot_uri(GTIN, unit.lot), "sample": f"XJ-{plan.day}-0003", "method": "GB/T 5009.199",
            "value": 62.0, "sampled_at": sampled.isoformat(), "result_at": result.isoformat(),
        })  # fmt: skip
    return Shown("a proposal to hold", "/holds", "stall")


def _finding(maker: Maker, world: World, public_url: str, jobs_url: str, now: datetime) -> Shown:
    """One box's label is scanned by hundreds, from all over."""
    found = maker.ask(f"/api/v1/findings?kind={scans.KIND}&standing=all")["findings"]
    if not found:
        unit = world.plan.unit("B1")
        _scanned(public_url, f"{keys.lot_uri(GTIN, unit.lot)}/21/{world.plan.serial(unit.first)}", now)
        with psycopg.connect(jobs_url) as conn:
            looking.look_at(conn, scans.KIND, now)
        found = maker.ask(f"/api/v1/findings?kind={scans.KIND}&standing=all")["findings"]
    return Shown("a finding", f"/audit/findings/{found[0]['id']}", "official-xianju")


def _scanned(public_url: str, code: str, now: datetime) -> None:
    def cut(name: str, length: int) -> bytes:
        return hashlib.sha256(f"{code} {name}".encode()).digest()[:length]

    visitors = [cut(f"visitor {number}", 8) for number in range(VISITORS)]
    networks = [cut(f"network {number % NETWORKS}", 4) for number in range(VISITORS)]
    day = now.astimezone(scans.ZONE).date()
    with psycopg.connect(public_url) as conn:
        conn.execute(_COUNT, [[code] * VISITORS, day, visitors, networks, [""] * VISITORS, [1] * VISITORS])


def _drill(maker: Maker, world: World) -> Shown:
    standing = [each for each in maker.ask("/api/v1/recalls")["recalls"] if each["mode"] == "drill"]
    if not standing:
        reason = {"zh": "演练：快检农残超标", "en": "drill: residues in a rapid test"}
        begun = {"kind": "lot", "id": keys.lot_uri(GTIN, world.plan.lot)}
        standing = [
            maker.ask("/api/v1/recalls", {"mode": "drill", "from": begun, "level": 1, "reason": reason})
        ]
    return Shown("a recall drill", f"/holds/recalls/{standing[0]['id']}", "packer")


def told(shown: list[Shown], url: str) -> list[str]:
    """A line each."""
    width = max((len(each.what) for each in shown), default=0)
    return [f"{each.what.ljust(width)}  {url}{each.path}  (sign in as {each.login})" for each in shown]
