"""An alert in words, the same in a message and on the page.

In the line: a message's facts (`ingest.alerts`) or a row of `reading.py` -> here -> an e-mail, a webhook, a page. Contract: it says
what was measured against which limit, with the limit's force and whether anybody read its number, and what to do; it blames nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from trace_api.audit.telling import named, short, stamp
from trace_api.pages import DEFAULT_ZONE
from trace_api.words import LANGUAGES, Words

Body = Mapping[str, Any]


def finisher(public_url: str) -> Callable[[Body], Body]:
    """What an outgoing message says more: its words in both languages, and where its page is. Others stay as they are."""

    def finish(body: Body) -> Body:
        if body.get("kind") not in ("alert", "test"):
            return body
        link = page_of(public_url, body)
        return {
            **body,
            "link": link,
            "told": {language: _told(body, link, Words(language)) for language in LANGUAGES},
        }

    return finish


def page_of(public_url: str, body: Body) -> str:
    return f"{public_url.rstrip('/')}/alerts" + (
        f"?excursion={body['alert']}" if body["kind"] == "alert" else ""
    )


def _told(body: Body, link: str, words: Words) -> dict[str, Any]:
    if body["kind"] == "test":
        facts = {"organisation": body["organisation"]}
        return {
            "subject": words("alert_subject_test", **facts),
            "lines": [words("alert_test_text", **facts), link],
        }
    return {
        "subject": subject(body, words),
        "lines": [subject(body, words), *lines(body, words), next_of(body, words), link],
    }


def subject(body: Body, words: Words) -> str:
    how = {"void": "void", "merged": "merged", None: body["what"]}.get(body["closed_by"], "over")
    side = words(f"alert_{body['limit']['side']}")
    return words(
        f"alert_subject_{how}",
        side=side,
        where=where(body, words),
        extreme=words.celsius(body["excursion"]["extreme_c"]),
    )


def where(body: Body, words: Words) -> str:
    """The place or vehicle by its name; what the sensor was in, where that has none."""
    place = body["place"]
    if place is None:
        return words("alert_place_unknown")
    return named(words, place["name_zh"], place["name_en"], short(place["id"]))


def lines(body: Body, words: Words) -> Iterator[str]:
    found, device, limit = body["excursion"], body["device"], body["limit"]
    position = words.known("position", device["position"]) if device["position"] else words("unknown")
    yield words("alert_where", where=where(body, words))
    yield words("alert_device", device=device["id"], channel=device["channel"], position=position)
    yield words("alert_limit", limit=limit["wording"][words.language], force=words(f"audit_force_{limit['force']}"),
                verified=words("alert_verified" if limit["verified"] else "alert_unverified"), minutes=words.minutes(limit["minutes"]))  # fmt: skip
    yield words("alert_since", start=_moment(found["start"], body), trigger=_moment(found["trigger"], body))
    if body["closed_by"] is not None and found["end"] is not None:
        ended = words(f"alert_closed_{body['closed_by']}")
        yield words("alert_until", end=_moment(found["end"], body), closed_by=ended)
    yield words("alert_extent", extreme=words.celsius(found["extreme_c"]), least=words.minutes(found["minutes_at_least"]),
                most=words.minutes(found["minutes_at_most"]))  # fmt: skip
    yield words("alert_grade", grade=body["grade"], level=body["level"])
    if body.get("lots_in_all"):
        yield _lots(body["lots"], body["lots_in_all"], words)


def _lots(own: list[str], in_all: int, words: Words) -> str:
    if not own:
        return words("alert_lots_hidden", count=in_all)
    listed = words("work_comma").join(short(lot) for lot in own)
    if len(own) == in_all:
        return words("alert_lots", lots=listed)
    return words("alert_lots_others", lots=listed, count=in_all)


def next_of(body: Body, words: Words) -> str:
    closed_by = body["closed_by"]
    if closed_by == "merged":
        return words("alert_next_merged", merged_into=body["excursion"]["merged_into"])
    if closed_by is not None:
        return words("alert_next_void" if closed_by == "void" else "alert_next_over")
    return words("alert_next_acknowledged" if body["acknowledged"] else "alert_next_open")


def _moment(written: str, body: Body) -> str:
    return stamp(datetime.fromisoformat(written), zone_of(body))


def zone_of(body: Body) -> str:
    return (body["place"] or {}).get("time_zone") or DEFAULT_ZONE
