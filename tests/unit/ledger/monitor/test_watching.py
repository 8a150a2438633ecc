"""A pass over a log's files: what holds is kept, whatever is wrong is found and named, and then nothing is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ledger.monitor import watching
from ledger.monitor.findings import Damaged, Forked, KeyProblem, RolledBack, Unreachable, Unreadable
from ledger.monitor.memory import Memory
from ledger.monitor.parallel import WORTH
from ledger.monitor.sources import Address
from ledger.monitor.watching import Seen, Watch, look
from ledger.strict_json import to_base64
from ledger.translog.checkpoint import Checkpoint, sign_checkpoint
from ledger.translog.merkle import Tree, leaf_hash
from ledger.translog.note import SignerKey, parse_private_key
from ledger.translog.tiles import pack_bundle, unpack_bundle
from ledger.translog.verify import VerifyError
from tests.benchmarks import monitoring
from tests.unit.ledger.monitor.written import KEY, ORIGIN, REC, Speaker, Written, rotation
from tests.vectors import count_vectors, vector_path

NEW_KEY = SignerKey.from_seed(ORIGIN, bytes(32))
OTHER_KEY = SignerKey.from_seed(ORIGIN, b"\1" * 32)
TESSERA_KEY = "PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg"


@dataclass
class Monitored:
    """A log, who speaks in it, and a monitor that remembers."""

    log: Written
    speaker: Speaker
    memory: Memory
    told: list[tuple[int, int]]

    def look(self, **options: Any) -> Seen:
        watch = Watch(Address(str(self.log.folder)), **options)
        return look(watch, self.memory, lambda done, of: self.told.append((done, of)))

    def finds(self, kind: type[VerifyError], match: str, **options: Any) -> VerifyError:
        """The finding, after which the monitor remembers what it did before."""
        before = self.memory.kept(), list(self.memory._conn.iterdump())
        with pytest.raises(VerifyError, match=match) as caught:
            self.look(**options)
        assert type(caught.value) is kind
        assert (self.memory.kept(), list(self.memory._conn.iterdump())) == before
        return caught.value

    def say(self, *entries: bytes) -> None:
        self.log.grow(entries)


@pytest.fixture
def monitored(tmp_path: Path) -> Iterator[Monitored]:
    with Memory.at(tmp_path / "state" / "memory.sqlite") as memory:
        yield Monitored(Written(tmp_path / "log"), Speaker(), memory, [])


@pytest.mark.parametrize("sizes", [[0, 1, 255, 256, 257, 700], [512, 512, 600]])
def test_a_log_is_followed_as_it_grows(monitored: Monitored, sizes: list[int]) -> None:
    for size in sizes:
        monitored.log.grow(monitored.speaker.mixed(size - monitored.log.edge.size))
        seen = monitored.look()
        assert (seen.kept.size, seen.kept.root) == (size, monitored.log.edge.root_hash)
        assert seen.read == size - seen.old_size
        assert not seen.kept.opaque
        assert monitored.memory.edge(size).root_hash == monitored.log.edge.root_hash
    assert monitored.told[-1] == (seen.read, seen.read) if seen.read else True


def test_several_processes_find_what_one_does(monitored: Monitored) -> None:
    entries = WORTH * watching.BUNDLES * 256 + 17
    monitoring.write(monitored.log.folder, entries)
    seen = monitored.look(processes=2)
    assert (seen.read, seen.kept.opaque) == (entries, False)
    monitored.look(again=True)
    monitored.log.alter("tile/entries/100", lambda data: data.replace(b'"rec":178', b'"rec":179', 1))
    monitored.finds(Damaged, "leaf 25600 in tile/0/100", again=True, processes=2)


def test_a_pass_cut_short_is_as_if_it_had_not_been(monitored: Monitored) -> None:
    monitored.log.grow(monitored.speaker.mixed(300))
    monitored.look()
    before = list(monitored.memory._conn.iterdump())
    monitored.log.grow(monitored.speaker.mixed(300))

    def interrupt(_done: int, _of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look(Watch(Address(str(monitored.log.folder))), monitored.memory, interrupt)
    assert list(monitored.memory._conn.iterdump()) == before
    assert monitored.look().read == 300


def test_a_log_of_anybodys_leaves_is_checked_as_a_tree(monitored: Monitored) -> None:
    monitored.log.grow([b"any %d" % i for i in range(700)])
    assert monitored.look().kept.opaque
    monitored.log.grow([b"", b"\xff" * 65_535])
    assert monitored.look().read == 2
    monitored.log.alter("tile/entries/002.p/190", lambda data: data[:-1] + b"\xfe")
    monitored.finds(Damaged, "leaf 701 in tile/0/002.p/190", again=True)


def test_entries_may_be_left_unread(monitored: Monitored) -> None:
    monitored.log.grow([*monitored.speaker.mixed(3), b"no entry"])
    monitored.finds(Damaged, "entry 3: .* want an entry of version 1")
    assert monitored.look(opaque=True).kept.opaque


def test_tesseras_log_is_followed_through_all_its_checkpoints(monitored: Monitored) -> None:
    theirs = vector_path("ledger/tessera") / "testdata" / "log"
    key = parse_private_key(TESSERA_KEY).verifier
    leaves = unpack_bundle((theirs / "tile/entries/000.p/15").read_bytes())
    for size in range(len(leaves) + 1):
        for path in (*theirs.glob(f"tile/*/000.p/{size}"), theirs / f"checkpoint.{size}"):
            monitored.log.write(str(path.relative_to(theirs)), path.read_bytes())
        monitored.log.write("checkpoint", (theirs / f"checkpoint.{size}").read_bytes())
        seen = monitored.look(keys=(key,))
        assert (seen.kept.size, seen.kept.opaque) == (size, size > 0)
        assert seen.kept.root == Tree.of(leaves[:size]).root_hash
        count_vectors()


# --- a log that changes its mind ---------------------------------------------------------------------------------


def forked(monitored: Monitored, at: int, grown_to: int) -> None:
    """The log's files are now those of one that said something else at an entry."""
    leaves = list(monitored.log.leaves)
    leaves[at] = leaves[at].replace(b'"rec":178', b'"rec":177')
    leaves += [b"more"] * (grown_to - len(leaves))
    other = Written(monitored.log.folder).grow(leaves)
    assert other.edge.root_hash != monitored.log.edge.root_hash
    monitored.log = other


@pytest.mark.parametrize("at", [0, 257, 299])
@pytest.mark.parametrize("grown_to", [300, 301, 600])
@pytest.mark.parametrize("again", [False, True])
def test_a_fork_is_found_with_both_notes(monitored: Monitored, at: int, grown_to: int, again: bool) -> None:
    monitored.log.grow(monitored.speaker.mixed(300))
    monitored.look()
    old = monitored.log.note
    forked(monitored, at, grown_to)
    found = monitored.finds(Forked, "root of", again=again)
    assert isinstance(found, Forked)
    assert found.notes == (old, monitored.log.note)


def test_a_shorter_log_is_a_rollback_if_it_is_a_beginning_and_a_fork_if_not(monitored: Monitored) -> None:
    entries = monitored.speaker.mixed(600)
    monitored.log.grow(entries[:300])
    short = monitored.log.note.encode()
    monitored.log.grow(entries[300:])
    monitored.look()
    old = monitored.log.note
    monitored.log.write("checkpoint", short)
    found = monitored.finds(RolledBack, "size of the log: got 300, want 600 or more")
    assert isinstance(found, Damaged)
    assert found.notes == (old, short.decode())
    note = sign_checkpoint(Checkpoint(ORIGIN, 300, bytes(32)), [KEY]).encode()
    monitored.log.write("checkpoint", note)
    monitored.finds(Forked, "root of the first 300 of 600")


def test_a_log_that_was_put_back_whole_is_a_rollback(monitored: Monitored, tmp_path: Path) -> None:
    entries = monitored.speaker.mixed(600)
    monitored.log.grow(entries)
    monitored.look()
    (tmp_path / "log").rename(tmp_path / "gone")
    monitored.log = Written(tmp_path / "log").grow(entries[:300])
    monitored.finds(RolledBack, "size of the log: got 300")


def test_a_partial_tile_that_was_other_once_is_found(monitored: Monitored) -> None:
    """The tree is ours by then: what the log shows must be it, at every size."""
    monitored.log.grow(monitored.speaker.mixed(300))
    monitored.look()
    monitored.log.grow(monitored.speaker.mixed(10))
    monitored.log.alter("tile/0/001.p/54", lambda data: bytes(32) + data[32:])
    monitored.finds(Damaged, "root hash of the tiles")


# --- a log whose files are not its checkpoint's ------------------------------------------------------------------


def flip(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "a leaf": ("tile/entries/000", flip(2), "leaf 0 in tile/0/000"),
    "a leaf too few": ("tile/entries/000", lambda d: pack_bundle(unpack_bundle(d)[:-1]), "entries in tile/entries/000: got 255"),
    "a leaf too many": ("tile/entries/000", lambda d: d + b"\0\0", "entries in tile/entries/000: got 257"),
    "a cut bundle": ("tile/entries/000", lambda d: d[:-1], "tile/entries/000"),
    "no bundle": ("tile/entries/000", lambda _: b"", "entries in tile/entries/000: got 0"),
    "the last leaf": ("tile/entries/x001/093.p/192", lambda d: d[:-1] + b"[", "leaf 279999 in"),
    "a hash": ("tile/0/000", flip(31), "leaf 0 in tile/0/000"),
    "a cut tile": ("tile/0/000", lambda d: d[:-1], "length of tile/0/000: got 8191, want 8192"),
    "a long tile": ("tile/0/000", lambda d: d + b"x", "length of tile/0/000: got more than 8192"),
    "a hash of level 1": ("tile/1/000", flip(0), "tile/1/000: got other hashes"),
    "a partial tile of level 1": ("tile/1/004.p/69", flip(9), "root hash of the tiles"),
    "a tile of level 2": ("tile/2/000.p/4", flip(9), "root hash of the tiles"),
}  # fmt: skip


@pytest.fixture(scope="module")
def long_log(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Three levels of tiles."""
    return Written(tmp_path_factory.mktemp("long") / "log").grow([b"%d]" % i for i in range(280_000)])


def test_every_damage_is_named(long_log: Written, tmp_path: Path) -> None:
    for number, (name, (path, change, match)) in enumerate(DAMAGE.items()):
        whole = (long_log.folder / path).read_bytes()
        long_log.write(path, change(whole))
        try:
            with (
                Memory.at(tmp_path / f"{number}.sqlite") as memory,
                pytest.raises(Damaged, match=match),
            ):
                look(Watch(Address(str(long_log.folder))), memory, lambda _done, _of: None)
            assert name
        finally:
            long_log.write(path, whole)
    with Memory.at(tmp_path / "whole.sqlite") as memory:
        assert look(Watch(Address(str(long_log.folder))), memory, lambda _done, _of: None).read == 280_000


@pytest.mark.parametrize("path", ["checkpoint", "tile/entries/001.p/44", "tile/0/001.p/44", "tile/1/000.p/1"])
def test_a_file_that_is_not_there_is_named(monitored: Monitored, path: str) -> None:
    monitored.log.grow(monitored.speaker.mixed(300))
    (monitored.log.folder / path).unlink()
    monitored.finds(Unreachable, f"{path}: got no such file")


def test_a_partial_tile_may_be_gone_once_the_full_one_is_there(monitored: Monitored) -> None:
    entries = monitored.speaker.mixed(256)
    monitored.log.grow(entries[:100])
    checkpoint = (monitored.log.folder / "checkpoint").read_bytes()
    monitored.log.grow(entries[100:])
    monitored.log.write("checkpoint", checkpoint)
    for path in ("tile/0/000.p/100", "tile/entries/000.p/100"):
        (monitored.log.folder / path).unlink()
    assert monitored.look().kept.size == 100


def test_a_folder_is_not_waited_for(monitored: Monitored, tmp_path: Path) -> None:
    import os

    monitored.log.grow(monitored.speaker.mixed(3))
    (monitored.log.folder / "tile/0/000.p/3").unlink()
    os.mkfifo(monitored.log.folder / "tile/0/000.p/3")
    monitored.finds(Unreachable, "tile/0/000.p/3: got no file")
    (monitored.log.folder / "checkpoint").unlink()
    (monitored.log.folder / "checkpoint").mkdir()
    monitored.finds(Unreachable, "checkpoint")


@pytest.mark.parametrize("url", ["file:///etc", "ftp://host/log", "http://", "http://a:b/c", "http://a/b?c"])
def test_an_address_of_another_kind_is_none(monitored: Monitored, url: str) -> None:
    with pytest.raises(Unreadable, match="address of the log"):
        look(Watch(Address(url)), monitored.memory, lambda _done, _of: None)


# --- entries that break their rules ------------------------------------------------------------------------------

B32 = to_base64(bytes(32))


def breaches() -> dict[str, tuple[Callable[[Speaker], list[bytes]], str]]:
    elsewhere = Speaker("log.example/other")
    return {
        "no entry": (lambda s: [s.event(), b"{}"], "entry 1: .* want an entry of version 1"),
        "another log's": (lambda s: [s.event(), elsewhere.event()], "org of entry 1"),
        "n left out": (lambda s: [s.event(), s.event(n=2, prev=bytes(32))], "number of entry 1 in its stream: got 2, want 1"),
        "n again": (lambda s: [s.event(), s.event(), s.event(n=1)], "number of entry 2 in its stream: got 1, want 2"),
        "n begun late": (lambda s: [s.event(n=1, prev=bytes(32))], "number of entry 0 in its stream: got 1, want 0"),
        "n begun again": (lambda s: [s.event(), s.event(n=0, prev=None)], "number of entry 1 in its stream: got 0, want 1"),
        "another prev": (lambda s: [s.event(), s.event(prev=bytes(32))], "prev of entry 1"),
        "time that falls": (lambda s: [s.event(1), s.event(2, rec=REC)], "record time of entry 1"),
        "a window again": (lambda s: [s.window(1, 0), s.window(1, 0)], "window of entry 1: got one that was sealed before"),
        "an amendment of nothing": (lambda s: [s.window(1, 0, (0, bytes(32)))], "amended window of entry 0"),
        "an amendment of another hour": (lambda s: [w := s.window(1, 0), s.window(1, 1, (0, leaf_hash(w)))], "amended window of entry 1"),
        "an amendment of another stream": (lambda s: [w := s.window(1, 0), s.window(2, 0, (0, leaf_hash(w)))], "amended window of entry 1"),
        "an amendment of another leaf": (lambda s: [s.window(1, 0), s.window(1, 0, (0, bytes(32)))], "leaf of the amended window of entry 1"),
        "two amendments of one": (
            lambda s: [w := s.window(1, 0), s.window(1, 0, (0, leaf_hash(w))), s.window(1, 0, (0, leaf_hash(w)))],
            "amended window of entry 2: got entry 0, want entry 1",
        ),
        "after the end": (lambda s: [s.event(), s.say("freeze", 9, {"reason": "moved"}), s.event()], "entry 2: .* freeze at 1"),
        "an end without reason": (lambda s: [s.say("freeze", 9, {})], "entry 0: got freeze body"),
        "a key of nobody's": (lambda s: [s.event(), s.say("key", 9, {"old": "a"})], "entry 1: got key body"),
        "an anchor of nothing": (lambda s: [s.event(), s.say("anchor", 9, {"checkpoint": 7})], "entry 1: got checkpoint: "),
        "an anchor that is no note": (lambda s: [s.event(), s.say("anchor", 9, {"checkpoint": "x"})], "entry 1: got note: "),
    }  # fmt: skip


@pytest.mark.parametrize("name", breaches())
def test_a_breach_of_the_entries_rules_is_named(monitored: Monitored, name: str) -> None:
    entries, match = breaches()[name]
    monitored.say(*entries(monitored.speaker))
    found = monitored.finds(Damaged, match)
    assert isinstance(found, Damaged)
    assert found.notes == ("", monitored.log.note)


@pytest.mark.parametrize("name", breaches())
def test_the_same_across_passes(monitored: Monitored, name: str) -> None:
    """What the last entry breaks is found although the ones before were read in another pass."""
    make, match = breaches()[name]
    *before, last = make(monitored.speaker)
    opening = Speaker()
    if before:
        monitored.say(*before)
    else:
        monitored.say(opening.event(77))
        match = match.replace("entry 0", "entry 1").replace("got entry 1", "got entry 0")
    monitored.look()
    monitored.say(last)
    monitored.finds(Damaged, match)


def test_windows_may_be_amended_as_often_as_late_data_come(monitored: Monitored) -> None:
    say = monitored.speaker
    first = say.window(1, 0)
    second = say.window(1, 0, (0, leaf_hash(first)))
    monitored.say(first, second)
    monitored.look()
    monitored.say(say.event(), say.window(1, 0, (1, leaf_hash(second))))
    assert monitored.look().read == 2


def test_a_frozen_log_stays_frozen(monitored: Monitored) -> None:
    monitored.say(monitored.speaker.event(), monitored.speaker.say("freeze", 9, {"reason": "moved"}))
    assert monitored.look().kept.frozen_at == 1
    assert monitored.look().kept.frozen_at == 1
    monitored.say(monitored.speaker.event())
    monitored.finds(Damaged, "entry 2: got an entry, want none after the log's freeze at 1")


# --- keys --------------------------------------------------------------------------------------------------------


def test_the_logs_own_key_is_taken_once_and_no_other_after_it(monitored: Monitored) -> None:
    monitored.say(monitored.speaker.event())
    seen = monitored.look()
    assert (seen.kept.vkey, seen.kept.vkey_given) == (str(KEY.verifier), False)
    monitored.log.grow([monitored.speaker.event()], signers=[OTHER_KEY])
    monitored.finds(KeyProblem, "key of the checkpoint")
    monitored.finds(KeyProblem, "key of the log", keys=(OTHER_KEY.verifier,))
    monitored.log.sign()
    assert monitored.look(keys=(KEY.verifier,)).kept.vkey_given


def test_a_log_without_a_key_needs_one_from_elsewhere(monitored: Monitored) -> None:
    monitored.say(monitored.speaker.event())
    (monitored.log.folder / "vkey").write_text("no key\n")
    monitored.finds(KeyProblem, "key that the log publishes")
    (monitored.log.folder / "vkey").unlink()
    monitored.finds(KeyProblem, "key of the log: got none")
    monitored.finds(KeyProblem, "signature of the checkpoint", keys=(OTHER_KEY.verifier,))
    assert monitored.look(keys=(KEY.verifier, OTHER_KEY.verifier)).kept.vkey_given


@pytest.mark.parametrize("signers", [[KEY, NEW_KEY], [NEW_KEY]])
def test_a_key_changes_by_an_entry_that_both_signed(monitored: Monitored, signers: list[SignerKey]) -> None:
    monitored.say(monitored.speaker.event())
    monitored.look(keys=(KEY.verifier,))
    monitored.log.grow([monitored.speaker.rotation(KEY, NEW_KEY)], signers=signers)
    seen = monitored.look(keys=(KEY.verifier,))
    assert (seen.kept.vkey, seen.kept.former_vkeys) == (str(NEW_KEY.verifier), (str(KEY.verifier),))
    assert seen.kept.vkey_given
    monitored.log.grow([monitored.speaker.event()], signers=[NEW_KEY])
    assert monitored.look(keys=(KEY.verifier,)).kept.vkey == str(NEW_KEY.verifier)
    monitored.log.grow([monitored.speaker.event()], signers=[KEY])
    monitored.finds(KeyProblem, "key of the checkpoint")


@pytest.mark.parametrize("trusted", [KEY, NEW_KEY])
def test_a_log_that_changed_its_key_before_is_followed_from_either(
    monitored: Monitored, trusted: SignerKey
) -> None:
    entries = [monitored.speaker.event(), monitored.speaker.rotation(KEY, NEW_KEY)]
    monitored.log.grow(entries, signers=[NEW_KEY])
    assert monitored.look(keys=(trusted.verifier,)).kept.vkey == str(NEW_KEY.verifier)


def test_a_key_entry_from_a_key_that_we_do_not_trust_leads_nowhere(monitored: Monitored) -> None:
    entries = [monitored.speaker.event(), monitored.speaker.rotation(OTHER_KEY, NEW_KEY)]
    monitored.log.grow(entries, signers=[KEY, NEW_KEY])
    monitored.finds(KeyProblem, "keys of the key entries", keys=(KEY.verifier,))


def test_a_key_that_was_given_up_gives_up_nothing(monitored: Monitored) -> None:
    say = monitored.speaker
    entries = [say.rotation(KEY, NEW_KEY), say.rotation(KEY, OTHER_KEY)]
    monitored.log.grow(entries, signers=[KEY, OTHER_KEY])
    monitored.finds(KeyProblem, "signature of the checkpoint", keys=(KEY.verifier,))
    monitored.log.sign(signers=[KEY, NEW_KEY])
    assert monitored.look().kept.vkey == str(NEW_KEY.verifier)
    monitored.log.grow([say.rotation(KEY, OTHER_KEY)], signers=[NEW_KEY])
    assert monitored.look().kept.vkey == str(NEW_KEY.verifier)


@pytest.mark.parametrize("spoilt", ["sig_old", "sig_new"])
def test_a_key_entry_needs_both_signatures(monitored: Monitored, spoilt: str) -> None:
    monitored.say(monitored.speaker.event())
    monitored.look()
    spoil = {spoilt: rotation(KEY, OTHER_KEY)[spoilt]}
    monitored.log.grow([monitored.speaker.rotation(KEY, NEW_KEY, **spoil)], signers=[KEY, NEW_KEY])
    monitored.finds(KeyProblem, "signature of the key in entry 1")


def test_another_log_at_the_same_address_is_not_this_one(monitored: Monitored, tmp_path: Path) -> None:
    monitored.say(monitored.speaker.event())
    monitored.look()
    key = SignerKey.from_seed("log.example/other", bytes(32))
    monitored.log = Written(tmp_path / "log", key, "log.example/other").grow([b"x"])
    monitored.finds(Unreadable, "origin of the log")


@pytest.mark.parametrize("note", [b"", b"\xff", b"a\n1\n\n", b"a\nb\nc\n\n\xe2\x80\x94 a b\n", bytes(100)])
def test_what_is_no_checkpoint_is_said(monitored: Monitored, note: bytes) -> None:
    monitored.log.write("checkpoint", note)
    monitored.finds(Unreadable, "(?s)got .* want")


# --- a root log --------------------------------------------------------------------------------------------------


def anchor(speaker: Speaker, note: str) -> bytes:
    return speaker.say("anchor", 8, {"checkpoint": note})


def note_of(size: int, word: bytes = b"") -> str:
    root = sha256(b"%d" % size + word).digest()
    return sign_checkpoint(
        Checkpoint("log.example/coop", size, root), [SignerKey.from_seed("log.example/coop", bytes(32))]
    )


def test_anchors_grow_with_their_log(monitored: Monitored) -> None:
    monitored.say(anchor(monitored.speaker, note_of(3)), anchor(monitored.speaker, note_of(3)))
    monitored.look()
    monitored.say(anchor(monitored.speaker, note_of(5)))
    monitored.look()
    kept = monitored.memory.anchored("log.example/coop")
    assert kept is not None and kept.size == 5
    monitored.say(anchor(monitored.speaker, note_of(4)))
    monitored.finds(Damaged, "size of log.example/coop in entry 3: got 4, want 5 or more")


def test_anchors_of_one_size_agree(monitored: Monitored) -> None:
    monitored.say(anchor(monitored.speaker, note_of(3)), anchor(monitored.speaker, note_of(3, b"other")))
    monitored.finds(Damaged, "root of log.example/coop in entry 1")


def stamp(speaker: Speaker, size: int, root: bytes) -> bytes:
    said = {"size": size, "root": to_base64(root), "time": REC, "authority": "TSA", "token": B32}
    return speaker.say("anchor", 6, {"timestamp": said})


def test_a_time_stamp_is_of_the_log_that_it_stands_in(monitored: Monitored) -> None:
    entries = monitored.speaker.mixed(300)
    roots = [Tree.of(entries[:size]).root_hash for size in (100, 300)]
    monitored.say(*entries, stamp(monitored.speaker, 100, roots[0]), stamp(monitored.speaker, 300, roots[1]))
    assert monitored.look().read == 302
    monitored.say(stamp(monitored.speaker, 100, roots[1]))
    monitored.finds(Damaged, "root of 100 entries in a time stamp")


def test_a_time_stamp_of_what_is_not_there_yet_is_none(monitored: Monitored) -> None:
    monitored.say(monitored.speaker.event(), stamp(monitored.speaker, 2, bytes(32)))
    monitored.finds(Damaged, "size of the time stamp in entry 1")
