"""Trust policies: the specification's example, what it forbids, and any text."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.translog.checkpoint import Checkpoint, sign_checkpoint
from ledger.translog.cosignature import ML_DSA_44, Cosigner
from ledger.translog.note import SignerKey, add_signatures, split_note
from ledger.translog.policy import open_witnessed, parse_policy, want_quorum
from ledger.translog.verify import VerifyError

LOG = SignerKey.from_seed("log.example/root", b"r" * 32)
NAMES = ["X1", "X2", "X3", "Y1", "Y2", "Y3"]
KEYS = {
    name: Cosigner.from_seed(
        f"{name.lower()}.example", name.encode() * 16, ML_DSA_44 if name == "Y3" else 0x04
    )
    for name in NAMES
}
CHECKPOINT = Checkpoint(LOG.name, 7, bytes(32))
EXAMPLE = f"""
log {LOG.verifier}

# a comment
witness X1 {KEYS["X1"].verifier}
witness X2 {KEYS["X2"].verifier} https://x2.example/witness
\twitness X3 \t{KEYS["X3"].verifier}
group X-witnesses 2 X1 X2 X3

witness Y1 {KEYS["Y1"].verifier}
witness Y2 {KEYS["Y2"].verifier}
witness Y3 {KEYS["Y3"].verifier}
  # another
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""
WITNESS = f"witness w {KEYS['X1'].verifier}\n"
OTHER = f"witness v {KEYS['X2'].verifier}\n"


def test_the_specifications_example_over_all_64_sets_of_witnesses() -> None:
    policy = parse_policy(EXAMPLE)
    note = sign_checkpoint(CHECKPOINT, [LOG])
    for chosen in itertools.chain.from_iterable(itertools.combinations(NAMES, n) for n in range(7)):
        cosigned = add_signatures(note, [KEYS[name].cosign(CHECKPOINT, 1) for name in chosen])
        if sum(name[0] == "X" for name in chosen) >= 2 and any(name[0] == "Y" for name in chosen):
            opened, found = open_witnessed(cosigned, policy, origin=LOG.name)
            assert opened.checkpoint == CHECKPOINT
            assert {one.cosigner.name for one in found} == {KEYS[name].name for name in chosen}
        else:
            with pytest.raises(VerifyError, match="quorum"):
                open_witnessed(cosigned, policy)


def test_a_policy_survives_its_text_form() -> None:
    policy = parse_policy(EXAMPLE)
    assert parse_policy(str(policy)) == policy
    assert [log.key for log in policy.logs] == [LOG.verifier]
    assert [witness.url for witness in policy.witnesses if witness.url] == ["https://x2.example/witness"]


def test_none_needs_no_witness_and_a_log_that_is_believed() -> None:
    policy = parse_policy(f"log {LOG.verifier}\nquorum none")
    assert open_witnessed(sign_checkpoint(CHECKPOINT, [LOG]), policy)[1] == ()
    other = SignerKey.from_seed(LOG.name, bytes(32))
    with pytest.raises(VerifyError, match="signers"):
        open_witnessed(sign_checkpoint(CHECKPOINT, [other]), policy)


def test_one_log_does_not_speak_for_another() -> None:
    foreign = Checkpoint("log.example/other", 7, bytes(32))
    with pytest.raises(VerifyError, match="signer of the checkpoint"):
        open_witnessed(sign_checkpoint(foreign, [LOG]), parse_policy(f"log {LOG.verifier}\nquorum none\n"))


def test_a_bad_line_of_a_witness_is_not_passed_over() -> None:
    policy = parse_policy(WITNESS + OTHER + "group g any w v\nquorum g\n")
    bad = KEYS["X1"].cosign(Checkpoint(LOG.name, 8, bytes(32)), 1)
    note = add_signatures(sign_checkpoint(CHECKPOINT, [LOG]), [KEYS["X2"].cosign(CHECKPOINT, 1), bad])
    text, lines = split_note(note)
    with pytest.raises(VerifyError, match="cosignature"):
        want_quorum(policy, text, lines)


@pytest.mark.parametrize(
    "text",
    [
        "",
        WITNESS,
        WITNESS + "quorum v\n",
        WITNESS + "quorum w\nquorum w\n",
        WITNESS + WITNESS + "quorum w\n",
        WITNESS + WITNESS.replace("witness w", "witness v") + "quorum w\n",
        WITNESS + OTHER.replace("witness v", "witness w") + "quorum w\n",
        WITNESS.replace("witness w", "witness none") + "quorum none\n",
        WITNESS + "group w any w\nquorum w\n",
        WITNESS + "group g any\nquorum g\n",
        WITNESS + "group g 0 w\nquorum g\n",
        WITNESS + "group g 2 w\nquorum g\n",
        WITNESS + "group g 01 w\nquorum g\n",
        WITNESS + "group g ١ w\nquorum g\n",
        WITNESS + "group g any w w\nquorum g\n",
        WITNESS + "group g any w\ngroup h any w g\nquorum h\n",
        WITNESS + "group g any none\nquorum g\n",
        "group g any w\n" + WITNESS + "quorum g\n",
        "quorum w\n" + WITNESS,
        f"log {LOG.verifier}\nlog {LOG.verifier}\nquorum none\n",
        f"log {LOG.verifier} a b\nquorum none\n",
        f"witness w {LOG.verifier}\nquorum w\n",
        "quorum none none\n",
        "quorum none\r\n",
        "quorum\u3000none\n",
        "# \x00\nquorum none\n",
    ],
)
def test_what_the_specification_forbids(text: str) -> None:
    with pytest.raises(VerifyError):
        parse_policy(text)


def test_names_are_octets() -> None:
    policy = parse_policy(WITNESS.replace("witness w", "witness 市场").encode() + "quorum 市场\n".encode())
    assert policy.quorum == "市场"
    kelvin = WITNESS.replace("witness w", "witness K") + "quorum \u212a\n"
    with pytest.raises(VerifyError):
        parse_policy(kelvin)
    assert parse_policy(WITNESS.replace("witness w", "witness w\udcff") + "quorum w\udcff\n")
    assert parse_policy(b"# \xff\nquorum none\n").quorum == "none"


@given(st.one_of(st.text(), st.binary(), st.lists(st.sampled_from([*EXAMPLE.split(), "\n"])).map(" ".join)))
@example("group " * 5000)
@example(b"\xff")
def test_any_text_is_a_policy_or_the_error(text: str | bytes) -> None:
    try:
        policy = parse_policy(text)
    except VerifyError:
        return
    assert parse_policy(str(policy)) == policy


def test_a_deep_policy_is_worked_out() -> None:
    depth = 3000
    lines = [WITNESS, "group g0 all w\n"]
    lines += [f"group g{at} all g{at - 1}\n" for at in range(1, depth)]
    policy = parse_policy("".join(lines) + f"quorum g{depth - 1}\n")
    assert policy.is_met([KEYS["X1"].verifier])
    assert not policy.is_met([])
