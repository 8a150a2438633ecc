"""`pip install .` in an empty environment gives a whole `suyuan`: the command, and every file that it reads.

Installed from a copy of what git has or would take, so that neither a bundle built earlier in this folder nor
a file that the repository ignores can stand in for one that is missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ROOMS = ("ledger", "ingest", "trace_api", "simulators", "deploy")
COMMANDS = ("demo", "migrate", "ingest", "jobs", "sequencer", "api", "simulate", "verify", "doctor", "backup")
WEB = Path("trace_api/web")  # sources of the bundles; what is built of them lies in its `dist`

# Run by the installed Python: path below the rooms -> SHA-256, through importlib.resources, as the services
# read.
LIST_RESOURCES = """
import hashlib, json, sys
from importlib.resources import files
def walk(folder, name):
    for entry in folder.iterdir():
        path = f"{name}/{entry.name}"
        if entry.is_dir():
            yield from walk(entry, path)
        else:
            yield path, hashlib.sha256(entry.read_bytes()).hexdigest()
print(json.dumps(dict(pair for room in sys.argv[1:] for pair in walk(files(room), room))))
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with the files that are in it or would be."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout, so there is no telling which files belong to it")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout.decode()
    copy = tmp_path_factory.mktemp("source")
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def installed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that holds nothing but the project and what it needs."""
    venv = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip: list[str | Path] = [venv / "bin/python", "-m", "pip", "install", "-qq", "--no-compile"]
    outcome = run([*pip, "-c", source / "requirements.lock", source], cwd=venv)
    assert outcome.returncode == 0, outcome.stderr[-4000:]
    return venv / "bin"


def run(command: list[str | Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command with nothing of ours or of this Python in its environment."""
    ours = ("SUYUAN_", "PYTHON", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_the_command_helps_from_any_folder(installed: Path, tmp_path: Path) -> None:
    outcome = run([installed / "suyuan", "--help"], cwd=tmp_path)
    assert outcome.returncode == 0, outcome.stderr
    assert [name for name in COMMANDS if f"\n  {name} " not in outcome.stdout] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_helps(installed: Path, tmp_path: Path, command: str) -> None:
    outcome = run([installed / "suyuan", command, "--help"], cwd=tmp_path)
    assert outcome.returncode == 0, outcome.stderr


def test_every_module_and_data_file_is_inside(installed: Path, source: Path, tmp_path: Path) -> None:
    inside = resources(installed, tmp_path)
    wanted = {
        path.relative_to(source).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for room in ROOMS
        for path in (source / room).rglob("*")
        if path.is_file() and WEB not in path.relative_to(source).parents
    }
    assert {name for name, digest in wanted.items() if inside.get(name) != digest} == set()
    suffixes = {Path(name).suffix for name in wanted}
    assert {".py", ".sql", ".json", ".html"} <= suffixes, "a kind of file that the project has is not checked"


def test_the_doctor_has_its_invariants(installed: Path, source: Path, tmp_path: Path) -> None:
    """The document lies outside the rooms; the installed doctor reads its own copy."""
    document = hashlib.sha256((source / "docs/invariants.md").read_bytes()).hexdigest()
    assert resources(installed, tmp_path)["deploy/invariants.md"] == document
    code = "from deploy.doctor.invariants import invariants; print(len(invariants()))"
    outcome = run([installed / "python", "-I", "-c", code], cwd=tmp_path)
    assert int(outcome.stdout) > 40


def test_the_pages_bundle_is_built_by_the_install(installed: Path, source: Path, tmp_path: Path) -> None:
    assert not (REPOSITORY / ".git").exists() or not tracked(WEB / "dist"), "a built bundle is committed"
    built = [name for name in resources(installed, tmp_path) if name.startswith(f"{WEB}/dist/")]
    assert [name for name in built if name.endswith(".js")]


def test_nothing_but_our_rooms_is_installed(installed: Path, tmp_path: Path) -> None:
    """A `tests` or a `docs` at the top of site-packages would stand in the way of anyone's own."""
    listing = run([installed / "python", "-I", "-m", "pip", "show", "-f", "suyuan"], cwd=tmp_path).stdout
    files = listing.partition("Files:\n")[2].split("\n")
    tops = {line.strip().partition("/")[0] for line in files if line.strip()}
    assert {top for top in tops if not top.startswith(("suyuan-", ".."))} == set(ROOMS)


def resources(installed: Path, cwd: Path) -> dict[str, str]:
    """Each file of the installed rooms, with its SHA-256."""
    outcome = run([installed / "python", "-I", "-c", LIST_RESOURCES, *ROOMS], cwd=cwd)
    assert outcome.returncode == 0, outcome.stderr
    found: dict[str, str] = json.loads(outcome.stdout)
    return found


def tracked(folder: Path) -> str:
    """What git has under a folder of the repository."""
    return subprocess.run(
        ["git", "ls-files", str(folder)], cwd=REPOSITORY, capture_output=True, text=True
    ).stdout
