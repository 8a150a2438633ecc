"""SenML in both forms: RFC 8428's own examples, and what must hold of any bytes."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.wire import senml
from ingest.wire.errors import WireError
from ingest.wire.senml import Measured, Pack
from tests.unit.ingest.wire.writing import in_cbor
from tests.vectors import count_vectors, vector_path

RECEIVED_MS = 1_781_834_405_000


def decode(payload: bytes) -> Pack:
    return senml.decode(payload, "room-1", RECEIVED_MS)


def refused(payload: bytes) -> str:
    with pytest.raises(WireError) as found:
        decode(payload)
    assert len(found.value.detail) > 15
    return found.value.reason


# --- the examples of the RFC ------------------------------------------------------------------------------------------

EXAMPLES = [f"ex{number}" for number in range(1, 14)]
RESOLVED = [
    "ex3",
    "ex4",
    "ex5",
    "ex6",
    "ex8",
    "ex10",
    "ex11",
    "ex12",
]  # the others depend on when they were made
IN_CBOR = ["ex3", "ex5"]


def vector(name: str) -> bytes:
    return vector_path(f"iot/senml/{name}").read_bytes()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_and_its_normal_form_are_the_same(name: str) -> None:
    # As the RFC writes it, and as its authors' tool does.
    assert decode(vector(f"{name}.json")) == decode(vector(f"{name}.gen.json"))
    count_vectors()


@pytest.mark.parametrize("name", RESOLVED)
def test_an_example_resolves_to_what_the_rfc_says(name: str) -> None:
    wanted = json.loads(vector(f"{name}.gen.resolved.json"))
    assert sorted(map(str, told(decode(vector(f"{name}.json"))))) == sorted(
        str((record["n"], record.get("u"), round(record["t"] * 1000), *value_of(record))) for record in wanted
    )
    count_vectors()


# Without a base time: their resolved forms carry the clock of whoever resolved them, and one leaves its data value out.
TIMELESS = ["ex1", "ex2", "ex7", "ex9"]
WRAPPED = ["ex3", "ex4", "ex5", "ex6", "ex8", "ex10", "ex11"]


@pytest.mark.parametrize("name", TIMELESS)
def test_an_example_without_a_time_resolves_to_what_the_rfc_says_but_for_the_time(name: str) -> None:
    wanted = json.loads(vector(f"{name}.gen.resolved.json"))
    pack = decode(vector(f"{name}.json"))
    assert pack.server_time, "its times rest on our clock"
    found = [(channel, unit, *value) for channel, unit, _, *value in told(pack) if value[0] != "vd"]
    assert found == [(record["n"], record.get("u"), *value_of(record)) for record in wanted]
    first, *others = [record.time_ms - RECEIVED_MS for record in pack.records if record.data is None]
    said = [record["t"] for record in wanted]
    assert [first, *others] == [pytest.approx((time - said[0]) * 1000 + first, abs=1) for time in said]
    count_vectors()


@pytest.mark.parametrize("name", WRAPPED)
def test_an_example_as_the_rfc_prints_it_is_the_same(name: str) -> None:
    """The RFC's text breaks long lines: between tokens, or those would be other examples."""
    assert decode(vector(f"{name}.gen.wrap.json")) == decode(vector(f"{name}.json"))
    count_vectors()


@pytest.mark.parametrize("name", IN_CBOR)
def test_an_example_in_cbor_is_the_one_in_json(name: str) -> None:
    assert decode(vector(f"{name}.gen.cbor")) == decode(vector(f"{name}.gen.json"))
    count_vectors()


def test_the_bytes_of_an_example_are_those_that_the_rfc_prints() -> None:
    printed = vector("ex3.gen.cbor.hex").decode()
    bits = re.findall(r"^[0-9a-f]+[ :]+((?:[0-9a-f]{2} ?)+)", printed, re.MULTILINE)
    assert bytes.fromhex("".join(bits)) == vector("ex3.gen.cbor")
    count_vectors()


def told(pack: Pack) -> Iterator[tuple[Any, ...]]:
    for record in apart(pack):
        yield (
            record.channel,
            record.unit,
            record.time_ms,
            *value_of({"v": record.value, "vs": record.text, "vd": record.data}),
        )


def apart(pack: Pack) -> Iterator[Measured]:
    """Positions as the two records that they came as, under the name that the examples give both."""
    name = next((record.channel for record in pack.records if record.position is None), "")
    for record in pack.records:
        if record.position is None:
            yield record
            continue
        for unit, value in zip(("lat", "lon"), record.position, strict=True):
            yield Measured(name, unit, record.time_ms, value)


def value_of(record: dict[str, Any]) -> tuple[str, Any]:
    if "vb" in record:
        return "v", float(record["vb"])
    label = next(label for label in ("v", "vs", "vd") if record.get(label) is not None)
    return label, float(record["v"]) if label == "v" else record[label]


# --- one meaning, two forms ---------------------------------------------------------------------------------------

numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.one_of(
    numbers.map(lambda value: {"v": value}),
    texts.map(lambda value: {"vs": value}),
    st.booleans().map(lambda value: {"vb": value}),
    st.binary(max_size=12).map(lambda value: {"vd": value}),
    numbers.map(lambda value: {"s": value}),
    st.just({}),
)
records = st.builds(
    lambda base, value: base | value,
    st.fixed_dictionaries(
        {},
        optional={
            "bn": texts, "bt": numbers, "bu": texts, "bv": numbers, "bs": numbers, "bver": st.integers(0, 10),
            "n": texts | st.sampled_from(["boot", "seq", "sent"]), "u": texts | st.sampled_from(["lat", "lon"]),
            "t": numbers | st.integers(-1000, 1000), "ut": numbers, "further": numbers | texts | st.booleans(),
        },
    ),
    values,
)  # fmt: skip
ours = st.lists(records, min_size=1, max_size=6).map(
    lambda given: [{"n": "boot", "v": 3}, {"n": "seq", "v": 17}, {"n": "sent", "v": 1781834404.12}, *given]
)


def in_json(records: list[dict[str, Any]]) -> bytes:
    written = [
        {label: base64.urlsafe_b64encode(value).decode().rstrip("=") if isinstance(value, bytes) else value
         for label, value in record.items()}
        for record in records
    ]  # fmt: skip
    return json.dumps(written).encode()


def outcome(payload: bytes) -> Pack | str:
    try:
        return decode(payload)
    except WireError as error:
        return error.reason


@given(pack=ours | st.lists(records, max_size=6), shortest=st.booleans(), endless=st.booleans())
@example(pack=[{"n": "a", "v": 1e300, "bv": 1e300}], shortest=True, endless=False)
def test_a_pack_means_the_same_in_either_form(
    pack: list[dict[str, Any]], shortest: bool, endless: bool
) -> None:
    """Also where it is refused: for the same reason."""
    encoded = in_cbor(pack, canonical=shortest)
    if endless and len(pack) < 24:
        encoded = b"\x9f" + encoded[1:] + b"\xff"
    assert repr(outcome(encoded)) == repr(outcome(in_json(pack)))


@given(mantissa=st.integers(-(2**63), 2**63 - 1), exponent=st.integers(-30, 30))
def test_a_decimal_fraction_is_the_nearest_number(mantissa: int, exponent: int) -> None:
    payload = b"\x81\xa2\x00\x61x\x02\xc4\x82" + cbor2.dumps(exponent) + cbor2.dumps(mantissa)
    ((record,)) = decode(payload).records
    assert record.value == float(Fraction(mantissa) * Fraction(10) ** exponent)


@pytest.mark.parametrize(
    "bits",
    [
        "f90000",
        "f98000",
        "f93c00",
        "f95620",
        "fa41ac0000",
        "fb4002666666666666",
        "1b0000ffffffffffff",
        "3903e7",
    ],
)
def test_numbers_of_any_width(bits: str) -> None:
    ((record,)) = decode(bytes.fromhex("81a200617802" + bits)).records
    assert record.value == float(cbor2.loads(bytes.fromhex(bits)))
    assert str(record.value) != "-0.0"


# --- any bytes ------------------------------------------------------------------------------------------------------

WHOLE = in_cbor(
    [
        {"n": "boot", "v": 3}, {"n": "seq", "v": 70_000}, {"n": "sent", "v": 1781834404.12},
        {"bn": "room-1/", "n": "ambient", "u": "Cel", "v": 2.5, "bt": 1781834340}, {"n": "note", "vs": "开门", "t": 3},
        {"n": "raw", "vd": b"\x00\xff", "t": 4}, {"n": "door", "vb": True, "t": 5},
    ]
)  # fmt: skip


@given(
    st.binary(max_size=60) | st.builds(lambda rest: b"\x81\xa2\x00\x61x\x02" + rest, st.binary(max_size=12))
)
def test_any_bytes_are_a_pack_or_a_reason(payload: bytes) -> None:
    result = outcome(payload)
    assert result in REASONS if isinstance(result, str) else result.records
    identity = senml.identity_of_unreadable(payload)
    assert identity is None or min(identity) >= 0


REASONS = {
    *(
        "malformed_json",
        "malformed_cbor",
        "malformed_senml",
        "truncated",
        "not_a_number",
        "unsupported_value",
    ),
    *("empty_pack", "impossible_time", "too_large"),
}


@given(place=st.integers(0, len(WHOLE) - 1), flipped=st.integers(1, 255), cut=st.integers(0, len(WHOLE)))
def test_a_damaged_pack_is_a_pack_or_a_reason(place: int, flipped: int, cut: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[place] ^= flipped
    for payload in (bytes(damaged), WHOLE[:cut]):
        result = outcome(payload)
        assert result in REASONS if isinstance(result, str) else result.records


@pytest.mark.parametrize(
    ("bits", "reason"),
    [
        ("80", "empty_pack"),
        ("9f", "truncated"),
        ("82a2006178020a", "truncated"),
        ("81a2006178020a00", "malformed_cbor"),  # something follows
        ("81a3006178020a020b", "malformed_cbor"),  # v stands twice
        ("81c11a514b67b0", "malformed_cbor"),  # a date
        ("81a200617802c249010000000000000000", "malformed_cbor"),  # a bignum
        ("81a200617802c5821b7fffffffffffffff01", "malformed_cbor"),  # a bigfloat of 2^63 bits
        ("81a200617802d81c00", "malformed_cbor"),  # a shared value
        ("81a20062c328020a", "malformed_cbor"),  # no UTF-8
        ("81a200617802c482f90000187f", "malformed_cbor"),  # a decimal fraction with a float in it
        ("81" * 300, "malformed_cbor"),
        ("a2006178020a", "malformed_senml"),  # a record, no pack
        ("8101", "malformed_senml"),
        ("81a1616e6178", "malformed_senml"),  # "n" as text
        ("81a3625f5f01006178020a", "malformed_senml"),  # a label that must be understood
        ("81a200617802f5", "malformed_senml"),  # true is no number
        ("81a2006178046131", "malformed_senml"),
        ("81a20061780861ff", "malformed_cbor"),
        ("81a200617808616a", "malformed_senml"),  # data as text
        ("81a2f56178020a", "malformed_senml"),  # true is no label, though Python takes it for 1
        ("81a3006178020a6178f6", "malformed_senml"),  # null is no value
        ("81a3006178020a617880", "malformed_senml"),
    ],
)
def test_what_is_no_pack_says_why(bits: str, reason: str) -> None:
    assert refused(bytes.fromhex(bits)) == reason


@pytest.mark.parametrize(
    "payload",
    [
        b"\x9b\x00\x00\x00\xff\xff\xff\xff\xff",  # an array of 2^40 records
        b"\x81\xbb\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\x81\xa1\x00\x7b\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\x81\xa2\x00\x61x\x02\xc4\x82\x1b" + b"\x7f" * 8 + b"\x01",  # 1e9187201950435737471
        b"\x9f" * 1_000_000,
        b"\x82" * 1_000_000,
        b"\xd9\xd9\xf7" * 300_000,
        b"\x9a\x00\x0f\x42\x40" + b"\x80" * 1_000_000,
        in_cbor([{"n": "x", "v": 1}] * 20_001),
    ],
    ids=range(9),
)
def test_a_few_bytes_never_cost_much(payload: bytes) -> None:
    """Nothing is made of what a head only announces: each of these would fill the memory, or the stack."""
    result = outcome(payload)
    assert result in REASONS or isinstance(result, Pack)


@pytest.mark.parametrize(
    "records",
    [
        [{"bn": "n" * 256, "n": "x", "v": 1}],
        [{"bn": "n" * 200, "n": "x" * 56, "v": 1}],
        [{"bver": 11, "n": "x", "v": 1}],
        [{"n": "x", "v": 1, "vs": "one"}],
    ],
    ids=["base name", "name", "version", "two values"],
)
@pytest.mark.parametrize("form", [in_cbor, in_json])
def test_what_the_rfc_or_a_bound_forbids_is_refused_in_either_form(records: Any, form: Any) -> None:
    assert refused(form(records)) == "malformed_senml"


@pytest.mark.parametrize("name", ["bt", "bv", "t", "v"])
def test_a_number_beyond_a_double_is_a_reason_and_no_fault(name: str) -> None:
    payload = f'[{{"n":"x","v":1,"{name}":1{"0" * 400}}}]'.replace('"v":1,"v"', '"v"')
    assert refused(payload.encode()) in ("malformed_senml", "malformed_json")


def test_a_long_base_name_does_not_cost_itself_once_a_record() -> None:
    """Half a megabyte of name over 19,000 records would fill the machine before anybody looks at it."""
    payload = in_json([{"bn": "n" * 500_000}, *[{"n": "x", "v": 1}] * 19_000])
    assert refused(payload) == "malformed_senml"


def test_not_a_number_is_its_records_own_affair() -> None:
    """A dead probe: its neighbours stay, and admission refuses it alone."""
    pack = decode(
        in_cbor([{"n": "x", "v": float("nan"), "t": 1781834340}, {"n": "y", "v": 2.5, "t": 1781834340}])
    )
    assert [record.value == record.value for record in pack.records] == [False, True]


@pytest.mark.parametrize("form", [in_cbor, in_json])
def test_half_a_position_that_is_no_number_makes_no_position(form: Any) -> None:
    huge = {"n": "lat", "u": "lat", "v": 1e308, "bv": 1e308, "t": 1781834340}
    pack = decode(form([huge, {"n": "lon", "u": "lon", "bv": 0, "v": 120.7, "t": 1781834340}]))
    assert [record.channel for record in pack.records] == ["lat", "lon"]


@pytest.mark.parametrize("form", [in_cbor, in_json])
def test_a_second_half_of_a_position_is_not_dropped(form: Any) -> None:
    """Two receivers in one box: one position, and what is left over goes to admission, which refuses it."""
    records = [
        {"n": unit, "u": unit, "v": value, "t": 1781834340} for unit in ("lat", "lon") for value in (1, 2)
    ]
    pack = decode(form([{"bn": "", "n": "x", "v": 3, "t": 1781834340}, *records]))
    assert [record.channel for record in pack.records] == ["x", "lat", "lon", "position"]
    assert pack.records[-1].position == (1.0, 1.0)


@given(cut=st.integers(WHOLE.index(b"seq") + 9, len(WHOLE) - 1))
def test_a_pack_that_is_cut_off_still_says_its_number(cut: int) -> None:
    assert outcome(WHOLE[:cut]) == "truncated"
    assert senml.identity_of_unreadable(WHOLE[:cut]) == (3, 70_000)


@pytest.mark.parametrize("boot", [0, 23, 24, 255, 256, 65_536, 2**32, 2**53 - 1])
@pytest.mark.parametrize("value_first", [False, True])
def test_a_number_of_any_width_is_found(boot: int, value_first: bool) -> None:
    one, other = {"n": "boot", "v": boot}, {"n": "seq", "v": 5}
    if value_first:
        one, other = ({label: each[label] for label in ("v", "n")} for each in (one, other))
    assert senml.identity_of_unreadable(in_cbor([other, one]) + b"\xff") == (boot, 5)
    assert senml.identity_of_unreadable(in_cbor([one])) is None


def test_a_large_pack_means_what_its_parts_mean() -> None:
    """Above 64 kB it is read in another way, so that nonsense costs no more than it weighs."""
    parts = [
        [{"n": "x", "v": number, "t": number}, {"n": "raw", "vd": bytes(40), "t": number}, {"n": "open", "vb": True, "t": number}]
        for number in range(1_500)
    ]  # fmt: skip
    whole = in_cbor([record for part in parts for record in part])
    assert len(whole) > 2**16
    assert decode(whole).records == tuple(
        record for part in parts for record in decode(in_cbor(part)).records
    )
    fraction = b"\x82\xa2\x00\x61x\x02\xc4\x82\x20\x18\x18\xa2\x00\x61y\x08\x5a\x00\x01\x00\x00" + bytes(
        2**16
    )
    assert [(record.channel, record.value) for record in decode(fraction).records] == [
        ("x", 2.4),
        ("y", None),
    ]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'[{"n": "x\xff", "v": 1}]', "malformed_json"),
        (b'[{"n": "x", "v": 1, "y_": "\xc4q"}]', "malformed_json"),
        (b'[{"n": "x", "v": 1, "y\xff_": 1}]', "malformed_json"),
        (b'[{"n": "x", "v": 1, "y_": ' + b"[" * 5_000 + b"]" * 5_000 + b"}]", "malformed_json"),
        (b'[{"n": "x", "v": 1, "y_": 1}]', "malformed_senml"),
    ],
    ids=range(5),
)
def test_what_stands_under_a_label_to_be_understood_is_a_reason_and_no_fault(
    payload: bytes, reason: str
) -> None:
    """Found by fuzzing: the records are read without looking there, and the labels are read again."""
    assert refused(payload) == reason
