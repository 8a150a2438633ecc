"""The vault: what a person said of themselves or of another, behind a random name that the record carries in its place.

In the line: `recording` asks here for every event, whatever door it came in by -> `urn:suyuan:person:<random>`, one for each
(organisation, value), so that a repeat gives the same bytes. Contract: the table shows nothing without the organisation's key,
which is outside the database: a value is found by a keyed hash and rests encrypted. A row that is deleted is forgotten: what
the record holds of it is random, and the same value said again gets another name.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.epcis.events import Event
from ledger.errors import LedgerError
from ledger.keys import KeyStore
from ledger.personal import Value, person_urns, restored
from ledger.strict_json import canonical, read_json

OrganisationKey = Callable[[str], bytes]

URN_PREFIX = "urn:suyuan:person:"
_NONCE_SIZE = 12
_RANDOM_SIZE = 16


class WrongKey(LedgerError):
    """DATA_DIR/keys on this host holds another organisation key than the one that the vault was begun with. Every host that
    takes events in needs the same files: copy keys/*.org_key from the host where the organisation was registered first."""


class PersonNamed(LedgerError):
    """What holds no person by its nature holds one: write it in other words."""


class Draft(NamedTuple):
    """A row of the vault before it is written: the URN, and the value encrypted."""

    urn: str
    sealed: bytes


class Vault:
    """`organisation_key`: 32 bytes, `KeyStore.organisation_key`. `random_bytes`: how many -> that many."""

    def __init__(
        self,
        organisation_key: OrganisationKey,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._key, self._random_bytes = organisation_key, random_bytes

    @classmethod
    def with_keys_in(cls, folder: Path) -> Vault:
        return cls(KeyStore(folder).organisation_key)

    def known(self, conn: psycopg.Connection, organisation: str, values: Iterable[Value]) -> dict[bytes, str]:
        """The URNs of those values that have one, by the values' digests."""
        return _look_up(conn, {self.digest(organisation, value) for value in values})

    def drafted(self, organisation: str, values: Iterable[Value]) -> dict[bytes, Draft]:
        """New URNs for values that have none, by the values' digests; of `keep` to write down."""
        return {self.digest(organisation, value): Draft(*self._row(organisation, value)) for value in values}

    def want_key(self, conn: psycopg.Connection, organisation: str) -> None:
        """A host with a key of its own would give the same value another name, and take a repeat for another event. Raises
        WrongKey."""
        row = conn.execute(_KEY, [organisation]).fetchone()
        if row is not None and bytes(row[0]) != self._mark(organisation):
            raise WrongKey(f"the organisation key of {organisation} here is not the one of its vault")

    def keep(
        self, conn: psycopg.Connection, organisation: str, drafts: Mapping[bytes, Draft], now: datetime
    ) -> bool:
        """Write them down; False where another transaction gave one of the values another URN at the same moment, and the
        caller must take all back. Raises WrongKey."""
        mark = self._mark(organisation)
        conn.execute("INSERT INTO vault_key VALUES (%s, %s) ON CONFLICT DO NOTHING", [organisation, mark])
        self.want_key(conn, organisation)
        rows = sorted(drafts.items())
        made = conn.execute(
            _INSERT,
            [organisation, now, [digest for digest, _ in rows], [draft.urn for _, draft in rows], [draft.sealed for _, draft in rows]],
        )  # fmt: skip
        return len(made.fetchall()) == len(rows)

    def named(self, conn: psycopg.Connection, organisation: str, values: Iterable[Value]) -> dict[Any, str]:
        """The URNs of those values that the record names by one, by the values: for what is kept beside an event."""
        wanted = list(values)
        there = self.known(conn, organisation, wanted) if wanted else {}
        return {
            value: urn for value in wanted if (urn := there.get(self.digest(organisation, value))) is not None
        }

    def reading(self, conn: psycopg.Connection, said: Any) -> Any:
        """`said` with the values put back that the connection's role may read: an organisation's own. Others' stay URNs."""
        wanted = list(dict.fromkeys(person_urns(said)))
        return restored(said, self.behind(conn, wanted)) if wanted else said

    def behind(self, conn: psycopg.Connection, urns: Sequence[str]) -> dict[str, Value]:
        rows = conn.execute("SELECT organisation, urn, value FROM vault WHERE urn = ANY (%s)", [list(urns)])
        return {urn: self.open(organisation, urn, bytes(sealed)) for organisation, urn, sealed in rows}

    def open(self, organisation: str, urn: str, sealed: bytes) -> Value:
        """The value. Raises WrongKey."""
        cipher = AESGCM(self._derived(organisation, b"suyuan/vault-value/v1"))
        try:
            plain = cipher.decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], urn.encode())
        except InvalidTag as error:
            raise WrongKey(f"the vault's {urn} of {organisation} does not open") from error
        return cast(Value, read_json(plain))

    def digest(self, organisation: str, value: Value) -> bytes:
        """32 bytes by which a value is found; nobody without the key can try one."""
        message = organisation.encode() + b"\0" + canonical(value)
        return hmac.digest(self._derived(organisation, b"suyuan/vault-digest/v1"), message, "sha256")

    def _row(self, organisation: str, value: Value) -> tuple[str, bytes]:
        urn = f"{URN_PREFIX}{self._random_bytes(_RANDOM_SIZE).hex()}"
        nonce = self._random_bytes(_NONCE_SIZE)
        cipher = AESGCM(self._derived(organisation, b"suyuan/vault-value/v1"))
        return urn, nonce + cipher.encrypt(nonce, canonical(value), urn.encode())

    def _mark(self, organisation: str) -> bytes:
        return self._derived(organisation, b"suyuan/vault-mark/v1")[:16]

    def _derived(self, organisation: str, purpose: bytes) -> bytes:
        return hmac.digest(self._key(organisation), purpose, "sha256")


_KEY = "SELECT mark FROM vault_key WHERE organisation = %s"

_INSERT = """
INSERT INTO vault (organisation, created_at, digest, urn, value)
SELECT %s, %s, made.* FROM unnest(%s::bytea[], %s::text[], %s::bytea[]) AS made (digest, urn, value)
ON CONFLICT (digest) DO NOTHING
RETURNING digest, urn
"""


def _look_up(conn: psycopg.Connection, digests: Iterable[bytes]) -> dict[bytes, str]:
    rows = conn.execute("SELECT digest, urn FROM vault WHERE digest = ANY (%s)", [list(digests)])
    return {bytes(digest): urn for digest, urn in rows}


def _nobodys(_organisation: str) -> bytes:
    raise PersonNamed("got a person's name, telephone or other free text, want what the field is for")


NOBODY = Vault(_nobodys)
"""For events of our own making that name nobody, where there need be no key: PersonNamed if one does after all."""


def may_hold(event: Event) -> bool:
    """False for an event that says nothing outside the standard's closed fields: it need not be written out to know that."""
    return bool(
        event.model_extra
        or event.sensor_element_list
        or event.error_declaration is not None
        or getattr(event, "ilmd", None)
        or any(place is not None and place.model_extra for place in (event.read_point, event.biz_location))
    )
