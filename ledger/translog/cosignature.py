"""Cosignatures: the line by which a witness says that it saw a checkpoint, that it follows from all it saw of
that log before, and when.

Two algorithms, and no third: Ed25519 (0x04, text `cosignature/v1`), which every witness speaks, and ML-DSA-44
(0x06, struct `subtree/v1`), which holds against quantum computers and which a log may also sign with under its
own origin's name. A line proves only what its key is known for: a line of an unknown key proves nothing and
is no error; a bad one of a known key spoils the note. Source: c2sp.org/tlog-cosignature.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from ledger.translog.checkpoint import Checkpoint, parse_checkpoint
from ledger.translog.note import (
    Signature,
    format_private_key,
    format_vkey,
    key_id,
    split_private_key,
    split_vkey,
    want_name,
)
from ledger.translog.verify import VerifyError, want_same

ED25519_COSIGNATURE = 0x04
ML_DSA_44 = 0x06
MAX_TIME = 2**63 - 1
MAX_NAME_SIZE = 255
_TIME_SIZE = 8
_SEED_SIZE = 32
_PUBLIC_SIZES = {ED25519_COSIGNATURE: 32, ML_DSA_44: 1312}
_SIGNATURE_SIZES = {ED25519_COSIGNATURE: 64, ML_DSA_44: 2420}
_LABEL = b"subtree/v1\n\x00"


@dataclass(frozen=True, slots=True)
class CosignerVerifier:
    """A witness's public key and its name. `public_key`: 32 bytes (0x04) or 1312 bytes (0x06)."""

    name: str
    algorithm: int
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """4 bytes."""
        return key_id(self.name, self.public_key, self.algorithm)

    def verify(self, text: str, signature: bytes) -> None:
        """`signature`: time and signature (72 or 2428 bytes) over the checkpoint `text`, or VerifyError."""
        size = _TIME_SIZE + _SIGNATURE_SIZES[self.algorithm]
        want_same(f"length of the cosignature by {self.name}", got=len(signature), want=size)
        signed = _signed_message(self.name, self.algorithm, text, cosigned_at(signature))
        try:
            self._check(signed, signature[_TIME_SIZE:])
        except InvalidSignature as cause:
            raise VerifyError(
                "cosignature", got="one that does not fit", want=f"one by {self.name}"
            ) from cause

    def _check(self, signed: bytes, signature: bytes) -> None:
        if self.algorithm == ML_DSA_44:
            MLDSA44PublicKey.from_public_bytes(self.public_key).verify(signature, signed)
        else:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, signed)

    def __str__(self) -> str:
        return format_vkey(self.name, self.algorithm, self.public_key)


@dataclass(frozen=True)
class Cosigner:
    """A witness's private key and its name. `seed`: 32 bytes, kept out of every repr and message."""

    name: str
    algorithm: int
    seed: bytes

    @classmethod
    def from_seed(cls, name: str, seed: bytes, algorithm: int = ED25519_COSIGNATURE) -> "Cosigner":
        """ValueError on a name that no cosignature could carry, another algorithm, or not 32 bytes."""
        want_name(name)
        if len(name.encode()) > MAX_NAME_SIZE:
            raise ValueError(
                f"length of the key name: got {len(name.encode())}, want at most {MAX_NAME_SIZE}"
            )
        if algorithm not in _PUBLIC_SIZES:
            raise ValueError(f"algorithm: got {algorithm}, want {ED25519_COSIGNATURE} or {ML_DSA_44}")
        if len(seed) != _SEED_SIZE:
            raise ValueError(f"length of the seed: got {len(seed)}, want {_SEED_SIZE}")
        return cls(name, algorithm, seed)

    @cached_property
    def verifier(self) -> CosignerVerifier:
        return CosignerVerifier(self.name, self.algorithm, self._private.public_key().public_bytes_raw())

    def cosign(self, checkpoint: Checkpoint, time: int) -> Signature:
        """The line over `checkpoint`. `time`: seconds since 1970, UTC. The caller has made sure that the
        checkpoint extends all that this key cosigned of that log before. ValueError on what cannot be signed.
        """
        if not 0 <= time <= MAX_TIME:
            raise ValueError(f"time of a cosignature: got {time}, want 0 to {MAX_TIME}")
        try:
            signed = _signed_message(self.name, self.algorithm, checkpoint.text, time)
        except VerifyError as cause:
            raise ValueError(str(cause)) from cause
        return Signature(
            self.name, self.verifier.key_id, time.to_bytes(_TIME_SIZE, "big") + self._private.sign(signed)
        )

    def export(self) -> str:
        """The secret as `PRIVATE+KEY+name+hash+base64`: for a key file, never for a log line."""
        return format_private_key(self.verifier, self.algorithm, self.seed)

    def __repr__(self) -> str:
        return f"Cosigner({self.name!r})"

    @cached_property
    def _private(self) -> Ed25519PrivateKey | MLDSA44PrivateKey:
        if self.algorithm == ML_DSA_44:
            return MLDSA44PrivateKey.from_seed_bytes(self.seed)
        return Ed25519PrivateKey.from_private_bytes(self.seed)


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A cosignature that verified. `time`: seconds since 1970, UTC; 0 says nothing about when."""

    cosigner: CosignerVerifier
    time: int
    line: Signature


def parse_cosigner_vkey(text: str) -> CosignerVerifier:
    """`name+hash+base64` of a witness (0x04 or 0x06), or VerifyError."""
    name, hash_hex, algorithm, public_key = split_vkey(text, _PUBLIC_SIZES)
    verifier = CosignerVerifier(name, algorithm, public_key)
    want_same("hash of the verifier key", got=hash_hex, want=verifier.key_id.hex())
    return verifier


def parse_cosigner_key(text: str) -> Cosigner:
    """`PRIVATE+KEY+name+hash+base64` of a witness, or VerifyError; the message never shows the secret."""
    name, hash_hex, algorithm, seed = split_private_key(
        text, dict.fromkeys((ED25519_COSIGNATURE, ML_DSA_44), _SEED_SIZE)
    )
    cosigner = Cosigner(name, algorithm, seed)
    want_same("hash of the private key", got=hash_hex, want=cosigner.verifier.key_id.hex())
    return cosigner


def verify_cosignatures(
    text: str, lines: Sequence[Signature], known: Sequence[CosignerVerifier]
) -> tuple[Cosignature, ...]:
    """What `known` said of the checkpoint `text`: each key once, its newest line, in the order of `known`.

    `lines` are those under the note or in a witness's answer. Lines of other keys are passed over; one bad
    line of a known key is a VerifyError, however many good ones stand beside it.
    """
    keys = {(key.name, key.key_id): key for key in known}
    newest = dict[tuple[str, bytes], Cosignature]()
    for line in lines:
        identity = (line.name, line.key_id)
        key = keys.get(identity)
        if key is None:
            continue
        key.verify(text, line.signature)
        time = cosigned_at(line.signature)
        if identity not in newest or time > newest[identity].time:
            newest[identity] = Cosignature(key, time, line)
    return tuple(newest[identity] for identity in keys if identity in newest)


def cosigned_at(signature: bytes) -> int:
    """The seconds since 1970 that stand in a cosignature, which may or may not verify. VerifyError if none
    can.
    """
    time = int.from_bytes(signature[:_TIME_SIZE], "big")
    if len(signature) < _TIME_SIZE or time > MAX_TIME:
        raise VerifyError("time of the cosignature", got=signature[:_TIME_SIZE], want=f"0 to {MAX_TIME}")
    return time


def _signed_message(name: str, algorithm: int, text: str, time: int) -> bytes:
    """VerifyError if `text` is no checkpoint, or too long a name for the struct."""
    checkpoint = parse_checkpoint(text)
    if algorithm == ED25519_COSIGNATURE:
        return f"cosignature/v1\ntime {time}\n{text}".encode()
    return b"".join(
        (
            _LABEL,
            _short(name, "cosigner's name"),
            time.to_bytes(8, "big"),
            _short(checkpoint.origin, "origin of the checkpoint"),
            (0).to_bytes(8, "big"),
            checkpoint.size.to_bytes(8, "big"),
            checkpoint.root_hash,
        )
    )


def _short(text: str, what: str) -> bytes:
    """The text behind one byte of its length."""
    data = text.encode()
    if not 1 <= len(data) <= MAX_NAME_SIZE:
        raise VerifyError(f"length of the {what}", got=len(data), want=f"1 to {MAX_NAME_SIZE}")
    return bytes([len(data)]) + data
