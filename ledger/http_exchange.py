"""One HTTP request to somebody else's server, bounded in bytes and in time, redirects not followed.

For witnesses and time-stamp authorities: what they answer is held against a key or a certificate, never believed.
Contract: an `Exchange`, or `PeerAway`; nothing else comes out, whatever the other side sends.
"""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ledger.errors import LedgerError

MAX_ANSWER = 1_000_000
_CHUNK = 65_536


class PeerAway(LedgerError):
    """The other side cannot be reached or does not answer as a server does. Try again later."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """`content_type`: in lower case, without parameters."""

    status: int
    content_type: str
    body: bytes


class Transport(Protocol):
    """`body` None: GET, else POST."""

    def __call__(self, url: str, body: bytes | None, headers: Mapping[str, str]) -> Exchange: ...


class HttpTransport:
    """`timeout_s`: for the whole exchange, about; `monotonic`: seconds."""

    def __init__(self, timeout_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        self._opener = urllib.request.build_opener(_NoRedirect)

    def __call__(self, url: str, body: bytes | None, headers: Mapping[str, str]) -> Exchange:
        deadline = self._monotonic() + self._timeout_s
        try:
            # Which scheme it is, `_opened` looks at.
            request = urllib.request.Request(url, body, {"User-Agent": "suyuan", **headers})  # noqa: S310
            with self._opened(request) as answer:
                data = self._read(answer, deadline)
                kind = answer.headers.get_content_type() if answer.headers.get("Content-Type") else ""
                return Exchange(answer.status, kind, data)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise PeerAway(_in_a_line(error)) from error

    def _opened(self, request: urllib.request.Request) -> Any:
        if request.type not in ("http", "https"):
            raise ValueError(f"scheme of the address: got {request.type!r}, want http or https")
        try:
            return self._opener.open(request, timeout=self._timeout_s)
        except urllib.error.HTTPError as error:  # an answer as good as another
            return error

    def _read(self, answer: Any, deadline: float) -> bytes:
        data = b""
        while chunk := answer.read1(_CHUNK):
            data += chunk
            if len(data) > MAX_ANSWER:
                raise ValueError(f"length of the answer: want at most {MAX_ANSWER} bytes")
            if self._monotonic() > deadline:
                raise TimeoutError(f"no whole answer within {self._timeout_s:.0f} s")
        said = answer.headers.get("Content-Length", "")
        if said.isdecimal() and len(data) < int(said):
            raise ValueError(f"length of the answer: got {len(data)} bytes, want the {said[:20]} it says")
        return data


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A POST that is sent on would arrive as a GET; and nobody asked for another server."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None


def _in_a_line(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    text = getattr(reason, "strerror", None) or str(reason) or type(error).__name__
    return " ".join(str(text).split())[:200]
