"""The GS1 Digital Link addresses: a page for people, JSON and a linkset for machines, and the pages' own files.

`/01/{gtin}/10/{lot}` and `/01/{gtin}/10/{lot}/21/{serial}` are what the QR code on a label holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.background import BackgroundTask

from ledger.epcis.identifiers import canonical
from trace_api import access, pages
from trace_api.access import Databases
from trace_api.chain import identify, named_chain
from trace_api.pages import Missing, MissingReason, Sample
from trace_api.problems import Problem
from trace_api.recalled import bare_recalls
from trace_api.scanning import Scans
from trace_api.story import Name, Recall, Story
from trace_api.telling import tell

LINKSET = "application/linkset+json"
_KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
          ".wasm": "application/wasm"}  # fmt: skip


def router(
    databases: Databases,
    public_url: str,
    now: Callable[[], datetime],
    witnessed: Callable[[], int],
    scans: Scans,
) -> APIRouter:
    """`witnessed`: by how many witnesses that are not ours the root log is cosigned now."""
    routes = APIRouter(tags=["Pages"])
    assets = pages.load_assets(public_url)

    def answer(
        request: Request, uri: str, lang: str | None, accept_language: str | None, link_type: str | None
    ) -> Response:
        path = uri.removeprefix("https://id.gs1.org/")
        if link_type == "linkset" or LINKSET in request.headers.get("accept", ""):
            return JSONResponse(_linkset(public_url, path), media_type=LINKSET)
        if _wants_json(request.headers.get("accept", "")):
            return RedirectResponse(f"/api/v1/lots/{path}/verdict", 303)
        language = pages.choose_language(lang, accept_language)
        try:
            story = replace(_tell(databases, uri, now()), independent_witnesses=witnessed())
        except Problem as problem:
            recalls = _bare_recalls(databases, uri) if problem.status == 404 else ()
            missing = Missing(_reason(problem.status, path), path, _detail(problem), _lot_path(path), recalls)
            return HTMLResponse(
                pages.render_missing(missing, language, assets), problem.status, headers=dict(pages.HEADERS)
            )
        counted = BackgroundTask(scans.saw, request, canonical(uri))
        return HTMLResponse(
            pages.render_story(story, language, assets), headers=dict(pages.HEADERS), background=counted
        )

    @routes.get(
        "/01/{gtin}/10/{lot}",
        summary="A lot: its portions and the worst of them",
        response_class=HTMLResponse,
    )
    def lot_page(
        request: Request,
        gtin: str,
        lot: str,
        lang: Annotated[str | None, Query(description="zh or en")] = None,
        link_type: Annotated[str | None, Query(alias="linkType")] = None,
        accept_language: Annotated[str | None, Header()] = None,
    ) -> Response:
        return answer(request, f"https://id.gs1.org/01/{gtin}/10/{lot}", lang, accept_language, link_type)

    @routes.get(
        "/01/{gtin}/10/{lot}/21/{serial}",
        summary="One box: the journey of the portion it is in",
        response_class=HTMLResponse,
    )
    def box_page(
        request: Request,
        gtin: str,
        lot: str,
        serial: str,
        lang: Annotated[str | None, Query(description="zh or en")] = None,
        link_type: Annotated[str | None, Query(alias="linkType")] = None,
        accept_language: Annotated[str | None, Header()] = None,
    ) -> Response:
        return answer(
            request, f"https://id.gs1.org/01/{gtin}/10/{lot}/21/{serial}", lang, accept_language, link_type
        )

    _add_site(routes, databases, assets)
    return routes


def _add_site(routes: APIRouter, databases: Databases, assets: pages.Assets) -> None:
    """The start page, and the script and style that every page names."""
    built = pages.built_files()

    @routes.get("/", summary="Where to begin", response_class=HTMLResponse)
    def home(
        lang: Annotated[str | None, Query()] = None, accept_language: Annotated[str | None, Header()] = None
    ) -> HTMLResponse:
        language = pages.choose_language(lang, accept_language)
        return HTMLResponse(
            pages.render_home(_samples(databases), language, assets), headers=dict(pages.HEADERS)
        )

    @routes.get("/web/{name}", summary="The pages' own script and style")
    def web_file(name: str) -> Response:
        kind = _KINDS.get(PurePosixPath(name).suffix)
        file = built.joinpath(name)
        if kind is None or "/" in name or not file.is_file():
            raise Problem(404, "No such file", "The pages name their script and style themselves.")
        return Response(
            file.read_bytes(),
            media_type=kind,
            headers={"Cache-Control": "public, max-age=31536000, immutable"},
        )


def _tell(databases: Databases, uri: str, now: datetime) -> Story:
    with access.everybody(databases) as conn:
        return tell(conn, named_chain(conn, uri), now)


def _bare_recalls(databases: Databases, uri: str) -> tuple[Recall, ...]:
    with access.everybody(databases) as conn:
        return bare_recalls(conn, identify(uri).lot or uri)


def _samples(databases: Databases) -> list[Sample]:
    """A few lots to begin with: the newest that were packed under a GTIN."""
    with access.everybody(databases) as conn:
        rows = conn.execute(
            "SELECT made.identifier, product.name_zh, product.name_en FROM ("
            "  SELECT identifier, max(event) AS newest FROM published_mention"
            "  WHERE role = 'output' AND identifier LIKE 'https://id.gs1.org/01/%/10/%' GROUP BY identifier"
            ") AS made JOIN published_product AS product ON split_part(made.identifier, '/10/', 1) = ANY (product.classes)"
            " ORDER BY made.newest DESC LIMIT 5"
        ).fetchall()
    return [
        Sample(Name(zh, en), Name(f"批次 {lot}", f"Lot {lot}"), uri.removeprefix("https://id.gs1.org"))
        for uri, zh, en in rows
        for lot in [uri.rpartition("/")[2]]
    ]


def _reason(status: int, path: str) -> MissingReason:
    if status == 400:
        return "bad_identifier"
    if status == 404:
        return "unknown_box" if "/21/" in path else "unknown_lot"
    return "unavailable"


def _detail(problem: Problem) -> Name | None:
    """What is wrong with a code; the other pages have their own words."""
    if problem.status != 400:
        return None
    return Name("这个代码的校验位、长度或字符不对：请核对数字，或重新扫码。", problem.detail)


def _lot_path(path: str) -> str | None:
    return "/" + path.partition("/21/")[0] if "/21/" in path else None


def _wants_json(accept: str) -> bool:
    return "text/html" not in accept and ("application/json" in accept or "application/ld+json" in accept)


def _linkset(public_url: str, path: str) -> Mapping[str, Any]:
    """GS1 Digital Link linkset (RFC 9264)."""
    page, api = f"{public_url}/{path}", f"{public_url}/api/v1/lots/{path}"

    def link(href: str, title: str, media_type: str) -> list[dict[str, str]]:
        return [{"href": href, "title": title, "type": media_type}]

    return {
        "linkset": [
            {
                "anchor": page,
                "https://gs1.org/voc/defaultLink": link(page, "溯源 / Traceability", "text/html"),
                "https://gs1.org/voc/traceability": link(f"{api}/trace", "Trace", "application/json"),
                "https://gs1.org/voc/certificationInfo": link(
                    f"{api}/proof", "Evidence file", "application/json"
                ),
                "https://ref.gs1.org/voc/epcis": link(f"{api}/trace", "EPCIS events", "application/json"),
            }
        ]
    }
