"""The evidence page: one file that a court, an authority or a buyer opens without a network, and that checks itself.

After the line's end: `suyuan evidence -o FILE.html` puts here what `ledger.evidence_file` made. Contract: the page asks
nobody for anything (its policy forbids it, and its script and style stand inside, named by their hashes); whatever the
evidence and the statement hold stays data; `ledger.evidence` and the page itself read the evidence back out of it.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources.abc import Traversable
from typing import Any

from markupsafe import Markup

from trace_api import pages
from trace_api.words import CATALOGUES, LANGUAGES, Language, Words

_GZIP = b"\x1f\x8b"
_OWN = "ev_"
_BORROWED = (
    *(f"check_{name}" for name in pages.CHECKS),
    "proof_not_so", "proof_got", "proof_want", "skip",
)  # fmt: skip


def render(
    evidence: bytes, statement: Mapping[str, Any] | None, language: Language, dist: Traversable | None = None
) -> bytes:
    """The page, UTF-8. `evidence`: an evidence file, JSON or gzip; `statement`: what the issuer says beside it
    (`suyuan-statement/v1`), None for nothing. PagesError if the page's script has not been built, or it is no JSON.
    """
    script, style = (_built(name, dist) for name in ("evidence", "evidence_style"))
    other: Language = "en" if language == "zh" else "zh"
    page = pages.render_bare(
        "evidence.html",
        Words(language),
        other=Words(other),
        policy=_policy(script, style),
        script=Markup(script),
        style=Markup(style),
        catalogues=_block(json.dumps(_words(), ensure_ascii=False)),
        evidence=_block(_json(evidence)),
        statement=_block(json.dumps(statement, ensure_ascii=False)),
    )
    return page.encode()


def _built(name: str, dist: Traversable | None) -> str:
    text = pages.built_file(name, dist).read_text(encoding="utf-8")
    if "</script" in text.lower() or "</style" in text.lower():
        raise pages.PagesError(f"The built {name} holds a closing tag and cannot stand inside a page.")
    return text


def _words() -> dict[Language, dict[str, str]]:
    return {
        language: {
            key: text
            for key, text in CATALOGUES[language].items()
            if key.startswith(_OWN) or key in _BORROWED
        }
        for language in LANGUAGES
    }


def _json(evidence: bytes) -> str:
    """As it came, so that what was signed for elsewhere is not spelt anew."""
    try:
        text = (zlib.decompress(evidence, wbits=31) if evidence.startswith(_GZIP) else evidence).decode()
        json.loads(text)
    except (zlib.error, ValueError, RecursionError) as cause:
        raise pages.PagesError(f"The evidence is no JSON: {cause}") from cause
    return text


def _block(text: str) -> Markup:
    """JSON that no markup can begin or end in: `<` stands in strings only, where its escape says the same."""
    return Markup(text.replace("<", "\\u003c"))


def _policy(script: str, style: str) -> str:
    """Nothing may be fetched, sent, framed or run but these two."""
    return f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"
