"""Cosignatures by both algorithms: made, found again under a note, and refused when a bit is another."""

import base64
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.translog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.translog.cosignature import (
    ED25519_COSIGNATURE,
    MAX_TIME,
    ML_DSA_44,
    Cosigner,
    CosignerVerifier,
    cosigned_at,
    parse_cosigner_key,
    parse_cosigner_vkey,
    verify_cosignatures,
)
from ledger.translog.note import Signature, SignerKey, add_signatures, parse_vkey, split_note
from ledger.translog.verify import VerifyError
from tests.unit.ledger.translog.test_note import extracted

CHECKPOINT = Checkpoint("example.com/behind-the-sofa", 20852163, bytes(range(32)))
LOG = SignerKey.from_seed(CHECKPOINT.origin, b"l" * 32)
CLASSIC = Cosigner.from_seed("witness.example.com/w1", bytes(range(32)))
QUANTUM = Cosigner.from_seed("witness.example.com/w1", bytes(range(32)), ML_DSA_44)
BOTH = pytest.mark.parametrize("cosigner", [CLASSIC, QUANTUM], ids=["ed25519", "ml-dsa-44"])
TIME = 1679315147


@BOTH
def test_keys_survive_their_text_form(cosigner: Cosigner) -> None:
    assert parse_cosigner_vkey(str(cosigner.verifier)) == cosigner.verifier
    assert parse_cosigner_key(cosigner.export()) == cosigner
    assert cosigner.export() not in repr(cosigner)
    assert bytes(cosigner.seed).hex() not in repr(cosigner)


def test_one_name_and_two_algorithms_are_two_keys() -> None:
    assert CLASSIC.verifier.key_id != QUANTUM.verifier.key_id
    lines = [CLASSIC.cosign(CHECKPOINT, TIME), QUANTUM.cosign(CHECKPOINT, TIME + 1)]
    found = verify_cosignatures(CHECKPOINT.text, lines, [QUANTUM.verifier, CLASSIC.verifier])
    assert [(one.cosigner.algorithm, one.time) for one in found] == [
        (ML_DSA_44, TIME + 1),
        (ED25519_COSIGNATURE, TIME),
    ]


def test_a_vkey_of_others_and_what_is_none() -> None:
    known = extracted("checkpoint_and_proof.json")["cosig_vkeys"]["ed25519_cosig_native"]
    assert str(parse_cosigner_vkey(known)) == known
    for text in ["", "a", str(LOG.verifier), str(CLASSIC.verifier)[:-4], "x" + str(CLASSIC.verifier), "w+0+"]:
        with pytest.raises(VerifyError):
            parse_cosigner_vkey(text)
        with pytest.raises(VerifyError):
            parse_cosigner_key("PRIVATE+KEY+" + text)
    with pytest.raises(VerifyError, match="algorithm"):
        parse_vkey(str(CLASSIC.verifier))


def test_the_bytes_that_ed25519_signs() -> None:
    """Written out as the specification shows them, and not with the code under test."""
    root = base64.b64encode(bytes(range(32))).decode()
    signed = f"cosignature/v1\ntime {TIME}\nexample.com/behind-the-sofa\n20852163\n{root}\n".encode()
    want = struct.pack(">Q", TIME) + Ed25519PrivateKey.from_private_bytes(CLASSIC.seed).sign(signed)
    assert CLASSIC.cosign(CHECKPOINT, TIME).signature == want


def test_the_bytes_that_ml_dsa_signs() -> None:
    """The struct of the specification, field by field; another one's signature over it is accepted."""
    name, origin = QUANTUM.name.encode(), CHECKPOINT.origin.encode()
    signed = struct.pack(
        f">12sB{len(name)}sQB{len(origin)}sQQ32s",
        b"subtree/v1\n\0",
        len(name),
        name,
        TIME,
        len(origin),
        origin,
        0,
        CHECKPOINT.size,
        CHECKPOINT.root_hash,
    )
    private = MLDSA44PrivateKey.from_seed_bytes(QUANTUM.seed)
    QUANTUM.verifier.verify(CHECKPOINT.text, struct.pack(">Q", TIME) + private.sign(signed))
    private.public_key().verify(QUANTUM.cosign(CHECKPOINT, TIME).signature[8:], signed)


@BOTH
def test_any_other_bit_is_refused(cosigner: Cosigner) -> None:
    line = cosigner.cosign(CHECKPOINT, TIME)
    for at in [*range(80), *range(80, len(line.signature), 97)]:
        if at < len(line.signature):
            spoilt = bytearray(line.signature)
            spoilt[at] ^= 1
            with pytest.raises(VerifyError):
                cosigner.verifier.verify(CHECKPOINT.text, bytes(spoilt))
    for other in [
        Checkpoint(CHECKPOINT.origin + "x", CHECKPOINT.size, CHECKPOINT.root_hash),
        Checkpoint(CHECKPOINT.origin, CHECKPOINT.size + 1, CHECKPOINT.root_hash),
        Checkpoint(CHECKPOINT.origin, CHECKPOINT.size, bytes(32)),
    ]:
        with pytest.raises(VerifyError, match="cosignature"):
            cosigner.verifier.verify(other.text, line.signature)


@BOTH
@given(data=st.binary(max_size=2500), text=st.text())
def test_any_bytes_and_any_text_are_refused(cosigner: Cosigner, data: bytes, text: str) -> None:
    for shown in (text, CHECKPOINT.text):
        with pytest.raises(VerifyError):
            cosigner.verifier.verify(shown, data)
    with pytest.raises(VerifyError):
        parse_cosigner_vkey(text)
    with pytest.raises(VerifyError):
        cosigner.verifier.verify(text, cosigner.cosign(CHECKPOINT, TIME).signature)


def test_the_newest_line_of_a_key_counts_and_a_bad_one_spoils_all() -> None:
    lines = [CLASSIC.cosign(CHECKPOINT, time) for time in (TIME, TIME + 60, TIME + 30)]
    (found,) = verify_cosignatures(CHECKPOINT.text, lines, [CLASSIC.verifier])
    assert (found.time, found.line) == (TIME + 60, lines[1])
    stranger = Signature("stranger.example", b"abcd", b"anything")
    assert verify_cosignatures(CHECKPOINT.text, [stranger], [CLASSIC.verifier]) == ()
    bad = Signature(CLASSIC.name, CLASSIC.verifier.key_id, bytes(72))
    with pytest.raises(VerifyError):
        verify_cosignatures(CHECKPOINT.text, [*lines, bad], [CLASSIC.verifier])


def test_under_a_note_each_key_has_one_line_and_the_log_still_opens_it() -> None:
    note = sign_checkpoint(CHECKPOINT, [LOG])
    first = add_signatures(note, [CLASSIC.cosign(CHECKPOINT, TIME), QUANTUM.cosign(CHECKPOINT, TIME)])
    again = add_signatures(first, [CLASSIC.cosign(CHECKPOINT, TIME + 1)])
    text, lines = split_note(again)
    assert len(lines) == 3 and note in (first[: len(note)], again[: len(note)])
    found = verify_cosignatures(text, lines, [CLASSIC.verifier, QUANTUM.verifier])
    assert [one.time for one in found] == [TIME + 1, TIME]
    assert open_checkpoint(again, [LOG.verifier]).checkpoint == CHECKPOINT
    assert open_checkpoint(again, [LOG.verifier, CLASSIC.verifier]).note.verified[1].name == CLASSIC.name


def test_a_log_may_sign_by_ml_dsa_under_its_own_name() -> None:
    key = Cosigner.from_seed(CHECKPOINT.origin, b"q" * 32, ML_DSA_44)
    note = CHECKPOINT.text + "\n" + str(key.cosign(CHECKPOINT, 0))
    opened = open_checkpoint(note, [key.verifier], origin=CHECKPOINT.origin)
    assert cosigned_at(opened.note.verified[0].signature) == 0


@BOTH
def test_what_cannot_be_signed(cosigner: Cosigner) -> None:
    for time in (-1, MAX_TIME + 1):
        with pytest.raises(ValueError, match="time"):
            cosigner.cosign(CHECKPOINT, time)
    late = cosigner.cosign(CHECKPOINT, MAX_TIME)
    cosigner.verifier.verify(CHECKPOINT.text, late.signature)
    with pytest.raises(VerifyError, match="time"):
        cosigner.verifier.verify(CHECKPOINT.text, b"\x80" + late.signature[1:])
    for arguments in [("a b", bytes(32)), ("a", bytes(31)), ("a" * 256, bytes(32)), ("a", bytes(32), 0x01)]:
        with pytest.raises(ValueError, match="got"):
            Cosigner.from_seed(*arguments)


def test_an_origin_too_long_for_the_struct() -> None:
    long = Checkpoint("a" * 256, 1, bytes(32))
    with pytest.raises(ValueError, match="origin"):
        QUANTUM.cosign(long, TIME)
    with pytest.raises(VerifyError, match="origin"):
        QUANTUM.verifier.verify(long.text, QUANTUM.cosign(CHECKPOINT, TIME).signature)
    CLASSIC.verifier.verify(long.text, CLASSIC.cosign(long, TIME).signature)


def test_a_key_that_is_no_point_verifies_nothing() -> None:
    for algorithm, size in ((ED25519_COSIGNATURE, 32), (ML_DSA_44, 1312)):
        nonsense = CosignerVerifier("w", algorithm, b"\xff" * size)
        with pytest.raises(VerifyError):
            nonsense.verify(CHECKPOINT.text, bytes(8 + {32: 64, 1312: 2420}[size]))
