"""The count of vector cases is right, and a folder that falls short of its floor fails a whole run."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.servers.session import Told, lines

REPOSITORY = Path(__file__).parents[2]

# Run by pytest in a process of its own, so that this run's own counts and floors are left alone.
SUITE = """
import pytest
from tests import vectors
from tests.vectors import count_vectors, vector_path
from tests.conftest import pytest_sessionfinish, pytest_terminal_summary, pytest_testnodedown

vectors.FLOORS = {"ledger/merkle": 3}

@pytest.mark.parametrize("case", ["1.json", "2.json"])
def test_merkle(case):
    assert vector_path(f"ledger/merkle/inclusion/{case}").exists()
    count_vectors()

def test_own():
    vector_path("own")
    count_vectors(35)
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A small suite of two folders, and the test data for it."""
    (tmp_path / "tests_of_it").mkdir()
    (tmp_path / "tests_of_it" / "test_it.py").write_text(SUITE)
    (tmp_path / "tests_of_it" / "conftest.py").write_text("pytest_plugins = ['tests_of_it.test_it']\n")
    for name in ("ledger/merkle/inclusion/1.json", "ledger/merkle/inclusion/2.json", "own/lot.json"):
        path = tmp_path / "vectors" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    return tmp_path


def run(suite: Path, *arguments: str, vectors: str = "vectors") -> subprocess.CompletedProcess[str]:
    """Runs the suite as a run of everything unless the arguments say otherwise."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=suite,
        env={**os.environ, "SUYUAN_VECTORS": str(suite / vectors), "PYTHONPATH": f"{REPOSITORY}:{suite}"},
        capture_output=True,
        text=True,
    )


def test_a_shortfall_fails_a_run_of_everything(suite: Path) -> None:
    outcome = run(suite)
    assert "vectors: 37 cases ran (ledger/merkle 2, own 35)" in outcome.stdout
    assert "vectors: ledger/merkle ran 2 cases, want at least 3" in outcome.stdout
    assert outcome.returncode == pytest.ExitCode.TESTS_FAILED


def test_a_run_of_some_tests_owes_no_floor(suite: Path) -> None:
    outcome = run(suite, "-k", "own")
    assert "vectors: 35 cases ran (own 35)" in outcome.stdout
    assert outcome.returncode == pytest.ExitCode.OK


SEVERAL = pytest.mark.skipif(
    find_spec("xdist") is None, reason="pytest-xdist is not there; `make test` installs it"
)


@SEVERAL
def test_several_processes_count_together_and_owe_the_floor_together(suite: Path) -> None:
    short = run(suite, "-n", "2")
    assert "vectors: 37 cases ran (ledger/merkle 2, own 35)" in short.stdout
    assert "vectors: ledger/merkle ran 2 cases, want at least 3" in short.stdout
    assert short.returncode == pytest.ExitCode.TESTS_FAILED


@SEVERAL
def test_a_crash_of_one_process_fails_the_run(suite: Path) -> None:
    """Also one that looks like an end in good order."""
    (suite / "tests_of_it" / "test_other.py").write_text("def test_ends():\n    __import__('os')._exit(0)\n")
    outcome = run(suite, "-n", "2", "-k", "own or ends", "--max-worker-restart", "0")
    assert outcome.returncode == pytest.ExitCode.TESTS_FAILED, outcome.stdout


def test_what_several_processes_lacked_is_said_once() -> None:
    told = [
        Told({"plain": "plain up in 1.0 s"}, {"Chromium: none": 2}),
        Told({"plain": "plain up in 1.1 s"}, {"Chromium: none": 3}),
    ]
    assert lines(told) == [
        "servers in each of 2 processes: plain up in 1.0 s",
        "skipped: 5 tests without Chromium: none",
    ]


def test_without_test_data_its_tests_are_skipped_and_the_run_says_so(suite: Path) -> None:
    outcome = run(suite, vectors="absent")
    assert (
        "vectors: 0 cases ran; SUYUAN_VECTORS (default: ../shared/vectors) names no folder" in outcome.stdout
    )
    assert "3 skipped" in outcome.stdout
    assert outcome.returncode == pytest.ExitCode.OK


def test_a_file_missing_from_the_test_data_is_an_error(suite: Path) -> None:
    (suite / "vectors/ledger/merkle/inclusion/2.json").unlink()
    outcome = run(suite, "-k", "merkle")
    assert "the test data has no ledger/merkle/inclusion/2.json" in outcome.stdout
    assert outcome.returncode == pytest.ExitCode.TESTS_FAILED
