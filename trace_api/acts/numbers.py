"""Numbers that acts give: lots, box serials, load units, papers.

In the line: an act that makes something new asks here -> a number nobody had before -> labels and events. Contract: given
inside the act's transaction under the organisation's lock; a number that was given is spent, also if its act is undone.
Lot numbers and serials are GS1 AI 10 and AI 21: at most 20 ASCII characters.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote
from zlib import crc32

import psycopg

from ledger.epcis.identifiers import check_digit, lot_uri, sscc_uri
from ledger.genealogy import product_of

MOST_SERIALS: Final = 99_999_999
SERIAL_WIDTH: Final = 8
LONGEST_LOT: Final = 20
_ROOM_TO_COUNT: Final = 3  # `-AB`: the seven hundredth lot of a day
CERTIFICATE_TYPE: Final = 800  # the document type within the company prefix, as in EVENTS.md
_SYLLABLE = re.compile(
    r"(?:[zcs]h|[bpmfdtnlgkhjqxrzcsyw])?[aeiouv]+(?:ng(?![aeiouv])|n(?![aeiouv])|r(?![aeiouv]))?"
)


@dataclass(frozen=True, slots=True)
class SerialRange:
    """Box serials `first` to `last` of `lot`, inclusive and of one width."""

    lot: str
    first: str
    last: str

    @property
    def count(self) -> int:
        return int(self.last) - int(self.first) + 1


@dataclass(frozen=True, slots=True)
class Given:
    """One number or several that an act was given. Kept with the act, so that a second giving would be found."""

    kind: str
    prefix: str
    first: int
    last: int

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "prefix": self.prefix, "first": self.first, "last": self.last}


_TAKE = """
INSERT INTO number_range (organisation, kind, prefix, next) VALUES (%(organisation)s, %(kind)s, %(prefix)s, 1 + %(count)s)
ON CONFLICT (organisation, kind, prefix) DO UPDATE SET next = number_range.next + %(count)s
RETURNING next
"""

# RLS shows one's own events: what a terminal of ours said by MQTT counts as well as what was tapped here.
_IS_KNOWN = """
SELECT EXISTS (SELECT FROM event_mention WHERE identifier = %s) OR goods_standing(%s, '{}') <> 'unknown'
"""
_IS_SAID = """
SELECT EXISTS (SELECT FROM event_mention AS mention JOIN event AS said ON said.id = mention.event
               WHERE mention.identifier = %(uri)s AND said.event_id <> ALL (%(without)s)
                 AND NOT EXISTS (SELECT FROM event AS declared WHERE declared.organisation = said.organisation
                                 AND declared.event_id = said.event_id AND declared.is_error))
"""


class Numbers:
    """The numbers of one organisation. `root`: `{PUBLIC_URL}/{organisation}`, under which what has no GS1 key is named.
    `given`: what this act was given so far."""

    def __init__(
        self, conn: psycopg.Connection, organisation: str, gs1_prefix: str | None, root: str
    ) -> None:
        self._conn, self._organisation, self._gs1_prefix = conn, organisation, gs1_prefix
        self.root = root
        self.given: list[Given] = []

    def take(self, kind: str, prefix: str, count: int = 1) -> int:
        """The first of `count` numbers of this kind, counted from 1 within the prefix."""
        values = {"organisation": self._organisation, "kind": kind, "prefix": prefix, "count": count}
        row = self._conn.execute(_TAKE, values).fetchone()
        assert row is not None
        first = int(row[0]) - count
        self.given.append(Given(kind, prefix, first, first + count - 1))
        return first

    def _fresh(self, kind: str, prefix: str, name: Callable[[int], str]) -> str:
        """The next name that no event mentions: the record may know some that were not given here, and others may count
        under the same class."""
        while True:
            found = name(self.take(kind, prefix))
            row = self._conn.execute(_IS_KNOWN, [found, found]).fetchone()
            if row is None or not row[0]:
                return found

    def is_said(self, uri: str, without: frozenset[str]) -> bool:
        """An event of ours names it that still counts, other than `without`: what stands on a label that somebody chose goes
        with the goods through a correction."""
        row = self._conn.execute(_IS_SAID, {"uri": uri, "without": list(without)}).fetchone()
        return row is not None and bool(row[0])

    def packed_lot(self, product_class: str, code: str, day: str, *, foreign: bool = False) -> str:
        """`DK260618A`, and B for the next of that day. `foreign`: of another's product, who counts lots under the same class:
        `DK260618A-b12`."""
        stem = f"{code}{day}"
        behind = f"-{self._short(LONGEST_LOT - len(stem) - 1 - _ROOM_TO_COUNT)}" if foreign else ""
        return self._fresh(
            "lot",
            f"{product_class} {stem}{behind}",
            lambda n: lot_of(product_class, stem + letters(n) + behind),
        )

    def picked_lot(self, product_class: str, day: str, plot: str, *, foreign: bool = False) -> str:
        """`260618-P01`, and `260618-P01-B` for the next of that day and plot. `foreign`: as above, `260618-P01-b12`."""
        room = LONGEST_LOT - len(day) - 1 - _ROOM_TO_COUNT
        stem = f"{day}-{_end_of(plot, room // 2 if foreign else room)}"
        if foreign:
            stem += f"-{self._short(LONGEST_LOT - len(stem) - 1 - _ROOM_TO_COUNT)}"

        def name(n: int) -> str:
            return lot_of(product_class, stem if n == 1 else f"{stem}-{letters(n)}")

        return self._fresh("lot", f"{product_class} {stem}", name)

    def _short(self, room: int) -> str:
        return _end_of(short_name(self._organisation), room)

    def unit(self) -> str:
        """An SSCC where the organisation has a prefix, else an address of ours."""
        prefix = self._gs1_prefix
        if prefix is None:
            return self._fresh("unit", "U", lambda n: f"{self.root}/obj/U{n:06d}")

        def name(n: int) -> str:
            # Extension digit 1: who numbers units elsewhere under the same prefix begins with 0.
            digits = f"1{prefix}{n:0{16 - len(prefix)}d}"
            return sscc_uri(digits + check_digit(digits))

        return self._fresh("sscc", prefix, name)

    def serials(self, lot: str, count: int, *, foreign: bool = False) -> SerialRange:
        """Unique over all lots of the product, since the canonical name of a box drops the lot. `foreign`: of another's product,
        who numbers its boxes as well: digits of our own stand before the number."""
        first = self.take("serial", product_of(lot), count)
        last = first + count - 1
        if last > MOST_SERIALS:
            raise OverflowError(f"serials of {product_of(lot)} are used up at {MOST_SERIALS}")
        own = self._own_digits() if foreign else ""
        return SerialRange(lot, f"{own}{first:0{SERIAL_WIDTH}d}", f"{own}{last:0{SERIAL_WIDTH}d}")

    def _own_digits(self) -> str:
        """The company prefix, which nobody shares; else seven digits of the organisation's name, which hardly anybody does."""
        return self._gs1_prefix or str(1_000_000 + crc32(self._organisation.encode()) % 9_000_000)

    def certificate(self, day: str) -> tuple[str, str]:
        """Identifier and number of a 承诺达标合格证: a GDTI where there is a prefix, else an address of ours."""
        number = f"HGZ{day}{letters(self.take('certificate', day))}"
        prefix = self._gs1_prefix
        if prefix is None:
            return f"{self.root}/doc/{number}", number
        digits = f"{prefix}{CERTIFICATE_TYPE:0{12 - len(prefix)}d}"[:12]
        return f"https://id.gs1.org/253/{digits}{check_digit(digits)}{number}", number

    def paper(self, kind: str, day: str, said: str | None = None) -> str:
        """A slip, waybill or receipt: by the number on the paper, else by one of ours."""
        name = said if said is not None else f"{day}-{self.take(kind, day)}"
        return f"{self.root}/bt/{kind}/{quote(name, safe='-._~')}"


def _end_of(name: str, room: int) -> str:
    """Its end, where names differ, with no hyphen before it."""
    return name[-room:].lstrip("-")


def letters(n: int) -> str:
    """1 -> A, 26 -> Z, 27 -> AA."""
    text = ""
    while n > 0:
        n, rest = divmod(n - 1, 26)
        text = string.ascii_uppercase[rest] + text
    return text


def lot_of(product_class: str, number: str) -> str:
    """The lot's URI: under its GTIN, or with a dot under a class of ours."""
    head, slash, gtin = product_class.rpartition("/01/")
    if slash and head == "https://id.gs1.org":
        return lot_uri(gtin, number)
    return f"{product_class}.{number}"


def product_code(name: str) -> str:
    """Two to four capitals for a product: the initials of its syllables (`yangmei-dongkui` -> DK: the last word is the
    variety), else its first letters."""
    word = re.sub(r"[^a-z]+", " ", name.lower()).split()
    last = word[-1] if word else ""
    syllables = _SYLLABLE.findall(last)
    if len(syllables) > 1 and "".join(syllables) == last:
        return "".join(each[0] for each in syllables)[:4].upper()
    return (last or "lot")[:2].upper()


def short_name(uri: str) -> str:
    """The last of an address, as it may stand in a lot number: ASCII letters, digits and hyphens, at most eight."""
    return re.sub(r"[^A-Za-z0-9-]+", "", uri.rstrip("/").rpartition("/")[2])[-8:] or "P"
