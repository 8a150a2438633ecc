"""The font of the papers: Noto Sans SC Regular (SIL Open Font License), from the wheel `pylopdf-fonts-zh-cn`.

Contract: `install` gives a PDF the one family that the papers are written in, subset to what they say; `printable` is
what may be written. docs/decisions/0012 says why this font from there.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib.resources import as_file, files

from fontTools.ttLib import TTFont
from fpdf import FPDF

from trace_api.papers import MissingGlyphsError, PapersError

FAMILY = "paper"
_PACKAGE, _FILE = "pylopdf_fonts_zh_cn", "NotoSansSC-Regular.otf"


def install(pdf: FPDF) -> None:
    """Makes the family known to a PDF. PapersError if the font is not installed."""
    try:
        with as_file(files(_PACKAGE).joinpath(_FILE)) as path:
            pdf.add_font(FAMILY, "", path)
    except (ModuleNotFoundError, FileNotFoundError) as cause:
        raise PapersError(
            "The font of the papers is not installed: pip install pylopdf-fonts-zh-cn"
        ) from cause


def printable(text: str) -> str:
    """`text` in NFC, with every run of blanks as one. Raises MissingGlyphsError for what the font cannot show."""
    clean = " ".join(unicodedata.normalize("NFC", text).split())
    missing = "".join(dict.fromkeys(each for each in clean if ord(each) not in _characters()))
    if missing:
        raise MissingGlyphsError(missing)
    return clean


def shown(text: str) -> str:
    """What of `text` can be printed: for a name that its owner made up, which may be cut."""
    return "".join(each for each in unicodedata.normalize("NFC", text) if ord(each) in _characters()).strip()


@cache
def _characters() -> frozenset[int]:
    """Code points with a glyph: 30,890, among them all of GB 2312 and GBK."""
    with as_file(files(_PACKAGE).joinpath(_FILE)) as path, TTFont(path, lazy=True) as font:
        return frozenset(font.getBestCmap())
