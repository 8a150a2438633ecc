"""The demo's witness: on loopback, run by the demo itself, and said to be so wherever it is shown.

It shows how cosignatures look; it proves nothing against the demo, which holds its key. Contract: a second start goes on with
the same key and memory, at another port.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from ledger.log_files import replace_whole
from ledger.translog.cosignature import ED25519_COSIGNATURE
from ledger.witness_folder import open_witness
from ledger.witness_list import parse_witnesses

NAME = "demo.suyuan.example/witness"
FOLDER, LIST = "witness", "witnesses.toml"

_LIST = """# The demo's own witness. Rewritten at every start.
[[witness]]
vkey = "{vkey}"
url = "http://127.0.0.1:{port}"
relation = "operator"
operator = {{ zh = "本演示自己（不独立）", en = "this demo itself (not independent)" }}
depends_on = {{ zh = "与日志同机运行，完全依赖演示本身", en = "the machine and the keys of the logs themselves" }}
"""


@dataclass(frozen=True, slots=True)
class DemoWitness:
    """`command`: its arguments; `listed`: the file for SUYUAN_WITNESSES_FILE."""

    command: list[str]
    listed: Path
    url: str


def keep_witness(data_dir: Path, port: int) -> DemoWitness:
    """Makes its key at the first start, and the list that names it."""
    (cosigner, *_), store = open_witness(data_dir / FOLDER, NAME, [ED25519_COSIGNATURE], secrets.token_bytes)
    store.close()
    text = _LIST.format(vkey=cosigner.verifier, port=port).encode()
    parse_witnesses(text)
    replace_whole(data_dir / LIST, text)
    options = [
        "--dir",
        str(data_dir / FOLDER),
        "--listen",
        f"127.0.0.1:{port}",
        "--logs",
        str(data_dir / "log"),
    ]
    return DemoWitness(["witness", *options], data_dir / LIST, f"http://127.0.0.1:{port}")
