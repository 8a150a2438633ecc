"""What goes to channels: webhooks and addresses, each in its own turn, so that one that is slow or dead holds up no other.

In the line: rows of the outbox with a channel (`alerts.py` puts them there) -> here, a consumer -> `webhook.py`, `mail.py`.
Contract: a row stays until its receiver has taken it, and is tried again, ever later, for a day; then it is given up and stays as
what could not be told (`suyuan doctor` names it). No transaction is open while somebody is waited for: a step takes up what came
of the sendings before and begins new ones, one a channel at a time. What was sent and not noted, since this process died, is sent
again under the same key.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import psycopg

from ingest.outbox import Finish

logger = logging.getLogger(__name__)

AT_ONCE = 16
FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(hours=1)
TRIED_FOR = timedelta(days=1)
KEPT = timedelta(days=30)
"""So long what was given up is shown."""


class Undelivered(Exception):
    """The receiver did not take the message. It is tried again; the message says what to mend there."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message to one channel. `key`: the message's UUID; `attempt`: 1 for the first."""

    row: int
    key: str
    channel: str
    organisation: str
    kind: str
    address: str
    body: Mapping[str, Any]
    created_at: datetime
    attempt: int


Carry = Callable[[Parcel, datetime], None]
"""Hands a parcel over, at the moment given, in some seconds at most. Raises Undelivered."""

# Of each channel that is not busy the row whose turn it is.
_DUE = """
SELECT * FROM (
  SELECT DISTINCT ON (channel.id) outbox.id, key::text, channel.id::text, organisation, kind, address, body, created_at, attempts + 1, next_at
  FROM outbox JOIN alert_channel AS channel ON channel.id = outbox.channel
  WHERE given_up_at IS NULL AND next_at <= %s AND channel.id <> ALL (%s::uuid[])
  ORDER BY channel.id, next_at, outbox.id) AS due
ORDER BY next_at LIMIT %s
"""
_ARRIVED = """
WITH gone AS (DELETE FROM outbox WHERE id = %(row)s RETURNING key)
INSERT INTO alert_delivery (message, channel, kind, attempts, ended_at, arrived)
SELECT alert_message.id, %(channel)s, %(kind)s, %(attempt)s, %(now)s, true FROM gone JOIN alert_message ON alert_message.id = gone.key
ON CONFLICT DO NOTHING
"""
_LATER = (
    "UPDATE outbox SET attempts = %(attempt)s, next_at = %(next)s, last_error = %(error)s WHERE id = %(row)s"
)
_GIVE_UP = """
WITH old AS (DELETE FROM outbox WHERE given_up_at < %(now)s - %(kept)s::interval),
     ended AS (UPDATE outbox SET attempts = %(attempt)s, last_error = %(error)s, given_up_at = %(now)s WHERE id = %(row)s RETURNING key)
INSERT INTO alert_delivery (message, channel, kind, attempts, ended_at, arrived)
SELECT alert_message.id, %(channel)s, %(kind)s, %(attempt)s, %(now)s, false FROM ended JOIN alert_message ON alert_message.id = ended.key
ON CONFLICT DO NOTHING
"""


class Deliveries:
    """`carriers`: by the kind of channel. `chance`: in [0, 1), so that many that failed together do not come back together."""

    def __init__(
        self,
        carriers: Mapping[str, Carry],
        finish: Finish = lambda body: body,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._carriers, self._finish, self._chance = carriers, finish, chance
        self._threads = ThreadPoolExecutor(AT_ONCE, "delivery")
        self._on_the_way: dict[str, tuple[Parcel, Future[None]]] = {}

    def step(self, conn: psycopg.Connection, now: datetime) -> bool:
        """Returns whether anything ended or began."""
        ended = [channel for channel, (_, sending) in self._on_the_way.items() if sending.done()]
        for channel in ended:
            self._note(conn, *self._on_the_way.pop(channel), now)
        free = AT_ONCE - len(self._on_the_way)
        due = conn.execute(_DUE, [now, list(self._on_the_way), free]).fetchall() if free else []
        for row in due:
            parcel = Parcel(*row[:9])
            self._on_the_way[parcel.channel] = parcel, self._threads.submit(self._carry, parcel, now)
        return bool(ended or due)

    def stop(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _carry(self, parcel: Parcel, now: datetime) -> None:
        whole = replace(parcel, body={"id": parcel.key, **self._finish(parcel.body)})
        self._carriers[parcel.kind](whole, now)

    def _note(self, conn: psycopg.Connection, parcel: Parcel, sending: Future[None], now: datetime) -> None:
        error = sending.exception()
        facts = {
            "row": parcel.row,
            "channel": parcel.channel,
            "kind": parcel.kind,
            "attempt": parcel.attempt,
            "now": now,
        }
        if error is None:
            conn.execute(_ARRIVED, facts)
            return
        if not isinstance(error, Undelivered):
            logger.error(
                "a message could not even be tried", extra={"channel": parcel.channel}, exc_info=error
            )
        facts["error"] = " ".join(f"{error or type(error).__name__}".split())[:500]
        if now - parcel.created_at >= TRIED_FOR:
            logger.warning(
                "a message is given up", extra={"channel": parcel.channel, "attempts": parcel.attempt}
            )
            conn.execute(_GIVE_UP, facts | {"kept": KEPT})
        else:
            conn.execute(_LATER, facts | {"next": now + wait_after(parcel.attempt, self._chance())})


def wait_after(attempt: int, chance: float) -> timedelta:
    """Twice as long each time, between half of it and the whole."""
    longest: timedelta = min(FIRST_WAIT * 2.0 ** min(attempt - 1, 20), LONGEST_WAIT)
    return longest * (0.5 + chance / 2)
