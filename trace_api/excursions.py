"""`/api/v1/excursions`: what detection found, newest first, as everybody may see it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from trace_api import access
from trace_api.access import Databases


def router(databases: Databases) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["Excursions"])

    @routes.get("/excursions", summary="Excursions found, newest first")
    def excursions(
        state: Annotated[Literal["open", "closed", "merged", "void"] | None, Query()] = None,
        until: Annotated[
            AwareDatetime | None,
            Query(description="Only those triggered by then (measured time, with its zone)"),
        ] = None,
        after: Annotated[
            int | None, Query(ge=1, lt=2**63, description="Page on: excursions with a smaller id")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> dict[str, Any]:
        with access.everybody(databases) as conn:
            rows = conn.execute(
                _EXCURSIONS, {"state": state, "until": until, "after": after, "limit": limit}
            ).fetchall()
        found = [dict(zip(_EXCURSION_FIELDS, row, strict=True)) for row in rows]
        return {"excursions": found, "next": found[-1]["id"] if len(found) == limit else None}

    return routes


_EXCURSION_FIELDS = (
    "id", "state", "version", "organisation", "series", "channel", "device_model", "limit_id", "limit_version", "start", "trigger", "end",
    "closed_by", "extreme_c", "minutes_at_least", "minutes_at_most", "degree_minutes", "merged_into", "opened_at",
)  # fmt: skip

_EXCURSIONS = """
SELECT excursion.id, excursion.state, excursion.version, excursion.organisation, series.uuid::text, series.channel, series.model,
       excursion.limit_id, excursion.limit_version, excursion.start_time, excursion.trigger_time, excursion.end_time, excursion.closed_by,
       excursion.extreme, excursion.minutes_at_least, excursion.minutes_at_most, excursion.degree_minutes, excursion.merged_into,
       excursion.opened_at
FROM published_excursion AS excursion JOIN published_series AS series ON series.id = excursion.series_id
WHERE (%(state)s::text IS NULL OR excursion.state = %(state)s::text)
  AND (%(until)s::timestamptz IS NULL OR excursion.trigger_time <= %(until)s::timestamptz)
  AND (%(after)s::bigint IS NULL OR excursion.id < %(after)s::bigint)
ORDER BY excursion.id DESC LIMIT %(limit)s
"""
