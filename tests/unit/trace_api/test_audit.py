"""What an official asks, and the files they get, without a database: addresses, spreadsheets, careful words."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from datetime import date, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from ingest.coldchain.limits import FORCES
from trace_api.audit import asking
from trace_api.audit.answers import calibration
from trace_api.audit.asking import BREACHES, DUTIES, NAMES, Asked, filter_name
from trace_api.audit.case import binding
from trace_api.audit.picture import silences
from trace_api.audit.reading import Breach, Calibration, Dossier, Reading, Summary, total
from trace_api.audit.sheets import Column, Sheet, to_csv, to_xlsx
from trace_api.audit.telling import extent, said_celsius, severity, share, summary_view, weight
from trace_api.digits import whole
from trace_api.words import CATALOGUES, LANGUAGES, Words

TODAY = date(2026, 6, 20)
SHANGHAI = timezone(timedelta(hours=8))


def ask(query: dict[str, str], today: date, names: Collection[str] = NAMES) -> Asked:
    return asking.ask(query.items(), today, names)


def test_without_a_period_it_is_the_last_days_and_an_empty_one_is_all_time() -> None:
    assert ask({}, TODAY).since == date(2026, 5, 21) and ask({}, TODAY).until is None
    assert ask({"from": "", "to": ""}, TODAY).since is None
    asked = ask({"from": "2026-06-01", "to": "2026-06-20"}, TODAY)
    assert asked.filters()["from"] == "2026-06-01T00:00:00+08:00"
    assert asked.filters()["to"] == "2026-06-21T00:00:00+08:00", "the last day is included"


@pytest.mark.parametrize(
    "query",
    [{"from": "20.6.2026"}, {"to": "2026-13-01"}, {"region": "33102"}, {"state": "lost"}, {"over_c": "2"}, {"order": "best"}, {"page": "0"},
     {"page": "x"}, {"kind": "temperature"}, {"text": "\x00"}, {"text": "x" * 400}, {"from": "2026-06-20", "to": "2026-06-01"}],
)  # fmt: skip
def test_what_is_no_filter_is_named_and_filters_nothing(query: dict[str, str]) -> None:
    asked = ask(query, TODAY)
    assert set(asked.wrong) == set(query)
    assert asked.filters() | {"from": None, "to": None} == Asked().filters()


def test_a_filter_of_the_other_list_and_one_that_is_none_are_named() -> None:
    assert ask({"state": "open", "over_c": "5", "regoin": "3301"}, TODAY, DUTIES).wrong == (
        "state",
        "over_c",
        "regoin",
    )
    assert ask({"kind": "calibration", "state": "open"}, TODAY, BREACHES).wrong == ("kind",)
    assert ask({"state": "", "lang": "en"}, TODAY, DUTIES).wrong == (), "a form sends what was left empty"
    assert filter_name("regoin", Words("en")) == "regoin" and filter_name("state", Words("en")) == Words(
        "en"
    )("audit_state")


def test_a_filter_with_two_values_is_named_and_filters_nothing() -> None:
    asked = asking.ask(
        [("region", "3310"), ("text", "31"), ("region", "33"), ("lang", "zh"), ("lang", "en")], TODAY
    )
    assert asked.wrong == ("region",) and asked.region is None and asked.text == "31"
    assert asking.ask([("region", "33"), ("region", " 33 ")], TODAY).region == "33", (
        "said twice, it is the same"
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_has_no_number_has_no_unit(language: Any) -> None:
    words = Words(language)
    assert weight(400.4, words) == words("audit_weight_is", kilograms="400")
    assert "400" in weight(400.0, words, at_least=True) != weight(400.0, words)
    unknown = (weight(None, words, at_least=True), severity(None, words, True), extent(3, None, words))
    assert unknown == (words("audit_weight_unknown"), "", words("audit_extent_unknown", units=3))
    assert (
        weight(0.0, words) != unknown[0]
        and severity(0.0, words, False)
        and extent(3, 0.0, words) != unknown[2]
    )


def test_how_many_there_are_is_asked_again_only_behind_the_last_page() -> None:
    row = cast(Breach, SimpleNamespace(total=40))

    def never() -> list[Breach]:
        raise AssertionError("the list was made twice")

    assert total([], Asked(), never) == 0 and total([row], Asked(page=2), never) == 40
    assert total([], Asked(page=3), lambda: [row]) == 40 and total([], Asked(page=3), list) == 0


def test_a_logger_that_died_is_silent_until_now() -> None:
    start = datetime(2026, 6, 19, tzinfo=SHANGHAI)
    readings = [cast(Reading, SimpleNamespace(time=start + timedelta(minutes=each))) for each in (0, 1, 2, 9)]
    gaps = [(start + timedelta(minutes=2), start + timedelta(minutes=9))]
    assert silences(readings, 60, start + timedelta(minutes=10)) == gaps
    end = start + timedelta(hours=5)
    assert silences(readings, 60, end) == [*gaps, (start + timedelta(minutes=9), end)]
    assert silences([], 60, end) == []


def test_a_calibration_without_an_end_counts_as_long_as_the_duty_says() -> None:
    breach = SimpleNamespace(trigger_time=datetime(2026, 6, 19, tzinfo=SHANGHAI), time_zone="Asia/Shanghai")

    def standing(on: date, until: date | None) -> str:
        found = SimpleNamespace(breach=breach, calibrations=[Calibration("JZ-1", "lab", on, None, until)])
        return calibration(cast(Dossier, found), Words("en"))[0]

    assert standing(date(2026, 1, 5), date(2027, 1, 5)) == "held"
    assert standing(date(2024, 1, 5), date(2025, 1, 5)) == "not_held"
    assert standing(date(2026, 1, 5), None) == "not_recorded", "no rule says how long: it cannot be told"


@pytest.mark.parametrize(("force", "agreed", "key"), [("agreed", "0-5 °C", "agreed_text"), ("agreed", None, "agreed_unseen"),
                                                     ("recommended", None, "recommended_text")])  # fmt: skip
def test_an_agreed_limit_binds_by_what_was_written_down(force: str, agreed: str | None, key: str) -> None:
    breach = SimpleNamespace(rule={"force": force})
    found = SimpleNamespace(breach=breach, hand_overs=[SimpleNamespace(agreed=agreed)])
    assert binding(cast(Dossier, found), Words("zh")) == Words("zh")(f"audit_force_{key}")


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("007", 7), ("999", 999), ("1000", None), ("9" * 5000, None), ("²", None),
                                              ("９", None), ("-1", None), ("1e3", None), ("", None)])  # fmt: skip
def test_a_whole_number_is_one_in_ascii_digits(text: str, number: int | None) -> None:
    assert whole(text, 999) == number


def test_an_address_says_the_same_when_it_is_asked_again() -> None:
    asked = ask(
        {
            "from": "2026-06-01",
            "to": "",
            "holder": "coop",
            "over_c": "3",
            "order": "worst",
            "page": "3",
            "text": "a&b=ü 31",
        },
        TODAY,
    )
    again = ask(dict(parse_qsl(asked.query(page=3), keep_blank_values=True)), TODAY)
    assert again == asked
    assert ask(dict(parse_qsl(asked.query(holder=None), keep_blank_values=True)), TODAY).page == 1, (
        "another filter begins at the first page"
    )


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=30)))
def test_any_address_gives_a_question(query: dict[str, str]) -> None:
    asked = ask(query, TODAY)
    assert set(asked.wrong) <= set(query) | {"from", "to"}
    assert ask(dict(parse_qsl(asked.query(), keep_blank_values=True)), TODAY).filters() == asked.filters() | {
        "offset": 0
    }


# --- files ------------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=40)


def sheet(*rows: tuple[Any, ...]) -> Sheet:
    columns = (Column("name"), Column("value", "number"), Column("when", "moment"))
    return Sheet("=title", "about", (("filter", "=1+1"),), columns, tuple(rows))


@given(TEXT, st.floats(allow_nan=False, allow_infinity=False))
def test_a_csv_is_read_back_and_computes_nothing(text: str, value: float) -> None:
    moment = datetime(2026, 6, 19, 1, 10, 32, tzinfo=SHANGHAI)
    body = to_csv(sheet((text, value, moment), ("", None, None)))
    rows = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")))
    assert rows[0] == ["'=title"] and rows[1] == ["filter", "'=1+1"] and rows[2] == []
    cell, number, when = rows[4]
    clean = "".join(char for char in text if char in "\t\n\r" or " " <= char not in "\ufffe\uffff")
    assert cell in (clean, f"'{clean}")
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))
    assert float(number) == value and when == "2026-06-19T01:10:32+08:00"
    assert rows[5] == ["", "", ""]


@given(TEXT)
def test_an_xlsx_keeps_text_as_text(text: str) -> None:
    moment = datetime(2026, 6, 19, 1, 10, 32, tzinfo=SHANGHAI)
    book = load_workbook(io.BytesIO(to_xlsx(sheet((text, 3.5, moment)))))
    table, about = book.worksheets
    assert [cell.value for cell in table[1]] == ["name", "value", "when", "when UTC±"]
    cell, number, when, offset = table[2]
    assert cell.data_type in ("s", "n", "inlineStr") and (cell.value is None or isinstance(cell.value, str))
    assert (number.value, when.value, offset.value) == (3.5, datetime(2026, 6, 19, 1, 10, 32), "+08:00")
    assert about["B1"].value == "=1+1" and about["B1"].data_type == "s"
    assert table.freeze_panes == "A2" and table.auto_filter.ref == "A1:D2"


@pytest.mark.parametrize(
    "text", [" =1+1", "\ufeff=1+1", "\u200b@SUM(A1)", "\x01=1+1", "\u00a0+1", "\ud800=1"]
)
def test_what_nobody_sees_hides_no_formula(text: str) -> None:
    rows = list(csv.reader(io.StringIO(to_csv(sheet((text, 1, None))).decode("utf-8-sig"), newline="")))
    assert rows[4][0].startswith("'")
    assert load_workbook(io.BytesIO(to_xlsx(sheet((text, 1, None))))).worksheets[0]["A2"].quotePrefix


@pytest.mark.parametrize("text", ["\ufffe", "a\uffffb", "\ud800", "x" * 40_000, "\x0b" * 3])
def test_a_file_opens_whatever_a_name_holds(text: str) -> None:
    assert load_workbook(io.BytesIO(to_xlsx(sheet((text, 1, None))))).worksheets[0]["B2"].value == 1
    assert to_csv(sheet((text, 1, None)))


# --- words ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_of_these_pages_claims_an_offence_or_promises_safety(language: Any) -> None:
    for key, text in CATALOGUES[language].items():
        if key.startswith("audit_"):
            for word in (
                "违法",
                "违规",
                "非法",
                "不合法",
                "安全",
                "unlawful",
                "illegal",
                "offence",
                "violation",
                "safe",
            ):
                assert word not in text.lower(), f"{key}: {word}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_force_has_its_words(language: Any) -> None:
    words = Words(language)
    assert all(
        words(f"audit_force_{force}")
        and words(f"audit_force_{force}_title")
        and words(f"audit_force_{force}_text")
        for force in FORCES
    )


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (None, "not known"),
        (0.0, "0\u00a0%"),
        (0.004, "under 1 %"),
        (0.3, "about 30\u00a0%"),
        (0.999, "about 99\u00a0%"),
        (1.0, "about 100\u00a0%"),
    ],
)
def test_little_is_not_nothing_and_most_is_not_all(part: float | None, said: str) -> None:
    assert share(Words("en"), part) == said


def test_a_rate_is_given_between_what_is_known_and_what_could_be() -> None:
    words = Words("en")
    assert summary_view(Summary(10, 2, 5, 10.0, 1.0), words).share == "50\u00a0% to 80\u00a0%"
    assert summary_view(Summary(10, 5, 5, 10.0, 0.0), words).share == "50\u00a0%"
    assert summary_view(Summary(4, 0, 0, None, None), words).share == "", "nothing can be told, so nothing is"
    assert summary_view(Summary(0, 0, 0, None, None), words).share == ""


@pytest.mark.parametrize(
    ("said", "told"),
    [("0..5 CEL", "0.0\u00a0°C 至 5.0\u00a0°C"), ("-18..-12 CEL", "\u221218.0\u00a0°C 至 \u221212.0\u00a0°C"),
     ("2.1 CEL", "2.1\u00a0°C"), ("about 5", "about 5"), ("40 FAH", "40 FAH")])  # fmt: skip
def test_an_agreed_temperature_is_told_as_people_read_it(said: str, told: str) -> None:
    assert said_celsius(said, Words("zh")) == told
