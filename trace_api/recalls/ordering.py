"""An order with all it reaches, in one transaction: kept, said, told.

In the line: asking.py -> here -> `recall_order` and its sisters in the database -> answering.py. Contract: what is asked only to look
(`preview`) leaves nothing; a drill is kept and tells nobody, marks nothing, says nothing in any log; an order for real acts from its
commit on.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg

from ledger.persons import Vault
from trace_api.access import Person
from trace_api.acts.acting import record_all
from trace_api.acts.refusals import refuse
from trace_api.check.reading import short
from trace_api.problems import Problem
from trace_api.recalls import answering, saying, sealing
from trace_api.recalls.asking import Closing, Order, moment
from trace_api.recalls.notices import order_words
from trace_api.words import LANGUAGES, Words

CONFLICTS: Final = ("contested", "shared", "disputed")
MOST_CONFLICTS: Final = 100
_ORDER: Final = "SELECT recall_order(%s, %s::jsonb, %s, %s::smallint, %s, %s, %s, %s, %s, %s)"


def order(
    conn: psycopg.Connection, person: Person, wanted: Order, now: datetime, public_url: str, vault: Vault
) -> dict[str, Any]:
    """The document of what was ordered. Raises Refused: 404 nothing there, 403 nothing of it the asker's to recall."""
    if wanted.mode != "preview":
        return _kept(conn, person, wanted, now, public_url, vault)
    with conn.transaction(force_rollback=True):
        return _kept(conn, person, wanted, now, public_url, vault)


def _kept(
    conn: psycopg.Connection, person: Person, wanted: Order, now: datetime, public_url: str, vault: Vault
) -> dict[str, Any]:
    identity, at = uuid4(), moment(now)
    zh, en = wanted.reasons(_unsaid())
    ask = wanted.source.ask(conn)
    asked = [
        identity,
        answering.as_json(ask),
        wanted.mode != "real",
        wanted.level,
        zh,
        en,
        wanted.legal_basis,
        at,
        public_url,
        wanted.mode != "preview",
    ]
    (found,) = conn.execute(_ORDER, asked).fetchone() or ({},)
    _refuse_nothing(found)
    document = answering.read(conn, identity, wanted.mode) | {
        "refused_lots": found["refused"],
        "not_followed": found["not_followed"],
        "conflicts": {kind: found[kind][:MOST_CONFLICTS] for kind in CONFLICTS},
    }
    if wanted.mode != "real":
        return document | {"notices_sent": 0, "events": []}
    events = _say(conn, person, identity, document, at, public_url, vault)
    words = answering.as_json(order_words(document))
    (sent,) = conn.execute("SELECT recall_notify(%s, %s::jsonb, %s)", [identity, words, at]).fetchone() or (
        0,
    )
    return document | {"notices_sent": sent, "events": events}


def _refuse_nothing(found: dict[str, Any]) -> None:
    if found["named"]:
        raise refuse("recall_not_followed", "from")
    if not found["seeds"] and found["contested"]:
        lots = found["contested"]
        raise refuse("recall_contested", "from", status=403, lots=len(lots), lot=short(lots[0]))
    if not found["seeds"] and not found["refused"]:
        raise refuse("recall_nothing", "from", status=404)
    if not found["seeds"]:
        raise refuse("recall_not_yours", "from", status=403, lots=found["refused"])


def _unsaid() -> tuple[str, str]:
    zh, en = (Words(language)("recall_no_reason_said") for language in LANGUAGES)
    return zh, en


def notice_uri(public_url: str, organisation: str, number: int) -> str:
    return f"{public_url.rstrip('/')}/{organisation}/bt/recall-{number}"


def _say(
    conn: psycopg.Connection,
    person: Person,
    identity: UUID,
    document: dict[str, Any],
    at: datetime,
    public_url: str,
    vault: Vault,
) -> list[str]:
    """In the log of who gave it; an authority has none, and says it in the root log."""
    (said,) = conn.execute("SELECT lots, digest FROM recall_said(%s)", [identity]).fetchall()
    lots, digest = said
    if person.organisation is None:
        sealing.seal(conn, identity, sealing.order_record(document, bytes(digest).hex()), at)
        return []
    notice = notice_uri(public_url, person.organisation, document["number"])
    went = answering.runs(conn, identity)
    events = saying.ordered(identity, notice, document["level"]["level"], lots, went, bytes(digest).hex(), at)
    record_all(conn, vault, person.organisation, events, at)
    names = [each["eventID"] for each in events]
    conn.execute("SELECT recall_sealed(%s, %s)", [identity, names])
    return names


def close(
    conn: psycopg.Connection,
    person: Person,
    identity: UUID,
    closing: Closing,
    now: datetime,
    public_url: str,
    vault: Vault,
) -> dict[str, Any]:
    """Raises Problem 404 for what is not the asker's to see; Refused 403 for what others ordered, 409 for what is closed."""
    document = answering.read(conn, identity)
    if document["why"] != "ordered":
        raise refuse("recall_not_ordered_by_you", status=403)
    if document["state"] != "open":
        raise refuse("recall_closed", state=lambda words: words(f"recall_state_{document['state']}"))
    # After the order whatever the clock says: of two events of one moment nobody knows which came last.
    at = max(moment(now), datetime.fromisoformat(document["issued_at"]) + timedelta(milliseconds=1))
    values = [identity, closing.outcome, closing.note, at]
    if conn.execute("SELECT recall_close(%s, %s, %s, %s)", values).fetchone() != (True,):
        raise Problem.said(404, "recall_none")
    if closing.outcome == "withdrawn" and not document["drill"] and person.organisation is not None:
        ((lots, _),) = conn.execute("SELECT lots, digest FROM recall_said(%s)", [identity]).fetchall()
        notice = notice_uri(public_url, person.organisation, document["number"])
        events = saying.withdrawn(identity, notice, lots, answering.runs(conn, identity), at)
        record_all(conn, vault, person.organisation, events, at)
    if not document["drill"] and person.organisation is None:
        sealing.seal(conn, identity, sealing.end_record(document, closing.outcome, at), at)
    return answering.read(conn, identity)
