"""Rule packs: what is shipped holds together, and what contradicts is refused by name."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ingest.coldchain.limits import (
    Limit,
    LimitError,
    limits_in_force,
    load_limits,
    parse_limit,
    parse_limits,
)
from tests.unit.ingest.coldchain.cases import a_limit, limit_json, shipped
from tests.vectors import count_vectors, vector_path


def test_the_shipped_limit_is_the_agreed_one_and_admits_that_nobody_read_its_source() -> None:
    limit = shipped("yangmei-upper-5c")
    assert (limit.product, limit.limit_c, limit.operator, limit.minutes) == ("yangmei", 5.0, ">", 30.0)
    assert limit.stages == ("cold", "loaded", "arrived", "stall")
    assert limit.positions == ("ambient", "return_air", "in_box")
    assert (limit.force, limit.mode, limit.verified) == ("agreed", "consecutive", False)
    assert limit.hold_ms == 1_800_000


def test_no_shipped_number_is_told_as_read_that_nobody_read() -> None:
    limits = load_limits()
    assert {limit.product for limit in limits} >= {
        "strawberry",
        "frozen",
        "medicine_2_8",
        "who_type_1",
        "raw_milk",
        "chilled",
    }
    assert not [limit.id for limit in limits if limit.verified]
    assert not [limit.id for limit in limits if limit.force in ("mandatory", "local")], (
        "who has not read a law does not cite it"
    )


def test_a_snapshot_is_the_rule_as_it_stood() -> None:
    for limit in (*load_limits(), a_limit(valid_to="2030-01-01T00:00:00+08:00")):
        assert parse_limit(json.loads(json.dumps(limit.snapshot()))) == limit


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"side": "below"}, "side 'below' with operator '>' contradict"),
        ({"operator": "<"}, "side 'above' with operator '<' contradict"),
        ({"operator": "=>"}, "'operator' has '=>'"),
        ({"minutes": -1}, "'minutes' is 0 or more, got -1.0"),
        ({"minutes": True}, "'minutes' is a number, got True"),
        ({"minutes": float("nan")}, "'minutes' is 0 or more"),
        ({"mode": "cumulative", "minutes": 0}, "cumulative limit needs more than 0"),
        ({"mode": "sometimes"}, "'mode' has 'sometimes'"),
        ({"limit_c": -300.0}, "no temperature: -300.0"),
        ({"guard_band_c": -0.5}, "'guard_band_c' is 0 or more"),
        ({"stages": []}, "'stages' is empty"),
        ({"stages": ["cold", "cold"]}, "names one thing twice"),
        ({"stages": ["on the moon"]}, "'stages' has 'on the moon'"),
        ({"stages": "cold"}, "'stages' is a list of names"),
        ({"positions": ["roof"]}, "'positions' has 'roof'"),
        ({"force": "divine"}, "'force' has 'divine'"),
        ({"source": " "}, "'source' is empty"),
        ({"version": 0}, "'version' starts at 1"),
        ({"valid_from": "2026-01-01T00:00:00"}, "'valid_from' has no time zone"),
        ({"valid_from": "soon"}, "'valid_from' is an ISO 8601 time, got 'soon'"),
        ({"valid_to": "2019-01-01T00:00:00Z"}, "before it starts"),
        ({"verified": "yes"}, "'verified' is true or false"),
        ({"minuts": 30}, "unknown field 'minuts'"),
        ({"wording": "hot"}, "'wording' has text under 'zh' and 'en'"),
        ({"wording": {"zh": "", "en": "x"}}, "the wording in 'zh' is empty"),
    ],
)
def test_a_limit_that_contradicts_itself_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(LimitError) as caught:
        parse_limit(limit_json(**changes))
    assert named in str(caught.value)


@pytest.mark.parametrize("force", ["recommended", "agreed", "internal"])
@pytest.mark.parametrize("word", ["unlawful", "illegal", "违法", "违规"])
def test_what_is_not_law_is_never_worded_as_law(force: str, word: str) -> None:
    with pytest.raises(LimitError, match=f"{word}.*only {force}"):
        a_limit(force=force, wording={"zh": word, "en": word})


@pytest.mark.parametrize("words", [{"zh": "安全温度", "en": "x"}, {"zh": "温度", "en": "Safe range"}])
def test_no_limit_promises_safety(words: dict[str, str]) -> None:
    with pytest.raises(LimitError, match="nobody can promise"):
        a_limit(force="mandatory", wording=words)


def test_a_missing_field_is_named() -> None:
    obj = limit_json()
    del obj["minutes"]
    with pytest.raises(LimitError, match="'minutes' is missing"):
        parse_limit(obj)


def test_a_pack_reports_all_its_problems_at_once() -> None:
    with pytest.raises(LimitError) as caught:
        parse_limits({"limits": [limit_json(minutes=-1), limit_json(id="cold", limit_c=-300.0), 7]})
    assert len(caught.value.problems) == 3


def test_limits_that_leave_no_temperature_contradict_each_other() -> None:
    below = {"id": "low", "side": "below", "operator": "<", "limit_c": 6.0}
    with pytest.raises(LimitError, match=r"'warm' version 1 and 'low' version 1 leave no temperature"):
        parse_limits({"limits": [limit_json(), limit_json(**below)]})
    elsewhere = limit_json(**below, positions=["pulp"])
    assert len(parse_limits({"limits": [limit_json(), elsewhere]})) == 2


@pytest.mark.parametrize(("operator", "contradicts"), [("<", False), ("<=", True)])
def test_one_allowed_temperature_is_enough(operator: str, contradicts: bool) -> None:
    pack = {"limits": [limit_json(), limit_json(id="low", side="below", operator=operator)]}
    if contradicts:
        with pytest.raises(LimitError, match="leave no temperature"):
            parse_limits(pack)
    else:
        assert len(parse_limits(pack)) == 2


def test_versions_follow_each_other() -> None:
    ended = limit_json(valid_to="2026-01-01T00:00:00+00:00")
    successor = limit_json(version=2, limit_c=4.0, valid_from="2026-01-01T00:00:00+00:00")
    one, two = parse_limits({"limits": [successor, ended]})
    assert (one.version, two.version) == (1, 2)
    turn_ms = round(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
    assert limits_in_force((one, two), "yangmei", "cold", turn_ms - 1) == (one,)
    assert limits_in_force((one, two), "yangmei", "cold", turn_ms) == (two,)
    with pytest.raises(LimitError, match="valid at the same time"):
        parse_limits({"limits": [limit_json(), successor]})
    with pytest.raises(LimitError, match="given twice"):
        parse_limits({"limits": [limit_json(), limit_json()]})


def test_a_limit_speaks_of_its_product_stage_and_position_only() -> None:
    limit = a_limit()
    now_ms = round(datetime(2026, 6, 20, tzinfo=UTC).timestamp() * 1000)
    assert limits_in_force((limit,), "yangmei", "loaded", now_ms, "in_box") == (limit,)
    assert not limits_in_force((limit,), "yangmei", "loaded", now_ms, "pulp")
    assert not limits_in_force((limit,), "yangmei", "field", now_ms)
    assert not limits_in_force((limit,), "apple", "cold", now_ms)


def test_published_rule_sets_are_limits() -> None:
    rule_sets = json.loads(vector_path("coldchain/vectors.json").read_text(encoding="utf-8"))[
        "published_rules"
    ]
    for rule_set in rule_sets:
        if isinstance(rule_set.get("rules"), list):
            assert parse_limits(
                {"limits": [_published(rule_set["id"], n, rule) for n, rule in enumerate(rule_set["rules"])]}
            )
            count_vectors()


def _published(name: str, n: int, rule: dict[str, Any]) -> dict[str, Any]:
    modes = {"single": "consecutive", "cumulative": "cumulative"}
    return limit_json(
        id=f"{name}-{n}",
        operator=rule["op"],
        side="above" if ">" in rule["op"] else "below",
        limit_c=rule["limit_c"],
        mode=modes[rule["type"]],
        minutes=rule["minutes"],
    )


def test_a_limit_cannot_be_changed() -> None:
    limit: Limit = a_limit()
    with pytest.raises(AttributeError):
        limit.minutes = 60.0  # type: ignore[misc]
