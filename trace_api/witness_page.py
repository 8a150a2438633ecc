"""What a witness shows of itself: its keys, and of each log what it saw last and what it refused."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from ledger.translog.cosignature import CosignerVerifier
from ledger.witness import Trusted
from ledger.witness_store import WitnessStore
from trace_api.words import LANGUAGES, Language, Words


@dataclass(frozen=True, slots=True)
class LogStanding:
    """One log. `size` None: nothing of it was cosigned yet; `root`: base64; `time`: of the newest cosignature,
    seconds since 1970, UTC; `keys`: the vkeys trusted for it, none if it no longer is.
    """

    origin: str
    keys: tuple[str, ...]
    size: int | None
    root: str | None
    time: int | None
    forks: int
    unproven: int


@dataclass(frozen=True, slots=True)
class Standing:
    name: str
    keys: tuple[str, ...]
    logs: tuple[LogStanding, ...]

    def value(self) -> dict[str, Any]:
        return asdict(self)


def standing(store: WitnessStore, keys: Sequence[CosignerVerifier], trusted: Trusted) -> Standing:
    seen = {each.origin: each for each in store.all_seen()}
    refused = Counter((each.origin, each.fault) for each in store.refused())
    logs = []
    for origin in sorted({*seen, *trusted}):
        last = seen.get(origin)
        logs.append(
            LogStanding(
                origin,
                tuple(map(str, trusted.get(origin, ()))),
                None if last is None else last.size,
                None if last is None else base64.b64encode(last.root_hash).decode(),
                None if last is None else last.time,
                refused[origin, "other_root"],
                refused[origin, "no_proof"],
            )
        )
    return Standing(keys[0].name, tuple(map(str, keys)), tuple(logs))


def render(found: Standing, language: Language) -> str:
    """The page, whole in itself."""
    w = Words(language)
    title = w("watching_title", name=found.name)
    parts = [
        Markup("<h1>{}</h1><p>{}</p>").format(title, w("watching_lead")),
        Markup("<h2>{}</h2>").format(w("watching_keys")),
        *(Markup("<p><code>{}</code></p>").format(key) for key in found.keys),
        Markup("<h2>{}</h2>").format(w("watching_logs")),
        _logs(found, w),
    ]
    if any(log.forks for log in found.logs):
        parts.append(Markup("<p><strong>{}</strong></p>").format(w("watching_fork_found")))
    if any(log.unproven for log in found.logs):
        parts.append(Markup("<p>{}</p>").format(w("watching_unproven_note")))
    others = [Markup('<a href="?lang={0}">{0}</a>').format(each) for each in LANGUAGES if each != language]
    return _FRAME.format(language=language, title=title, body=Markup("").join([*parts, *others]))


def _logs(found: Standing, w: Words) -> Markup:
    if not found.logs:
        return Markup("<p>{}</p>").format(w("watching_no_logs"))
    names = ("watching_log", "watching_size", "watching_root", "watching_time", "watching_refused")
    head = Markup("").join(Markup("<th>{}</th>").format(w(name)) for name in names)
    return Markup("<div><table><tr>{}</tr>{}</table></div>").format(
        head, Markup("").join(_row(log, w) for log in found.logs)
    )


def _row(log: LogStanding, w: Words) -> Markup:
    origin = log.origin if log.keys else f"{log.origin} ({w('watching_removed')})"
    time = (
        w("watching_never")
        if log.time is None
        else f"{datetime.fromtimestamp(log.time, UTC):%Y-%m-%d %H:%M:%S}"
    )
    refused = [
        w(key, count=count)
        for key, count in (("watching_forks", log.forks), ("watching_unproven", log.unproven))
        if count
    ]
    size = "" if log.size is None else log.size
    return Markup("<tr><td>{}</td><td>{}</td><td><code>{}</code></td><td>{}</td><td>{}</td></tr>").format(
        origin, size, log.root or "", time, ", ".join(refused) or w("watching_nothing")
    )


_FRAME = Markup("""<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>:root{{color-scheme:light dark}}body{{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}
code{{overflow-wrap:anywhere}}div{{overflow-x:auto}}table{{border-collapse:collapse}}
th,td{{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid;vertical-align:top}}</style></head>
<body>{body}</body></html>
""")
