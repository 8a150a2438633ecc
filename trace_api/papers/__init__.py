"""What is printed: labels with a QR code, and the 承诺达标合格证, as PDF.

Last in the line, like the pages: facts in, bytes out, no I/O but the reading of the font. Contract: Chinese text is
embedded, so that every viewer and printer shows it; a character that the font has not is an error and never a box; a
code's modules are whole dots of a 203 dpi printer; what does not fit is an error, unless it is a name, which is
shortened.
"""

from __future__ import annotations


class PapersError(Exception):
    """The paper cannot be made; the message says what is in the way."""


class MissingGlyphsError(PapersError):
    """The font has no glyph for some characters. `characters`: those, each once."""

    def __init__(self, characters: str) -> None:
        codes = ", ".join(f"{each} (U+{ord(each):04X})" for each in characters)
        super().__init__(f"no glyph for {codes}: write the name with other characters")
        self.characters = characters


class NoRoomError(PapersError):
    """Something that may not be shortened is too long for the paper. `text`: what it is."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is too long for this size: take a larger label")
        self.text = text
