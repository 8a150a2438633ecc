"""What a setting may hold that is more than a word."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from deploy.command import main
from deploy.services.ingest import line_of
from deploy.services.metrics import served
from deploy.services.process import CannotStart
from deploy.settings import Settings


def test_sparkplug_groups_are_names_with_commas_between() -> None:
    assert Settings(sparkplug_groups="").sparkplug_group_names == []
    assert Settings(sparkplug_groups=" plant,冷链 , plant,").sparkplug_group_names == ["plant", "冷链"]


@pytest.mark.parametrize("name", ["a/b", "+", "#", "STATE", "x" * 256, "a\0"])
def test_what_no_group_can_be_called_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="no name of a Sparkplug group"):
        Settings(sparkplug_groups=f"plant,{name}")


def test_a_setting_that_is_none_is_named_with_its_variable() -> None:
    done = CliRunner().invoke(
        main, ["quarantine", "list"], env={"SUYUAN_QUARANTINE_ROWS": "hunter2", "SUYUAN_RETENTION_DAYS": "0"}
    )
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
    assert "SUYUAN_QUARANTINE_ROWS: " in done.output and "SUYUAN_RETENTION_DAYS: " in done.output
    assert "hunter2" not in done.output


def test_an_address_for_metrics_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(CannotStart, match=f"SUYUAN_METRICS_LISTEN={address}"),
            served(Settings(metrics_listen=address), CollectorRegistry()),
        ):
            pass
    with (
        pytest.raises(CannotStart, match="SUYUAN_METRICS_LISTEN"),
        served(Settings(metrics_listen="127.0.0.1:99999"), CollectorRegistry()),
    ):
        pass


def test_a_folder_of_profiles_that_is_not_there_is_said(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    with pytest.raises(CannotStart, match="nowhere"):
        line_of(Settings(profiles_dir=str(nowhere), data_dir=tmp_path), "ingest-0")
    done = CliRunner().invoke(main, ["profile", "list"], env={"SUYUAN_PROFILES_DIR": str(nowhere)})
    assert done.exit_code == 1 and "SUYUAN_PROFILES_DIR" in done.output


def test_a_zone_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("device\n")
    done = CliRunner().invoke(main, ["import", str(tmp_path / "a.csv"), "--time-zone", "Mars/Base"])
    assert done.exit_code == 2 and "want an IANA name" in done.output


@pytest.mark.parametrize(
    ("written", "further"),
    [("ed25519", ()), ("sm2, ed25519", ("sm2",)), ("ed25519,sm2,mldsa44,sm2", ("mldsa44", "sm2"))],
)
def test_signatures_are_ed25519_and_what_stands_beside_it(written: str, further: tuple[str, ...]) -> None:
    signing = Settings(log_signatures=written, log_key_overlap_days=7).signing
    assert (signing.further, signing.overlap.days) == (further, 7)


@pytest.mark.parametrize("written", ["", "sm2", "ed25519,rsa", "ED25519"])
def test_a_list_of_signatures_without_ed25519_or_with_another_is_refused(written: str) -> None:
    with pytest.raises(ValidationError):
        Settings(log_signatures=written)
