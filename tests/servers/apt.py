"""What the machine's own apt is told: where its packages come from, and how to install one.

Place in the line: `debian_root.py` builds from the mirror found here, `chromium.py` installs through here.
Contract: no mirror's address stands in this project. Proxies, credentials and certificates are not read here
at all: whatever is fetched, the machine's apt fetches (`FETCH_BY_APT`), with all that it is configured to do.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.servers import ServerError

DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

# Stands in for wget where a tool calls it as `wget [options] -O FILE URL`.
FETCH_BY_APT = """#!/bin/sh
while [ $# -gt 1 ]; do
  case "$1" in -O) to=$2; shift ;; esac
  shift
done
exec /usr/lib/apt/apt-helper -qq download-file "$1" "$to"
"""


@dataclass(frozen=True)
class Source:
    """One archive that apt uses. `keyring` is None where the entry names no key file of its own."""

    uri: str
    suites: tuple[str, ...]
    trusted: bool
    keyring: Path | None


@cache
def on_debian_as_root() -> bool:
    """True where we may install Debian's packages and make namespaces."""
    if os.name != "posix" or os.geteuid() != 0 or not Path("/usr/bin/apt-get").exists():
        return False
    return platform.freedesktop_os_release().get("ID") == "debian"


@cache
def debian_mirror() -> Source:
    """The archive that this machine takes Debian itself from, not its security or update archive."""
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    names = {release, "oldstable", "stable", "testing", "trixie", "sid", "unstable"} - {""}
    sources = list(read_sources(Path("/etc/apt")))
    for source in sources:
        if names.intersection(source.suites) and source.uri.startswith(("http://", "https://", "file:")):
            return source
    raise ServerError(
        f"apt's sources name no Debian archive with one of the suites {sorted(names)}: got {sources}"
    )


def read_sources(etc_apt: Path) -> Iterator[Source]:
    """Every `deb` archive in `sources.list` and `sources.list.d`, in apt's order, in both of apt's
    formats."""
    folder = etc_apt / "sources.list.d"
    for path in [etc_apt / "sources.list", *sorted(folder.glob("*.list"))]:
        if path.is_file():
            yield from _one_line_entries(path.read_text())
    for path in sorted(folder.glob("*.sources")):
        yield from _stanzas(path.read_text())


def _one_line_entries(text: str) -> Iterator[Source]:
    for match in re.finditer(r"^\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)", text, re.MULTILINE):
        options, uri, suite = match.groups()
        named = dict(word.split("=", 1) for word in (options or "").split() if "=" in word)
        yield Source(uri, (suite,), named.get("trusted") == "yes", _key_file(named.get("signed-by", "")))


def _stanzas(text: str) -> Iterator[Source]:
    without_comments = re.sub(r"^#.*\n?", "", text, flags=re.MULTILINE)
    for stanza in re.split(r"\n\s*\n", without_comments):
        fields = re.findall(r"^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE)
        named = {name.lower(): value.strip() for name, value in fields}
        if "deb" not in named.get("types", "").split() or named.get("enabled", "yes").lower() == "no":
            continue
        trusted = named.get("trusted", "no").lower() == "yes"
        for uri in named.get("uris", "").split():
            yield Source(
                uri, tuple(named.get("suites", "").split()), trusted, _key_file(named.get("signed-by", ""))
            )


def _key_file(signed_by: str) -> Path | None:
    """An entry may also carry the key itself or a fingerprint: then apt's usual keyring has to do."""
    return Path(signed_by) if signed_by.startswith("/") and "\n" not in signed_by else None


def install(packages: Sequence[str], log: Path) -> None:
    """Installs or upgrades Debian packages. Raises ServerError, naming the log, if apt does not."""
    with _alone():
        # A list that is days old names files that the mirror has since replaced, so it is refreshed first.
        for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *packages]):
            _apt_get(command, log)


@contextmanager
def _alone() -> Iterator[None]:
    """One process of a run after the other: apt refuses a second one."""
    folder = os.open("/etc/apt", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _apt_get(command: Sequence[str], log: Path) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with log.open("ab") as out:
        outcome = subprocess.run(
            ["apt-get", *command], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment
        )
    if outcome.returncode:
        raise ServerError(
            f"apt-get {' '.join(command)} ended with {outcome.returncode}; its output is in {log}"
        )
