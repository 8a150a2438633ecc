"""One SenML record as a pack holds it, before anything is resolved: what JSON and CBOR have in common.

Place in the line: `senml_json.py` and `senml_cbor.py` make these, `senml.py` resolves them.
"""

from __future__ import annotations

import msgspec

from ingest.wire.errors import WireError

MAX_BYTES = 1_048_576
MAX_RECORDS = 20_000

Number = int | float


class Record(msgspec.Struct, frozen=True, gc=False):
    """The fields are RFC 8428's labels. `vd`: base64url in JSON, bytes in CBOR."""

    bn: str = ""
    bt: Number | None = None
    bu: str | None = None
    bv: Number | None = None
    bs: Number | None = None
    bver: int | None = None
    n: str = ""
    u: str | None = None
    v: Number | None = None
    vs: str | None = None
    vb: bool | None = None
    vd: str | bytes | None = None
    s: Number | None = None
    t: Number = 0
    ut: Number | None = None


def refuse_must_understand(label: str) -> None:
    """RFC 8428 4.4: a label that ends in '_' changes the meaning of the pack for who does not know it."""
    if label.endswith("_"):
        raise WireError("malformed_senml", f"the label {label!r} must be understood, and we do not know it")
