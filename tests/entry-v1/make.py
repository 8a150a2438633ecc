"""Makes the vectors of entry version 1 beside it, from fixed keys: `PYTHONPATH=. python
tests/entry-v1/make.py`.

They are the bytes that `docs/entry-v1.md` speaks of, for whoever writes another verifier. A test makes them
again and compares; if it ever fails, the code is wrong, not the vectors: version 1 cannot change.
"""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ledger.entry import Entry, StreamKind, commit_event, field_leaf, log_pseudonym, stream_pseudonym
from ledger.evidence import build_event, build_window, verify_evidence
from ledger.evidence_file import Evidence, LeafEvidence, LogEvidence
from ledger.translog.checkpoint import Checkpoint, sign_checkpoint
from ledger.translog.merkle import Tree, leaf_hash
from ledger.translog.note import SignerKey, sign_note
from ledger.translog.verify import VerifyError
from ledger.window import Rows, WindowTree, body_hash, observations, readings, window_secret
from ledger.window_body import Amends, Missing, WindowBody

FOLDER = Path(__file__).parent

ORIGIN = "log.suyuan.example/xianju"
SIGNER = SignerKey.from_seed(ORIGIN, bytes(range(32)))
ORG_KEY = bytes(range(32, 64))
PARTY = stream_pseudonym(ORG_KEY, "party", "xj-coop")
DEVICE = stream_pseudonym(ORG_KEY, "device", "truck-1")
START_MS = 1_782_000_000_000
HOUR_MS = 3_600_000
RETURN_AIR = bytes.fromhex("3b1f6c1e0f6a4c0e9d7c2a5be4a1d001")
DOOR = bytes.fromhex("0a2f6c1e0f6a4c0e9d7c2a5be4a1d002")
POSITION = bytes.fromhex("c41f6c1e0f6a4c0e9d7c2a5be4a1d003")

EVENT: dict[str, Any] = {
    "type": "ObjectEvent",
    "eventID": "urn:uuid:6d9b0b1c-52f7-4f0c-9a5a-0d1f8f6f3c11",
    "eventTime": "2026-06-18T05:20:00.000+08:00",
    "eventTimeZoneOffset": "+08:00",
    "action": "ADD",
    "bizStep": "commissioning",
    "disposition": "active",
    "readPoint": {"id": "https://id.gs1.org/414/9521234002048/254/P07"},
    "quantityList": [
        {"epcClass": "https://id.gs1.org/01/09521234000204/10/DK260618A", "quantity": 312.5, "uom": "KGM"}
    ],
    "suyuan:variety": "东魁",
    "€": 1e21,
    "\U0001f352": "sorts before U+FB33 by UTF-16, after it by code point",
    "\ufb33": -0.0,
}
SECOND_EVENT: dict[str, Any] = {
    "type": "ObjectEvent",
    "eventTime": "2026-06-18T07:05:00.000+08:00",
    "eventTimeZoneOffset": "+08:00",
    "action": "OBSERVE",
    "bizStep": "receiving",
    "epcList": ["https://id.gs1.org/00/095212340000000017"],
}


def salts(count: int, seed: int) -> list[bytes]:
    """Not random, so that the vectors can be made again. Real ones are."""
    return [bytes([seed, at]) * 8 for at in range(count)]


def hour_of_readings() -> Rows:
    """Two series and a position, out of order on purpose."""
    minutes = np.arange(6) * 60_000
    return np.concatenate(
        [
            readings(
                RETURN_AIR, START_MS + minutes[::-1], [2.31, 2.29, -0.0, -1.005, 7.0, 6.5], [0, 0, 1, 0, 0, 0]
            ),
            observations(POSITION, [START_MS + 30_000], [body_hash({"lat": 28.85, "lon": 120.7})], [0]),
            readings(DOOR, START_MS + minutes[:2] * 5, [0, 1], [0, 0]),
        ]
    )


def late_reading() -> Rows:
    return readings(RETURN_AIR, [START_MS + 59 * 60_000], [5.75], [2])


class Log:
    """A sequencer in ten lines: gives n, prev and an index."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.heads: dict[bytes, tuple[int, bytes]] = {}

    def append(self, entry_type: Any, stream: bytes, body: dict[str, Any], rec: int) -> int:
        last = self.heads.get(stream)
        n, prev = (0, None) if last is None else (last[0] + 1, last[1])
        data = Entry(entry_type, log_pseudonym(ORIGIN), stream, n, prev, rec, body).encode()
        self.heads[stream] = (n, leaf_hash(data))
        self.entries.append(data)
        return len(self.entries) - 1

    @property
    def tree(self) -> Tree:
        return Tree.of(self.entries)

    def leaf(self, index: int) -> LeafEvidence:
        return LeafEvidence(ORIGIN, index, self.entries[index], self.tree.inclusion_proof(index))

    @property
    def note(self) -> str:
        return sign_checkpoint(Checkpoint(ORIGIN, len(self.entries), self.tree.root_hash), [SIGNER])


def window() -> WindowTree:
    return WindowTree.of(window_secret(ORG_KEY, DEVICE, START_MS), hour_of_readings())


def amending_window() -> WindowTree:
    rows = np.concatenate([hour_of_readings(), late_reading()])
    return WindowTree.of(window_secret(ORG_KEY, DEVICE, START_MS), rows)


def crowded_window() -> WindowTree:
    """33 series: one more than an entry lists."""
    rows = [readings(bytes([at]) * 16, [START_MS + HOUR_MS + at], [at / 8], [0]) for at in range(33)]
    return WindowTree.of(window_secret(ORG_KEY, DEVICE, START_MS + HOUR_MS), np.concatenate(rows))


def example_log() -> Log:
    log = Log()
    first = commit_event(EVENT, salts(len(EVENT), 1))
    log.append("event", PARTY, first.body(), START_MS + 1)
    sealed = WindowBody.of(
        window(), START_MS, START_MS + HOUR_MS, "hour", [Missing(3, 17, 19), Missing(4, 1, 1)]
    )
    at = log.append("window", DEVICE, sealed.value(), START_MS + HOUR_MS)
    second = commit_event(SECOND_EVENT, salts(len(SECOND_EVENT), 2))
    log.append("event", PARTY, second.body(), START_MS + HOUR_MS + 1)
    tree = amending_window()
    amended = WindowBody.of(
        tree,
        START_MS,
        START_MS + HOUR_MS,
        "hour",
        [Missing(3, 18, 19)],
        added=tree.added_since(window().tree.leaf_hashes),
    ).amending(Amends(at, leaf_hash(log.entries[at])))
    log.append("window", DEVICE, amended.value(), START_MS + 2 * HOUR_MS)
    crowded = WindowBody.of(crowded_window(), START_MS + HOUR_MS, START_MS + 2 * HOUR_MS, "excursion")
    log.append("window", DEVICE, crowded.value(), START_MS + 2 * HOUR_MS + 1)
    log.append("registry", PARTY, {"note": "this body's shape is not fixed yet"}, START_MS + 2 * HOUR_MS + 2)
    return log


def example_evidence() -> Evidence:
    log = example_log()
    return Evidence(
        (LogEvidence(ORIGIN, str(SIGNER.verifier), log.note),),
        (
            build_event(
                log.leaf(0), EVENT, salts(len(EVENT), 1), {"bizStep", "eventTime", "type", "€", "\ufb33"}
            ),
            build_event(log.leaf(2), SECOND_EVENT, salts(len(SECOND_EVENT), 2), set(SECOND_EVENT)),
            build_window(log.leaf(1), window(), range(9)),
            build_window(log.leaf(3), amending_window(), [0, 8]),
            build_window(log.leaf(4), crowded_window(), [0, 32]),
        ),
    )


Patch = tuple[str, str, Any]
"""An operation of RFC 6902 on the example evidence: "replace", "add" or "remove", pointer, value."""


def spoiled() -> dict[str, Patch]:
    """Ways to spoil the example evidence. None may verify."""
    good = json.loads(example_evidence().to_json())
    note, items = good["logs"][0]["checkpoint"], good["items"]
    return {
        "a field's value changed": ("replace", "/items/0/fields/1/value", "shipping"),
        "a field's name changed": ("replace", "/items/0/fields/1/name", "bizstep"),
        "a field left out": ("remove", "/items/0/fields/0", None),
        "a field shown twice": ("add", "/items/0/fields/1", items[0]["fields"][1]),
        "a withheld field's hash changed": ("replace", "/items/0/fields/0/hash", encode(bytes(32))),
        "a field's salt changed": ("replace", "/items/0/fields/1/salt", encode(bytes(16))),
        "a reading's value changed": ("replace", "/items/2/readings/3/value", 4.9),
        "a reading's value minus zero": ("replace", "/items/2/readings/5/value", -0.0),
        "a reading's time changed": ("replace", "/items/2/readings/3/time", START_MS + 1),
        "a reading at another position": ("replace", "/items/2/readings/8/position", 9),
        "a reading's flags changed": ("replace", "/items/2/readings/3/flags", 1),
        "a reading of another series": ("replace", "/items/2/readings/3/series", encode(DOOR)),
        "an observation of another body": ("replace", "/items/2/readings/8/body_sha256", encode(bytes(32))),
        "readings out of order": ("replace", "/items/2/readings/0", items[2]["readings"][1]),
        "an entry in the place of another": ("replace", "/items/0/entry", items[1]["entry"]),
        "another index": ("replace", "/items/0/index", 1),
        "a proof too long": ("add", "/items/0/proof/0", encode(bytes(32))),
        "a proof too short": ("remove", "/items/0/proof/0", None),
        "a checkpoint of another size": ("replace", "/logs/0/checkpoint", note.replace("\n6\n", "\n7\n")),
        "a checkpoint with an extension": ("replace", "/logs/0/checkpoint", note.replace("\n\n", "\nx\n\n")),
        "another key": ("replace", "/logs/0/vkey", str(SignerKey.from_seed(ORIGIN, bytes(32)).verifier)),
        "no items": ("replace", "/items", []),
        "an item of an unknown log": ("replace", "/items/0/log", "log.suyuan.example/other"),
        "an event entry shown as a window": ("replace", "/items/2/entry", items[1]["entry"]),
        "a crowded window's series left out": ("remove", "/items/4/series", None),
        "a crowded window's series changed": ("replace", "/items/4/series/0/item/5", 100),
        "another format": ("replace", "/format", "suyuan-evidence/v2"),
        "an unknown member": ("add", "/comment", "all is well"),
        "a log twice": ("add", "/logs/0", good["logs"][0]),
        "base64 without padding": ("replace", "/items/0/proof/0", items[0]["proof"][0].rstrip("=")),
        "base64 with other spare bits": ("replace", "/items/0/proof/0", items[0]["proof"][0][:-2] + "B="),
        "a hash too short": ("replace", "/items/0/proof/0", encode(bytes(31))),
        "a value that is no number": ("replace", "/items/2/readings/3/value", "2.31"),
        "a reading without value and body": ("replace", "/items/2/readings/3/value", None),
        "an index that is no integer": ("replace", "/items/0/index", 0.5),
    }


def patched(value: Any, patch: Patch) -> Any:
    """A copy of `value` with one operation done."""
    operation, pointer, new = patch
    root = json.loads(json.dumps(value))
    *parents, last = pointer.split("/")[1:]
    holder = root
    for step in parents:
        holder = holder[int(step)] if isinstance(holder, list) else holder[step]
    at: Any = int(last) if isinstance(holder, list) else last
    if operation == "remove":
        del holder[at]
    elif operation == "add" and isinstance(holder, list):
        holder.insert(at, new)
    else:
        holder[at] = new
    return root


ENTRY = Entry(
    "registry",
    log_pseudonym(ORIGIN),
    PARTY,
    1,
    bytes(32),
    START_MS,
    {"text": "\u00e9", "list": [1, None, True]},
)

# Bytes that are not an entry, each with the reason.
NO_ENTRIES: dict[str, Callable[[str], str]] = {
    "a space": lambda t: t.replace(",", ", ", 1),
    "members in another order": lambda t: t.replace('{"body"', '{"v":1,"body"').replace(',"v":1}', "}"),
    "a float": lambda t: t.replace("[1,", "[1.5,"),
    "an integer written as a float": lambda t: t.replace("[1,", "[1.0,"),
    "an integer beyond 2^53 - 1": lambda t: t.replace("[1,", "[9007199254740992,"),
    "minus zero": lambda t: t.replace("[1,", "[-0,"),
    "a string not in NFC": lambda t: t.replace("\u00e9", "e\u0301"),
    "an escape where a character would do": lambda t: t.replace("\u00e9", "\\u00e9"),
    "a lone surrogate": lambda t: t.replace("\u00e9", "\\ud800"),
    "a key twice": lambda t: t.replace('"v":1}', '"v":1,"v":1}'),
    "an unknown member": lambda t: t.replace('"v":1}', '"v":1,"w":1}'),
    "another version": lambda t: t.replace('"v":1}', '"v":2}'),
    "another type": lambda t: t.replace("registry", "gossip"),
    "prev missing after n 0": lambda t: t.replace(f'"{encode(bytes(32))}"', "null"),
    "prev at n 0": lambda t: t.replace('"n":1,', '"n":0,'),
    "a negative n": lambda t: t.replace('"n":1,', '"n":-1,'),
    "true for an integer": lambda t: t.replace('"v":1}', '"v":true}'),
    "a short org": lambda t: t.replace(encode(log_pseudonym(ORIGIN)), encode(bytes(15))),
    "base64 in another spelling": lambda t: t.replace(encode(PARTY), encode(PARTY)[:-3] + "B=="),
    "a body that is a list": lambda t: t.replace('{"list":[1,null,true],"text":"\u00e9"}', "[]"),
    "nothing": lambda t: "",
    "4097 bytes": lambda t: t.replace("\u00e9", "x" * (4097 - len(t.encode()) + 2)),
    "an event body without a root": lambda t: t.replace("registry", "event"),
    "a window body without anything": lambda t: t.replace("registry", "window"),
}  # fmt: skip


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def keys() -> dict[str, Any]:
    streams: list[tuple[StreamKind, str]] = [("party", "xj-coop"), ("device", "truck-1")]
    return {
        "origin": ORIGIN,
        "private_key": SIGNER.export(),
        "vkey": str(SIGNER.verifier),
        "org_key": ORG_KEY.hex(),
        "org": log_pseudonym(ORIGIN).hex(),
        "streams": [
            {"kind": kind, "id": name, "stream": stream_pseudonym(ORG_KEY, kind, name).hex()}
            for kind, name in streams
        ],
    }


def entries() -> dict[str, Any]:
    text = ENTRY.encode().decode()
    with_reserved = replace(ENTRY, by=bytes(32), sig=bytes(64)).encode().decode()
    longest = replace(ENTRY, body={"text": "x" * (4096 - len(replace(ENTRY, body={"text": ""}).encode()))})
    return {
        "valid": {"plain": text, "reserved members": with_reserved, "4096 bytes": longest.encode().decode()},
        "leaf_hashes": {"plain": leaf_hash(text.encode()).hex()},
        "invalid": {name: spoil(text) for name, spoil in NO_ENTRIES.items()},
    }


def event() -> dict[str, Any]:
    event_salts = salts(len(EVENT), 1)
    commitment = commit_event(EVENT, event_salts)
    return {
        "event": EVENT,
        "salts": [salt.hex() for salt in event_salts],
        "names": list(commitment.names),
        "leaves": [
            field_leaf(salt, name, EVENT[name]).decode()
            for salt, name in zip(event_salts, commitment.names, strict=True)
        ],
        "leaf_hashes": [value.hex() for value in commitment.leaves],
        "root": commitment.root.hex(),
        "body": commitment.body(),
    }


def windows() -> dict[str, Any]:
    return {
        name: {
            "start_ms": start,
            "secret": window_secret(ORG_KEY, DEVICE, start).hex(),
            "leaves": [describe(tree, at) for at in range(tree.size)],
            "root": tree.root_hash.hex(),
            "body": json.loads(example_log().entries[index])["body"],
        }
        for name, tree, start, index in (
            ("hour", window(), START_MS, 1),
            ("amending", amending_window(), START_MS, 3),
            ("crowded", crowded_window(), START_MS + HOUR_MS, 4),
        )
    }


def describe(tree: WindowTree, at: int) -> dict[str, Any]:
    reading = tree.reading(at)
    return {
        "series": reading.series.hex(),
        "time": reading.time_ms,
        "value": reading.value,
        "flags": reading.flags,
        "body_sha256": reading.body_sha256.hex() if reading.body_sha256 else None,
        "salt": reading.salt.hex(),
        "leaf": reading.leaf().hex(),
        "leaf_hash": tree.tree.leaf_hashes[at].hex(),
        "path": [value.hex() for value in tree.proof(at)],
    }


def log() -> dict[str, Any]:
    made = example_log()
    return {
        "entries": [data.decode() for data in made.entries],
        "leaf_hashes": [value.hex() for value in made.tree.leaf_hashes],
        "roots": [Tree.of(made.entries[:size]).root_hash.hex() for size in range(len(made.entries) + 1)],
        "inclusion_proofs": [hexes(made.tree.inclusion_proof(at)) for at in range(len(made.entries))],
        "consistency_proofs": [
            hexes(made.tree.consistency_proof(size)) for size in range(len(made.entries) + 1)
        ],
        "checkpoint": made.note,
    }


def hexes(values: Sequence[bytes]) -> list[str]:
    return [value.hex() for value in values]


def evidence() -> dict[str, Any]:
    """`cases`: an operation on `evidence`, and what a verifier that trusts `trusted` must say of it."""
    good = json.loads(example_evidence().to_json())
    cases = []
    for name, patch in spoiled().items():
        operation, pointer, value = patch
        said = outcome(patched(good, patch))
        cases.append({"name": name, "op": operation, "path": pointer, "value": value, **said})
    return {
        "trusted": {ORIGIN: str(SIGNER.verifier)},
        "evidence": good,
        "want": outcome(good),
        "cases": cases,
    }


def outcome(value: dict[str, Any]) -> dict[str, Any]:
    """`readable`: false where the file must be refused whole; `failed`: the checks that must not hold."""
    try:
        report = verify_evidence(json.dumps(value), {ORIGIN: str(SIGNER.verifier)})
    except VerifyError:
        return {"readable": False, "failed": []}
    failed = [check.name if check.item is None else f"{check.item} {check.name}" for check in report.failures]
    return {"readable": True, "failed": failed}


def bodies() -> dict[str, Any]:
    """Bodies of the types that say one thing. `invalid`: with the type whose body it would be."""
    return {
        "valid": {
            name: replace(ENTRY, type=kind, body=body).encode().decode()
            for name, (kind, body) in BODIES.items()
        },
        "invalid": {name: {"type": kind, "body": body} for name, (kind, body) in NO_BODIES.items()},
    }


def vkey_of(seed: int, name: str = ORIGIN) -> str:
    return str(SignerKey.from_seed(name, bytes([seed]) * 32).verifier)


NOTE = sign_checkpoint(Checkpoint(ORIGIN, 1, bytes(range(32))), [SIGNER])
TWO_SIGNED = sign_checkpoint(
    Checkpoint(ORIGIN, 1, bytes(range(32))), [SIGNER, SignerKey.from_seed(ORIGIN, bytes([1]) * 32)]
)
TIMESTAMP = {
    "size": 1, "root": encode(bytes(range(32))), "time": START_MS, "authority": "时间戳 TSA", "token": encode(bytes(32)),
}  # fmt: skip
ROTATION = {
    "old": vkey_of(1), "new": vkey_of(2), "sig_old": encode(bytes(64)), "sig_new": encode(bytes(range(64))),
}  # fmt: skip
PERSONS = [encode(bytes([at]) * 16) for at in range(100)]

BODIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "a verdict": ("verdict", {"fields": 9, "root": encode(bytes(32))}),
    "an erasure": ("erasure", {"persons": PERSONS[:2], "reason": "request"}),
    "an erasure of 100 persons": ("erasure", {"persons": PERSONS, "reason": "retention"}),
    "a key": ("key", ROTATION),
    "a freeze": ("freeze", {"reason": "冻" * 200}),
    "an anchored checkpoint": ("anchor", {"checkpoint": NOTE}),
    "an anchored checkpoint of two keys": ("anchor", {"checkpoint": TWO_SIGNED}),
    "an anchored time stamp": ("anchor", {"timestamp": TIMESTAMP}),
}

NO_BODIES: dict[str, tuple[str, Any]] = {
    "a verdict of no fields": ("verdict", {"fields": 0, "root": encode(bytes(32))}),
    "a verdict that says more": ("verdict", {"fields": 1, "root": encode(bytes(32)), "result": "breach"}),
    "an erasure of nobody": ("erasure", {"persons": [], "reason": "request"}),
    "an erasure of 101 persons": ("erasure", {"persons": [*PERSONS, encode(b"p" * 16)], "reason": "request"}),
    "an erasure of one person twice": ("erasure", {"persons": PERSONS[:1] * 2, "reason": "request"}),
    "an erasure of a short hash": ("erasure", {"persons": [encode(bytes(15))], "reason": "request"}),
    "an erasure of a text": ("erasure", {"persons": PERSONS[0], "reason": "request"}),
    "an erasure for no reason we know": ("erasure", {"persons": PERSONS[:1], "reason": "whim"}),
    "a key that stays": ("key", ROTATION | {"new": vkey_of(1)}),
    "a key of another name": ("key", ROTATION | {"new": vkey_of(2, "log.suyuan.example/other")}),
    "a key with another hash": ("key", ROTATION | {"new": vkey_of(2).replace("+", "+0", 1)}),
    "a key without a signature": ("key", {name: ROTATION[name] for name in ("old", "new", "sig_old")}),
    "a key with a short signature": ("key", ROTATION | {"sig_new": encode(bytes(63))}),
    "a freeze without a reason": ("freeze", {"reason": ""}),
    "a freeze of 201 characters": ("freeze", {"reason": "x" * 201}),
    "a freeze of two lines": ("freeze", {"reason": "one\ntwo"}),
    "an anchor of nothing": ("anchor", {}),
    "an anchor of both": ("anchor", {"checkpoint": NOTE, "timestamp": TIMESTAMP}),
    "an anchor of an unsigned text": ("anchor", {"checkpoint": NOTE.split("\n\n")[0] + "\n"}),
    "an anchor of no checkpoint": ("anchor", {"checkpoint": sign_note("a note\n", [SIGNER])}),
    "an anchor with somebody else's line": (
        "anchor", {"checkpoint": sign_note(NOTE.split("\n\n")[0] + "\n", [SIGNER, SignerKey.from_seed("other", bytes(32))])},
    ),
    "an anchor with a long signature": (
        "anchor", {"checkpoint": NOTE + f"— {ORIGIN} {encode(bytes(72))}\n"},
    ),
    "a time stamp without a time": ("anchor", {"timestamp": {k: v for k, v in TIMESTAMP.items() if k != "time"}}),
    "a time stamp before 1970": ("anchor", {"timestamp": TIMESTAMP | {"time": -1}}),
    "a time stamp of a short token": ("anchor", {"timestamp": TIMESTAMP | {"token": encode(bytes(20))}}),
    "a time stamp of nobody": ("anchor", {"timestamp": TIMESTAMP | {"authority": ""}}),
}  # fmt: skip

FILES: dict[str, Callable[[], dict[str, Any]]] = {
    "keys.json": keys,
    "entries.json": entries,
    "event.json": event,
    "windows.json": windows,
    "log.json": log,
    "bodies.json": bodies,
    "evidence.json": evidence,
}


def contents(name: str) -> str:
    return json.dumps(FILES[name](), ensure_ascii=False, indent=1) + "\n"


def main() -> None:
    for name in FILES:
        (FOLDER / name).write_text(contents(name))


if __name__ == "__main__":
    main()
