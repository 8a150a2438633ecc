"""The evidence page as bytes: it carries the evidence whole, in every wrapping, and nothing that it carries is markup."""

from __future__ import annotations

import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ledger.evidence import TEXTS, read_evidence, verify_evidence
from trace_api import evidence_page, pages
from trace_api.words import LANGUAGES, Language
from trace_api.words.zh import evidence as words

REPOSITORY = Path(__file__).parents[3]
VECTORS = json.loads((REPOSITORY / "tests/entry-v1/evidence-v2.json").read_text(encoding="utf-8"))
GOOD = json.dumps(VECTORS["evidence"], ensure_ascii=False).encode()
SOURCES = REPOSITORY / "trace_api" / "web" / "src"


class Blocks(HTMLParser):
    """The scripts, by id, and the addresses that a browser would go to."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.scripts: dict[str, str] = {}
        self.addresses: list[str] = []
        self.policy = ""
        self._id: str | None = None
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self._id = found.get("id") or "program" if tag == "script" else None
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"] or ""

    def handle_data(self, data: str) -> None:
        if self._id is not None:
            self.scripts[self._id] = self.scripts.get(self._id, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._id = None


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("wrapped", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_the_evidence_is_read_back_out_of_it(language: Language, wrapped: Any) -> None:
    page = evidence_page.render(wrapped(GOOD), {"format": "suyuan-statement/v1"}, language)
    assert read_evidence(page) == read_evidence(GOOD)
    assert read_evidence(gzip.compress(page)) == read_evidence(GOOD)
    assert verify_evidence(page, VECTORS["trusted"]).verified


def test_it_goes_nowhere() -> None:
    blocks = Blocks(evidence_page.render(GOOD, None, "zh"))
    assert blocks.addresses == ["#content"]
    assert blocks.policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in blocks.policy and "http" not in blocks.policy
    assert json.loads(blocks.scripts["statement"]) is None
    assert set(json.loads(blocks.scripts["words"])) == {"zh", "en"}


def test_nothing_that_it_carries_is_markup() -> None:
    evil = "</script><script>alert(1)</script><!-- <script> &amp; '\""
    file = json.loads(GOOD)
    file["items"][0]["fields"][1]["value"] = evil
    statement = {"format": "suyuan-statement/v1", "about": {"zh": evil, "en": evil}}
    page = evidence_page.render(json.dumps(file).encode(), statement, "zh")
    blocks = Blocks(page)
    assert blocks.scripts.keys() == {"words", "program", "evidence", "statement"}
    assert json.loads(blocks.scripts["statement"]) == statement
    assert json.loads(blocks.scripts["evidence"]) == file


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"\x1f\x8b\x08", GOOD[:-1], b"[" * 100_000])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(pages.PagesError):
        evidence_page.render(data, None, "zh")


def test_a_page_whose_script_was_not_built_says_so(tmp_path: Path) -> None:
    with pytest.raises(pages.PagesError, match="not been built"):
        evidence_page.render(GOOD, None, "zh", tmp_path)


def test_a_script_that_would_end_its_own_block_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"evidence": "a.js", "evidence_style": "a.css"}')
    (tmp_path / "a.js").write_text("'</SCRIPT>'")
    (tmp_path / "a.css").write_text("")
    with pytest.raises(pages.PagesError, match="closing tag"):
        evidence_page.render(GOOD, None, "zh", tmp_path)


def test_each_check_of_a_verifier_has_its_words_on_the_pages() -> None:
    assert set(TEXTS) | {"file"} == set(pages.CHECKS)


def test_every_word_of_the_page_is_used() -> None:
    """By its whole key, or by its beginning where the rest is a code (`ev_field_${name}`, known("ev_field", name))."""
    template = REPOSITORY / "trace_api" / "templates" / "evidence.html"
    text = "\n".join(
        path.read_text(encoding="utf-8") for path in (*(SOURCES / "offline").glob("*.ts"), template)
    )
    whole = set(re.findall(r"\bev_\w+", text))
    beginnings = tuple(
        {
            *re.findall(r"(ev_\w+_)\$\{", text),
            *(f"{group}_" for group in re.findall(r'"(ev_\w+)"[,\]) ]', text)),
        }
    )
    unused = [key for key in words.ZH if key not in whole and not key.startswith(beginnings)]
    assert unused == []
    missing = [
        key
        for key in whole
        if key not in words.ZH and not any(each.startswith(f"{key.rstrip('_')}_") for each in words.ZH)
    ]
    assert missing == []
