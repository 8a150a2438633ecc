"""What follows the commit, as one process: projection, detection, sealing, roll-ups and the rest of CONSUMERS, each in a thread
with its own connection.

Contract: of each consumer one runs at a time in the whole instance (an advisory lock, its lease, held by its
connection), so a second process is a spare that takes over when the first dies. One step is one transaction: marks
are taken, results written, marks gone, or none of it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import psycopg

from ingest import (
    accounting,
    alerts,
    clock,
    detection,
    gaps,
    health,
    outbox,
    projection,
    retention,
    rollups,
    sealing,
    verdicts,
)
from ingest.delivering import Deliveries
from ingest.radar import looking

logger = logging.getLogger(__name__)

LEASE_LOCK = 0x5359_0200  # "SY", consumers; the consumer's place in CONSUMERS is the second key
CONSUMERS = (
    "projection",
    "detection",
    "sealing",
    "rollup",
    "accounting",
    "gaps",
    "sending",
    "clock",
    "health",
    "verdicts",
    "retention",
    "radar",
    "escalation",
    "delivering",
)
RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Pace:
    """`idle_s`: pause when there was nothing to do. `share`: of the time that it may work while there is, in steps that begin
    `apart_s` apart at least: one look at a hundred batches costs little more than one at each."""

    idle_s: float = 0.1
    share: float = 1.0
    apart_s: float = 0.1

    def rest_s(self, worked_s: float) -> float:
        return max(self.apart_s - worked_s, min(60.0, worked_s * (1 / self.share - 1)))


# An hour is rolled up anew whenever it was touched: the busier it is, the more touches one look at it shall serve.
PACES: Mapping[str, Pace] = {
    "rollup": Pace(share=0.2),
    "clock": Pace(idle_s=0.5),
    "health": Pace(idle_s=2.0, share=0.2),
    "retention": Pace(idle_s=600.0, share=0.2),
    "radar": Pace(idle_s=10.0, share=0.2),
    "escalation": Pace(idle_s=2.0),
}

Step = Callable[[psycopg.Connection, datetime], bool]
"""One transaction's work; True if there was any."""


def steps(
    organisation_key: Callable[[str], bytes],
    send: outbox.Send,
    keep: timedelta | None = None,
    *,
    finish: outbox.Finish = lambda body: body,
    deliveries: Deliveries | None = None,
    escalate_minutes: Sequence[float] = (15.0, 60.0),
) -> dict[str, Step]:
    """What each consumer does, in the order of their leases. `organisation_key`: 32 bytes, for the salts of sealed windows.
    `send`: to the broker. `keep`: how old raw readings may become; without it none is dropped. `finish`: what messages say more
    as they go out. `deliveries`: to channels; without it what is for them waits. `escalate_minutes`: after which alerts that
    nobody acknowledged are told further."""
    each: list[Step] = [
        projection.step,
        detection.step,
        partial(sealing.step, key=organisation_key),
        rollups.step,
        accounting.step,
        gaps.step,
        partial(outbox.step, send=send, finish=finish),
        clock.step,
        health.step,
        partial(verdicts.step, key=organisation_key),
    ]
    found = dict(zip(CONSUMERS, each, strict=False))
    if keep is not None:
        found["retention"] = partial(retention.step, keep=keep, key=organisation_key)
    found |= {"radar": looking.step, "escalation": partial(alerts.escalate, after_minutes=escalate_minutes)}
    return found | ({} if deliveries is None else {"delivering": deliveries.step})


def serve(
    consumers: Mapping[str, Step],
    connect: Callable[[], psycopg.Connection],
    now: Callable[[], datetime],
    stop: threading.Event,
) -> None:
    """Run `consumers`, named as in CONSUMERS, until `stop`."""
    threads = [
        threading.Thread(
            target=_run, args=(CONSUMERS.index(name), name, step, connect, now, stop), name=name, daemon=True
        )
        for name, step in consumers.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _run(
    number: int,
    name: str,
    step: Step,
    connect: Callable[[], psycopg.Connection],
    now: Callable[[], datetime],
    stop: threading.Event,
) -> None:
    while not stop.is_set():
        try:
            with connect() as conn:
                conn.autocommit = True
                _serve_lease(conn, number, step, now, stop, PACES.get(name, Pace()))
        except psycopg.OperationalError as error:
            logger.warning(
                "the database is away, the consumer waits", extra={"consumer": name, "error": str(error)}
            )
            stop.wait(RETRY_S)
        except Exception:
            # The marks of the failed step are back in the table: nothing is lost by trying again, and a
            # consumer that died in silence would leave excursions unseen.
            logger.exception("a consumer's step failed and is tried again", extra={"consumer": name})
            stop.wait(RETRY_S)


def _serve_lease(
    conn: psycopg.Connection,
    number: int,
    step: Step,
    now: Callable[[], datetime],
    stop: threading.Event,
    pace: Pace,
) -> None:
    while not stop.is_set():
        row = conn.execute("SELECT pg_try_advisory_lock(%s, %s)", [LEASE_LOCK, number]).fetchone()
        if row is not None and row[0]:
            break
        stop.wait(RETRY_S)
    while not stop.is_set():
        begun = time.monotonic()
        with conn.transaction():
            worked = step(conn, now())
        stop.wait(pace.rest_s(time.monotonic() - begun) if worked else pace.idle_s)
