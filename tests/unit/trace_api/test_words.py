"""Every word on a page comes out of the catalogues, in both languages, with the same facts.

Read from the templates themselves, so that a page nobody renders in a test is read as well. Counter-examples below show
that a forgotten word would be found.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import string
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
from jinja2 import nodes

from trace_api import pages
from trace_api.words import CATALOGUES, Words, en, zh

TEMPLATES = Path(str(files("trace_api") / "templates"))
PACKAGE = Path(str(files("trace_api")))
NAMES = sorted(path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.*") if path.is_file())

# What a person types into a terminal, and signs of units, are the same in every language.
SAME_EVERYWHERE = {"suyuan verify", "--key LOG.vkey", "°C", "kg"}
SPOKEN = {
    "alt",
    "title",
    "placeholder",
    "aria-label",
    "aria-description",
    "aria-roledescription",
    "aria-valuetext",
    "content",
    "label",
}
LETTER = re.compile(r"[A-Za-z\u3400-\u9fff]")


class Texts(HTMLParser):
    """The texts and spoken attributes of a template whose expressions were taken out (each a NUL)."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._quiet: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style"):
            self._quiet.append(tag)
        names = dict(attrs)
        for name, value in attrs:
            spoken = name in SPOKEN and not (tag == "meta" and names.get("name") != "description")
            if value and (spoken or (name == "value" and names.get("type") in ("submit", "button", "reset"))):
                self.found.append(value)

    def handle_endtag(self, tag: str) -> None:
        if self._quiet and self._quiet[-1] == tag:
            self._quiet.pop()

    def handle_data(self, data: str) -> None:
        if not self._quiet:
            self.found.extend(data.split("\0"))


def literal_texts(source: str) -> list[str]:
    """What a reader would be shown or told of a template without its catalogue."""
    bare = re.sub(r"\{#.*?#\}|\{%.*?%\}", "", source, flags=re.DOTALL)
    bare = re.sub(r"\{\{.*?\}\}", "\0", bare, flags=re.DOTALL)
    texts = (text.replace("\0", " ").strip() for text in Texts(bare).found)
    return [
        text
        for text in texts
        if LETTER.search(text) and text not in SAME_EVERYWHERE and not _is_attributes(text)
    ]


def _is_attributes(text: str) -> bool:
    """What a macro writes inside of a tag, such as `aria-invalid="true"`."""
    names = re.findall(
        r"([a-z-]+)=\"", text
    )  # the value may be an expression, so that its closing quote comes later
    rest = re.sub(r"[a-z-]+=\"[^\"]*\"?", "", text).strip(' "')
    return bool(names) and not rest and SPOKEN.isdisjoint(names)


@pytest.mark.parametrize("name", NAMES)
def test_a_template_says_nothing_of_its_own(name: str) -> None:
    source = (TEMPLATES / name).read_text(encoding="utf-8")
    assert literal_texts(source) == []
    assert spoken_in_expressions(source) == []


def spoken_in_expressions(source: str) -> list[str]:
    """String constants with Chinese in them, or with a sentence, inside of expressions; comparisons and keys have neither."""
    found = []
    for constant in pages._environment().parse(source).find_all(nodes.Const):
        value = constant.value
        if isinstance(value, str) and (
            re.search(r"[\u3400-\u9fff]", value) or re.search(r"[A-Za-z]{2,} [a-z]{2,}", value)
        ):
            found.append(value)
    return found


@pytest.mark.parametrize(
    "source",
    [
        "<p>Hello</p>",
        "<p>{{ w('x') }} 批次</p>",
        '<img alt="a box">',
        '<input placeholder="type here">',
        '<button aria-label="关闭">{{ x }}</button>',
        '<input type="submit" value="Send">',
        "{% if x %}yes{% endif %}",
        '{% macro m() %} title="a box" data-x="y"{% endmacro %}',
    ],
)
def test_a_word_without_an_entry_is_found(source: str) -> None:
    assert literal_texts(source)


@pytest.mark.parametrize("source", ["{{ '批次' if x else '' }}", "{{ notice('bad', 'Not that one') }}"])
def test_a_sentence_inside_an_expression_is_found(source: str) -> None:
    assert spoken_in_expressions(source)


def test_what_is_no_text_is_left_alone() -> None:
    source = '<p class="note" data-x="word">{{ w("x") }} · {# words #}</p><svg viewBox="0 0 1 1"><path d="M0 0"/></svg>'
    assert literal_texts(source) == [] and spoken_in_expressions(source) == []


# Keys ------------------------------------------------------------------------------------------------------------------


def used_in_templates() -> Iterator[tuple[str, str]]:
    """Template and key of each `w('key')`; a beginning, where the rest is made of a value (`'a_' ~ x`), ends in `_`."""
    for name in NAMES:
        tree = pages._environment().parse((TEMPLATES / name).read_text(encoding="utf-8"))
        for call in tree.find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name == "w" and call.args:
                yield from ((name, key) for key in _keys(call.args[0]))


def _keys(node: nodes.Expr) -> Iterator[str]:
    match node:
        case nodes.Const(value=str(key)):
            yield key
        case nodes.Concat(nodes=[nodes.Const(value=str(beginning)), *_]):
            yield beginning
        case nodes.CondExpr(expr1=one, expr2=other):
            yield from _keys(one)
            if other is not None:
                yield from _keys(other)


def test_each_key_of_a_template_has_an_entry_in_both() -> None:
    used = set(used_in_templates())
    assert len({name for name, _ in used}) > 8, "the templates were read"
    missing = [
        (name, key, language)
        for name, key in sorted(used)
        for language, catalogue in CATALOGUES.items()
        if not (key in catalogue or (key.endswith("_") and any(each.startswith(key) for each in catalogue)))
    ]
    assert missing == []


def areas() -> list[str]:
    return [each.name for each in pkgutil.iter_modules(en.__path__)]


def test_both_languages_have_the_same_files() -> None:
    assert areas() == [each.name for each in pkgutil.iter_modules(zh.__path__)]
    assert {"shopper", "work", "scan", "check", "audit"} <= set(areas())


@pytest.mark.parametrize("area", areas())
def test_both_languages_say_the_same_things_with_the_same_facts(area: str) -> None:
    english = importlib.import_module(f"trace_api.words.en.{area}").EN
    chinese = importlib.import_module(f"trace_api.words.zh.{area}").ZH
    assert english.keys() == chinese.keys()
    assert {key for key in english if facts(english[key]) != facts(chinese[key])} == set()
    # English may name a thing in Chinese (承诺达标合格证), and Chinese one in English; neither may be nothing else.
    han, words = re.compile(r"[\u3400-\u9fff]"), re.compile(r"[A-Za-z]{2,} [a-z]{2,}")
    assert {key for key, text in english.items() if han.search(text) and not re.search("[A-Za-z]", text)} <= {
        "other_language"
    }
    assert {key for key, text in chinese.items() if words.search(text) and not han.search(text)} == set()


@pytest.mark.parametrize("area", areas())
def test_every_file_of_words_is_in_the_catalogue(area: str) -> None:
    for language, name in (("en", "EN"), ("zh", "ZH")):
        own = getattr(importlib.import_module(f"trace_api.words.{language}.{area}"), name)
        assert own.items() <= CATALOGUES[language].items()


def facts(sentence: str) -> set[str]:
    """The names of its places."""
    return {
        name.partition(".")[0].partition("[")[0]
        for _, name, _, _ in string.Formatter().parse(sentence)
        if name
    }


def test_a_key_of_a_refusal_has_a_title_and_a_text() -> None:
    """`Problem.said(status, "key")` needs both; read from the code, since most refusals are rare."""
    said = re.compile(r"Problem\.said\(\s*\d+,\s*\"(\w+)\"")
    keys = {key for path in PACKAGE.rglob("*.py") for key in said.findall(path.read_text(encoding="utf-8"))}
    assert len(keys) > 5
    assert {key for key in keys if not {key, f"{key}_title"} <= CATALOGUES["zh"].keys()} == set()


def sources() -> str:
    """All that can name a key: the templates and the code, without the catalogues."""
    code = (path for path in PACKAGE.rglob("*.py") if "words" not in path.relative_to(PACKAGE).parts[:-1])
    return "\n".join(path.read_text(encoding="utf-8") for path in (*code, *TEMPLATES.rglob("*.*")))


@pytest.mark.parametrize(
    "area", [area for area in areas() if area not in ("shopper", "evidence")]
)  # whose own are in test_pages.py and test_evidence_page.py
def test_every_word_is_used(area: str) -> None:
    """As a whole, by its beginning (`'work_role_' ~ role`, f"work_role_{role}"), or as the title or the further step of one
    that is."""
    text = sources()
    whole = set(re.findall(r"[\"'](\w+)[\"']", text))
    beginnings = tuple(set(re.findall(r"[\"'](\w+_)(?:[\"']\s*~|\{)", text)))
    keys = importlib.import_module(f"trace_api.words.zh.{area}").ZH
    stems = {key: re.sub(r"_(title|next)$", "", key) for key in keys}
    assert [key for key in keys if not {key, stems[key]} & whole and not key.startswith(beginnings)] == []


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.0, "0%"), (0.004, "<1%"), (0.125, "12%"), (0.996, "99%"), (1 - 1e-9, "100%"), (1.0, "100%")],
)
def test_a_share_never_reads_as_nothing_or_all_that_is_neither(share: float, said: str) -> None:
    assert Words("zh").percent(share) == said
