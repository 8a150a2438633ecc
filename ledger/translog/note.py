"""Signed notes: a text, and under it lines that say who signed it.

The keys' text forms are Go's (`name+hash+base64`), so that any sumdb-style tool checks our logs. Ed25519
(algorithm byte 0x01) is here; the two ways to cosign are in `cosignature`, and whatever has the shape of
`Verifier` opens a note. Lines by other keys and other algorithms are kept and reported as unverified, never as
an error, since a witness may sign in a way that this version does not know. Source: c2sp.org/signed-note.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.translog.verify import VerifyError, decode_base64, want_same

ED25519 = 0x01
MAX_SIGNATURES = 100
MAX_NOTE_SIZE = 1_000_000
_KEY_SIZE = 32
SIGNATURE_SIZE = 64
_PRIVATE = "PRIVATE+KEY+"


class Verifier(Protocol):
    """A public key of any algorithm, as far as a note needs to know it."""

    @property
    def name(self) -> str: ...

    @property
    def key_id(self) -> bytes: ...

    def verify(self, text: str, signature: bytes) -> None:
        """`signature` as it stands after the key's 4 bytes in a line, of any length, or VerifyError."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key and the name it speaks for. `public_key`: 32 bytes."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """4 bytes by which a signature line names its key; they select, they do not prove."""
        return key_id(self.name, self.public_key)

    def verify(self, text: str, signature: bytes) -> None:
        """`signature`: 64 bytes over the UTF-8 bytes of `text`, or VerifyError."""
        want_same(f"length of the signature by {self.name}", got=len(signature), want=SIGNATURE_SIZE)
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text.encode())
        except InvalidSignature as cause:
            raise VerifyError("signature", got="one that does not fit", want=f"one by {self.name}") from cause

    def __str__(self) -> str:
        return format_vkey(self.name, ED25519, self.public_key)


@dataclass(frozen=True)
class SignerKey:
    """A private key and the name it speaks for. `seed`: 32 bytes, kept out of every repr and message."""

    name: str
    seed: bytes

    @classmethod
    def from_seed(cls, name: str, seed: bytes) -> "SignerKey":
        """ValueError on a name that no note could carry, or a seed that is not 32 bytes."""
        want_name(name)
        if len(seed) != _KEY_SIZE:
            raise ValueError(f"length of the seed: got {len(seed)}, want {_KEY_SIZE}")
        return cls(name, seed)

    @cached_property
    def verifier(self) -> VerifierKey:
        return VerifierKey(self.name, self._private.public_key().public_bytes_raw())

    def sign(self, text: str) -> bytes:
        """64 bytes."""
        return self._private.sign(text.encode())

    def export(self) -> str:
        """The secret as `PRIVATE+KEY+name+hash+base64`: for a key file, never for a log line."""
        return format_private_key(self.verifier, ED25519, self.seed)

    def __repr__(self) -> str:
        return f"SignerKey({self.name!r})"

    @cached_property
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line. `signature`: what follows the 4 bytes of `key_id`."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"— {self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text that at least one known key signed. `text` ends in a newline."""

    text: str
    verified: tuple[Signature, ...]
    unverified: tuple[Signature, ...]


def key_id(name: str, public_key: bytes, algorithm: int = ED25519) -> bytes:
    return sha256(name.encode() + b"\n" + bytes([algorithm]) + public_key).digest()[:4]


def format_vkey(name: str, algorithm: int, public_key: bytes) -> str:
    encoded = base64.b64encode(bytes([algorithm]) + public_key).decode()
    return f"{name}+{key_id(name, public_key, algorithm).hex()}+{encoded}"


def format_private_key(verifier: Verifier, algorithm: int, seed: bytes) -> str:
    encoded = base64.b64encode(bytes([algorithm]) + seed).decode()
    return f"{_PRIVATE}{verifier.name}+{verifier.key_id.hex()}+{encoded}"


def parse_vkey(text: str) -> VerifierKey:
    """`name+hash+base64` as a log publishes it, or VerifyError."""
    name, hash_hex, _, key = split_vkey(text, {ED25519: _KEY_SIZE})
    verifier = VerifierKey(name, key)
    want_same("hash of the verifier key", got=hash_hex, want=verifier.key_id.hex())
    return verifier


def parse_private_key(text: str) -> SignerKey:
    """`PRIVATE+KEY+name+hash+base64`, or VerifyError; the message never shows the secret."""
    name, hash_hex, _, seed = split_private_key(text, {ED25519: _KEY_SIZE})
    signer = SignerKey(name, seed)
    want_same("hash of the private key", got=hash_hex, want=signer.verifier.key_id.hex())
    return signer


def split_vkey(text: str, sizes: Mapping[int, int]) -> tuple[str, str, int, bytes]:
    """Name, hash in hex (not compared yet), algorithm and key. `sizes`: bytes of a key by algorithm allowed."""
    return _split_key(text, "verifier key", sizes)


def split_private_key(text: str, sizes: Mapping[int, int]) -> tuple[str, str, int, bytes]:
    """As `split_vkey`, of a secret: no message shows it."""
    if not text.startswith(_PRIVATE):
        raise VerifyError("private key", got="another beginning", want=_PRIVATE)
    return _split_key(text.removeprefix(_PRIVATE), "private key", sizes)


def _split_key(text: str, what: str, sizes: Mapping[int, int]) -> tuple[str, str, int, bytes]:
    parts = text.split("+", 2)
    if len(parts) != 3 or not _is_name(parts[0]):
        raise VerifyError(what, got="another form", want="name+hash+base64")
    data = decode_base64(parts[2], what, secret=True)
    if not data or data[0] not in sizes:
        known = " or ".join(f"0x{algorithm:02x}" for algorithm in sizes)
        raise VerifyError(f"algorithm of the {what}", got=data[:1], want=known)
    want_same(f"length of the {what}", got=len(data), want=1 + sizes[data[0]])
    return parts[0], parts[1], data[0], data[1:]


def sign_note(text: str, signers: Sequence[SignerKey]) -> str:
    """The note over `text`, which must end in a newline and hold no other control character (ValueError)."""
    if not _is_text(text) or not text.endswith("\n"):
        raise ValueError("text of a note: want lines of printable text, each ended by a newline")
    lines = [Signature(key.name, key.verifier.key_id, key.sign(text)) for key in signers]
    return text + "\n" + "".join(str(line) for line in lines)


def add_signatures(note: str | bytes, lines: Sequence[Signature]) -> str:
    """The note with `lines` under it, each in place of what its key said before. VerifyError if it is no note.

    One line per key: verifiers of other people refuse a note with two.
    """
    text, there = split_note(note)
    by_key = {(line.name, line.key_id): str(line) for line in [*there, *lines]}
    return text + "\n" + "".join(by_key.values())


def open_note(note: str | bytes, known: Sequence[Verifier]) -> Note:
    """The note's text, signed by at least one of `known`, or VerifyError.

    One bad signature by a known key spoils the note, however many good ones stand beside it.
    """
    text, lines = split_note(note)
    keys = {(key.name, key.key_id): key for key in known}
    verified, unverified, seen = list[Signature](), list[Signature](), set[tuple[str, bytes]]()
    for line in lines:
        identity = (line.name, line.key_id)
        key = keys.get(identity)
        if key is None:
            unverified.append(line)
        elif identity not in seen:
            key.verify(text, line.signature)
            verified.append(line)
            seen.add(identity)
    if not verified:
        names = ", ".join(sorted(f"{key.name}+{key.key_id.hex()}" for key in known)) or "any known key"
        got = ", ".join(f"{line.name}+{line.key_id.hex()}" for line in unverified)
        raise VerifyError("signers of the note", got=got, want=names)
    return Note(text, tuple(verified), tuple(unverified))


def split_note(note: str | bytes) -> tuple[str, list[Signature]]:
    """The text with its last newline, and the signature lines, at least one; nothing is verified. Or
    VerifyError.
    """
    whole = _decode(note)
    at = whole.rfind("\n\n")
    if at < 0 or not whole.endswith("\n") or at + 2 == len(whole):
        raise VerifyError("note", got=whole, want="text, an empty line, signature lines")
    return whole[: at + 1], parse_signatures(whole[at + 2 :])


def parse_signatures(text: str) -> list[Signature]:
    """Signature lines, each ended by a newline, as they stand under a note or in a witness's answer. Or
    VerifyError.
    """
    if not text.endswith("\n"):
        raise VerifyError("signature lines", got=text, want="lines, each ended by a newline")
    lines = text[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise VerifyError("signature lines", got=len(lines), want=f"at most {MAX_SIGNATURES}")
    return [_parse_signature(line) for line in lines]


def _decode(note: str | bytes) -> str:
    if len(note) > MAX_NOTE_SIZE:
        raise VerifyError("length of the note", got=len(note), want=f"at most {MAX_NOTE_SIZE}")
    if isinstance(note, bytes):
        try:
            note = note.decode()
        except UnicodeDecodeError as cause:
            raise VerifyError("note", got="bytes that are not UTF-8", want="UTF-8 text") from cause
    if not _is_text(note):
        raise VerifyError("note", got="control characters", want="printable text and newlines")
    return note


def _parse_signature(line: str) -> Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—" or not _is_name(parts[1]):
        raise VerifyError("signature line", got=line, want="— name base64")
    data = decode_base64(parts[2], "signature line")
    if len(data) < 5:
        raise VerifyError("length of the signature line", got=len(data), want="5 bytes or more")
    return Signature(parts[1], data[:4], data[4:])


def _is_text(text: str) -> bool:
    return not any((char < " " and char != "\n") or "\ud800" <= char <= "\udfff" for char in text)


def want_name(name: str) -> None:
    """ValueError on a key name that no note could carry."""
    if not _is_name(name):
        raise ValueError(f"key name: got {name!r}, want text without '+' and white space")


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and _is_text(name) and not any(char.isspace() for char in name)
