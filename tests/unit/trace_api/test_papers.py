"""The papers as a printer and a scanner have them: rasterised at 203 dpi, read back, and nothing outside its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import pypdfium2
import pypdfium2.raw as pdfium
import pytest
import zxingcpp
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from trace_api.papers import MissingGlyphsError, NoRoomError
from trace_api.papers.certificate import (
    BASES,
    PAGE_SIZES,
    Certificate,
    Kind,
    PageSize,
    Status,
    certificate_pdf,
)
from trace_api.papers.labels import SIZES, Label, Size, box_label, labels_pdf, lot_label, unit_label
from trace_api.words import Language, Words

DPI = 203
MADE_AT = datetime(2026, 6, 18, 1, 30, tzinfo=UTC)
SITE = "https://trace.example.cn"
LOT = f"{SITE}/01/09521234000013/10/DK260618A"
LONGEST = "W" * 20
"""A lot or serial number of the most and widest characters that GS1 allows."""
LONG_SITE = "https://traceability.xianju-cooperative.example.cn"
LONG_NAME = "仙居县特级东魁杨梅礼盒装冷链直发限量精选大果（二十四粒装）与荸荠种混装附赠冰袋" * 2


def box(words: Words, number: int = 1, **changes: Any) -> Label:
    facts: dict[str, Any] = {
        "product": "仙居东魁杨梅 A级",
        "lot": "DK260618A",
        "serial": f"{number:08d}",
        "net_kg": 2.5,
        "packed_on": date(2026, 6, 18),
        "packer": "仙居县南峰杨梅专业合作社",
    }
    facts |= changes
    return box_label(words, url=f"{LOT}/21/{facts['serial']}", **facts)


def longest_box(words: Words) -> Label:
    long = box(words, product=LONG_NAME, lot=LONGEST, serial=LONGEST, net_kg=12.345, packer=LONG_NAME)
    return replace(long, url=f"{LONG_SITE}/01/09521234000013/10/{LONGEST}/21/{LONGEST}")


def every_label(words: Words) -> list[Label]:
    unit = unit_label(
        words, url=f"{SITE}/00/095212340000000014", product="东魁杨梅", unit="095212340000000014",
        lot="DK260618A", boxes=120, net_kg=300, packed_on=date(2026, 6, 18), packer="南峰合作社",
    )  # fmt: skip
    nameless = unit_label(
        words, url=f"{SITE}/xj-coop/obj/unit-260618-0017", product=LONG_NAME, unit="unit-260618-0017",
        lot=LONGEST, boxes=1200, net_kg=12345.5, packed_on=date(2026, 12, 28), packer=LONG_NAME,
    )  # fmt: skip
    crate = lot_label(
        words, url=LOT, product="东魁杨梅 鲜果", lot=LONGEST, display_name="3号棚上午", quantity="126.5 千克",
        day=date(2026, 6, 18), place=LONG_NAME, holder="南峰合作社",
    )  # fmt: skip
    return [box(words), longest_box(words), unit, nameless, crate]


CERTIFICATE = Certificate(
    url=f"{SITE}/253/9521234008003HGZ260618A",
    number="HGZ260618A-0001",
    kind="producer",
    product="杨梅（东魁）",
    lot="DK260618A",
    quantity_kg=600,
    origin="浙江省台州市仙居县福应街道",
    declared_by="仙居县南峰杨梅专业合作社",
    contact="0576-5550100",
    issued_at=MADE_AT,
    basis=("self_inspection", "internal_control"),
)


def pages(paper: bytes) -> list[pypdfium2.PdfPage]:
    """They keep their document alive."""
    return list(pypdfium2.PdfDocument(paper))


def printed(page: pypdfium2.PdfPage, dpi: float = DPI) -> Image.Image:
    return page.render(scale=dpi / 72).to_pil().convert("L")


def one_bit(image: Image.Image) -> Image.Image:
    return image.point(lambda value: 255 * (value > 127))


def smeared(image: Image.Image) -> Image.Image:
    """As a worn ribbon and a phone out of focus have it."""
    return one_bit(image).filter(ImageFilter.GaussianBlur(1.2))


def read(image: Image.Image) -> list[str]:
    return [found.text for found in zxingcpp.read_barcodes(image)]


def text_of(page: pypdfium2.PdfPage) -> str:
    return str(page.get_textpage().get_text_bounded()).replace("\r", "").replace("\n", "")


# Codes -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("size", SIZES)
def test_every_label_reads_back(size: Size, language: Language) -> None:
    labels = every_label(Words(language))
    made = list(pages(labels_pdf(labels, size, "labels", MADE_AT)))
    assert len(made) == len(labels)
    for label, page in zip(labels, made, strict=True):
        image = printed(page)
        for seen in (image, one_bit(image), smeared(image), image.rotate(7, fillcolor=255, expand=True)):
            assert read(seen) == [label.url]


def test_a_roll_of_boxes_is_one_file() -> None:
    labels = [box(Words("zh"), number) for number in range(1, 241)]
    document = pypdfium2.PdfDocument(labels_pdf(labels, "60x40", "labels", MADE_AT))
    assert len(document) == 240
    assert [read(one_bit(printed(document[at])))[0] for at in (0, 119, 239)] == [
        labels[at].url for at in (0, 119, 239)
    ]


@pytest.mark.parametrize("size", SIZES)
def test_a_module_is_whole_dots_of_the_printer(size: Size) -> None:
    """Eight dots to the millimetre: in the one-bit raster every run of a code is a multiple of its module."""
    for page in pages(labels_pdf(every_label(Words("zh")), size, "labels", MADE_AT)):
        image = one_bit(printed(page, dpi=203.18))  # the page is a whole number of dots, and rounded up
        dots = np.asarray(image) < 128
        left, top, right, bottom = place_of_code(image, dots)
        runs = [length for row in dots[top:bottom, left:right] for length in run_lengths(row)]
        module = int(np.gcd.reduce(runs))
        assert module >= 3
        side = right - left
        assert side % module == 0 and (side // module - 17) % 4 == 0
        quiet = 4 * module
        assert (
            not dots[top:bottom, left - quiet : left].any()
            and not dots[top:bottom, right : right + quiet].any()
        )
        assert not dots[max(top - quiet, 0) : top, left:right].any()
        assert not dots[bottom : bottom + quiet, left:right].any()
        assert top >= quiet and left >= quiet and right + quiet <= dots.shape[1]


def place_of_code(image: Image.Image, dots: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """The reader says where it is to a dot or two: its ink says so exactly."""
    (code,) = zxingcpp.read_barcodes(image)
    near, far = code.position.top_left, code.position.bottom_right
    left, top = near.x - 5, near.y - 5
    rows, columns = np.nonzero(dots[top : far.y + 6, left : far.x + 6])
    return left + columns.min(), top + rows.min(), left + columns.max() + 1, top + rows.max() + 1


def run_lengths(row: npt.NDArray[np.bool_]) -> list[int]:
    return [len(list(group)) for _dark, group in groupby(row)]


@pytest.mark.parametrize("size", PAGE_SIZES)
@pytest.mark.parametrize("status", ["valid", "void", "replaced"])
def test_a_certificate_reads_back_even_when_void(size: PageSize, status: Status) -> None:
    said = replace(
        CERTIFICATE, status=status, replaced_by="HGZ260618A-0002" if status == "replaced" else None
    )
    (page,) = pages(certificate_pdf(said, size, MADE_AT))
    image = printed(page)
    for seen in (image, one_bit(image), smeared(image)):
        assert read(seen) == [CERTIFICATE.url]


# Words -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_identifiers_stand_whole_and_names_are_shortened(size: Size) -> None:
    short, long, unit, nameless, crate = (
        text_of(page) for page in pages(labels_pdf(every_label(Words("zh")), size, "labels", MADE_AT))
    )
    short = short.replace(" ", "")
    assert "仙居东魁杨梅A级" in short and "南峰杨梅专业合作社" in short
    assert "批次DK260618A" in short and "箱号00000001" in short and "2026-06-18" in short
    assert long.count(LONGEST) == 2 and "12.345 kg" in long and "…" in long
    assert "(00) 0 9521234 00000 00014" in unit and "120 箱" in unit
    assert "unit-260618-0017" in nameless and LONGEST in nameless
    assert LONGEST in crate and "3号棚上午" in crate and "126.5 千克" in crate


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_nothing_leaves_its_place(size: Size, language: Language) -> None:
    for page in pages(labels_pdf(every_label(Words(language)), size, "labels", MADE_AT)):
        want_inside(page)


@given(st.text(st.characters(codec="gb2312", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1, max_size=60))
@example("īǐ")
@settings(deadline=None, max_examples=12)
def test_any_name_stays_inside(name: str) -> None:
    (page,) = pages(labels_pdf([box(Words("zh"), product=name, packer=name)], "60x40", "labels", MADE_AT))
    want_inside(page)
    assert read(printed(page)) == [f"{LOT}/21/00000001"]


def want_inside(page: pypdfium2.PdfPage) -> None:
    """Every character on the page, none over another line's and none over the code."""
    width, height = page.get_size()
    characters = list(boxes(page))
    assert characters
    image = printed(page)
    (code,) = zxingcpp.read_barcodes(image)
    left, top = code.position.top_left.x * 72 / DPI, height - code.position.top_left.y * 72 / DPI
    right, bottom = code.position.bottom_right.x * 72 / DPI, height - code.position.bottom_right.y * 72 / DPI
    for x, right_x, y, top_y in characters:
        assert x > 2 and right_x < width - 2 and y > 2 and top_y < height - 2
        assert right_x < left or x > right or top_y < bottom or y > top
    assert not overlapping(characters)


def boxes(page: pypdfium2.PdfPage) -> Iterator[tuple[float, float, float, float]]:
    """Left, right, bottom and top of the ink of each character, in points from the lower left."""
    text = page.get_textpage()
    for index in range(text.count_chars()):
        if not text.get_text_range(index, 1).strip():
            continue
        left, bottom, right, top = text.get_charbox(index)
        yield left, right, bottom, top


def overlapping(characters: Sequence[tuple[float, float, float, float]]) -> list[tuple[int, int]]:
    def apart(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
        slack = 0.35  # points: two letters of one word may touch
        return a[1] <= b[0] + slack or b[1] <= a[0] + slack or a[3] <= b[2] + slack or b[3] <= a[2] + slack

    def accents_touch(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
        """Of two neighbours in one word: a macron is wider than the i that carries it."""
        return min(a[1], b[1]) - max(a[0], b[0]) < 1.5

    return [
        (i, j)
        for i, a in enumerate(characters)
        for j, b in enumerate(characters[:i])
        if not apart(a, b) and not (i - j == 1 and accents_touch(a, b))
    ]


def test_every_font_is_embedded() -> None:
    made = [
        labels_pdf(every_label(Words("zh")), "60x40", "x", MADE_AT),
        certificate_pdf(CERTIFICATE, "A6", MADE_AT),
    ]
    for page in (page for paper in made for page in pages(paper)):
        texts = [each for each in page.get_objects() if each.type == pdfium.FPDF_PAGEOBJ_TEXT]
        assert texts
        assert all(pdfium.FPDFFont_GetIsEmbedded(pdfium.FPDFTextObj_GetFont(each.raw)) == 1 for each in texts)


def test_a_character_without_glyph_is_named_and_not_printed_as_a_box() -> None:
    with pytest.raises(MissingGlyphsError, match=r"🍓 \(U\+1F353\)") as caught:
        labels_pdf([box(Words("zh"), product="🍓🍓杨梅")], "60x40", "x", MADE_AT)
    assert caught.value.characters == "🍓"
    with pytest.raises(MissingGlyphsError):
        certificate_pdf(replace(CERTIFICATE, declared_by="张🍓"), "A6", MADE_AT)


def test_rare_names_of_people_and_villages_have_glyphs() -> None:
    names = "垟岙埭喆淼堃犇囧龑翀頔甪乂奂䶮"
    (page,) = pages(certificate_pdf(replace(CERTIFICATE, origin=names), "A6", MADE_AT))
    assert names in text_of(page)


def test_an_identifier_that_does_not_fit_is_refused() -> None:
    with pytest.raises(NoRoomError):
        labels_pdf([box(Words("zh"), serial="W" * 90)], "60x40", "x", MADE_AT)
    with pytest.raises(NoRoomError):
        labels_pdf([replace(box(Words("zh")), url=f"{SITE}/{'9' * 900}")], "60x40", "x", MADE_AT)


# Certificate ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "promise"),
    [
        ("producer", "我承诺对生产销售的食用农产品"),
        ("buyer", "我承诺对收购销售的食用农产品"),
        ("producer_card", "信息卡"),
    ],
)
def test_a_certificate_says_who_promises_what(kind: Kind, promise: str) -> None:
    (page,) = pages(certificate_pdf(replace(CERTIFICATE, kind=kind), "A6", MADE_AT))
    text = text_of(page)
    assert promise in text and "不使用禁用农药兽药、停用兽药和非法添加物" in text
    for value in ("杨梅（东魁）", "600 千克", "浙江省台州市仙居县福应街道", "仙居县南峰杨梅专业合作社"):
        assert value in text
    for value in ("0576-5550100", "2026年6月18日", "HGZ260618A-0001", "DK260618A", "不是第三方认证"):
        assert value in text
    assert "作废" not in text.replace("是否已作废", "")


@pytest.mark.parametrize("status", ["void", "replaced"])
def test_a_void_certificate_is_void_across_its_text(status: Status) -> None:
    said = replace(CERTIFICATE, status=status, replaced_by="HGZ260618A-0002")
    (good,) = pages(certificate_pdf(CERTIFICATE, "A6", MADE_AT))
    (bad,) = pages(certificate_pdf(said, "A6", MADE_AT))
    assert text_of(bad).count("已作废") == 2
    assert ("HGZ260618A-0002" in text_of(bad)) == (status == "replaced")
    fresh, crossed = (np.asarray(one_bit(printed(page))) < 128 for page in (good, bad))
    middle = slice(int(0.15 * fresh.shape[0]), int(0.75 * fresh.shape[0]))
    added = (crossed & ~fresh)[middle]
    assert added.any(axis=0).mean() > 0.8, "the mark does not go across the paper"


def test_the_ticks_are_those_of_the_record() -> None:
    """Ink in the four squares of 承诺依据, with none, one and all of them ticked."""

    def ink(*basis: Any) -> int:
        (page,) = pages(certificate_pdf(replace(CERTIFICATE, basis=basis), "A6", MADE_AT))
        return int((np.asarray(one_bit(printed(page))) < 128).sum())

    counts = [ink(), *(ink(*BASES[: n + 1]) for n in range(len(BASES)))]
    steps = np.diff(counts)
    assert (steps > 5).all() and np.ptp(steps) <= 6


def test_a_certificate_has_no_picture() -> None:
    """No badge and no seal: it is a self-declaration."""
    for status in ("valid", "void"):
        (page,) = pages(certificate_pdf(replace(CERTIFICATE, status=status), "A4", MADE_AT))  # type: ignore[arg-type]
        assert [each for each in page.get_objects() if each.type == pdfium.FPDF_PAGEOBJ_IMAGE] == []


def test_long_names_stay_inside_a_certificate() -> None:
    said = replace(CERTIFICATE, product=LONG_NAME, origin=LONG_NAME, lot=LONGEST, declared_by=LONG_NAME[:40])
    (page,) = pages(certificate_pdf(said, "A6", MADE_AT))
    want_inside(page)
    assert LONGEST in text_of(page) and LONG_NAME[:40] in text_of(page)


def test_the_same_facts_give_the_same_bytes() -> None:
    assert certificate_pdf(CERTIFICATE, "A6", MADE_AT) == certificate_pdf(CERTIFICATE, "A6", MADE_AT)


@pytest.mark.parametrize(
    ("kg", "written"), [(12345.67, "12345.67"), (1e6, "1000000"), (0.001, "0.001"), (40, "40")]
)
def test_a_promise_is_written_to_the_gram(kg: float, written: str) -> None:
    (page,) = pages(certificate_pdf(replace(CERTIFICATE, quantity_kg=kg), "A6", MADE_AT))
    assert f"{written} 千克" in text_of(page)
    assert Words("zh").quantity(kg, "KGM") == f"{written}\u00a0千克"
