"""The pages as text: what they say, what they must never say, and that nothing from outside becomes markup."""

from __future__ import annotations

import json
import re
import string
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.trace_api.example_story import (
    BARE_STORY,
    BOX_STORY,
    CITY_SHOP,
    COMPLIANT,
    INDETERMINATE,
    LEGS,
    LOT_STORY,
    STEPS,
    TRUCK,
    at,
    milliseconds,
)
from trace_api import chart, pages, words
from trace_api.story import Amount, Certificate, Curve, Leg, Name, Recall, Story
from trace_api.words import LANGUAGES, Language, Words
from trace_api.words.zh import shopper

ASSETS = pages.Assets(
    "/web/style.css", "/web/verify.js", "/web/icon.svg", "https://suyuan.example", "/web/work.js"
)
RECALL = Recall("open", 1, Name("合作社", "Cooperative"), None, BOX_STORY.now - timedelta(hours=2), Name("农药残留超标", "residue"), "inputs", 0.18,
                (), None)  # fmt: skip
STORIES = {
    "box": BOX_STORY,
    "lot": LOT_STORY,
    "bare": BARE_STORY,
    "compliant": replace(BOX_STORY, judgement=COMPLIANT),
    "on_hold": replace(BOX_STORY, judgement=INDETERMINATE, on_hold=True),
    "recalled": replace(
        BOX_STORY,
        on_hold=True,
        recalls=(
            RECALL,
            replace(
                RECALL,
                state="completed",
                by=None,
                part="part",
                share=None,
                amounts=(Amount(12, None),),
                ended=BOX_STORY.now,
            ),
        ),
    ),
    "recall_withdrawn": replace(
        BOX_STORY, recalls=(replace(RECALL, state="withdrawn", level=None, reason=None, ended=BOX_STORY.now),)
    ),
    "no_legs": replace(BOX_STORY, legs=()),
    "nothing_measured": replace(BOX_STORY, legs=LEGS[:1]),
    "witnessed": replace(BOX_STORY, independent_witnesses=2),
}
MISSING = [
    pages.Missing("unknown_lot", "01/09521234000204/10/X"),
    pages.Missing("unknown_box", "21/9999", lot_path="/01/09521234000204/10/DK260618A"),
    pages.Missing("bad_identifier", "09521234000205", Name("校验位应为 4", "check digit: want 4")),
    pages.Missing("unavailable", ""),
    pages.Missing("no_page", "/nowhere"),
]


class Markup(HTMLParser):
    """Gathers what a policy or a reader of the page cares about; fails on tags that do not nest."""

    VOID = frozenset({"meta", "link", "br", "input", "img"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def ids(self) -> list[str | None]:
        return [attributes["id"] for _, attributes in self.tags if "id" in attributes]


def every_page(language: Language) -> dict[str, str]:
    found = {name: pages.render_story(story, language, ASSETS) for name, story in STORIES.items()}
    found |= {missing.reason: pages.render_missing(missing, language, ASSETS) for missing in MISSING}
    found["home"] = pages.render_home([], language, ASSETS)
    return found


@pytest.fixture(scope="module", params=LANGUAGES)
def rendered(request: pytest.FixtureRequest) -> dict[str, str]:
    return every_page(request.param)


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", "".join(Markup(page).text))


# Every page ----------------------------------------------------------------------------------------------------------


def test_pages_stand_under_the_policy(rendered: dict[str, str]) -> None:
    for name, page in rendered.items():
        markup = Markup(page)
        for tag, attributes in markup.tags:
            assert tag != "style", name
            assert not any(key == "style" or key.startswith("on") for key in attributes), (
                name,
                tag,
                attributes,
            )
            if tag in ("script", "link", "img", "use"):
                address = attributes.get("src") or attributes.get("href")
                assert address is not None, (name, tag)
                assert address.startswith("/web/"), (name, address)
        assert all(attributes.get("src") for attributes in markup.all("script")), name


def test_pages_are_well_formed_for_everybody(rendered: dict[str, str]) -> None:
    for name, page in rendered.items():
        markup = Markup(page)
        assert len(markup.ids) == len(set(markup.ids)), name
        assert len(markup.all("main")) == 1, name
        assert len(markup.all("h1")) == 1, name
        for _, attributes in markup.tags:
            for reference in (attributes.get("aria-labelledby") or "").split():
                assert reference in markup.ids, (name, reference)


def test_no_page_promises_health(rendered: dict[str, str]) -> None:
    for name, page in rendered.items():
        assert "安全" not in page, name
        assert not re.search(r"\bsafe(ty|ly|r|st)?\b", page, re.IGNORECASE), name


def test_no_page_shows_a_key_or_an_unfilled_place(rendered: dict[str, str]) -> None:
    for name, page in rendered.items():
        text = text_of(page)
        assert "{" not in text, name
        assert "None" not in text.replace("None yet", ""), name
        assert not re.search(r"\b(step|stage|position|proof|missing|leg|chart)_[a-z]", text), name


def test_no_verdict_contradicts_a_recall() -> None:
    for language in LANGUAGES:
        said = Words(language)
        text = pages.render_story(replace(STORIES["recalled"], judgement=COMPLIANT), language, ASSETS)
        top, _, rest = text.partition('<h1 id="product">')
        assert (
            said("recalled_title") in top
            and said("recalled_part_inputs_share", share=said.percent(0.18)) in top
        )
        assert (
            said("recalled_verdict") in rest
            and "verdict-state" not in rest
            and 'class="verdict state-compliant"' not in rest
        )
        withdrawn = pages.render_story(STORIES["recall_withdrawn"], language, ASSETS)
        assert said("recalled_title") not in withdrawn and said("recalled_withdrawn_title") in withdrawn
        assert "verdict-state" in withdrawn


# Words ---------------------------------------------------------------------------------------------------------------


def test_both_languages_say_the_same_things() -> None:
    assert words.ZH.keys() == words.EN.keys()
    for key, zh in words.ZH.items():
        assert places(zh) == places(words.EN[key]), key


def places(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_word_of_the_catalogue_is_used() -> None:
    folder = Path(pages.__file__).parent
    sources = "".join(path.read_text() for path in (*folder.glob("templates/*"), *folder.glob("*.py")))
    sources = sources.partition("ZH = {")[0] + sources.partition("CATALOGUES")[2]
    groups = (
        "step_",
        "stage_",
        "position_",
        "check_",
        "missing_",
        "proof_failed_",
        "verdict_",
        "test_",
        "witness_relation_",
        "recalled_part_",
        "recalled_level_",
        "recalled_authority_",
    )
    unused = [key for key in shopper.ZH if key not in sources and not key.startswith(groups)]
    assert unused == []


@pytest.mark.parametrize(
    ("query", "header", "want"),
    [
        (None, None, "zh"),
        (None, "", "zh"),
        (None, "en-GB,en;q=0.9", "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "en;q=0.3, zh;q=0.7", "zh"),
        (None, "fr-FR,fr;q=0.9", "en"),
        (None, "fr, zh;q=0", "en"),
        (None, "*", "zh"),
        (None, "en;q=x,;;,", "zh"),
        ("en", "zh-CN", "en"),
        ("zh", "en", "zh"),
        ("xx", "en", "en"),
    ],
)
def test_the_language_is_the_reader_s(query: str | None, header: str | None, want: Language) -> None:
    assert pages.choose_language(query, header) == want


@given(st.text(max_size=200))
def test_any_header_gives_a_language(header: str) -> None:
    assert pages.choose_language(None, header) in LANGUAGES


def test_durations_and_numbers_read_well() -> None:
    zh, en = Words("zh"), Words("en")
    assert [en.minutes(minutes).replace("\u00a0", " ") for minutes in (0, 42, 60, 125.4)] == [
        "0 min", "42 min", "1 h", "2 h 05 min",
    ]  # fmt: skip
    assert zh.minutes(125).replace("\u00a0", " ") == "2 小时 05 分"
    assert en.age(47.9 * 60).replace("\u00a0", " ") == "47 h"
    assert en.age(50 * 60).replace("\u00a0", " ") == "2 d 2 h"
    assert en.celsius(-0.04).replace("\u00a0", " ") == "0.0 °C"
    assert en.celsius(-18.04).replace("\u00a0", " ") == "\u221218.0 °C"
    assert en.celsius(-10.04).replace("\u00a0", " ") == "\u221210.0 °C"
    assert en.quantity(240, None).replace("\u00a0", " ") == "240 boxes"
    assert zh.quantity(312.5, "KGM").replace("\u00a0", " ") == "312.5 千克"
    assert en.quantity(3, "XYZ").replace("\u00a0", " ") == "3 XYZ"


# The story -----------------------------------------------------------------------------------------------------------


def test_the_box_page_tells_the_story_without_a_script() -> None:
    text = text_of(pages.render_story(BOX_STORY, "en", ASSETS)).replace("\u00a0", " ")
    for said in (
        "Dongkui bayberries", "Xianling Red", "Box0017", "LotDK260618A", "36 h", "Shangchen hill 7, Hengxi", "46 %",
        "Outside what was agreed", "at least 3 h 48 min", "Pre-cooling done", "05:20", "Reefer truck",
        "Agreed limit 5.0 °C: in part 5, 6, 7", "not measured for 42 min",
        "own promise, not a certificate from a third party", "Not yet checked on this device", "needs JavaScript",
        "Independent witnesses", "None yet.", "Of the 19 events of this page, 18 are in the record",
        "suyuan verify DK260618A-0017.evidence.json --key LOG.vkey",
    ):  # fmt: skip
        assert said in text, said


def test_a_state_is_told_by_word_and_shape() -> None:
    for story, state in ((BOX_STORY, "breach"), (STORIES["compliant"], "compliant")):
        for language in LANGUAGES:
            page = pages.render_story(story, language, ASSETS)
            assert f'class="icon icon-{state}"' in page
            assert Words(language)(f"verdict_{state}") in page


def test_a_lot_shows_its_portions_and_a_box_its_own() -> None:
    lot, box = (pages.render_story(story, "zh", ASSETS) for story in (LOT_STORY, BOX_STORY))
    assert lot.count('<tr><th scope="row"><span class="place">') == 4
    assert 'href="/01/09521234000204/10/DK260618A/21/0121?lang=zh"' in lot
    assert 'href="/01/09521234000204/10/DK260618A?lang=zh"' in box
    assert 'class="portions"' not in box
    assert "记录最差的一份" in lot
    assert "记录最差的一份" not in box


def test_what_is_not_recorded_is_said() -> None:
    text = text_of(pages.render_story(BARE_STORY, "en", ASSETS))
    for said in (
        "No judgement yet", "Not recorded", "No place of origin", "No step is recorded", "No temperature is recorded",
        "No declaration is recorded", "No test is recorded", "not in the record yet",
    ):  # fmt: skip
        assert said in text, said
    assert "data-evidence" not in pages.render_story(BARE_STORY, "en", ASSETS)


def test_a_test_is_never_called_failed() -> None:
    test = replace(BOX_STORY.tests[0], result="on_hold")
    text = text_of(pages.render_story(replace(BOX_STORY, tests=(test,)), "en", ASSETS)).lower()
    assert "on hold until the final result" in text
    assert "failed" not in text


def test_an_unknown_step_or_stage_is_still_told() -> None:
    steps = (replace(STEPS[0], code="blessed"),)
    legs = (replace(LEGS[4], stage="orbit"),)
    text = text_of(pages.render_story(replace(BOX_STORY, steps=steps, legs=legs), "en", ASSETS))
    assert "Other record" in text
    assert "blessed" not in text
    assert "orbit" not in text


HOSTILE = '"><script>alert(1)</script><b onclick=x>&'


def test_nothing_from_outside_becomes_markup() -> None:
    name = Name(HOSTILE, HOSTILE)
    site = replace(CITY_SHOP, name=name)
    story = replace(
        LOT_STORY, lot=HOSTILE, product=name, brand=name, proof_url=f"/api/{HOSTILE}",
        certificates=(Certificate(HOSTILE, name, at(1)),),
        steps=tuple(replace(step, site=site, organisation=name, code=HOSTILE) for step in STEPS),
        legs=tuple(
            replace(leg, site=site, curves=tuple(replace(each, position=HOSTILE, device_model=HOSTILE) for each in leg.curves))
            for leg in LEGS
        ),
        origins=tuple(replace(origin, lot=HOSTILE, site=site) for origin in LOT_STORY.origins),
        portions=tuple(replace(portion, now_at=site, uom=HOSTILE, sample_serial=HOSTILE) for portion in LOT_STORY.portions),
    )  # fmt: skip
    for page in (
        pages.render_story(story, "zh", ASSETS),
        pages.render_missing(pages.Missing("unknown_lot", HOSTILE, name), "en", ASSETS),
        pages.render_home([pages.Sample(name, name, "/01/x")], "en", ASSETS),
    ):
        markup = Markup(page)
        assert HOSTILE in "".join(markup.text)
        assert all(attributes.get("src") == ASSETS.script for attributes in markup.all("script"))
        assert markup.all("b") == []
        assert "<script>alert" not in page


@pytest.mark.parametrize("missing", MISSING, ids=lambda missing: missing.reason)
def test_a_missing_page_says_what_happened_and_what_to_do(missing: pages.Missing) -> None:
    for language in LANGUAGES:
        text = text_of(pages.render_missing(missing, language, ASSETS))
        word = Words(language)
        assert word(f"missing_{missing.reason}") in text
        assert word(f"missing_{missing.reason}_next") in text
        assert missing.asked in text
        if missing.detail:
            assert word.name(missing.detail) in text


def test_the_qr_code_holds_the_address_of_the_page() -> None:
    page = pages.render_story(BOX_STORY, "zh", ASSETS)
    assert str(pages.qr_svg("https://suyuan.example/01/09521234000204/10/DK260618A/21/0017")) in page
    assert "style=" not in pages.qr_svg("https://suyuan.example/")


def test_paths_are_digital_links() -> None:
    assert pages.story_path("09521234000204", "A/B 1", "0#1") == "/01/09521234000204/10/A%2FB%201/21/0%231"


def test_assets_come_from_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(
        json.dumps({"style": "s.css", "script": "v.js", "icon": "i.svg", "work": "w.js"})
    )
    assert pages.load_assets("https://a.example/", dist=tmp_path) == pages.Assets(
        "/web/s.css", "/web/v.js", "/web/i.svg", "https://a.example", "/web/w.js"
    )
    with pytest.raises(pages.PagesError, match="have not been built"):
        pages.load_assets("https://a.example", dist=tmp_path / "absent")


# The picture ---------------------------------------------------------------------------------------------------------


def leg_with(*curves: Curve, unmeasured_min: float = 1000) -> Leg:
    return Leg(TRUCK, None, "loaded", at(0), at(4), 5.0, curves, 0, unmeasured_min, (0, 0), None, None)


def minutes_curve(*minutes: int, interval_s: int = 60) -> Curve:
    start = milliseconds(at(0))
    return Curve("in_box", "m", 0.3, interval_s, tuple((start + minute * 60_000, 4.0) for minute in minutes))


def measured_between(leg: Leg) -> list[tuple[float, float]]:
    start = milliseconds(at(0))
    return [((first - start) / 60_000, (last - start) / 60_000) for first, last in chart.unmeasured(leg)]


def test_a_leg_without_readings_is_not_measured() -> None:
    assert measured_between(leg_with()) == [(0, 240)]
    assert measured_between(leg_with(minutes_curve())) == [(0, 240)]


def test_silences_are_what_no_device_measured() -> None:
    one = minutes_curve(*range(60), *range(120, 240))
    other = minutes_curve(*range(0, 90, 5), *range(150, 241, 5), interval_s=300)
    assert measured_between(leg_with(one)) == [(59, 120)]
    assert measured_between(leg_with(one, other)) == [(85, 120)]
    assert measured_between(leg_with(one, unmeasured_min=0)) == []


def test_a_line_ends_where_the_device_fell_silent() -> None:
    curve = minutes_curve(*range(60), *range(120, 180))
    assert [len(run) for run in chart.runs(curve)] == [60, 60]


def test_thinning_is_no_silence() -> None:
    """Two points of each bucket of 20 readings: neighbours lie up to 39 minutes apart."""
    minutes = [minute for bucket in range(0, 240, 20) for minute in (bucket + 1, bucket + 18)]
    assert len(list(chart.runs(minutes_curve(*minutes)))) == 1


@given(
    st.lists(st.floats(0, 300), min_size=1, max_size=16).map(sorted),
)
def test_labels_never_overlap(wanted: list[float]) -> None:
    places = chart.spread(wanted, 18, 0, 300)
    assert len(places) == len(wanted)
    assert all(after - before >= 18 - 1e-9 for before, after in pairwise(places))
    assert places[0] >= 9 - 1e-9
    assert places[-1] <= 291 + 1e-9


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 239), st.floats(-40, 60)), max_size=40, unique_by=lambda point: point[0]
    ).map(sorted),
    st.sampled_from([None, -18.0, 5.0]),
)
def test_everything_drawn_lies_inside_the_drawing(
    points: list[tuple[int, float]], limit: float | None
) -> None:
    start = milliseconds(at(0))
    curve = Curve("in_box", "m", 0.3, 60, tuple((start + minute * 60_000, value) for minute, value in points))
    leg = replace(leg_with(curve), limit_c=limit)
    for size in (chart.WIDE, chart.NARROW):
        drawn = chart.draw([leg], size, Words("en"), "Asia/Shanghai")
        numbers = [float(number) for line in drawn.lines for number in re.findall(r"-?[\d.]+", line.path)]
        assert all(0 <= number <= size.width for number in numbers[0::2])
        assert all(size.top - 0.1 <= number <= size.floor + 0.1 for number in numbers[1::2])
        assert 2 <= len(drawn.degrees) <= 12
        assert all(size.left - 0.1 <= stretch.x <= size.width for stretch in drawn.stretches)


def test_the_table_holds_what_the_picture_shows() -> None:
    rows = chart.hours(LEGS)
    shown = chart.positions(LEGS)
    assert shown == ("in_box", "return_air", "ambient", "pulp")
    for position in shown:
        values = [
            value
            for leg in LEGS
            for each in leg.curves
            if each.position == position
            for _, value in each.points
        ]
        pairs = [pair for row in rows if (pair := row.extremes[shown.index(position)])]
        assert min(low for low, _ in pairs) == min(values)
        assert max(high for _, high in pairs) == max(values)
    assert rows[0].legs == (1,)
    assert all(row.start + timedelta(hours=1) == after.start for row, after in pairwise(rows))


def test_hours_of_a_zone_with_half_hours_stand_at_full_hours() -> None:
    drawn = chart.draw(LEGS, chart.WIDE, Words("en"), "Asia/Kolkata")
    assert {tick.text[-2:] for tick in drawn.times} == {"00"}


def test_a_journey_of_a_minute_and_one_of_a_month_can_be_drawn() -> None:
    start = milliseconds(at(0))
    for hours in (1 / 60, 24 * 31):
        end = at(hours)
        curve = Curve("in_box", "m", 0.3, 60, ((start, 3.0), (milliseconds(end), 4.0)))
        story: Story = replace(BOX_STORY, legs=(replace(LEGS[4], start=at(0), end=end, curves=(curve,)),))
        assert 'class="chart chart-wide"' in pages.render_story(story, "en", ASSETS)
