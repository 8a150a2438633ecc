"""What each holder is told, in both languages.

In the line: answering.py and ordering.py -> here. Contract: pure; of a drill every sentence says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from trace_api.acts.fields import ZONE
from trace_api.words import LANGUAGES, Words, decimal


def order_words(document: Mapping[str, Any]) -> dict[str, Any]:
    """The part that is the same for all holders: `{"title", "text"}`, each in zh and en, and the facts beside them."""
    return {
        "mode": document["mode"],
        "level": document["level"]["level"],
        "issued_at": document["issued_at"],
        "begin_by": document["begin_by"],
        "title": {language: title(Words(language), document["drill"]) for language in LANGUAGES},
        "text": {language: _order(Words(language), language, document) for language in LANGUAGES},
    }


def holder_words(document: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, str]:
    """The whole notice to one holder."""
    return {
        language: f"{_order(Words(language), language, document)}{_sep(language)}{_goods(Words(language), row)}"
        for language in LANGUAGES
    }


def title(words: Words, drill: bool) -> str:
    return words("recall_title_drill" if drill else "recall_title")


def _order(words: Words, language: str, document: Mapping[str, Any]) -> str:
    by = document["ordered_by"]
    said = words(
        "recall_notice",
        title=title(words, document["drill"]),
        by=by[language],
        level=document["level"]["name"][language],
        reason=document["reason"][language],
        begin=_local(document["begin_by"]),
    )
    return f"{words('recall_drill_mark')}{said}" if document["drill"] else said


def _goods(words: Words, row: Mapping[str, Any]) -> str:
    facts = {"kg": decimal(row["kilograms"]), "boxes": decimal(row["boxes"]), "units": row["units"]}
    said = words("recall_notice_goods", **facts)
    if row["sold_kg"]:
        said += words("recall_notice_sold", kg=decimal(row["sold_kg"]))
    return said


def _sep(language: str) -> str:
    return "" if language == "zh" else " "


def _local(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone(ZoneInfo(ZONE)).strftime("%Y-%m-%d %H:%M")
