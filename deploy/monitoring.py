"""`suyuan monitor`: one pass after the other, and what to say of each.

Place in the line: `ledger.monitor` looks, this says it, keeps the evidence of a fork as files, and knows when to stop.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from deploy.verification import KEY_PROBLEM, KeyProblem, read_keys
from ledger.monitor import findings
from ledger.monitor.anchoring import address_of, check_anchored
from ledger.monitor.findings import Damaged
from ledger.monitor.memory import Memory
from ledger.monitor.sources import Address
from ledger.monitor.watching import Seen, Watch, look
from ledger.translog.note import VerifierKey
from ledger.translog.verify import VerifyError

HOLDS, FOUND, UNREACHABLE, UNREADABLE = 0, 1, KEY_PROBLEM, 3
INTERRUPTED = 130
PROGRESS_S = 5.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """As the command line has them."""

    url: str
    keys: tuple[str, ...] = ()
    opaque: bool = False
    logs: bool = False
    once: bool = False
    interval_s: float = 10.0
    state: Path | None = None
    again: bool = False
    processes: int = 1
    as_json: bool = False


def run(options: Options, stop: Event, say: Say, aside: Say) -> int:
    """Returns the exit status. `say`: outcomes; `aside`: progress. A KeyboardInterrupt ends it, at any moment."""
    speaking = _Speaking(options, say, aside)
    state = options.state or default_state(options.url)
    try:
        keys = _keys(options.keys)
    except KeyProblem as error:
        return speaking.found(findings.KeyProblem("--key", got=str(error), want="a verifier key"), state)
    again = options.again
    while True:
        try:
            status = _pass(options, keys, state, again, speaking)
            again = False
        except VerifyError as error:
            status = speaking.found(error, state)
        except KeyboardInterrupt:
            return INTERRUPTED if options.once else HOLDS
        passing = status == HOLDS or (status == UNREACHABLE and not options.once)
        if options.once or not passing:
            return status
        try:
            if stop.wait(options.interval_s):
                return HOLDS
        except KeyboardInterrupt:
            return HOLDS


def _pass(
    options: Options, keys: tuple[VerifierKey, ...], state: Path, again: bool, speaking: _Speaking
) -> int:
    watch = Watch(Address(options.url), keys, options.opaque, again, options.processes)
    with Memory.at(state) as memory:
        seen = look(watch, memory, speaking.progress())
        speaking.seen(seen)
        failed = list[VerifyError]()
        for origin in memory.anchored_origins() if options.logs else ():
            try:
                _compare(watch, origin, memory, state, speaking)
            except VerifyError as error:
                failed.append(error)  # one that is away must not hide the fork of another
    failed.sort(key=_weight)
    for other in failed[1:]:
        speaking.found(other, state)
    if failed:
        raise failed[0]
    return HOLDS


def _compare(root: Watch, origin: str, memory: Memory, state: Path, speaking: _Speaking) -> None:
    """A log beside its root log (`memory`), with what the root log anchored of it."""
    address = address_of(root.address, origin)
    named = tuple(key for key in root.keys if key.name == origin)
    beside = state.with_name(f"{state.stem}-{address.url.rpartition('/')[2]}{state.suffix}")
    with Memory.at(beside) as log:
        seen = look(Watch(address, named, processes=root.processes), log, speaking.progress())
    if seen.kept.origin != origin:
        raise findings.Unreadable(f"origin of {address.url}", got=seen.kept.origin, want=origin)
    compared = check_anchored(memory, address, seen.kept)
    if compared or seen.read:
        speaking.seen(seen, compared)  # of a log that rests there is nothing to say


class _Speaking:
    """In words, or as JSON."""

    def __init__(self, options: Options, say: Say, aside: Say) -> None:
        self._options = options
        self._say = say
        self._aside = aside

    def progress(self) -> Callable[[int, int], None]:
        """Tells now and then how far a long pass is."""
        begun = told = time.monotonic()

        def tell(done: int, of: int) -> None:
            nonlocal told
            now = time.monotonic()
            if now - told >= PROGRESS_S:
                told = now
                self._aside(f"{done:,} of {of:,} entries, {done / (now - begun):,.0f} a second")

        return tell

    def seen(self, seen: Seen, compared: int | None = None) -> None:
        kept = seen.kept
        facts: dict[str, Any] = {
            "holds": True, "origin": kept.origin, "size": kept.size, "root": kept.root.hex(), "read": seen.read,
            "before": seen.old_size, "entries": "opaque" if kept.opaque else "version 1", "vkey": kept.vkey,
            "own_key": not kept.vkey_given, "keys": list(seen.vkeys), "frozen_at": kept.frozen_at,
        }  # fmt: skip
        if compared is not None:
            facts["anchored"] = compared
        self._say(json.dumps(facts, ensure_ascii=False) if self._options.as_json else _in_words(facts))

    def found(self, error: VerifyError, state: Path) -> int:
        """Says it, keeps the notes, and gives the exit status."""
        kind, status = _kind(error)
        files = _evidence(state, error)
        notes = [note for note in getattr(error, "notes", ()) if note]
        facts = {
            "holds": False, "found": kind, "what": error.what, "got": error.got, "want": error.want,
            "notes": notes, "files": [str(file) for file in files],
        }  # fmt: skip
        if self._options.as_json:
            self._say(json.dumps(facts, ensure_ascii=False))
        else:
            lines = [f"{kind.upper()}: {error}"]
            if notes:
                origin = notes[0].partition("\n")[0]
                lines.append(
                    f"   in {origin}. Keep what follows; show it to the log's witnesses and to everybody who relies on the log"
                )
            for note, file in zip(notes, files, strict=True):
                lines += [f"--- {file}", note.rstrip("\n")]
            self._say("\n".join(lines))
        return status


_IN_ORDER: tuple[tuple[type[VerifyError], str, int], ...] = (
    (findings.Forked, "fork", FOUND),
    (findings.RolledBack, "rollback", FOUND),
    (findings.Damaged, "damage", FOUND),
    (findings.Unreachable, "unreachable", UNREACHABLE),
    (findings.KeyProblem, "key", UNREACHABLE),
)


def _kind(error: VerifyError) -> tuple[str, int]:
    for kind, name, status in _IN_ORDER:
        if isinstance(error, kind):
            return name, status
    return "unreadable", UNREADABLE


def _weight(error: VerifyError) -> int:
    """A fork first, what cannot be read last."""
    kinds = [kind for kind, _, _ in _IN_ORDER]
    return next((at for at, kind in enumerate(kinds) if isinstance(error, kind)), len(kinds))


def _in_words(facts: dict[str, Any]) -> str:
    lines = [
        f"ok {facts['origin']}: {facts['size']:,} entries, {facts['read']:,} of them read now; root {facts['root']}"
    ]
    if facts["keys"]:
        lines.append(f"   its key changed, by an entry that both keys signed: now {facts['vkey']}")
    if facts["entries"] == "opaque":  # also of a pass without --opaque after one with it
        lines.append("   leaves are opaque: the tree was checked, not what they say")
    if facts["own_key"] and facts["read"]:
        lines.append(f"   no --key was given: the log's own is trusted since the first pass: {facts['vkey']}")
    if facts["frozen_at"] is not None:
        lines.append(f"   frozen at entry {facts['frozen_at']}")
    if "anchored" in facts:
        lines.append(f"   {facts['anchored']:,} of its checkpoints in the root log are beginnings of it")
    return "\n".join(lines)


def _evidence(state: Path, error: VerifyError) -> list[Path]:
    """The notes as files, which a later finding does not write over."""
    files = list[Path]()
    notes: tuple[str, str] = error.notes if isinstance(error, Damaged) else ("", "")
    for name, note in zip(("kept", "shown"), notes, strict=True):
        if not note:
            continue
        digest = hashlib.sha256(note.encode()).hexdigest()[:8]
        file = state.with_name(f"{state.stem}-{name}-{digest}.checkpoint")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(note, encoding="utf-8")
        files.append(file)
    return files


def _keys(given: tuple[str, ...]) -> tuple[VerifierKey, ...]:
    trusted = read_keys(given).keys or {} if given else {}
    return tuple(key for keys in trusted.values() for key in keys)


def default_state(url: str) -> Path:
    """One file an address, in the place that the system has for what programs remember."""
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    whole = url.rstrip("/") if "://" in url else str(Path(url).absolute())
    words = re.sub(r"[^A-Za-z0-9]+", "-", whole).strip("-")[-60:]
    return base / "suyuan" / "monitor" / f"{words}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}.sqlite"
