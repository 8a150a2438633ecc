"""The 存证说明: what the issuer of an evidence file says beside it, for a court or an authority.

What proofs show is `ledger.evidence`'s; here is what a person asks further: where the data comes from, how it was made and
kept, the device and its calibration, clocks, witnesses and on whom they depend. Contract: `suyuan-statement/v1`; each line is
`held` (recorded, and so), `not_held` (recorded, and not so) or `not_recorded`; nothing is said that the database or the file
does not say. An article whose text we could not read ourselves is marked so (docs/decisions/0033).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import psycopg

from ledger.entry import parse_entry
from ledger.evidence import Facts
from ledger.evidence_file import AnchoredEvidence
from ledger.window_body import WindowBody
from ledger.witness_list import ListedWitness

FORMAT = "suyuan-statement/v1"
State = Literal["held", "not_held", "not_recorded"]

UNREAD = "（条文未核对 / text not verified）"
PENALTY_41 = f"行政处罚法 Art. 41{UNREAD}"
ONLINE_16 = "人民法院在线诉讼规则 Art. 16"
ONLINE_17 = "人民法院在线诉讼规则 Art. 17"
ONLINE_18 = f"人民法院在线诉讼规则 Art. 18{UNREAD}"


@dataclass(frozen=True, slots=True)
class About:
    """What the file is of. `devices`: ids of those whose readings it shows; `events`: ids; `at`: when it happened.
    `verdict`: it is a judgement of the system's, and no event."""

    zh: str
    en: str
    organisations: tuple[str, ...]
    devices: tuple[int, ...]
    events: tuple[int, ...]
    at: datetime
    verdict: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    id: str
    state: State
    zh: str
    en: str
    law: tuple[str, ...] = ()
    proof: str | None = None

    def value(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "state": self.state,
            "zh": self.zh,
            "en": self.en,
            "law": list(self.law),
            "proof": self.proof,
        }


def statement(
    conn: psycopg.Connection,
    about: About,
    evidence: AnchoredEvidence,
    facts: Facts,
    witnesses: Sequence[ListedWitness],
    now: datetime,
) -> dict[str, Any]:
    """`conn`: of a role that may read registry, calibrations, clocks and holds; the owner's. `facts`: of the file's own check."""
    lines = [
        *_source(conn, about),
        _generation(about),
        _custody(facts),
        *_devices(conn, about),
        *_calibrations(conn, about),
        *_clocks(conn, about, facts),
        *_witnesses(facts),
        *_dependence(facts, witnesses),
        _timestamp(facts),
        _completeness(evidence),
        _legal_hold(conn, about),
        _erasure(conn, about),
    ]
    return {
        "format": FORMAT,
        "made_at": round(now.timestamp() * 1000),
        "about": {"zh": about.zh, "en": about.en},
        "lines": [line.value() for line in lines],
    }


def _source(conn: psycopg.Connection, about: About) -> Iterator[Line]:
    rows = conn.execute(
        "SELECT name_zh, name_en, id FROM organisation WHERE id = ANY (%s) ORDER BY id",
        [list(about.organisations)],
    )
    for zh, en, name in rows:
        yield Line(
            "source",
            "held",
            f"数据由 {zh or name} 录入其自己的日志；日志以该组织的密钥签名，不代表个人签名。",
            f"Recorded by {en or name} in its own log, signed with that log's key; that is no person's signature.",
            (ONLINE_16,),
            "check:checkpoint",
        )


def _generation(about: About) -> Line:
    if about.devices:
        return Line(
            "generation",
            "held",
            "读数由设备自身产生，按设备与小时封存；每条读数带有设备时间。文件不说明每条读数是实时上传还是事后从文件导入。",
            "The readings come from a device and were sealed by device and hour, each with the device's time. Whether one came at"
            " once or from a file later is not told here.",
            (PENALTY_41,),
            "item:0",
        )
    if about.verdict:
        return Line(
            "generation",
            "held",
            "判定由系统按所示规则从设备读数自动算出，并与规则全文一并封存；所依据的读数不在本文件中。",
            "The verdict was computed by the system from a device's readings, by the rule shown, and sealed with the whole rule. The"
            " readings it rests on are not in this file.",
            (ONLINE_18,),
            "item:0",
        )
    return Line(
        "generation",
        "held",
        "事件由录入方以 EPCIS 格式提交；内容是录入方的陈述，系统只校验格式。",
        "The event was submitted in EPCIS form by who captured it: it is that party's word, of which the system checks the form.",
        (ONLINE_18,),
        "item:0",
    )


def _custody(facts: Facts) -> Line:
    since = _time(None if facts.oldest_rec is None else facts.oldest_rec / 1000)
    return Line(
        "custody",
        "held",
        f"自 {since}（日志自身时钟）入日志以后未被更改，可由本文件自行核验。入日志之前是否真实，本文件不能证明。",
        f"Unchanged since it entered the log at {since} by the log's own clock, as this file shows by itself. Whether it was true"
        " before that, the file cannot show.",
        (ONLINE_16, ONLINE_18),
        "check:inclusion",
    )


def _devices(conn: psycopg.Connection, about: About) -> Iterator[Line]:
    rows = conn.execute(_DEVICES, [list(about.devices)]).fetchall()
    if not rows:
        yield Line(
            "device",
            "not_recorded",
            "本文件不涉及设备读数。",
            "No reading of a device is in this file.",
            (PENALTY_41,),
        )
    for giai, model, accuracy, interval, series in rows:
        named = "；".join(f"{name} 为 {channel}（{unit}）" for name, channel, unit in series)
        named_en = "; ".join(f"{name} is {channel} ({unit})" for name, channel, unit in series)
        yield Line(
            "device",
            "held",
            f"设备 {giai}，型号 {model}，登记精度 ±{accuracy:g} °C，登记间隔 {interval} 秒。其序列：{named}。设备是否经法制和技术审核、"
            "设置是否合理、标志是否明显，未登记。",
            f"Device {giai}, model {model}, registered accuracy ±{accuracy:g} °C, registered interval {interval} s. Its series:"
            f" {named_en}. Legal and technical review, placing and marking of the device are not recorded.",
            (PENALTY_41,),
        )


# A series goes by the first digits of its random name, as the page shows it.
_DEVICES = """
SELECT giai, model, accuracy_c, interval_s,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(left(uuid::text, 8), channel, unit) ORDER BY channel), '[]')
        FROM series WHERE device_id = device.id)
FROM device WHERE id = ANY (%s) ORDER BY id
"""


def _calibrations(conn: psycopg.Connection, about: About) -> Iterator[Line]:
    day = about.at.date()
    for device in about.devices:
        row = conn.execute(_CALIBRATION, [device, day]).fetchone()
        if row is None:
            yield Line(
                "calibration",
                "not_recorded",
                f"设备 {_giai(conn, device)} 在该日或之前没有登记的校准。",
                f"No calibration of device {_giai(conn, device)} on or before that day is recorded.",
                (PENALTY_41,),
            )
            continue
        giai, certificate, laboratory, on, due = row
        state: State = "not_held" if due is not None and due < day else "held"
        until_zh, until_en = (
            ("未登记有效期", "without a last day") if due is None else (f"有效至 {due}", f"until {due}")
        )
        yield Line(
            "calibration",
            state,
            f"设备 {giai}：{laboratory} 于 {on} 出具证书 {certificate}，{until_zh}。证书内容未随本文件核验。",
            f"Device {giai}: certificate {certificate} by {laboratory} of {on}, {until_en}. The certificate itself is not checked.",
            (PENALTY_41,),
        )


_CALIBRATION = """
SELECT device.giai, certificate, laboratory, calibrated_on, due_on FROM calibration JOIN device ON device.id = device_id
WHERE device_id = %s AND calibrated_on <= %s ORDER BY calibrated_on DESC, certificate LIMIT 1
"""


def _giai(conn: psycopg.Connection, device: int) -> str:
    row = conn.execute("SELECT giai FROM device WHERE id = %s", [device]).fetchone()
    return "" if row is None else str(row[0])


def _clocks(conn: psycopg.Connection, about: About, facts: Facts) -> Iterator[Line]:
    for device in about.devices:
        row = conn.execute(_CLOCK, [device, about.at]).fetchone()
        if row is None:
            yield Line(
                "clock",
                "not_recorded",
                f"设备 {_giai(conn, device)} 当时的时钟偏差没有记录。",
                f"How far the clock of device {_giai(conn, device)} was off then is not recorded.",
            )
        else:
            offset, samples = row
            yield Line(
                "clock",
                "held",
                f"设备 {_giai(conn, device)} 当时的时钟与本系统接收时间相差约 {offset / 1000:.1f} 秒（{samples} 个样本估计）；读数保留设备时间。",
                f"The clock of device {_giai(conn, device)} differed then from our receipt by about {offset / 1000:.1f} s (estimated"
                f" from {samples} samples); readings keep the device's time.",
            )
    if facts.clock_s is not None:
        yield Line(
            "clock",
            "held",
            f"根日志自身的时钟在 {_time(facts.clock_s)} 标注了该状态；这是运营方自己的时钟。",
            f"The root log's own clock put {_time(facts.clock_s)} to this state; it is the operator's clock.",
            (),
            "check:clock",
        )


_CLOCK = """
SELECT offset_ms, samples FROM device_clock WHERE device_id = %s AND valid @> %s::timestamptz ORDER BY last_at DESC LIMIT 1
"""


def _witnesses(facts: Facts) -> Iterator[Line]:
    if not facts.witnesses:
        yield Line(
            "witnesses",
            "not_held",
            "该状态没有见证方联署：仅凭本文件不能排除运营方向他人出示另一份日志。",
            "No witness cosigned this state: by this file alone the operator could have shown others another log.",
            (ONLINE_17,),
        )
    for witness in facts.witnesses:
        own = witness.relation == "operator"
        kind = {"operator": "运营方自己的", "authority": "主管机关的", "independent": "据称独立的"}[
            witness.relation
        ]
        kind_en = {
            "operator": "the operator's own",
            "authority": "an authority's",
            "independent": "said to be independent",
        }
        yield Line(
            "witnesses",
            "not_held" if own else "held",
            f"{witness.operator_zh}（{kind}见证方 {witness.name}）于 {_time(witness.time_s)} 联署。"
            + ("运营方自己的见证不能防范运营方。" if own else ""),
            f"{witness.operator_en} ({kind_en[witness.relation]}, witness {witness.name}) cosigned at {_time(witness.time_s)}."
            + (" The operator's own witness guards against nobody but others." if own else ""),
            (ONLINE_17,),
            "check:cosignature",
        )


def _dependence(facts: Facts, witnesses: Sequence[ListedWitness]) -> Iterator[Line]:
    seen = {witness.name for witness in facts.witnesses}
    for witness in witnesses:
        if witness.name not in seen:
            continue
        depends = witness.depends_on
        yield Line(
            "dependence",
            "not_recorded" if depends is None else "held",
            f"见证方 {witness.name} 依赖于谁：{'未登记' if depends is None else depends.zh}。",
            f"On whom witness {witness.name} depends: {'not recorded' if depends is None else depends.en}.",
            (ONLINE_17,),
        )
    yield Line(
        "dependence",
        "not_recorded",
        "日志由本平台运营方运行。平台的存证服务备案、与当事人的利害关系、信息系统是否符合国家或行业标准，均未登记。",
        "The logs are run by the platform's operator. Its filing as a service that keeps evidence, its interests towards the"
        " parties, and conformity of its systems with national or industry standards are not recorded.",
        (ONLINE_17,),
    )


def _timestamp(facts: Facts) -> Line:
    covering = [stamp for stamp in facts.timestamps if stamp.covers]
    if not covering:
        return Line(
            "timestamp",
            "not_held",
            "本文件没有覆盖所示内容的第三方时间戳。",
            "No authority's time stamp over what is shown is in this file.",
            (ONLINE_17,),
        )
    stamp = covering[0]
    return Line(
        "timestamp",
        "held",
        f"{stamp.authority} 于 {_time(stamp.time_ms / 1000)} 对根日志加盖 RFC 3161 时间戳；其证书签名须另行核验。",
        f"{stamp.authority} stamped the root log at {_time(stamp.time_ms / 1000)} (RFC 3161); its signature is to be checked with its"
        " certificate.",
        (ONLINE_17,),
        "check:timestamp",
    )


def _completeness(evidence: AnchoredEvidence) -> Line:
    bodies = list(_windows(evidence))
    if not bodies:
        return Line(
            "completeness",
            "not_recorded",
            "未被录入的事件不会留下痕迹；本文件只说明所示内容。",
            "An event that nobody captured leaves no trace; the file speaks of what it shows.",
        )
    missing = sum(body.missing.count for body in bodies)
    if missing:
        return Line(
            "completeness",
            "not_held",
            f"封存时有 {missing} 段设备消息缺失，已写入条目。",
            f"{missing} ranges of the device's messages were missing when it was sealed; the entries say which.",
            (PENALTY_41,),
            "check:readings",
        )
    return Line(
        "completeness",
        "held",
        "封存时没有已知缺失的设备消息编号。设备关机期间没有消息，也就没有编号。",
        "No numbered message of the device was known to be missing when it was sealed. A device that is off numbers nothing.",
        (PENALTY_41,),
        "check:readings",
    )


def _windows(evidence: AnchoredEvidence) -> Iterator[WindowBody]:
    for item in evidence.items:
        if item.kind == "window":
            yield WindowBody.read(parse_entry(item.leaf.entry).body)


def _legal_hold(conn: psycopg.Connection, about: About) -> Line:
    subjects = [*about.organisations, *(_giai(conn, device) for device in about.devices)]
    row = conn.execute(_HOLD, [subjects]).fetchone()
    if row is None:
        return Line(
            "legal_hold",
            "not_held",
            "没有对这些数据的保全令；原始读数按保存期限删除，封存的根不受影响。",
            "No legal hold is on this; raw readings go by their age, the sealed roots stay.",
        )
    since = _time(row[0].timestamp())
    return Line(
        "legal_hold",
        "held",
        f"自 {since} 起有保全令，相关数据不删除。",
        f"Under a legal hold since {since}: nothing of it is deleted.",
    )


_HOLD = """
SELECT placed_at FROM legal_hold
WHERE released_at IS NULL AND (kind = 'all' OR (kind IN ('organisation', 'device') AND subject = ANY (%s)))
ORDER BY placed_at LIMIT 1
"""


def _erasure(conn: psycopg.Connection, about: About) -> Line:
    row = conn.execute(_ERASED, [list(about.events)]).fetchone()
    count = 0 if row is None else int(row[0] or 0)
    if count:
        return Line(
            "erasure",
            "not_held",
            f"有 {count} 个字段的个人信息已依法删除：其承诺仍在，内容不能再确认。",
            f"Personal data in {count} fields was erased: the commitment stays, the value can no longer be confirmed.",
        )
    return Line(
        "erasure",
        "held",
        "所示内容没有被删除的字段。",
        "No field of what is shown was erased.",
    )


_ERASED = "SELECT sum(cardinality(erased_fields)) FROM event_bytes WHERE event = ANY (%s)"


def _time(seconds: float | None) -> str:
    return (
        "—" if seconds is None else datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    )
