"""Visits to codes: how many people looked, from how many places, and nobody's address.

In the line: a shopper's page was shown -> here -> `scan_visit` (deploy/schema/0034_radar.sql), for docs/radar.md. Contract: an address is
hashed in the moment it is seen, under a key that is another one each day and that nobody keeps; of one visitor two codes
cannot be told to be of one. Cheap: visits are added up in memory and written together, after an answer has gone out; what a crash
loses is a few seconds of counts. Programs that say so, previews, and people who are signed in are not counted.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import re
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import psycopg
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from trace_api.access import Databases
from trace_api.accounts.guard import COOKIE

logger = logging.getLogger(__name__)

ZONE: Final = ZoneInfo("Asia/Shanghai")
EVERY: Final = timedelta(seconds=5)
MOST: Final = 2000
"""Visits that wait; beyond them they are not counted until these are written."""
_PROGRAMS: Final = re.compile(
    r"bot\b|bot/|crawl|spider|slurp|preview|monitor|headless|lighthouse|curl|wget|python|httpx|okhttp|go-http|java/|libwww|facebookexternalhit",
    re.IGNORECASE,
)
_REGION: Final = re.compile(r"[0-9]{2}|[0-9]{4}|[0-9]{6}")

_COUNT = "SELECT count_scans(%s, %s, %s, %s, %s, %s)"
Visit = tuple[str, bytes, bytes, str]
"""code, visitor, network, region"""


class Scans:
    """One for an application. `region_header`: by which a proxy in front tells the county (GB/T 2260); empty: none does."""

    def __init__(self, databases: Databases, region_header: str, now: Callable[[], datetime]) -> None:
        self._databases, self._region_header, self._now = databases, region_header, now
        self._lock = threading.Lock()
        self._waiting: dict[Visit, int] = {}
        self._written_at = now()
        self._key: tuple[date, bytes] | None = None

    def saw(self, request: Request, code: str) -> None:
        """To be called when the answer has gone out. Writes what waits, if it waited long enough."""
        if is_person(request):
            try:
                self._count(request, code)
            except psycopg.Error:
                logger.warning("a visit was not counted: the database is away", exc_info=True)

    def _count(self, request: Request, code: str) -> None:
        now = self._now()
        day = now.astimezone(ZONE).date()
        with self._lock:
            if self._key is None or self._key[0] != day:
                self._write(self._key[0] if self._key else day)
                self._key = day, self._key_of(day)
            visit = visit_of(request, code, self._key[1], self._region_header)
            if visit in self._waiting or len(self._waiting) < MOST:
                self._waiting[visit] = self._waiting.get(visit, 0) + 1
            if now - self._written_at >= EVERY or len(self._waiting) >= MOST:
                self._write(day)
                self._written_at = now

    def _key_of(self, day: date) -> bytes:
        with self._databases.public.connection() as conn:
            row = conn.execute("SELECT key_of_scans(%s)", [day]).fetchone()
        assert row is not None
        return bytes(row[0])

    def _write(self, day: date) -> None:
        if not self._waiting:
            return
        codes, visitors, networks, regions = (list(column) for column in zip(*self._waiting, strict=True))
        with self._databases.public.connection() as conn:
            conn.execute(_COUNT, [codes, day, visitors, networks, regions, list(self._waiting.values())])
        self._waiting = {}

    @asynccontextmanager
    async def lifespan(self, _app: object) -> AsyncIterator[None]:
        """What waits at the end of the process is written."""
        yield
        await run_in_threadpool(self._finish)

    def _finish(self) -> None:
        with self._lock, suppress(psycopg.Error):
            if self._key is not None:
                self._write(self._key[0])


def is_person(request: Request) -> bool:
    """As far as can be told plainly: a browser that shows the page to somebody who is not at work here."""
    headers = request.headers
    agent = headers.get("user-agent", "")
    ahead = headers.get("sec-purpose", headers.get("purpose", ""))
    return (
        bool(agent)
        and not _PROGRAMS.search(agent)
        and "prefetch" not in ahead
        and COOKIE not in request.cookies
    )


def visit_of(request: Request, code: str, key: bytes, region_header: str) -> Visit:
    address = request.client.host if request.client else ""
    agent = request.headers.get("user-agent", "")
    told = request.headers.get(region_header, "") if region_header else ""
    visitor = _hashed(key, "visitor", code, address, agent)[:8]
    network = _hashed(key, "network", code, network_of(address))[:4]
    return code, visitor, network, told if _REGION.fullmatch(told) else ""


def _hashed(key: bytes, *parts: str) -> bytes:
    return hmac.digest(key, "\0".join(parts).encode(), "sha256")


def network_of(address: str) -> str:
    """The /16 of an IPv4 address, the /32 of an IPv6 one: about a town and its provider."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(known, ipaddress.IPv6Address) and known.ipv4_mapped:
        known = known.ipv4_mapped
    return str(ipaddress.ip_network((known, 16 if known.version == 4 else 32), strict=False))
