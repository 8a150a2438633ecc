"""A witness's folder: its keys, its memory, and the list of logs it trusts.

`witness.key` holds the private keys, one a line (`PRIVATE+KEY+...`); `witness.db` is the memory
(`ledger.witness_store`); `logs` the trusted logs' keys, one vkey a line. Contract: keys are made once, at the first
start, and never replaced; keys without their memory, or a memory without its keys, are a `WitnessForgot`: a witness
that has forgotten would cosign a fork.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock

from ledger.log_files import create_once, read_if_there, replace_whole
from ledger.translog.cosignature import Cosigner, parse_cosigner_key
from ledger.translog.note import Verifier
from ledger.translog.policy import parse_log_vkey
from ledger.translog.verify import VerifyError, want_same
from ledger.witness import Trusted
from ledger.witness_store import WitnessForgot, WitnessStore

logger = logging.getLogger(__name__)

KEY, MEMORY, LOGS = "witness.key", "witness.db", "logs"


def open_witness(
    folder: Path, name: str, algorithms: Sequence[int], random_bytes: Callable[[int], bytes]
) -> tuple[tuple[Cosigner, ...], WitnessStore]:
    """The witness in `folder`, made there at the first start. `name`: of its keys, for ever; empty: that of the keys that
    are there. `algorithms`: those it is to have a key of; one that came later is added.

    WitnessForgot, VerifyError on a key file that is none, ValueError on a name that no key can have.
    """
    cosigners = read_keys(folder)
    known = (folder / MEMORY).exists()
    if cosigners and not known:
        raise WitnessForgot(
            f"{folder / MEMORY} is missing, and the keys have been used: bring it back as it was last. If it is lost, so is this "
            "witness: begin another one, with a new folder and a new name, and tell the logs"
        )
    folder.mkdir(0o700, parents=True, exist_ok=True)
    store = WitnessStore(folder / MEMORY)
    try:
        if not cosigners and store.is_used():
            raise WitnessForgot(f"{folder / KEY} is missing; bring it back from its copy")
        cosigners = _with_keys(folder, cosigners, name, algorithms, random_bytes)
        store.bind([str(cosigner.verifier) for cosigner in cosigners])
    except BaseException:
        store.close()
        raise
    return cosigners, store


def read_keys(folder: Path) -> tuple[Cosigner, ...]:
    """Those of the witness; none where there is no witness yet. VerifyError on a file that holds anything else."""
    data = read_if_there(folder / KEY)
    return () if data is None else tuple(map(parse_cosigner_key, data.decode().split()))


def _with_keys(
    folder: Path,
    cosigners: tuple[Cosigner, ...],
    name: str,
    algorithms: Sequence[int],
    random_bytes: Callable[[int], bytes],
) -> tuple[Cosigner, ...]:
    for cosigner in cosigners:
        want_same(f"name of the key in {folder / KEY}", got=cosigner.name, want=name or cosigner.name)
    name = name or next((cosigner.name for cosigner in cosigners), "")
    there = {cosigner.algorithm for cosigner in cosigners}
    new = [Cosigner.from_seed(name, random_bytes(32), each) for each in algorithms if each not in there]
    if not new:
        return cosigners
    text = "".join(f"{cosigner.export()}\n" for cosigner in [*cosigners, *new]).encode()
    if cosigners:
        replace_whole(folder / KEY, text, 0o600)
    else:
        create_once(folder / KEY, text)
    return read_keys(folder)  # another process may have been first


class TrustedLogs:
    """The keys of the logs that are trusted. `path`: a file with a vkey a line, or a folder in which every file called
    `vkey` holds one, as `DATA_DIR/log` does. Read again when it has changed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._stamp: object = None
        self._trusted: Trusted = {}

    def read(self) -> Trusted:
        """VerifyError on a line that is no key."""
        trusted: dict[str, list[Verifier]] = {}
        for file in self._files():
            for line in (read_if_there(file) or b"").decode(errors="replace").split("\n"):
                if (text := line.strip()) and not text.startswith("#"):
                    key = parse_log_vkey(text)
                    trusted.setdefault(key.name, []).append(key)
        return trusted

    def current(self) -> Trusted:
        """As `read`; a list that was spoilt while we run is said once, and the last good one stays in force."""
        with self._lock:
            stamp = [
                (file, state.st_mtime_ns, state.st_size) for file in self._files() if (state := file.stat())
            ]
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._trusted = self.read()
                except VerifyError as error:
                    logger.error("list of trusted logs cannot be read", extra={"reason": str(error)})
            return self._trusted

    def add(self, key: Verifier) -> bool:
        """Writes the key into the file; False if it stands there."""
        if any(str(key) == str(there) for there in self.read().get(key.name, ())):
            return False
        there = read_if_there(self._path) or b""
        end = b"" if not there or there.endswith(b"\n") else b"\n"  # an editor may have left it out
        replace_whole(self._path, there + end + f"{key}\n".encode())
        return True

    def _files(self) -> list[Path]:
        if self._path.is_dir():
            return sorted(self._path.glob("*/vkey"))
        return [self._path] if self._path.exists() else []
