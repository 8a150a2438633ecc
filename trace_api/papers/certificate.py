"""The 承诺达标合格证 as a paper: a producer's or buyer's own declaration.

Contract: what the record says and no more. It is a self-declaration: no badge, no seal, nothing that looks like an
award. A certificate that is void or replaced is printed as such across its text; its code can still be read, and leads
to the page that says so.

The wording follows the national form of 2021 and, for those who buy and sell on, the same sentences in the buyer's
name. UNVERIFIED: written from memory, not read in the notice; to be compared with the text of the Ministry of
Agriculture and Rural Affairs before it is used in earnest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

from trace_api.papers.sheet import DOT_MM, Box, Sheet
from trace_api.words import decimal

Kind = Literal["producer", "buyer", "producer_card"]
Status = Literal["valid", "void", "replaced"]
Basis = Literal["commissioned_test", "self_inspection", "internal_control", "self_declaration"]
BASES: tuple[Basis, ...] = get_args(Basis)
PageSize = Literal["A6", "A4"]
PAGE_SIZES: tuple[PageSize, ...] = get_args(PageSize)

_TITLES: dict[Kind, str] = {
    "producer": "承诺达标合格证",
    "buyer": "承诺达标合格证",
    "producer_card": "食用农产品信息卡",
}
_PROMISE: dict[Kind, str] = {
    "producer": "我承诺对生产销售的食用农产品：",
    "buyer": "我承诺对收购销售的食用农产品：",
    "producer_card": "我承诺对生产销售的食用农产品：",
}
_PROMISES = ("不使用禁用农药兽药、停用兽药和非法添加物", "常规农药兽药残留不超标", "对承诺的真实性负责")
_BASES: dict[Basis, str] = {
    "commissioned_test": "委托检测",
    "self_inspection": "自我检测",
    "internal_control": "内部质量控制",
    "self_declaration": "自我承诺",
}
_SIGNED: dict[Kind, str] = {
    "producer": "生产者盖章或签名",
    "buyer": "收购者盖章或签名",
    "producer_card": "生产者签名",
}
_MEANING = "本证由开具者自行承诺，不是第三方认证。"
_SCALES: dict[PageSize, float] = {"A6": 1.0, "A4": 2.0}
_WIDTH, _HEIGHT = 105.0, 148.0  # A6; A4 is the same twice as large


@dataclass(frozen=True, slots=True)
class Certificate:
    """One as it is printed. `url`: its page, in the code. `quantity_kg`: what it covers, never more than the lot."""

    url: str
    number: str
    kind: Kind
    product: str
    lot: str
    quantity_kg: float
    origin: str
    declared_by: str
    contact: str
    issued_at: datetime
    basis: tuple[Basis, ...] = field(default=("self_declaration",))
    status: Status = "valid"
    replaced_by: str | None = None


def certificate_pdf(certificate: Certificate, size: PageSize, made_at: datetime) -> bytes:
    """`issued_at` is shown in the zone that it carries. MissingGlyphsError, NoRoomError."""
    scale = _SCALES[size]
    sheet = Sheet(
        _WIDTH * scale, _HEIGHT * scale, f"{_TITLES[certificate.kind]} {certificate.number}", made_at
    )
    sheet.page()
    _Draught(sheet, certificate, scale).draw()
    return sheet.bytes()


class _Draught:
    """The form in A6 millimetres, times `scale`."""

    def __init__(self, sheet: Sheet, certificate: Certificate, scale: float) -> None:
        self._sheet, self._certificate, self._scale = sheet, certificate, scale

    def draw(self) -> None:
        self._sheet.frame(self._box(4, 4, 97, 140), 2 * DOT_MM * self._scale)
        self._text(7, 8, 91, 9, _TITLES[self._certificate.kind], (19, 18), bold=True, centred=True)
        self._promises()
        self._fields()
        self._code()
        if self._certificate.status != "valid":
            self._void()

    def _promises(self) -> None:
        self._text(9, 20, 87, 5, _PROMISE[self._certificate.kind], (11,))
        for row, promise in enumerate(_PROMISES):
            y = 26.5 + row * 6
            self._tick(10, y + 0.6, True)
            self._text(15, y, 81, 5, promise, (11, 10.5, 10))
        self._text(9, 45.5, 24, 5, "承诺依据：", (11,))
        for column, basis in enumerate(BASES):
            x, y = 32 + column % 2 * 31, 45.5 + column // 2 * 6
            self._tick(x, y + 0.6, basis in self._certificate.basis)
            self._text(x + 5, y, 27, 5, _BASES[basis], (11,))
        self._rule(58.5)

    def _fields(self) -> None:
        told = self._certificate
        rows = (
            ("产品名称", told.product),
            ("数量（重量）", f"{decimal(told.quantity_kg)} 千克"),
            ("产地", told.origin),
            ("批次", told.lot),
            (_SIGNED[told.kind], told.declared_by),
            ("联系方式", told.contact),
            ("开具日期", f"{told.issued_at:%Y}年{told.issued_at.month}月{told.issued_at.day}日"),
        )
        for row, (caption, value) in enumerate(rows):
            y = 61 + row * 7.2
            self._text(9, y, 31, 6.5, f"{caption}：", (10, 9))
            may_be_cut = _is_a_name(caption)
            self._text(41, y, 57, 6.5, value, (11, 10, 9, 8, 7.5, 7), shorten=may_be_cut)

    def _code(self) -> None:
        """Below the fields: the code to the left, its number and what the paper is to the right."""
        self._rule(112.5)
        self._sheet.qr(self._box(5, 113.5, 30, 30), self._certificate.url)
        self._text(37, 116, 62, 9, f"编号 {self._certificate.number}", (10, 9, 8, 7), bold=True)
        self._text(37, 126, 62, 9, self._standing(), (8, 7.5))
        self._text(37, 136, 62, 4, _MEANING, (7.5, 7))

    def _standing(self) -> str:
        if self._certificate.status == "void":
            return "已作废：不得再用。"
        if self._certificate.status == "replaced":
            return f"已作废，由 {self._certificate.replaced_by or '另一张'} 代替。"
        return "打印时有效。是否已作废，以扫码所示为准。"

    def _void(self) -> None:
        """Over the text and beside the code, which leads to the page that says it is void."""
        x, y = _WIDTH / 2 * self._scale, 62 * self._scale
        self._sheet.across("已作废", x, y, 84 * self._scale, 24)
        for dy in (-23, 23):
            self._line(8, 62 + dy + 17, 97, 62 + dy - 17, 3 * DOT_MM)

    def _text(
        self, x: float, y: float, width: float, height: float, text: str, sizes: tuple[float, ...],
        *, bold: bool = False, centred: bool = False, shorten: bool = False,
    ) -> None:  # fmt: skip
        scaled = [size * self._scale for size in sizes]
        self._sheet.text(
            self._box(x, y, width, height), text, scaled, bold=bold, centred=centred, shorten=shorten
        )

    def _tick(self, x: float, y: float, ticked: bool) -> None:
        self._sheet.tick_box(x * self._scale, y * self._scale, 3.4 * self._scale, ticked)

    def _rule(self, y: float) -> None:
        self._line(9, y, 96, y, DOT_MM)

    def _line(self, x: float, y: float, to_x: float, to_y: float, width: float) -> None:
        scale = self._scale
        self._sheet.line(x * scale, y * scale, to_x * scale, to_y * scale, width * scale)

    def _box(self, x: float, y: float, width: float, height: float) -> Box:
        return Box(x * self._scale, y * self._scale, width * self._scale, height * self._scale)


def _is_a_name(caption: str) -> bool:
    return caption in ("产品名称", "产地")
