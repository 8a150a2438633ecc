"""Any bytes give readings or a reason, of every decoder of the wire, within bounded time and memory."""

from __future__ import annotations

import re
import subprocess
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.wire.errors import WireError
from tests.documents import DOCS, REPOSITORY
from tests.unit.ingest.wire.any_bytes import DECODERS, PROFILES, SEEDS, costly, decoded

REASONS = set(re.findall(r"^\| `(\w+)` \| [a-z, ]+ \|", (DOCS / "wire.md").read_text("utf-8"), re.MULTILINE))
COSTLY = costly()
NAMES = sorted(DECODERS)

# Python's memory at its highest, in bytes: a number of its own, and so much for each byte of the payload.
WITHIN, PER_BYTE = 6 * 2**20, 50


def outcome(name: str, payload: bytes) -> None:
    result = decoded(DECODERS[name], payload)
    if isinstance(result, WireError):
        assert result.reason in REASONS and len(result.detail) > 15


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60)
@given(payload=st.binary(max_size=120))
def test_any_bytes_are_read_or_refused_for_a_reason(name: str, payload: bytes) -> None:
    outcome(name, payload)


# --- what was good, damaged -----------------------------------------------------------------------------------------

place = st.integers(0, 2**16)
change = st.one_of(
    st.tuples(st.just("set"), place, st.binary(min_size=1, max_size=8)),
    st.tuples(st.just("put"), place, st.binary(min_size=1, max_size=8)),
    st.tuples(st.just("cut"), place, st.integers(1, 12)),
    st.tuples(st.just("twice"), place, st.integers(1, 60)),
    st.tuples(st.just("set"), place, st.sampled_from([b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\0" * 8, b"\x80", b"1e999", b"-", b"[{"])),
    st.tuples(st.just("end"), place, st.just(0)),
)  # fmt: skip


def damaged(payload: bytes, changes: list[tuple[str, int, bytes | int]]) -> bytes:
    for how, where, what in changes:
        at = where % (len(payload) + 1)
        head, tail = payload[:at], payload[at:]
        if isinstance(what, bytes):
            payload = head + what + (tail[len(what) :] if how == "set" else tail)
        elif how == "end":
            payload = head
        else:
            payload = head + (tail[what:] if how == "cut" else tail[:what] + tail)
    return payload


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=150)
@given(changes=st.lists(change, min_size=1, max_size=3), which=st.integers(0, 3))
def test_a_damaged_payload_is_read_or_refused_for_a_reason(
    name: str, changes: list[tuple[str, int, bytes | int]], which: int
) -> None:
    payload = SEEDS[name][which % len(SEEDS[name])]
    outcome(name, damaged(payload, changes))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_damaged_here_was_good(name: str) -> None:
    for payload in SEEDS[name]:
        result = decoded(DECODERS[name], payload)
        assert not isinstance(result, WireError), result


def test_no_decoder_is_left_out() -> None:
    assert set(SEEDS) == set(DECODERS)
    assert {name for name, profile in PROFILES.known.items() if profile.messages} < set(DECODERS)


# --- what costs much ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", COSTLY)
def test_memory_is_linear_in_the_payload(what: str) -> None:
    payload = COSTLY[what]
    bound = WITHIN + PER_BYTE * len(payload)
    for name, decoder in DECODERS.items():
        tracemalloc.start()
        try:
            outcome(name, payload)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak <= bound, f"{decoder}: {peak:,} bytes for {len(payload):,}"


def test_none_of_it_fills_the_memory_or_takes_for_ever() -> None:
    """Of the whole process, and so of what libraries hold outside Python: every costly payload with every decoder, one
    after the other, in 200 MB above what the process has to begin with and in one minute of the processor."""
    command = [sys.executable, "-m", "tests.unit.ingest.wire.any_bytes", str(200 * 2**20), "60"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) == len(COSTLY) * len(DECODERS)
