"""A broker's address, read from `mqtt://[user[:password]@]host[:port]`.

Contract: user and password are percent-decoded, as in every URL; an error quotes nothing of what it refuses, since a
password may stand anywhere in a URL that somebody wrote wrongly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

PORT = 1883


class AddressError(ValueError):
    """The message may be shown."""


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def broker_address(url: str) -> BrokerAddress:
    """Raises AddressError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressError(
            "no address of a broker: in user and password write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23, % as %25"
        ) from None
    if parts.scheme != "mqtt":
        tls = parts.scheme in ("mqtts", "ssl", "tls")
        raise AddressError(f"no mqtt:// address{f' but {parts.scheme}://' if tls else ''}")
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise AddressError("no address of a broker: it has no host, or something after it")
    return BrokerAddress(
        parts.hostname, port or PORT, _decoded(parts.username) or None, _decoded(parts.password)
    )


def _decoded(part: str | None) -> str | None:
    return None if part is None else unquote(part)
