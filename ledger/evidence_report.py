"""What the check of an evidence file found: a `Report` of `Check`s, and the facts that go with it.

Filled by `ledger.evidence` and its two halves, shown by `suyuan verify` and (the same names) by the page.
Contract: `verified` is true only if nothing failed and something was checked; a check's sentence is in both
languages of the pages; the facts say what the signatures prove and what no file can show.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from ledger.errors import EntryError
from ledger.translog.verify import VerifyError

State = Literal["held", "failed", "unknown"]
"""`unknown`: looked at, and nothing was wrong, but what would decide it is not at hand."""


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence for a person, in both languages of the pages."""

    en: str
    zh: str

    def value(self) -> dict[str, str]:
        return {"en": self.en, "zh": self.zh}


TEXTS = {
    "content": Text("The file holds something to check.", "文件中有可供核验的内容。"),
    "root_key": Text("The root log's key is the one you trust.", "根日志的公钥就是您信任的公钥。"),
    "root_checkpoint": Text("The root log signed this state of its record.", "根日志已对该记录状态签名。"),
    "key": Text("The log's key is the one you trust.", "日志的公钥就是您信任的公钥。"),
    "own_key": Text(
        "The log's key is the file's own: this shows that the file is of one piece, not who made it.",
        "所用公钥来自文件本身：只能说明文件前后一致，不能说明出自何人。",
    ),
    "anchor": Text("The log's signed state was entered in the root log.", "该日志已签名的状态已录入根日志。"),
    "checkpoint": Text("The log signed this state of its record.", "日志已对该记录状态签名。"),
    "rotation": Text(
        "The log changed its key, and both keys signed that.", "日志更换过公钥，新旧两把密钥均已签名。"
    ),
    "entry": Text("The entry is well formed.", "条目格式正确。"),
    "log": Text("The entry was written for this log.", "条目确为该日志而写。"),
    "inclusion": Text("The entry is part of the signed record.", "条目包含在已签名的记录之中。"),
    "fields": Text(
        "The fields shown are those recorded; the others stay hidden and cannot have been changed.",
        "所示字段与记录一致；其余字段保持隐藏，既未更改也未删减。",
    ),
    "readings": Text("The readings shown are those sealed in this window.", "所示读数即该时段封存的读数。"),
    "summary": Text(
        "Each reading fits the window's published times and extremes.",
        "各读数均在该时段公布的时间与极值之内。",
    ),
    "stream": Text(
        "The entries of one device or party follow one another.", "同一设备或同一主体的条目前后相接。"
    ),
    "amends": Text(
        "The window with late readings follows the one it amends.", "含补录读数的时段承接它所修正的时段。"
    ),
    "clock": Text(
        "The root log itself put a time to this state, after all that is shown.",
        "根日志自身为该状态标注了时间，且晚于所示全部内容。",
    ),
    "cosignature": Text(
        "The witness saw this state of the root log, after all that is shown.",
        "见证方见到了根日志的该状态，且晚于所示全部内容。",
    ),
    "timestamp": Text(
        "The time stamp is over an earlier state of this root log.", "时间戳所对应的是该根日志较早的状态。"
    ),
    "quorum": Text(
        "As many witnesses cosigned as your policy asks for.", "联署的见证方数量达到您的策略要求。"
    ),
}

LIMITS = {
    "truth": Text(
        "That what was recorded is true: a record that is unchanged can still be wrong from the start.",
        "所记录的内容本身属实：未被更改的记录，也可能从一开始就不真实。",
    ),
    "complete": Text(
        "That nothing was left out: a later entry may amend what is shown, and others may stand beside it.",
        "所示内容没有遗漏：之后的条目可能修正所示内容，也可能另有其他条目。",
    ),
    "own_key": Text(
        "Who made the file: no key from elsewhere was given.", "文件出自何人：未提供来自别处的公钥。"
    ),
    "clock_key": Text(
        "That the clock is the root log's own: its key is the file's, none from elsewhere was given.",
        "时钟确为根日志自身所有：其公钥来自文件本身，未提供来自别处的公钥。",
    ),
    "not_anchored": Text(
        "That the log's state was entered in a root log: not yet, in this file.",
        "日志状态已录入根日志：本文件中尚未体现。",
    ),
    "one_log_for_all": Text(
        "That everybody is shown the same log: no independent witness cosigned this state.",
        "所有人看到的是同一份日志：该状态没有独立见证方联署。",
    ),
    "independence": Text(
        "That a witness is independent: that is the issuer's word, not a proof.",
        "见证方是否独立：这是出具方的陈述，并非证明。",
    ),
    "stamp_authority": Text(
        "That the time stamp is the authority's: its certificate was not given.",
        "时间戳确由该机构签发：未提供其证书。",
    ),
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `got` and `want` are empty unless it failed; `item`: index in the file's
    items; `witness`: the name of a witness's key.
    """

    name: str
    state: State
    got: str
    want: str
    text: Text
    log: str | None = None
    item: int | None = None
    witness: str | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing was wrong."""
        return self.state != "failed"

    def value(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "ok": self.ok,
            "state": self.state,
            "got": self.got,
            "want": self.want,
            "text": self.text.value(),
            "log": self.log,
            "item": self.item,
            "witness": self.witness,
        }


@dataclass(frozen=True, slots=True)
class LogFact:
    """A log whose checkpoint verified. `key_id`: 8 hex digits."""

    origin: str
    key_id: str
    size: int
    anchored: bool


@dataclass(frozen=True, slots=True)
class WitnessFact:
    """A cosignature that verified. `time_s`: the witness's clock, seconds since 1970 UTC; `known`: your own
    policy names the key, so its being a witness is not only the file's word.
    """

    name: str
    operator_zh: str
    operator_en: str
    relation: str
    time_s: int
    known: bool


@dataclass(frozen=True, slots=True)
class TimestampFact:
    """A time stamp whose imprint fits. `time_ms`: the token's own time; `covers`: all logs of the file are
    anchored, and within the tree it is over.
    """

    authority: str
    time_ms: int
    covers: bool


@dataclass
class Facts:
    """What was established, gathered as the checks go. Times of `oldest_rec`, `newest_rec`: UTC ms, by the
    logs' own clocks, over entries proven to be in their logs.
    """

    logs: list[LogFact] = field(default_factory=list)
    root: LogFact | None = None
    clock_s: int | None = None
    clock_known: bool = False
    """The clock's key came from the reader, and not from the file."""
    witnesses: list[WitnessFact] = field(default_factory=list)
    timestamps: list[TimestampFact] = field(default_factory=list)
    oldest_rec: int | None = None
    newest_rec: int | None = None
    stamps_vouched: bool = False
    """The authority's certificate was at hand, and the stamps are its."""

    def saw(self, rec_ms: int) -> None:
        self.oldest_rec = rec_ms if self.oldest_rec is None else min(self.oldest_rec, rec_ms)
        self.newest_rec = rec_ms if self.newest_rec is None else max(self.newest_rec, rec_ms)

    @property
    def independent(self) -> bool:
        """Whether a witness that is not the operator's own cosigned."""
        return any(witness.relation != "operator" for witness in self.witnesses)

    @property
    def anchored(self) -> bool:
        """Whether every log that verified is in the root log."""
        return self.root is not None and all(log.anchored for log in self.logs)

    def limits(self, own_key: bool) -> tuple[str, ...]:
        """Names in `LIMITS` of what this file does not show."""
        wanted = {
            "truth": True,
            "complete": True,
            "own_key": own_key,
            "clock_key": self.clock_s is not None and not self.clock_known,
            "not_anchored": not self.anchored,
            # What a witness saw is the root log: of a log that is not in there it says nothing.
            "one_log_for_all": not (self.independent and self.anchored),
            "independence": any(w.relation != "operator" and not w.known for w in self.witnesses),
            "stamp_authority": bool(self.timestamps) and not self.stamps_vouched,
        }
        return tuple(name for name, holds in wanted.items() if holds)

    def value(self, own_key: bool) -> dict[str, Any]:
        return {
            "root": None if self.root is None else _plain(self.root),
            "logs": [_plain(log) for log in self.logs],
            "clock_s": self.clock_s,
            "clock_known": self.clock_known,
            "witnesses": [_plain(witness) for witness in self.witnesses],
            "independent": self.independent,
            "timestamps": [_plain(stamp) for stamp in self.timestamps],
            "oldest_rec": self.oldest_rec,
            "newest_rec": self.newest_rec,
            "not_shown": [{"name": name, "text": LIMITS[name].value()} for name in self.limits(own_key)],
        }


def _plain(fact: Any) -> dict[str, Any]:
    return {name: getattr(fact, name) for name in fact.__slots__}


@dataclass(frozen=True, slots=True)
class Report:
    """All checks in order. `own_key`: no trusted key was given, so the file vouched for itself."""

    checks: tuple[Check, ...]
    own_key: bool
    facts: Facts = field(default_factory=Facts)

    @property
    def verified(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.ok)

    def value(self) -> dict[str, Any]:
        """For JSON."""
        checks = [check.value() for check in self.checks]
        facts = self.facts.value(self.own_key)
        return {"verified": self.verified, "own_key": self.own_key, "checks": checks, "facts": facts}


class Checks:
    """Gathers the checks of one run over one file."""

    def __init__(self) -> None:
        self.made: list[Check] = []

    def attempt(
        self,
        name: str,
        check: Callable[[], object],
        *,
        log: str | None = None,
        item: int | None = None,
        witness: str | None = None,
        holding: State = "held",
    ) -> bool:
        """Whether `check` returned; VerifyError and EntryError are its ways to say no. `holding`: the state if
        it did.
        """
        state, got, want = holding, "", ""
        try:
            check()
        except VerifyError as error:
            state, got, want = "failed", f"{error.what}: {error.got}", error.want
        except EntryError as error:
            state, got, want = "failed", str(error), "what docs/entry-v1.md says"
        self.made.append(Check(name, state, got, want, TEXTS[name], log, item, witness))
        return state != "failed"
