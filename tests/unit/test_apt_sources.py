"""The mirror is read from the machine's own apt configuration, in each way that apt lets it be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.apt import Source, read_sources

KEYRING = Path("/usr/share/keyrings/m.gpg")

CASES = {
    "one line": (
        "sources.list",
        "# deb http://old.example/debian bookworm main\n"
        "deb-src http://a.example/debian trixie main\n"
        "deb http://a.example/debian trixie main contrib # the mirror\n",
        [Source("http://a.example/debian", ("trixie",), False, None)],
    ),
    "one line with options": (
        "sources.list.d/a.list",
        "deb [arch=amd64 trusted=yes signed-by=/usr/share/keyrings/m.gpg] https://a.example stable main\n",
        [Source("https://a.example", ("stable",), True, KEYRING)],
    ),
    "stanzas": (
        "sources.list.d/a.sources",
        "Types: deb deb-src\n# a comment within\nURIs: http://a.example/debian\n"
        "Suites: trixie trixie-updates\n"
        "Components: main\nSigned-By: /usr/share/keyrings/m.gpg\n"
        "\nEnabled: no\nTypes: deb\nURIs: http://off.example/\nSuites: trixie\n"
        "\nTypes: deb-src\nURIs: http://source.example/\nSuites: trixie\n",
        [Source("http://a.example/debian", ("trixie", "trixie-updates"), False, KEYRING)],
    ),
    "a stanza with its key inside": (
        "sources.list.d/a.sources",
        "Types: deb\nURIs: http://a.example/debian http://b.example/debian\nSuites: stable\nTrusted: yes\n"
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ\n -----END PGP PUBLIC KEY BLOCK-----\n",
        [
            Source("http://a.example/debian", ("stable",), True, None),
            Source("http://b.example/debian", ("stable",), True, None),
        ],
    ),
    "nothing": ("sources.list", "", []),
}


@pytest.mark.parametrize(("name", "text", "want"), CASES.values(), ids=CASES)
def test_sources_are_read_as_apt_reads_them(tmp_path: Path, name: str, text: str, want: list[Source]) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert list(read_sources(tmp_path)) == want
