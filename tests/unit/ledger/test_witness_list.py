"""The list of witnesses: what stands in the file, what is refused, and the policy it becomes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.translog.checkpoint import Checkpoint, sign_checkpoint
from ledger.translog.cosignature import ML_DSA_44, Cosigner
from ledger.translog.note import SignerKey, add_signatures
from ledger.translog.policy import parse_policy
from ledger.witness_list import (
    InTwoLanguages,
    WitnessList,
    WitnessListError,
    independent_cosigners,
    parse_witnesses,
    read_witnesses,
)

MARKET = Cosigner.from_seed("market.example/w1", b"m" * 32)
MARKET_TOO = Cosigner.from_seed("market.example/w1", b"q" * 32, ML_DSA_44)
BUREAU = Cosigner.from_seed("bureau.example/w", b"b" * 32)
OURS = Cosigner.from_seed("suyuan.example/w", b"o" * 32)
LOGS = [
    SignerKey.from_seed(f"suyuan.example/{name}", name.encode()[:1] * 32).verifier
    for name in ("root", "coop")
]
LIST = f"""
[[witness]]
vkey = ["{MARKET.verifier}", "{MARKET_TOO.verifier}"]
url = "https://witness.market.example/here/"
relation = "independent"
operator = {{ zh = "城东市场", en = "East market" }}
depends_on = {{ zh = "与我们没有合同", en = "no contract with us" }}

[[witness]]
vkey = "{BUREAU.verifier}"
url = "http://192.0.2.1:8765"
relation = "authority"
operator = {{ zh = "监管局", en = "the bureau" }}
logs = "root"

[[witness]]
vkey = "{OURS.verifier}"
url = "http://127.0.0.1:8765"
relation = "operator"
operator = {{ zh = "本平台", en = "ourselves" }}
"""


def parse(text: str) -> WitnessList:
    return parse_witnesses(text.encode())


def test_what_stands_in_the_file() -> None:
    market, bureau, ours = parse(LIST).witnesses
    assert market.keys == (MARKET.verifier, MARKET_TOO.verifier)
    assert (market.name, market.url) == ("market.example/w1", "https://witness.market.example/here")
    assert market.depends_on == InTwoLanguages("与我们没有合同", "no contract with us")
    assert (bureau.relation, bureau.logs, bureau.depends_on) == ("authority", "root", None)
    assert [each.independent for each in (market, bureau, ours)] == [True, True, False]


def test_our_own_witness_counts_for_nothing_in_the_policy() -> None:
    policy = parse("quorum = 2\n" + LIST).policy(LOGS, "https://suyuan.example/log")
    assert parse_policy(str(policy)) == policy
    assert [log.url for log in policy.logs] == [
        "https://suyuan.example/log/root",
        "https://suyuan.example/log/coop",
    ]
    assert not policy.is_met([OURS.verifier, BUREAU.verifier])
    assert not policy.is_met([MARKET.verifier, MARKET_TOO.verifier])  # one witness, with two keys
    assert policy.is_met([MARKET_TOO.verifier, BUREAU.verifier])
    alone = parse(LIST[LIST.rindex("[[witness]]") :])
    assert alone.policy(LOGS, "").quorum == "none"
    assert WitnessList().policy([], "").is_met([])


def test_one_witness_is_enough_where_the_file_says_nothing() -> None:
    policy = parse(LIST).policy(LOGS, "")
    assert policy.is_met([BUREAU.verifier])
    assert not policy.is_met([OURS.verifier])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[[witness]]", "[witness]"),
        ("[[witness]]", "witness = 3 #"),
        ("[[witness]]", "quorum = 3\n[[witness]]"),
        ("[[witness]]", "quorum = true\n[[witness]]"),
        ("[[witness]]", "quorums = 1\n[[witness]]"),
        ('relation = "independent"', 'relation = "friend"'),
        ('relation = "independent"', ""),
        ("https://witness", "ftp://witness"),
        ("https://witness.market.example", "https://"),
        ("https://witness.market.example", "https://a:99999"),
        ("here/", "here/?a=b"),
        ("zh = ", "fr = "),
        ('"East market"', '""'),
        ('"East market"', '"a\\nb"'),
        ('"East market"', "5"),
        ('logs = "root"', 'logs = "some"'),
        ('logs = "root"', 'log = "root"'),
        (str(BUREAU.verifier), str(MARKET.verifier)),
        (str(BUREAU.verifier), str(LOGS[0])),
        (str(BUREAU.verifier), ""),
        (f'"{BUREAU.verifier}"', "[]"),
        (f'"{BUREAU.verifier}"', "7"),
        (str(MARKET_TOO.verifier), str(OURS.verifier)),
        (str(MARKET_TOO.verifier), str(MARKET.verifier)),
        (str(BUREAU.verifier), str(Cosigner.from_seed("other.example", OURS.seed).verifier)),
        (str(BUREAU.verifier), str(Cosigner.from_seed("market.example/w1", bytes(32)).verifier)),
        (str(BUREAU.verifier), str(Cosigner.from_seed("none", bytes(32)).verifier)),
        ("url = ", "= "),
    ],
)
def test_what_is_refused(old: str, new: str) -> None:
    assert old in LIST
    with pytest.raises(WitnessListError):
        parse(LIST.replace(old, new, 1))


@given(
    st.one_of(
        st.binary(),
        st.text().map(str.encode),
        st.text().map(lambda text: LIST.replace("market", text).encode()),
    )
)
def test_any_file_is_a_list_or_the_error(data: bytes) -> None:
    try:
        parse_witnesses(data)
    except WitnessListError:
        return


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert read_witnesses(None).witnesses == ()
    with pytest.raises(WitnessListError, match=r"witnesses\.toml: No such file"):
        read_witnesses(tmp_path / "witnesses.toml")
    (tmp_path / "witnesses.toml").write_text(LIST)
    assert len(read_witnesses(tmp_path / "witnesses.toml").witnesses) == 3


def test_whose_word_counts_on_a_page() -> None:
    checkpoint = Checkpoint("suyuan.example/root", 3, bytes(32))
    note = sign_checkpoint(checkpoint, [SignerKey.from_seed(checkpoint.origin, b"r" * 32)])
    listed = parse(LIST)
    assert independent_cosigners(listed, note) == ()
    lines = [key.cosign(checkpoint, 1) for key in (MARKET, MARKET_TOO, OURS)]
    assert independent_cosigners(listed, add_signatures(note, lines)) == (MARKET.name,), "ours is not counted"
    false = BUREAU.cosign(Checkpoint("suyuan.example/root", 4, bytes(32)), 1)
    assert independent_cosigners(listed, add_signatures(note, [*lines, false])) == ()
    assert independent_cosigners(listed, "nonsense") == ()
