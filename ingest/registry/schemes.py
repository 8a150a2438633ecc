"""By what number a device is known where it speaks: (scheme, external id).

Contract: what is written in another case or with separators and means the same number becomes one form; what is no such
number is refused with what one looks like.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ingest.registry.document import RegistryError
from ingest.registry.known import SCHEME


@dataclass(frozen=True, slots=True)
class Scheme:
    pattern: str
    looks_like: str


SCHEMES: Final[dict[str, Scheme]] = {
    SCHEME: Scheme(
        r"[a-z0-9][a-z0-9._-]{0,62}", "what stands in its topics: 1 to 63 of a-z, 0-9, '.', '_', '-'"
    ),
    "lorawan": Scheme(r"[0-9a-f]{16}", "its DevEUI: 16 hexadecimal digits"),
    "sparkplug": Scheme(r"[^/+#]+/[^/+#]+(/[^/+#]+)?", "group/edge-node or group/edge-node/device"),
    "teltonika": Scheme(r"[0-9]{15}", "its IMEI: 15 digits"),
}

_OTHER: Final = Scheme(r"\S(.{0,253}\S)?", "1 to 255 characters")


def external_id(scheme: str, written: str) -> str:
    """The one form of the number. Raises RegistryError. A scheme that is not in the table takes any text."""
    if re.fullmatch(r"[a-z][a-z0-9_]{0,30}", scheme) is None:
        raise RegistryError(
            f"scheme {scheme[:40]!r}: want a word of a-z, 0-9 and '_', such as {', '.join(SCHEMES)}"
        )
    known = SCHEMES.get(scheme, _OTHER)
    text = re.sub(r"[\s:-]", "", written).lower() if scheme == "lorawan" else written
    if re.fullmatch(known.pattern, text) is None:
        raise RegistryError(f"device id {written[:60]!r} of scheme {scheme}: want {known.looks_like}")
    return text
