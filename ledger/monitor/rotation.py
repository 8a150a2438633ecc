"""When a log's key may change: by a `key` entry that both keys signed.

Contract: a monitor that trusts the old key trusts the new one after this, and after nothing else. Bytes: `docs/entry-v1.md`.
"""

from __future__ import annotations

from ledger.entry_bodies import KeyBody
from ledger.monitor.findings import KeyProblem
from ledger.translog.verify import VerifyError, want_same


def check_rotation(origin: str, body: KeyBody, what: str) -> None:
    """Both keys are the log's and signed for the change; or VerifyError. `what`: names the entry."""
    message = f"suyuan/key/v1\n{origin}\n{body.old}\n{body.new}\n"
    for which, key, signature in (("old", body.old, body.sig_old), ("new", body.new, body.sig_new)):
        want_same(f"name of the {which} key in {what}", got=key.name, want=origin)
        try:
            key.verify(message, signature)
        except VerifyError as cause:
            raise KeyProblem(
                f"signature in {what}", got="one that does not fit", want=f"the {which} key's"
            ) from cause
