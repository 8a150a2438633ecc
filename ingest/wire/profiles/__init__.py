"""Every profile that a worker knows: those shipped beside this module, and an installation's own folder (docs/profiles.md).

In the line: files -> here -> the decoders. Contract: a file that is no profile takes no other with it; a device of that
profile is told what is wrong with the file, and its messages wait in quarantine until it is mended. A worker reads the folder
again as it changes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ingest.wire.errors import WireError
from ingest.wire.profile import Profile, ProfileError

logger = logging.getLogger(__name__)

SHIPPED = Path(__file__).parent
MAX_BYTES = 262_144

Files = frozenset[tuple[str, int, int, int]]
"""Name, inode, size and time of change of each: another file has others."""


@dataclass(slots=True)
class Profiles:
    """`known`: by name. `refused`: by name, or by file where it has none, and why. `folder`: an installation's own; `files`: as
    they were when it was read."""

    known: Mapping[str, Profile]
    refused: Mapping[str, str]
    folder: Path | None = None
    files: Files = frozenset()
    _changing: Files | None = None

    def named(self, name: str | None) -> Profile:
        """Raises WireError: unknown_profile."""
        if name is None:
            raise WireError(
                "unknown_profile",
                "the device has no profile, so nobody knows what its bytes mean; register it with one (docs/profiles.md)",
            )
        if name in self.known:
            return self.known[name]
        why = self.refused.get(
            name, "there is no file of that name among those shipped and in SUYUAN_PROFILES_DIR"
        )
        raise WireError("unknown_profile", f"the device's profile {name!r} cannot be used: {why}")

    def refresh(self) -> None:
        """Read the folder again if a file is another than it was. Asked every few seconds: what still changes from one time to
        the next is somebody's who is writing it. Where the folder cannot be read, what was known stays."""
        if self.folder is None:
            return
        try:
            files = _files(self.folder)
            if files == self.files:
                self._changing = None
            elif files != self._changing:
                self._changing = files
            else:
                self._read_again(self.folder)
        except OSError as error:
            if self._changing != frozenset():
                logger.warning("the folder of profiles cannot be read", extra={"error": str(error)})
            self._changing = frozenset()

    def _read_again(self, folder: Path) -> None:
        before, found = self.refused, load(folder)
        self.known, self.refused, self.files, self._changing = found.known, found.refused, found.files, None
        logger.info("the folder of profiles has changed and was read again", extra={"known": len(self.known)})
        for name, why in self.refused.items():
            if before.get(name) != why:
                logger.error("a profile cannot be used", extra={"profile": name, "error": why})


def load(folder: Path | None = None) -> Profiles:
    """The shipped ones and those of `folder`, where one of the same name takes the shipped one's place. Raises OSError where
    the folder cannot be read."""
    known: dict[str, Profile] = {}
    refused: dict[str, str] = {}
    files: Files = (
        frozenset() if folder is None else _files(folder)
    )  # before they are read: what changes since is another
    for place in (SHIPPED, *([folder] if folder is not None else [])):
        for path in sorted(place.iterdir()):
            if path.suffix == ".json":
                _take(path, known, refused)
    return Profiles(known, refused, folder, files)


def _files(folder: Path) -> Files:
    """Raises OSError."""
    found = ((path.name, path.stat()) for path in folder.iterdir() if path.suffix == ".json")
    return frozenset((name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in found)


def _take(path: Path, known: dict[str, Profile], refused: dict[str, str]) -> None:
    try:
        profile = parse(path.read_bytes(), path.name)
        if profile.profile != path.stem:
            raise ProfileError(
                f"{path.name}: the profile is called {profile.profile!r}; name the file after it"
            )
    except (ProfileError, OSError) as error:
        refused[path.stem] = str(error)
        known.pop(path.stem, None)  # somebody meant another than the shipped one
        return
    known[path.stem] = profile


def parse(text: bytes, name: str) -> Profile:
    """`name`: of the file, for what is said. Raises ProfileError."""
    if len(text) > MAX_BYTES:
        raise ProfileError(f"{name}: got {len(text)} bytes, a profile has at most {MAX_BYTES}")
    try:
        return Profile.model_validate_json(text)
    except ValidationError as error:
        faults = "; ".join(_in_words(fault["loc"], fault["msg"]) for fault in error.errors()[:5])
        raise ProfileError(f"{name}: {faults}") from error


def _in_words(place: Iterable[int | str], message: str) -> str:
    where = ".".join(map(str, place)) or "the profile"
    return f"{where}: {message.removeprefix('Value error, ')}"
