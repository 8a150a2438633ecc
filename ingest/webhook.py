"""A webhook: one POST, signed as Standard Webhooks has it (standardwebhooks.com), to an address that is not inside our own network.

Contract: 2xx within the time is taken, anything else is `Undelivered`; redirects are not followed. The address is looked up once
and the very address that was checked is connected to, so that no name leads elsewhere in between.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from ingest.delivering import Parcel, Undelivered

STEP_S = 5.0
WHOLE_S = 15.0
PREFIX = "whsec_"


def secret(organisation_key: bytes, channel: str) -> bytes:
    """32 bytes by which the receiver tells that a message is ours; of the organisation's key, so that no table holds it."""
    return hmac.digest(organisation_key, f"webhook {channel}".encode(), "sha256")


def shown(of_channel: bytes) -> str:
    """As receivers' libraries take it."""
    return PREFIX + base64.b64encode(of_channel).decode()


def headers(of_channel: bytes, key: str, at: datetime, body: bytes) -> dict[str, str]:
    """`key`: names the message and stays when it is sent again; `at`: of this sending."""
    identity, moment = f"msg_{key}", str(int(at.timestamp()))
    signed = hmac.new(of_channel, f"{identity}.{moment}.".encode() + body, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "User-Agent": "suyuan",
        "webhook-id": identity,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }


@dataclass(frozen=True, slots=True)
class Webhooks:
    """`organisation_key`: 32 bytes. `inside`: addresses of our own machine and network are allowed."""

    organisation_key: Callable[[str], bytes]
    inside: bool = False

    def __call__(self, parcel: Parcel, now: datetime) -> None:
        body = json.dumps(parcel.body, ensure_ascii=False).encode()
        of_channel = secret(self.organisation_key(parcel.organisation), parcel.channel)
        try:
            status = self._post(parcel.address, body, headers(of_channel, parcel.key, now, body))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Undelivered(f"{type(error).__name__}: {error}") from error
        if not 200 <= status < 300:
            raise Undelivered(f"answered {status}")

    def _post(self, url: str, body: bytes, said: dict[str, str]) -> int:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"address: got {parts.scheme!r}, want http or https and a host")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        connection = http.client.HTTPConnection(parts.hostname, port, timeout=STEP_S)
        connection.sock = self._connected(parts.scheme, parts.hostname, port)
        # Each step has its time, and a receiver that sends a byte now and then must not have all of ours.
        ending = threading.Timer(WHOLE_S, _end, [connection.sock])
        ending.daemon = True
        ending.start()
        try:
            connection.request(
                "POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, said
            )
            return connection.getresponse().status
        finally:
            ending.cancel()
            connection.close()

    def _connected(self, scheme: str, host: str, port: int) -> socket.socket:
        last: OSError = OSError(f"{host} has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            if not self.inside and is_inside(str(address[0])):
                raise Undelivered(
                    f"{host} is {address[0]}, inside our own network: SUYUAN_WEBHOOK_INSIDE allows it"
                )
            plain = socket.socket(family, kind, protocol)
            plain.settimeout(STEP_S)
            try:
                plain.connect(address)
                return _trusted(plain, host) if scheme == "https" else plain
            except OSError as error:
                plain.close()
                last = error
        raise last


def is_inside(address: str) -> bool:
    """Whatever is not an address of the public internet, also where it is written as one of IPv6."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    return not (mapped or found).is_global or found.is_multicast


def _trusted(plain: socket.socket, host: str) -> socket.socket:
    return ssl.create_default_context().wrap_socket(plain, server_hostname=host)


def _end(sock: Any) -> None:
    with suppress(OSError):  # it has ended
        sock.shutdown(socket.SHUT_RDWR)
