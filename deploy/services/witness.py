"""`suyuan witness` over HTTP: `add-checkpoint`, what it has seen, and what it refused. It needs no database of ours.

The rules are `ledger.witness`'s, this is their door. Contract: any request gets an answer, a body longer or slower than
the limits gets 413 or 408, and nothing that comes in is a 500.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
import time
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.services.http import serve
from ledger.translog.cosignature import CosignerVerifier
from ledger.witness import MAX_BODY_SIZE, Answer, Witness
from ledger.witness_folder import TrustedLogs
from ledger.witness_store import WitnessStore
from trace_api.pages import choose_language
from trace_api.witness_page import Standing, render, standing

logger = logging.getLogger(__name__)

BODY_S = 10.0
MOST_AT_ONCE = 200
_BUSY = Answer(503, "the witness cannot write its memory; try again\n")
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class Listen:
    host: str
    port: int


def run(
    witness: Witness,
    store: WitnessStore,
    keys: tuple[CosignerVerifier, ...],
    trusted: TrustedLogs,
    listen: Listen,
    stop: threading.Event,
) -> None:
    """Until `stop` is set."""
    app = create_app(witness, store, keys, trusted)
    serve(
        uvicorn.Config(
            app,
            listen.host,
            listen.port,
            log_level="warning",
            access_log=False,
            limit_concurrency=MOST_AT_ONCE,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=3,
        ),
        stop,
    )


def create_app(
    witness: Witness, store: WitnessStore, keys: tuple[CosignerVerifier, ...], trusted: TrustedLogs
) -> Starlette:
    """The ASGI application."""

    async def add_checkpoint(request: Request) -> Response:
        try:
            async with asyncio.timeout(BODY_S):
                body = await _body(request)
        except TimeoutError:
            return _response(Answer(408, f"want the whole request within {BODY_S:.0f} s\n"))
        except ClientDisconnect:
            return _response(Answer(400, "the request ended too early\n"))
        return _response(await run_in_threadpool(_guarded, witness, body))

    def checkpoint(request: Request) -> Response:
        return _response(witness.checkpoint(request.path_params["origin_hash"]))

    def now_standing() -> Standing:
        return standing(store, keys, trusted.current())

    def status(_request: Request) -> Response:
        return JSONResponse(now_standing().value(), headers={"Cache-Control": "no-cache"})

    def page(request: Request) -> Response:
        language = choose_language(request.query_params.get("lang"), request.headers.get("accept-language"))
        return Response(
            render(now_standing(), language),
            headers={**_PAGE_HEADERS, "Content-Type": "text/html; charset=utf-8"},
        )

    def evidence(_request: Request) -> Response:
        kept = [
            {
                "origin": each.origin,
                "fault": each.fault,
                "time": each.time,
                "seen": each.seen,
                "refused": each.note,
            }
            for each in store.refused()
        ]
        return Response(json.dumps({"refused": kept}, ensure_ascii=False), media_type="application/json")

    def healthz(_request: Request) -> Response:
        try:
            store.check()
        except sqlite3.Error as error:
            return JSONResponse({"status": "the memory cannot be written", "reason": str(error)}, 503)
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route("/{origin_hash:str}/checkpoint", checkpoint),
            Route("/status.json", status),
            Route("/evidence.json", evidence),
            Route("/healthz", healthz),
            Route("/", page),
        ]
    )


async def _body(request: Request) -> bytes:
    """As much as the witness needs to see that it is too long, and no more."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_SIZE:
            break
    return body


def _guarded(witness: Witness, body: bytes) -> Answer:
    try:
        return witness.add_checkpoint(body)
    except sqlite3.Error as error:
        logger.error("memory of the witness cannot be used", extra={"reason": str(error)})
        return _BUSY


def _response(answer: Answer) -> Response:
    headers = {"Content-Type": answer.content_type, "X-Content-Type-Options": "nosniff"}
    if answer.status == 503:
        headers["Retry-After"] = "5"
    return Response(answer.body, answer.status, headers)


def unix_time() -> int:
    """Seconds since 1970, UTC."""
    return int(time.time())
