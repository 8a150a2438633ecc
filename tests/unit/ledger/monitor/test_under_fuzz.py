"""A log whose files are altered anyhow: the monitor raises VerifyError or finds the very log that was signed."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.monitor.memory import Memory
from ledger.monitor.sources import Address
from ledger.monitor.watching import Watch, look
from ledger.translog.tiles import pack_bundle, unpack_bundle
from ledger.translog.verify import VerifyError
from tests.unit.ledger.monitor.written import KEY, Speaker, Written
from tests.unit.ledger.test_verifiers_under_fuzz import mutated


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """300 entries, with its files as one reader needs them."""
    return Written(tmp_path_factory.mktemp("fuzzed") / "log").grow(Speaker().mixed(300))


PATHS = [
    "checkpoint", "vkey", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44",
]  # fmt: skip


@contextlib.contextmanager
def copied(whole: Written) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(whole.folder, Path(folder) / "log")
        yield Path(folder)


def followed(folder: Path, whole: Written, *, given_key: bool) -> None:
    """Passes only if what was found is the log as it was signed."""
    watch = Watch(Address(str(folder / "log")), (KEY.verifier,) if given_key else ())
    with Memory.at(folder / "memory.sqlite") as memory, contextlib.suppress(VerifyError):
        seen = look(watch, memory, lambda _done, _of: None)
        assert (seen.kept.size, seen.kept.root) == (whole.edge.size, whole.edge.root_hash)


@settings(deadline=None, max_examples=120)
@given(st.sampled_from(PATHS), st.data(), st.booleans())
def test_altered_files_are_the_log_or_the_error(
    whole: Written, path: str, data: st.DataObject, key: bool
) -> None:
    good = (whole.folder / path).read_bytes()
    bad = data.draw(mutated(good) | st.binary(max_size=100))
    with copied(whole) as folder:
        (folder / "log" / path).write_bytes(bad)
        followed(folder, whole, given_key=key)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 299), st.data())
def test_an_altered_entry_in_a_log_that_signs_it_is_read_or_refused(
    whole: Written, at: int, data: st.DataObject
) -> None:
    """A log may sign what it likes: whatever it says, the monitor holds it or says why not."""
    leaves = list(whole.leaves)
    leaves[at] = data.draw(mutated(leaves[at]) | st.binary(max_size=100))
    with copied(whole) as folder:
        written = Written(folder / "log").grow(leaves)
        followed(folder, written, given_key=True)


CHANGES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "two change places": lambda leaves: [leaves[1], leaves[0], *leaves[2:]],
    "one is doubled": lambda leaves: [leaves[0], *leaves[:-1]],
    "one is missing": lambda leaves: leaves[1:],
    "they are turned round": lambda leaves: leaves[::-1],
    "one is empty": lambda leaves: [b"", *leaves[1:]],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_bundle_of_the_same_entries_otherwise_is_refused(whole: Written, change: str) -> None:
    with copied(whole) as folder:
        path = folder / "log" / "tile/entries/000"
        path.write_bytes(pack_bundle(CHANGES[change](list(unpack_bundle(path.read_bytes())))))
        with Memory.at(folder / "memory.sqlite") as memory, pytest.raises(VerifyError):
            look(Watch(Address(str(folder / "log"))), memory, lambda _done, _of: None)
