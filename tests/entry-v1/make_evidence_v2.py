"""Makes `evidence-v2.json` beside it, from fixed keys: `PYTHONPATH=. python tests/entry-v1/make_evidence_v2.py`.

An evidence file of version 2 with two logs in a root log, a change of key, two witnesses, a clock and a time
stamp, and the ways to spoil it, each with the checks that must fail. What cannot be made twice the same (a time
stamp, an ML-DSA signature) is kept beside it as a file and made anew only if it no longer fits.
"""

import base64
import gzip
import importlib.util
import json
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from ledger.entry import Entry, commit_event, log_pseudonym, stream_pseudonym
from ledger.evidence import Trust, build_event, build_window, read_trust, verify_evidence
from ledger.evidence_file import (
    AnchoredEvidence,
    LeafEvidence,
    LogEvidence,
    RootEvidence,
    TimestampEvidence,
    WitnessEvidence,
)
from ledger.timestamp_token import read_token
from ledger.translog.checkpoint import Checkpoint, sign_checkpoint
from ledger.translog.cosignature import ML_DSA_44, Cosigner
from ledger.translog.merkle import Tree, leaf_hash
from ledger.translog.note import SignerKey, parse_signatures
from ledger.translog.policy import parse_policy
from ledger.translog.verify import VerifyError
from ledger.window_body import Amends, Missing, WindowBody


def _load_version_1() -> Any:
    spec = importlib.util.spec_from_file_location("entry_v1_make", Path(__file__).parent / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


v1 = _load_version_1()

FOLDER = Path(__file__).parent
FILE = "evidence-v2.json"
TOKEN = "evidence-v2.tsr"
PQ_LINE = "evidence-v2.ml-dsa-44.txt"
PACKED = "evidence-v2.example.json.gz"

ORIGIN: str = v1.ORIGIN
OLD: SignerKey = v1.SIGNER
NEW = SignerKey.from_seed(ORIGIN, bytes([7]) * 32)
MARKET_ORIGIN = "log.suyuan.example/taizhou-market"
MARKET_SIGNER = SignerKey.from_seed(MARKET_ORIGIN, bytes([8]) * 32)
ROOT_ORIGIN = "log.suyuan.example/root"
ROOT = SignerKey.from_seed(ROOT_ORIGIN, bytes([9]) * 32)
CLOCK = Cosigner.from_seed(f"{ROOT_ORIGIN}/clock", bytes([10]) * 32)
AUTHORITY = Cosigner.from_seed("amr.zj.example/witness", bytes([11]) * 32)
OURS = Cosigner.from_seed("log.suyuan.example/witness", bytes([12]) * 32)
UNNAMED = Cosigner.from_seed("somebody.example/witness", bytes([13]) * 32)
PQ = Cosigner.from_seed("pq.example/witness", bytes([14]) * 32, ML_DSA_44)
STRANGER = SignerKey.from_seed(ROOT_ORIGIN, bytes([15]) * 32)
TSA = "tsa.example"
ROOT_KEY = bytes(range(64, 96))
START_MS: int = v1.START_MS
HOUR_MS: int = v1.HOUR_MS
NEWEST_MS = START_MS + 3 * HOUR_MS
SEEN_S = NEWEST_MS // 1000 + 20
STAMPED_MS = START_MS + 2 * HOUR_MS + 60_000

VERDICT: dict[str, Any] = {
    "excursion": "urn:uuid:4f2a2f0e-7f0e-4c39-8a3c-3a5d5f1b9b21",
    "version": 2,
    "lot": "https://id.gs1.org/01/09521234000204/10/DK260618A",
    "verdict": "breach",
    "above_limit_s": [540, 780],
    "highest_c": 7.0,
    "rule": {
        "product": "bayberry",
        "stage": "transport",
        "version": 3,
        "upper_limit_c": 5,
        "lower_limit_c": 0,
        "tolerance_s": 600,
    },
}


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Log:
    """A sequencer in ten lines, of one origin."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.entries: list[bytes] = []
        self.heads: dict[bytes, tuple[int, bytes]] = {}

    def append(self, entry_type: Any, stream: bytes, body: dict[str, Any], rec: int) -> int:
        last = self.heads.get(stream)
        n, prev = (0, None) if last is None else (last[0] + 1, last[1])
        data = Entry(entry_type, log_pseudonym(self.origin), stream, n, prev, rec, body).encode()
        self.heads[stream] = (n, leaf_hash(data))
        self.entries.append(data)
        return len(self.entries) - 1

    @property
    def tree(self) -> Tree:
        return Tree.of(self.entries)

    def leaf(self, index: int) -> LeafEvidence:
        return LeafEvidence(self.origin, index, self.entries[index], self.tree.inclusion_proof(index))

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        held = self.entries if size is None else self.entries[:size]
        return Checkpoint(self.origin, len(held), Tree.of(held).root_hash)


def rotation_body(origin: str, old: SignerKey, new: SignerKey) -> dict[str, Any]:
    text = f"suyuan/key/v1\n{origin}\n{old.verifier}\n{new.verifier}\n"
    return {
        "old": str(old.verifier),
        "new": str(new.verifier),
        "sig_old": encode(old.sign(text)),
        "sig_new": encode(new.sign(text)),
    }


def cooperative_log() -> Log:
    """0 event, 1 window, 2 its amendment, 3 verdict, 4 new key, 5 a window of 33 series."""
    log = Log(ORIGIN)
    event = commit_event(v1.EVENT, v1.salts(len(v1.EVENT), 1))
    log.append("event", v1.PARTY, event.body(), START_MS + 1)
    missing = [Missing(3, 17, 19), Missing(4, 1, 1)]
    sealed = WindowBody.of(v1.window(), START_MS, START_MS + HOUR_MS, "hour", missing)
    log.append("window", v1.DEVICE, sealed.value(), START_MS + HOUR_MS)
    tree = v1.amending_window()
    added = tree.added_since(v1.window().tree.leaf_hashes)
    amended = WindowBody.of(
        tree, START_MS, START_MS + HOUR_MS, "hour", [Missing(3, 18, 19)], added=added
    ).amending(Amends(1, leaf_hash(log.entries[1])))
    log.append("window", v1.DEVICE, amended.value(), START_MS + HOUR_MS + 5)
    verdict = commit_event(VERDICT, v1.salts(len(VERDICT), 3))
    log.append("verdict", v1.PARTY, verdict.body(), START_MS + HOUR_MS + 9)
    own = stream_pseudonym(v1.ORG_KEY, "log", ORIGIN)
    log.append("key", own, rotation_body(ORIGIN, OLD, NEW), START_MS + HOUR_MS + 10)
    crowded = WindowBody.of(v1.crowded_window(), START_MS + HOUR_MS, START_MS + 2 * HOUR_MS, "excursion")
    log.append("window", v1.DEVICE, crowded.value(), START_MS + 2 * HOUR_MS)
    return log


def market_log() -> Log:
    log = Log(MARKET_ORIGIN)
    second = commit_event(v1.SECOND_EVENT, v1.salts(len(v1.SECOND_EVENT), 2))
    log.append("event", bytes([5]) * 16, second.body(), START_MS + 2 * HOUR_MS + 3)
    return log


def anchor_body(log: Log, signers: Sequence[SignerKey], size: int | None = None) -> dict[str, Any]:
    return {"checkpoint": sign_checkpoint(log.checkpoint(size), signers)}


def log_stream(origin: str) -> bytes:
    return stream_pseudonym(ROOT_KEY, "log", origin)


def root_log(cooperative: Log, market: Log) -> Log:
    """0 to 2 anchors, 3 a time stamp over those, 4 another anchor. Of another log than the honest one the time
    stamp does not hold.
    """
    root = Log(ROOT_ORIGIN)
    at = START_MS + 2 * HOUR_MS + 10_000
    root.append("anchor", log_stream(ORIGIN), anchor_body(cooperative, [OLD], 3), START_MS + HOUR_MS + 8)
    root.append("anchor", log_stream(ORIGIN), anchor_body(cooperative, [OLD, NEW]), at)
    root.append("anchor", log_stream(MARKET_ORIGIN), anchor_body(market, [MARKET_SIGNER]), at + 1)
    stamped = root.checkpoint()
    honest = cooperative.entries == cooperative_log().entries
    token = kept_token(stamped.text) if honest else (FOLDER / TOKEN).read_bytes()
    stamp = {
        "size": stamped.size,
        "root": encode(stamped.root_hash),
        "time": read_token(token).time_ms,
        "authority": TSA,
        "token": encode(sha256(token).digest()),
    }
    stream = stream_pseudonym(ROOT_KEY, "party", "tsa")
    root.append("anchor", stream, {"timestamp": stamp}, STAMPED_MS)
    root.append("anchor", log_stream(MARKET_ORIGIN), anchor_body(market, [MARKET_SIGNER]), NEWEST_MS)
    return root


def kept_token(text: str) -> bytes:
    """The time stamp over `text` that lies beside this file, or a new one."""
    path, wanted = FOLDER / TOKEN, sha256(text.encode()).digest()
    if not path.exists() or read_token(path.read_bytes()).imprint != wanted:
        path.write_bytes(new_token(text))
    return path.read_bytes()


def new_token(text: str) -> bytes:
    """By an authority made for the purpose, with OpenSSL; its key is thrown away."""
    configuration = (
        "[tsa]\ndefault_tsa=t\n[t]\nserial=serial\nsigner_digest=sha256\ndefault_policy=1.2.3.4.1\n"
        "digests=sha256\nordering=yes\ntsa_name=no\ness_cert_id_chain=no\ness_cert_id_alg=sha256\n"
        "[req]\ndistinguished_name=dn\n[dn]\n[ext]\nextendedKeyUsage=critical,timeStamping\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "c").write_text(configuration)
        (place / "text").write_text(text)
        (place / "serial").write_text("01\n")
        for command in (
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out cert -days 36500"
            f" -subj /CN={TSA} -config c -extensions ext",
            "ts -query -data text -sha256 -no_nonce -out q",
            "ts -reply -config c -section t -queryfile q -signer cert -inkey k -out r",
        ):
            subprocess.run(["openssl", *command.split()], cwd=place, check=True, capture_output=True)
        return (place / "r").read_bytes()


def cosigned(checkpoint: Checkpoint, cosigners: Sequence[Cosigner], time: int = SEEN_S) -> str:
    note = sign_checkpoint(checkpoint, [ROOT])
    return note + "".join(str(cosigner.cosign(checkpoint, time)) for cosigner in cosigners)


def time_stamp(root: Log) -> TimestampEvidence:
    token = kept_token(root.checkpoint(3).text)
    return TimestampEvidence(root.leaf(3), token, root.tree.consistency_proof(3))


def witness(cosigner: Cosigner, relation: Any, zh: str, en: str) -> WitnessEvidence:
    return WitnessEvidence(str(cosigner.verifier), zh, en, relation)


AUTHORITY_WITNESS = witness(
    AUTHORITY, "authority", "浙江省市场监督管理局", "Zhejiang market regulation (example)"
)
OUR_WITNESS = witness(OURS, "operator", "本平台", "the operator itself")


def example_evidence(*, cooperative: Log | None = None, anchored: bool = True) -> AnchoredEvidence:
    """`cooperative`: another log in the place of the honest one."""
    log, market = cooperative or cooperative_log(), market_log()
    items = (
        build_event(log.leaf(0), v1.EVENT, v1.salts(len(v1.EVENT), 1), {"bizStep", "eventTime", "type", "€"}),
        build_window(log.leaf(1), v1.window(), range(9)),
        build_window(log.leaf(2), v1.amending_window(), [0, 8]),
        build_event(log.leaf(3), VERDICT, v1.salts(len(VERDICT), 3), {"verdict", "rule"}, "verdict"),
        build_window(log.leaf(5), v1.crowded_window(), [0, 32]),
        build_event(market.leaf(0), v1.SECOND_EVENT, v1.salts(len(v1.SECOND_EVENT), 2), set(v1.SECOND_EVENT)),
    )
    keys = (log.leaf(4),)
    if not anchored:
        notes = (
            sign_checkpoint(log.checkpoint(), [OLD, NEW]),
            sign_checkpoint(market.checkpoint(), [MARKET_SIGNER]),
        )
        logs = (
            LogEvidence(ORIGIN, str(NEW.verifier), notes[0]),
            LogEvidence(MARKET_ORIGIN, str(MARKET_SIGNER.verifier), notes[1]),
        )
        return AnchoredEvidence(None, logs, items, keys)
    root = root_log(log, market)
    note = cosigned(root.checkpoint(), [CLOCK, AUTHORITY, UNNAMED, OURS])
    return AnchoredEvidence(
        RootEvidence(ROOT_ORIGIN, str(ROOT.verifier), str(CLOCK.verifier), note),
        (
            LogEvidence(ORIGIN, str(NEW.verifier), None, root.leaf(1)),
            LogEvidence(MARKET_ORIGIN, str(MARKET_SIGNER.verifier), None, root.leaf(2)),
        ),
        items,
        keys,
        (AUTHORITY_WITNESS, OUR_WITNESS),
        () if cooperative else (time_stamp(root),),
    )


TRUSTED = {
    ORIGIN: str(OLD.verifier),
    MARKET_ORIGIN: str(MARKET_SIGNER.verifier),
    ROOT_ORIGIN: str(ROOT.verifier),
}
POLICY = "".join(
    f"{line}\n"
    for line in (
        *(f"log {vkey}" for vkey in TRUSTED.values()),
        f"witness authority {AUTHORITY.verifier} https://amr.zj.example/",
        f"witness ours {OURS.verifier}",
        f"witness absent {Cosigner.from_seed('absent.example/witness', bytes([16]) * 32).verifier}",
        "group outside any authority absent",
        "quorum outside",
    )
)


def in_entry(text: str, change: Callable[[dict[str, Any]], None]) -> str:
    """An entry with its JSON changed."""
    value = json.loads(text)
    change(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def set_at(*path: Any) -> Callable[[dict[str, Any]], None]:
    """Sets what stands at the path before its last member to that."""
    *steps, last, new = path

    def change(value: Any) -> None:
        for step in steps:
            value = value[step]
        value[last] = new

    return change


def in_note(entry: str, old: str, new: str) -> str:
    """An anchor entry whose note is changed."""

    def change(value: dict[str, Any]) -> None:
        note = value["body"]["checkpoint"]
        assert old in note
        value["body"]["checkpoint"] = note.replace(old, new)

    return in_entry(entry, change)


def line_of(note: str, name: str) -> str:
    return next(line for line in note.split("\n") if line.startswith(f"— {name} "))


def with_line(note: str, name: str, change: Callable[[bytes], bytes]) -> str:
    """The note with the bytes of one signature line (4 of the key id, then the signature) changed."""
    line = line_of(note, name)
    data = change(base64.b64decode(line.split(" ")[2]))
    return note.replace(line, f"— {name} {encode(data)}")


def flipped(at: int) -> Callable[[bytes], bytes]:
    return lambda data: bytes(byte ^ (1 if i == at % len(data) else 0) for i, byte in enumerate(data))


def zeroed(data: bytes) -> bytes:
    """The first hash of them is another."""
    return bytes(32) + data[32:]


Patch = tuple[str, str, Any]


def spoiled() -> dict[str, tuple[str | None, Patch]]:
    """name -> (the issue's word for what is changed, operation on the example). None may verify."""
    good = json.loads(example_evidence().to_json())
    items, logs, root = good["items"], good["logs"], good["root"]
    note, anchor, stamp = root["checkpoint"], logs[0]["anchor"], good["timestamps"][0]
    size, coop = f"\n{note.split(chr(10))[1]}\n", json.loads(anchor["entry"])
    inner = coop["body"]["checkpoint"]
    anchored = "/logs/0/anchor/entry"

    def item(at: int, change: Callable[[dict[str, Any]], None]) -> Patch:
        return "replace", f"/items/{at}/entry", in_entry(items[at]["entry"], change)

    def head(old: str, new: str) -> Patch:
        assert old in note
        return "replace", "/root/checkpoint", note.replace(old, new, 1)

    def signed(name: str, change: Callable[[bytes], bytes]) -> Patch:
        return "replace", "/root/checkpoint", with_line(note, name, change)

    def hashes(path: str, change: Callable[[bytes], bytes]) -> Patch:
        value: Any = good
        for step in path.split("/")[1:]:
            value = value[int(step)] if isinstance(value, list) else value[step]
        return "replace", path, encode(change(base64.b64decode(value)))

    zero, one = encode(bytes(32)), encode(bytes([1]) * 32)
    return {
        "a reading's value": ("reading", ("replace", "/items/1/readings/3/value", 4.9)),
        "a reading's time": ("reading", ("replace", "/items/1/readings/3/time", START_MS + 1)),
        "a reading's flags": ("reading", ("replace", "/items/1/readings/3/flags", 1)),
        "a reading's salt": ("salt", ("replace", "/items/1/readings/3/salt", zero)),
        "a field's salt": ("salt", ("replace", "/items/0/fields/1/salt", encode(bytes(16)))),
        "a hash in a reading's path": ("inner path", hashes("/items/1/readings/3/path", zeroed)),
        "a reading's path one short": (
            "inner path",
            hashes("/items/1/readings/3/path", lambda data: data[32:]),
        ),
        "the window entry's root": ("window entry", item(1, set_at("body", "root", zero))),
        "the window entry's reason": ("window entry", item(1, set_at("body", "closed", "hand_over"))),
        "the window entry of another": ("window entry", ("replace", "/items/1/entry", items[2]["entry"])),
        "a hash in an item's proof": ("outer path", hashes("/items/1/proof", zeroed)),
        "an item's proof one long": ("outer path", hashes("/items/1/proof", lambda data: bytes(32) + data)),
        "an item's index": ("index", ("replace", "/items/1/index", 2)),
        "an anchor's index": ("index", ("replace", "/logs/0/anchor/index", 0)),
        "the root log's size": ("size", head(size, "\n6\n")),
        "a log's size": ("size", ("replace", anchored, in_note(anchor["entry"], "\n6\n", "\n7\n"))),
        "the root log's root": ("root", head(note.split("\n")[2], zero)),
        "a log's root": ("root", ("replace", anchored, in_note(anchor["entry"], inner.split("\n")[2], zero))),
        "the root log's origin": ("origin", head(ROOT_ORIGIN, "log.suyuan.example/toor")),
        "a log's origin": (
            "origin",
            ("replace", anchored, in_note(anchor["entry"], ORIGIN, "log.suyuan.example/linhai")),
        ),
        "an item's log": ("origin", ("replace", "/items/0/log", MARKET_ORIGIN)),
        "an item of the root log": ("origin", ("replace", "/items/0/log", ROOT_ORIGIN)),
        "an item of an unknown log": ("origin", ("replace", "/items/0/log", "log.suyuan.example/linhai")),
        "the root log's signature": ("signature", signed(ROOT_ORIGIN, flipped(40))),
        "a log's signature": (
            "signature",
            (
                "replace",
                anchored,
                in_note(
                    anchor["entry"],
                    inner.split("\n")[5],
                    with_line("\n" + inner.split("\n")[5] + "\n", ORIGIN, flipped(40))[1:-1],
                ),
            ),
        ),
        "the id of the root log's key": ("key id", signed(ROOT_ORIGIN, flipped(0))),
        "the id of a witness's key": ("key id", signed(AUTHORITY.name, flipped(0))),
        "the id in a vkey": ("key id", ("replace", "/root/vkey", _other_id(root["vkey"]))),
        "a cosignature": ("cosignature", signed(AUTHORITY.name, flipped(-1))),
        "a cosignature left out": ("cosignature", head(line_of(note, AUTHORITY.name) + "\n", "")),
        "a cosignature's time": ("its time", signed(AUTHORITY.name, flipped(11))),
        "a cosignature too early": (
            "its time",
            head(line_of(note, AUTHORITY.name), _early_line(AUTHORITY)),
        ),
        "the clock's time": ("its time", signed(CLOCK.name, flipped(11))),
        "the clock too early": ("its time", head(line_of(note, CLOCK.name), _early_line(CLOCK))),
        "the rule's limit": ("rule", _field(items[3], 3, "rule", {**VERDICT["rule"], "upper_limit_c": 8})),
        "the rule's version": ("rule", _field(items[3], 3, "rule", {**VERDICT["rule"], "version": 2})),
        "the verdict": ("verdict", _field(items[3], 3, "verdict", "compliant")),
        "the verdict shown as an event": ("verdict", ("replace", "/items/3/kind", "event")),
        "the verdict entry's root": ("verdict", item(3, set_at("body", "root", one))),
        "an event's field": ("event field", _field(items[0], 0, "bizStep", "shipping")),
        "an event's field left out": ("event field", ("remove", "/items/0/fields/0", None)),
        "a withheld field's hash": ("event field", ("replace", "/items/0/fields/0/hash", zero)),
        "a missing range narrowed": ("missing range", item(1, set_at("body", "missing", 0, 2, 18))),
        "a missing range left out": ("missing range", item(1, set_at("body", "missing", []))),
        "the link to the entry before": ("stream link", item(2, set_at("prev", zero))),
        "the number in the stream": ("stream link", item(2, set_at("n", 2))),
        "another log's checkpoint as the root's": (
            "foreign checkpoint",
            ("replace", "/root/checkpoint", inner),
        ),
        "a checkpoint by a stranger's key": (
            "foreign checkpoint",
            ("replace", "/root/checkpoint", _strange_note()),
        ),
        "the root log's checkpoint of an older size": (
            "foreign checkpoint",
            ("replace", "/root/checkpoint", _older_note()),
        ),
        "another log's anchor": ("foreign checkpoint", ("replace", "/logs/0/anchor", logs[1]["anchor"])),
        "an older anchor of the log": ("foreign checkpoint", ("replace", "/logs/0/anchor", _older_anchor())),
        "a hash in an anchor's proof": (None, hashes("/logs/0/anchor/proof", zeroed)),
        "a time stamp as an anchor": (
            None,
            ("replace", "/logs/0/anchor", {name: stamp[name] for name in ("index", "entry", "proof")}),
        ),
        "an item as an anchor": (
            None,
            ("replace", "/logs/0/anchor/entry", items[0]["entry"]),
        ),
        "the key entry's new key": (
            None,
            (
                "replace",
                "/keys/0/entry",
                in_entry(good["keys"][0]["entry"], set_at("body", "new", _stranger())),
            ),
        ),
        "the key entry's old signature": (
            None,
            (
                "replace",
                "/keys/0/entry",
                in_entry(good["keys"][0]["entry"], set_at("body", "sig_old", encode(bytes(64)))),
            ),
        ),
        "the key entry's proof": (None, hashes("/keys/0/proof", zeroed)),
        "the key entry left out": (None, ("replace", "/keys", [])),
        "the key entry twice": (None, ("add", "/keys/0", good["keys"][0])),
        "an event as a key entry": (None, ("replace", "/keys/0/entry", items[0]["entry"])),
        "another log's key entry": (None, ("replace", "/keys/0/log", MARKET_ORIGIN)),
        "a witness's key of another": (None, ("replace", "/witnesses/0/vkey", str(PQ.verifier))),
        "two witnesses' keys swapped names": (
            None,
            (
                "replace",
                "/witnesses/0/vkey",
                str(Cosigner.from_seed(AUTHORITY.name, bytes([12]) * 32).verifier),
            ),
        ),
        "the clock as a witness": (None, ("replace", "/witnesses/1/vkey", root["clock"])),
        "a log's key as a witness's": (None, ("replace", "/witnesses/0/vkey", root["vkey"])),
        "another clock": (
            None,
            ("replace", "/root/clock", str(Cosigner.from_seed(CLOCK.name, bytes(32)).verifier)),
        ),
        "a witness as the clock": (None, ("replace", "/root/clock", str(AUTHORITY.verifier))),
        "a log's key": (None, ("replace", "/logs/1/vkey", str(ROOT.verifier).replace("root", "toor"))),
        "the root log's key": (None, ("replace", "/root/vkey", str(STRANGER.verifier))),
        "the time stamp's token": (None, ("replace", "/timestamps/0/token", _flipped_token(-1))),
        "the time stamp's imprint": (None, ("replace", "/timestamps/0/token", _flipped_imprint())),
        "the time stamp's consistency proof": (None, hashes("/timestamps/0/consistency", zeroed)),
        "the time stamp's consistency proof left out": (None, ("replace", "/timestamps/0/consistency", "")),
        "the time stamp's size": (
            None,
            (
                "replace",
                "/timestamps/0/entry",
                in_entry(stamp["entry"], set_at("body", "timestamp", "size", 2)),
            ),
        ),
        "the time stamp's proof": (None, hashes("/timestamps/0/proof", zeroed)),
        "a token that is none": (None, ("replace", "/timestamps/0/token", encode(b"0\x80"))),
        "an anchor as a time stamp": (None, ("replace", "/timestamps/0/entry", anchor["entry"])),
        "no items": (None, ("replace", "/items", [])),
        "an item of a withdrawn log": (None, ("remove", "/logs/1", None)),
        "an unknown relation": (None, ("replace", "/witnesses/0/relation", "friend")),
        "a witness twice": (None, ("add", "/witnesses/0", good["witnesses"][0])),
        "a log twice": (None, ("add", "/logs/0", logs[0])),
        "the root log among the logs": (
            None,
            ("add", "/logs/0", {"vkey": root["vkey"], "checkpoint": note}),
        ),
        "a log with anchor and checkpoint": (None, ("add", "/logs/0/checkpoint", inner)),
        "anchors without a root log": (None, ("replace", "/root", None)),
        "another format": (None, ("replace", "/format", "suyuan-evidence/v1")),
        "a format of tomorrow": (None, ("replace", "/format", "suyuan-evidence/v3")),
        "an unknown member": (None, ("add", "/comment", "all is well")),
        "an unknown member of an anchor": (None, ("add", "/logs/0/anchor/comment", "all is well")),
        "an unknown member of a witness": (None, ("add", "/witnesses/0/url", "https://amr.zj.example/")),
        "an unknown kind of item": (None, ("replace", "/items/0/kind", "registry")),
        "a witnesses list that is none": (None, ("replace", "/witnesses", {})),
        "a proof that is no whole hashes": (None, hashes("/items/0/proof", lambda data: data[:-1])),
        "a proof as version 1 has it": (None, ("replace", "/items/0/proof", [zero])),
        "an entry as version 1 has it": (
            None,
            ("replace", "/items/0/entry", encode(items[0]["entry"].encode())),
        ),
        "a proof in another spelling": (
            None,
            ("replace", "/items/0/proof", items[0]["proof"][:-2] + "B="),
        ),
        "an entry with a space": (
            None,
            ("replace", "/items/0/entry", items[0]["entry"].replace(",", ", ", 1)),
        ),
    }


def _other_id(vkey: str) -> str:
    name, key_id, rest = vkey.split("+", 2)
    return f"{name}+{'00000000' if key_id != '00000000' else '11111111'}+{rest}"


def _early_line(cosigner: Cosigner) -> str:
    """A true cosignature from ten minutes before the newest entry, which it cannot have seen."""
    root = root_log(cooperative_log(), market_log())
    early = (START_MS + 2 * HOUR_MS) // 1000 - 600
    return str(cosigner.cosign(root.checkpoint(), early))[:-1]


def _strange_note() -> str:
    root = root_log(cooperative_log(), market_log())
    return sign_checkpoint(root.checkpoint(), [STRANGER])


def _older_note() -> str:
    """True and cosigned, but of a size that the proofs are not against."""
    return cosigned(root_log(cooperative_log(), market_log()).checkpoint(4), [CLOCK, AUTHORITY, OURS])


def _older_anchor() -> dict[str, Any]:
    """It is in the root log, and does not reach the items."""
    return root_log(cooperative_log(), market_log()).leaf(0).place()


def _stranger() -> str:
    return str(SignerKey.from_seed(ORIGIN, bytes([17]) * 32).verifier)


def _flipped_token(at: int) -> str:
    return encode(flipped(at)((FOLDER / TOKEN).read_bytes()))


def _flipped_imprint() -> str:
    token = (FOLDER / TOKEN).read_bytes()
    return _flipped_token(token.index(read_token(token).imprint))


def _field(item: dict[str, Any], at: int, name: str, value: Any) -> Patch:
    place = next(i for i, field in enumerate(item["fields"]) if field.get("name") == name)
    return "replace", f"/items/{at}/fields/{place}/value", value


def dishonest_log(spoil: Callable[[Log], None]) -> Log:
    """A log that logs, signs and anchors what it should not."""
    log = cooperative_log()
    spoil(log)
    return log


def relink(index: int, change: Callable[[Entry, Log], Entry]) -> Callable[[Log], None]:
    def spoil(log: Log) -> None:
        value = json.loads(log.entries[index])
        entry = Entry(
            value["type"],
            base64.b64decode(value["org"]),
            base64.b64decode(value["stream"]),
            value["n"],
            base64.b64decode(value["prev"]),
            value["rec"],
            value["body"],
        )
        log.entries[index] = change(entry, log).encode()

    return spoil


def with_log(log: Log) -> str:
    """The example's file from another log."""
    return example_evidence(cooperative=log).to_json()


def _rewritten_event(log: Log) -> None:
    """Another event in the first place, for another market's log: its `org` is not this log's."""
    entry = json.loads(log.entries[0])
    entry["org"] = encode(log_pseudonym(MARKET_ORIGIN))
    log.entries[0] = json.dumps(entry, separators=(",", ":"), sort_keys=True).encode()


def _witness_of_itself() -> str:
    """The root log's key, under another name and as a cosigner's."""
    good = example_evidence()
    assert good.root is not None
    itself = Cosigner.from_seed("independent.example/witness", ROOT.seed)
    root = root_log(cooperative_log(), market_log())
    note = cosigned(root.checkpoint(), [CLOCK, itself])
    listed = witness(itself, "independent", "某见证方", "somebody independent")
    return replace(good, root=replace(good.root, checkpoint=note), witnesses=(listed,)).to_json()


def _key_by_others() -> str:
    """After the log's change of key one that does not follow it, and one that follows that."""
    log, own = cooperative_log(), stream_pseudonym(v1.ORG_KEY, "log", ORIGIN)
    one, other = (SignerKey.from_seed(ORIGIN, bytes([at]) * 32) for at in (21, 22))
    for old, new in ((one, other), (other, NEW)):
        log.append("key", own, rotation_body(ORIGIN, old, new), START_MS + 2 * HOUR_MS)
    keys = tuple(log.leaf(at) for at in (4, 6, 7))
    return replace(example_evidence(cooperative=log), keys=keys).to_json()


def _stamped(token: bytes, later_ms: int) -> str:
    """With another time stamp in the root log, said to be so much later than the example's."""
    good, root = example_evidence(), root_log(cooperative_log(), market_log())
    assert good.root is not None
    said = json.loads(root.entries[3])["body"]["timestamp"]
    said |= {"time": said["time"] + later_ms, "token": encode(sha256(token).digest())}
    root.append("anchor", stream_pseudonym(ROOT_KEY, "party", "tsa"), {"timestamp": said}, NEWEST_MS)
    logs = tuple(replace(log, anchor=root.leaf(at)) for at, log in enumerate(good.logs, start=1))
    return replace(
        good,
        root=replace(good.root, checkpoint=cosigned(root.checkpoint(), [CLOCK, AUTHORITY, UNNAMED, OURS])),
        logs=logs,
        timestamps=(TimestampEvidence(root.leaf(5), token, root.tree.consistency_proof(3)),),
    ).to_json()


def _false_stamps() -> dict[str, str]:
    token, day_ms = (FOLDER / TOKEN).read_bytes(), 86_400_000
    time = b"20261130174010Z"
    since_midnight_ms = ((17 * 60 + 40) * 60 + 10) * 1000
    assert time in token
    assert token[:2] == b"\x30\x82"
    return {
        "a time stamp of a day that there is not": _stamped(token.replace(time, b"20261131174010Z"), day_ms),
        "a time stamp of the hour 24": _stamped(
            token.replace(time, b"20261130240000Z"), day_ms - since_midnight_ms
        ),
        "a time stamp whose length is written longer": _stamped(b"\x30\x83\0" + token[2:], 0),
    }


def true_files() -> dict[str, dict[str, Any]]:
    """Files beside the example that must verify; `trusted`, `policy`: null where not given."""
    good = example_evidence()
    single = replace(good, items=(build_window(cooperative_log().leaf(1), v1.window(), [3]),), timestamps=())
    one_log = replace(single, logs=good.logs[:1])
    assert good.root is not None
    pq_note = good.root.checkpoint + kept_pq_line()
    pq = replace(
        one_log,
        root=replace(good.root, checkpoint=pq_note),
        witnesses=(AUTHORITY_WITNESS, witness(PQ, "independent", "某大学", "a university (example)")),
    )
    trusted = {"trusted": TRUSTED, "policy": None}
    return {
        "a single reading": {**trusted, "evidence": json.loads(one_log.to_json())},
        "without any key": {"trusted": None, "policy": None, "evidence": json.loads(good.to_json())},
        "with a policy": {"trusted": None, "policy": POLICY, "evidence": json.loads(good.to_json())},
        "trusting the new key": {
            "trusted": {**TRUSTED, ORIGIN: str(NEW.verifier)},
            "policy": None,
            "evidence": json.loads(good.to_json()),
        },
        "no root log yet": {**trusted, "evidence": json.loads(example_evidence(anchored=False).to_json())},
        "no witness and no clock": {
            **trusted,
            "evidence": json.loads(
                replace(one_log, root=replace(good.root, clock=None), witnesses=()).to_json()
            ),
        },
        "a witness that signs with ML-DSA-44": {**trusted, "evidence": json.loads(pq.to_json())},
    }


def false_files() -> dict[str, dict[str, Any]]:
    """Files that are spoiled in a way that no single operation says."""
    zero = relink(2, lambda entry, log: replace(entry, prev=bytes(32)))
    skipped = relink(2, lambda entry, log: replace(entry, n=0, prev=None))
    good = example_evidence().to_json()
    absent = POLICY.replace("any authority absent", "all authority absent")
    trusted = {"trusted": TRUSTED, "policy": None}
    strange = {**TRUSTED, ROOT_ORIGIN: str(STRANGER.verifier)}
    no_root = {name: vkey for name, vkey in TRUSTED.items() if name != ROOT_ORIGIN}
    value = json.loads(good)
    return {
        "the log links an entry to none": {**trusted, "issue": "stream link", "text": with_log(dishonest_log(zero))},
        "the log numbers two entries alike": {
            **trusted, "issue": "stream link", "text": with_log(dishonest_log(skipped)),
        },
        "the root log as its own witness": {**trusted, "text": _witness_of_itself()},
        "the log holds an entry of another": {**trusted, "text": with_log(dishonest_log(_rewritten_event))},
        "a change between keys of others": {**trusted, "issue": None, "text": _key_by_others()},
        **{name: {**trusted, "text": text} for name, text in _false_stamps().items()},
        "the file cut in half": {**trusted, "issue": "truncated file", "text": good[: len(good) // 2]},
        "the file without its last byte": {**trusted, "issue": "truncated file", "text": good[:-1]},
        "the file with a byte behind it": {**trusted, "text": good + "}"},
        "a key twice in an object": {**trusted, "text": good.replace('{"format"', '{"root":null,"format"', 1)},
        "the quorum not reached": {"trusted": None, "policy": absent, "text": good},
        "the root log not trusted": {"trusted": no_root, "policy": None, "text": good},
        "another root log trusted": {"trusted": strange, "policy": None, "text": good},
        "a stranger's root log": {
            **trusted,
            "issue": "foreign checkpoint",
            "text": json.dumps({**value, "root": {**value["root"], "vkey": str(STRANGER.verifier),
                                "checkpoint": _strange_note()}}, ensure_ascii=False),
        },
    }  # fmt: skip


def kept_pq_line() -> str:
    """ML-DSA-44 signs with fresh randomness, so the line is kept beside this file as the time stamp is."""
    path, checkpoint = FOLDER / PQ_LINE, root_log(cooperative_log(), market_log()).checkpoint()
    if not path.exists() or not _fits(path.read_text(), checkpoint):
        path.write_text(str(PQ.cosign(checkpoint, SEEN_S)))
    return path.read_text()


def kept_gzip(text: str) -> bytes:
    """Two builds of zlib pack alike, or not."""
    path = FOLDER / PACKED
    if not path.exists() or gzip.decompress(path.read_bytes()) != text.encode():
        path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    return path.read_bytes()


def _fits(line: str, checkpoint: Checkpoint) -> bool:
    try:
        PQ.verifier.verify(checkpoint.text, parse_signatures(line)[0].signature)
    except VerifyError:
        return False
    return True


def outcome(text: str, trusted: dict[str, str] | None = None, policy: str | None = None) -> dict[str, Any]:
    """`readable`: false where the file must be refused whole; `failed`: the checks that must not hold."""
    keys = None if trusted is None else list(trusted.values())
    trust = read_trust(keys, None if policy is None else parse_policy(policy))
    assert isinstance(trust, Trust)
    try:
        report = verify_evidence(text, trust)
    except VerifyError:
        return {"readable": False, "failed": []}
    return {"readable": True, "failed": [label(check) for check in report.failures]}


def label(check: Any) -> str:
    return check.name if check.item is None else f"{check.item} {check.name}"


def contents() -> str:
    good = example_evidence().to_json()
    report = verify_evidence(good, read_trust(TRUSTED.values()))
    value = {
        "trusted": TRUSTED,
        "policy": POLICY,
        "evidence": json.loads(good),
        "want": {
            **outcome(good, TRUSTED),
            "checks": [f"{label(check)} {check.state}" for check in report.checks],
            "facts": report.facts.value(own_key=False),
        },
        "gzip": encode(kept_gzip(good)),
        "true_files": [
            {"name": name, **file, **outcome(json.dumps(file["evidence"]), file["trusted"], file["policy"])}
            for name, file in true_files().items()
        ],
        "cases": [
            {"name": name, "issue": issue, "op": patch[0], "path": patch[1], "value": patch[2],
             **outcome(json.dumps(v1.patched(json.loads(good), patch)), TRUSTED)}
            for name, (issue, patch) in spoiled().items()
        ],
        "false_files": [
            {"name": name, "issue": None, **file, **outcome(file["text"], file["trusted"], file["policy"])}
            for name, file in false_files().items()
        ],
    }  # fmt: skip
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def main() -> None:
    (FOLDER / FILE).write_text(contents())


if __name__ == "__main__":
    main()
