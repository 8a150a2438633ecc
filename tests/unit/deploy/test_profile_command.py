"""`suyuan profile`: what a person is told who writes a sensor's profile."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploy.command import main
from ingest.wire.profiles import SHIPPED

LTC2 = str(SHIPPED / "dragino-ltc2.json")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["profile", *arguments])


def test_a_payload_is_read_as_the_worker_would_read_it() -> None:
    told = run("check", LTC2, "--payload", "0e55010862086760e43cc6", "--port", "2")
    assert told.exit_code == 0
    assert told.output.splitlines() == [
        "battery                  3.669 V  at 1625570502.000  optional",
        "probe_1                  21.46 Cel  at 1625570502.000",
        "probe_2                  21.51 Cel  at 1625570502.000",
    ]


def test_texts_and_positions_are_shown_too(tmp_path: Path) -> None:
    told = run("check", str(SHIPPED / "dragino-lht65.json"), "--payload", "cbf60b0d0376010add7fff")
    assert "external_sensor          temperature  optional" in told.output
    told = run("check", str(SHIPPED / "cayenne.json"), "--payload", "018806765ff2960a0003e8")
    assert "position                 (42.3519, -87.9094) deg" in told.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--payload", "0e55", "--port", "2"), "malformed_payload: 2 bytes on port 2"),
        (
            ("--payload", "0e55", "--port", "3"),
            "unknown_port: profile 'dragino-ltc2' has no message on port 3",
        ),
        (("--payload", "0e55"), "malformed_payload: 2 bytes are no message"),
    ],
)
def test_what_cannot_be_read_says_why(arguments: tuple[str, ...], said: str) -> None:
    told = run("check", LTC2, *arguments)
    assert told.exit_code == 1 and said in told.output
    told = run("check", LTC2, "--payload", "xyz")
    assert told.exit_code == 2 and "want hexadecimal" in told.output


def test_a_file_is_good_or_says_what_is_wrong(tmp_path: Path) -> None:
    assert run("check", LTC2).output == "dragino-ltc2 is good; name the file dragino-ltc2.json\n"
    (tmp_path / "ours.json").write_text('{"profile": "ours", "messages": [{"length": 2, "colour": 1}]}')
    told = run("check", str(tmp_path / "ours.json"))
    assert told.exit_code == 1 and "ours.json: messages.0.colour" in told.output
    assert run("check", str(SHIPPED / "teltonika.json"), "--payload", "00").exit_code == 1


def test_the_list_has_an_installations_own_and_what_is_wrong_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ours.json").write_text('{"profile": "ours", "vendor": "Ours", "model": "1", "cayenne": {}}')
    (tmp_path / "broken.json").write_text("{}")
    monkeypatch.setenv("SUYUAN_PROFILES_DIR", str(tmp_path))
    told = run("list")
    assert "ours                     Ours 1\n" in told.stdout and "dragino-lht65" in told.stdout
    assert "cannot be used: broken.json: profile: Field required" in told.stderr
