"""Signature lines by SM2 with SM3, for authorities in China that ask for their own algorithms.

A signed note has no number for SM2, so the type is 0xff with an identifier of ours, which whoever does not know it
passes over. The identity in the hash is the standard's default, 1234567812345678, so that `openssl` checks a line
with nothing but the key. Not safe against who measures how long a signature takes: it signs what is public
anyway, with a key that signs nothing else. Source: GB/T 32918.2-2016, c2sp.org/signed-note.
"""

import hmac
from dataclasses import dataclass
from functools import cached_property

from cryptography.hazmat.primitives.hashes import SM3, Hash
from ecdsa.ellipticcurve import INFINITY, CurveFp, PointJacobi

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

UNASSIGNED = 0xFF
IDENTIFIER = b"suyuan.sm2-sm3/v1"
IDENTITY = b"1234567812345678"
SECRET_SIZE = 32
SIGNATURE_SIZE = 64
_POINT_SIZE = 65
_P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
_A = _P - 3
_B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
_N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
_GX = 0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7
_GY = 0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0
_CURVE = CurveFp(_P, _A, _B, 1)
_G = PointJacobi(_CURVE, _GX, _GY, 1, _N, generator=True)


@dataclass(frozen=True, slots=True)
class Sm2Verifier:
    """A public key and the name it speaks for. `public_key`: 65 bytes, 0x04 and the two coordinates."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """4 bytes."""
        return key_id(self.name, IDENTIFIER + self.public_key, UNASSIGNED)

    def verify(self, text: str, signature: bytes) -> None:
        """`signature`: r and s, 64 bytes, over the UTF-8 bytes of `text`; else VerifyError."""
        want_same(f"length of the signature by {self.name}", got=len(signature), want=SIGNATURE_SIZE)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        if not self._holds(r, s, _digest(self.public_key, text.encode())):
            raise VerifyError("signature", got="one that does not fit", want=f"one by {self.name}")

    def _holds(self, r: int, s: int, e: int) -> bool:
        t = (r + s) % _N
        if not (1 <= r < _N and 1 <= s < _N) or t == 0:
            return False
        point = _G.mul_add(s, _point(self.public_key), t)
        return point != INFINITY and (e + int(point.x())) % _N == r

    def __str__(self) -> str:
        return format_vkey(self.name, UNASSIGNED, IDENTIFIER + self.public_key)


@dataclass(frozen=True)
class Sm2Signer:
    """A private key and the name it speaks for. `secret`: 32 bytes, kept out of every repr and message."""

    name: str
    secret: bytes

    @classmethod
    def from_random(cls, name: str, random: bytes) -> "Sm2Signer":
        """`random`: 64 bytes, of which the key is made without a bias. ValueError on a name no note could carry."""
        want_name(name)
        if len(random) != 2 * SECRET_SIZE:
            raise ValueError(f"length of the random bytes: got {len(random)}, want {2 * SECRET_SIZE}")
        return cls(name, (int.from_bytes(random, "big") % (_N - 2) + 1).to_bytes(SECRET_SIZE, "big"))

    @cached_property
    def verifier(self) -> Sm2Verifier:
        point = (_G * int.from_bytes(self.secret, "big")).to_affine()
        return Sm2Verifier(self.name, b"\x04" + _bytes(point.x()) + _bytes(point.y()))

    def sign(self, text: str) -> bytes:
        """64 bytes, for one text always the same: the nonce is made of the key and the text."""
        data = text.encode()
        e, d = _digest(self.verifier.public_key, data), int.from_bytes(self.secret, "big")
        for attempt in range(256):
            seed = hmac.digest(self.secret, b"suyuan/sm2-nonce/v1\0" + bytes([attempt]) + data, "sha512")
            k = int.from_bytes(seed, "big") % (_N - 1) + 1
            r = (e + (_G * k).to_affine().x()) % _N
            s = pow(1 + d, -1, _N) * (k - r * d) % _N
            if r and s and r + k != _N:
                return _bytes(r) + _bytes(s)
        raise AssertionError("256 nonces in a row that give no signature")  # pragma: no cover

    def line(self, text: str) -> Signature:
        return Signature(self.name, self.verifier.key_id, self.sign(text))

    def export(self) -> str:
        """The secret as `PRIVATE+KEY+name+hash+base64`: for a key file, never for a log line."""
        return format_private_key(self.verifier, UNASSIGNED, IDENTIFIER + self.secret)

    def __repr__(self) -> str:
        return f"Sm2Signer({self.name!r})"


def parse_sm2_vkey(text: str) -> Sm2Verifier:
    """`name+hash+base64` of an SM2 key, or VerifyError."""
    name, hash_hex, _, data = split_vkey(text, {UNASSIGNED: len(IDENTIFIER) + _POINT_SIZE})
    verifier = Sm2Verifier(name, _behind_identifier(data))
    want_same("hash of the verifier key", got=hash_hex, want=verifier.key_id.hex())
    _point(verifier.public_key)
    return verifier


def parse_sm2_key(text: str) -> Sm2Signer:
    """`PRIVATE+KEY+name+hash+base64`, or VerifyError; the message never shows the secret."""
    name, hash_hex, _, data = split_private_key(text, {UNASSIGNED: len(IDENTIFIER) + SECRET_SIZE})
    signer = Sm2Signer(name, _behind_identifier(data))
    if not 1 <= int.from_bytes(signer.secret, "big") < _N - 1:
        raise VerifyError("private key", got="another number", want="1 to n - 2")
    want_same("hash of the private key", got=hash_hex, want=signer.verifier.key_id.hex())
    return signer


def _behind_identifier(data: bytes) -> bytes:
    found, rest = data[: len(IDENTIFIER)], data[len(IDENTIFIER) :]
    want_same("identifier of the key", got=found, want=IDENTIFIER)
    return rest


def _point(public_key: bytes) -> PointJacobi:
    """The point, which lies on the curve (whose order is prime, so that it is in the one group there is)."""
    x, y = int.from_bytes(public_key[1:33], "big"), int.from_bytes(public_key[33:], "big")
    on_it = x < _P and y < _P and _CURVE.contains_point(x, y)
    if len(public_key) != _POINT_SIZE or public_key[0] != 4 or not on_it:
        raise VerifyError("public key", got="no point of the curve", want="an uncompressed point of SM2")
    return PointJacobi(_CURVE, x, y, 1, _N)


def _digest(public_key: bytes, data: bytes) -> int:
    """e = SM3(Z || data), where Z binds the identity, the curve and the key."""
    curve = b"".join(map(_bytes, (_A, _B, _GX, _GY)))
    z = _sm3((8 * len(IDENTITY)).to_bytes(2, "big") + IDENTITY + curve + public_key[1:])
    return int.from_bytes(_sm3(z + data), "big")


def _sm3(data: bytes) -> bytes:
    digest = Hash(SM3())
    digest.update(data)
    return digest.finalize()


def _bytes(number: int) -> bytes:
    return int(number).to_bytes(32, "big")
