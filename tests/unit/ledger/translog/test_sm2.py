"""SM2 with SM3: what OpenSSL signs we check, what we sign OpenSSL checks, and nothing else holds."""

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.translog.note import Signature, SignerKey, add_signatures, open_note, sign_note
from ledger.translog.sm2 import (
    IDENTITY,
    Sm2Signer,
    Sm2Verifier,
    parse_sm2_key,
    parse_sm2_vkey,
)
from ledger.translog.verify import VerifyError

NAME = "log.example/root"
SIGNER = Sm2Signer.from_random(NAME, bytes(range(64)))
TEXT = "log.example/root\n7\n" + base64.b64encode(bytes(32)).decode() + "\n"
SUBJECT_PUBLIC_KEY = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
"""Before the point: an EC key on SM2's curve."""


def openssl(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["openssl", *arguments], capture_output=True, timeout=30, check=False)


def pem(public_key: bytes) -> str:
    body = base64.b64encode(SUBJECT_PUBLIC_KEY + public_key).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"


def to_der(signature: bytes) -> bytes:
    parts = b""
    for half in (signature[:32], signature[32:]):
        number = half.lstrip(b"\0")
        number = b"\0" + number if number[0] & 0x80 else number
        parts += b"\x02" + bytes([len(number)]) + number
    return b"\x30" + bytes([len(parts)]) + parts


def from_der(der: bytes) -> bytes:
    first = der[4 : 4 + der[3]]
    second = der[4 + der[3] + 2 :]
    return b"".join(part.lstrip(b"\0").rjust(32, b"\0") for part in (first, second))


def test_openssl_checks_what_we_sign(tmp_path: Path) -> None:
    for name, data in (("key", pem(SIGNER.verifier.public_key).encode()), ("text", TEXT.encode())):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "sig").write_bytes(to_der(SIGNER.sign(TEXT)))
    check = [
        "pkeyutl", "-verify", "-pubin", "-inkey", str(tmp_path / "key"), "-rawin", "-digest", "sm3",
        "-pkeyopt", f"distid:{IDENTITY.decode()}", "-in", str(tmp_path / "text"), "-sigfile", str(tmp_path / "sig"),
    ]  # fmt: skip
    done = openssl(*check)
    assert b"Signature Verified Successfully" in done.stdout, done
    (tmp_path / "text").write_text(TEXT.replace("7", "8"))
    assert openssl(*check).returncode != 0


def test_we_check_what_openssl_signs(tmp_path: Path) -> None:
    key, text = str(tmp_path / "key"), str(tmp_path / "text")
    (tmp_path / "text").write_text(TEXT)
    assert openssl("genpkey", "-algorithm", "SM2", "-out", key).returncode == 0
    public = openssl("pkey", "-in", key, "-pubout", "-outform", "DER").stdout[-65:]
    for _ in range(3):
        signed = openssl("pkeyutl", "-sign", "-inkey", key, "-rawin", "-digest", "sm3", "-pkeyopt",
                         f"distid:{IDENTITY.decode()}", "-in", text)  # fmt: skip
        assert signed.returncode == 0, signed
        Sm2Verifier(NAME, public).verify(TEXT, from_der(signed.stdout))


def test_keys_are_read_back() -> None:
    assert parse_sm2_key(SIGNER.export()) == SIGNER
    assert parse_sm2_vkey(str(SIGNER.verifier)) == SIGNER.verifier
    assert SIGNER.export() not in repr(SIGNER)
    assert SIGNER.sign(TEXT) == SIGNER.sign(TEXT)


@given(st.integers(0, 63), st.integers(1, 255))
def test_a_changed_byte_of_a_signature_does_not_hold(at: int, change: int) -> None:
    signature = bytearray(SIGNER.sign(TEXT))
    signature[at] ^= change
    with pytest.raises(VerifyError):
        SIGNER.verifier.verify(TEXT, bytes(signature))


@given(st.binary(max_size=80))
def test_any_signature_is_refused_with_one_error(signature: bytes) -> None:
    with pytest.raises(VerifyError):
        SIGNER.verifier.verify(TEXT, signature)


@given(st.text(max_size=200))
def test_any_key_is_refused_with_one_error(text: str) -> None:
    for parse in (parse_sm2_vkey, parse_sm2_key):
        with pytest.raises(VerifyError):
            parse(text)


@given(st.binary(min_size=65, max_size=65))
def test_a_point_beside_the_curve_is_no_key(point: bytes) -> None:
    with pytest.raises(VerifyError):
        parse_sm2_vkey(str(Sm2Verifier(NAME, point)))


@pytest.mark.parametrize(
    "signature", [bytes(64), b"\xff" * 64, bytes(31) + b"\1" + bytes(32), bytes(63) + b"\1"]
)
def test_numbers_outside_the_group_are_refused(signature: bytes) -> None:
    with pytest.raises(VerifyError):
        SIGNER.verifier.verify(TEXT, signature)


def test_a_line_stands_beside_the_log_s_own() -> None:
    own = SignerKey.from_seed(NAME, bytes(32))
    note = add_signatures(sign_note(TEXT, [own]), [SIGNER.line(TEXT)])
    assert len(open_note(note, [own.verifier]).unverified) == 1
    assert len(open_note(note, [own.verifier, SIGNER.verifier]).verified) == 2
    spoiled = add_signatures(note, [Signature(NAME, SIGNER.verifier.key_id, bytes(64))])
    open_note(spoiled, [own.verifier])
    with pytest.raises(VerifyError):
        open_note(spoiled, [own.verifier, SIGNER.verifier])
