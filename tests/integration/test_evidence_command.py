"""`suyuan evidence`: events, windows and single readings as files that hold without us, against a whole instance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.evidence_making import EvidenceProblem, Wish, run
from deploy.settings import Settings
from deploy.verification import HOLDS, verify_file
from ledger.evidence import read_evidence, verify_evidence
from ledger.evidence_file import AnchoredEvidence, WindowEvidence
from tests.acceptance.instance import Instance
from tests.integration.test_api import begin, instance

__all__ = ["begin", "instance"]
SHOWN = {"action", "bizStep", "eventTime"}


def made(instance: Instance, output: Path | None, subject: str, **wish: Any) -> tuple[str, list[str]]:
    """What goes to standard output, and the lines of progress."""
    written, told = list[str](), list[str]()
    settings = Settings(database_url=instance.database.owner, data_dir=instance.folder)
    wished = Wish(subject, **{"wait_s": 0.0} | wish)
    run(settings, None, wished, output, "zh", told.append, written.append)
    return "".join(written), told


def keys(instance: Instance) -> list[str]:
    folders = (instance.folder / "log").iterdir()
    return [(folder / "vkey").read_text().strip() for folder in folders if (folder / "vkey").exists()]


def refused(instance: Instance, subject: str, **wish: Any) -> str:
    with pytest.raises(EvidenceProblem) as caught:
        made(instance, None, subject, **wish)
    return str(caught.value)


def test_an_event_in_all_three_forms_holds_without_us(instance: Instance, tmp_path: Path) -> None:
    for name in ("e.json", "e.json.gz", "e.html"):
        _, told = made(instance, tmp_path / name, "urn:uuid:picked")
        assert "suyuan verify" in told[-1]
        assert verify_file(tmp_path / name, keys(instance), True, lambda _text: None) == HOLDS
        file = read_evidence((tmp_path / name).read_bytes())
        assert isinstance(file, AnchoredEvidence)
        assert file.root is not None
        assert file.logs[0].anchor is not None


def test_fields_are_shown_and_withheld_as_asked(instance: Instance) -> None:
    def names(**wish: Any) -> tuple[set[str], int]:
        items = json.loads(made(instance, None, "urn:uuid:picked", **wish)[0])["items"]
        fields = items[0]["fields"]
        return {field["name"] for field in fields if "name" in field}, len(fields)

    every, count = names()
    assert len(every) == count
    assert every > SHOWN
    assert names(disclose=tuple(SHOWN)) == (SHOWN, count)
    assert names(withhold=("eventTime",)) == (every - {"eventTime"}, count)
    public, _ = names(public=True)
    assert public >= SHOWN
    assert "no such field" in refused(instance, "urn:uuid:picked", disclose=("colour",))
    assert "not both" in refused(instance, "urn:uuid:picked", disclose=("type",), withhold=("action",))


def test_a_window_and_a_single_reading_of_it(instance: Instance) -> None:
    device, index, organisation, hour = window(instance)
    by_hour = json.loads(made(instance, None, f"{device}@{hour}")[0])
    by_place = json.loads(made(instance, None, f"{organisation}:{index}")[0])
    assert by_hour == by_place
    reading = next(each for each in by_hour["items"][0]["readings"] if each["value"] is not None)
    moment, channel = time_of(instance, reading)
    for subject in (device, f"{device}@{hour}"):
        text, _ = made(instance, None, subject, reading=moment, channel=channel)
        item = read_evidence(text).items[0]
        assert isinstance(item, WindowEvidence)
        assert [each.reading.time_ms for each in item.readings] == [reading["time"]]
        assert verify_evidence(text).verified
    assert "nearest" in refused(instance, device, reading=moment.replace(".000", ".007"), channel=channel)
    assert "no time" in refused(instance, device, reading="yesterday")
    assert "--disclose" in refused(instance, f"{device}@{hour}", disclose=("x",))


def window(instance: Instance) -> tuple[str, int, str, str]:
    (row,) = instance.rows(
        "SELECT device.external_id, leaf.leaf_index, leaf.organisation, to_char(w.start_time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24')"
        " FROM sealed_window AS w JOIN leaf ON leaf.sealed_window = w.id JOIN device ON device.id = w.device_id"
        " ORDER BY w.readings DESC, w.version DESC, leaf.leaf_index LIMIT 1"
    )
    return row  # type: ignore[return-value]


def time_of(instance: Instance, reading: dict[str, Any]) -> tuple[str, str]:
    (row,) = instance.rows(
        "SELECT to_char(to_timestamp(%s / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), channel FROM series"
        " WHERE uuid = encode(decode(%s, 'base64'), 'hex')::uuid",
        reading["time"],
        reading["series"],
    )
    return row  # type: ignore[return-value]


def test_the_page_carries_what_the_issuer_says(instance: Instance, tmp_path: Path) -> None:
    device, index, organisation, _ = window(instance)
    made(instance, tmp_path / "w.html", f"{organisation}:{index}")
    said = said_in(tmp_path / "w.html")
    assert said["format"] == "suyuan-statement/v1"
    states = {line["id"]: line["state"] for line in said["lines"]}
    assert states["device"] == states["custody"] == "held"
    (told,) = [line["en"] for line in said["lines"] if line["id"] == "device"]
    for uuid, channel in instance.rows(
        "SELECT uuid, channel FROM series JOIN device ON device.id = device_id WHERE external_id = %s", device
    ):
        assert f"{str(uuid)[:8]} is {channel} (" in told
    assert states["witnesses"] == states["timestamp"] == states["legal_hold"] == "not_held"
    assert states["calibration"] == "not_recorded"
    assert states["dependence"] == "not_recorded"
    instance.alter(
        "INSERT INTO calibration SELECT id, 'JL-2026-7', 'a laboratory', DATE '2026-01-05', DATE '2027-01-04' FROM device"
        " WHERE external_id = %s",
        device,
    )
    made(instance, tmp_path / "w.html", f"{organisation}:{index}")
    calibration = next(line for line in said_in(tmp_path / "w.html")["lines"] if line["id"] == "calibration")
    assert calibration["state"] == "held"
    assert "JL-2026-7" in calibration["en"]
    instance.alter("UPDATE calibration SET due_on = DATE '2026-02-01'")
    made(instance, tmp_path / "w.html", f"{organisation}:{index}")
    calibration = next(line for line in said_in(tmp_path / "w.html")["lines"] if line["id"] == "calibration")
    assert calibration["state"] == "not_held"


def said_in(page: Path) -> dict[str, Any]:
    _, _, rest = page.read_text().partition('<script type="application/json" id="statement">')
    found: dict[str, Any] = json.loads(rest.partition("</script>")[0])
    return found


def test_what_is_not_in_the_root_log_yet_is_asked_for_and_told(instance: Instance, tmp_path: Path) -> None:
    instance.alter("DELETE FROM anchor")
    _, told = made(instance, tmp_path / "e.json", "urn:uuid:picked", wait_s=0.3)
    assert "waiting up to 0.3 s for the root log" in told[0]
    assert "made without the root log" in told[1]
    assert instance.one("SELECT count(*) FROM anchor_request") == 1
    assert verify_evidence((tmp_path / "e.json").read_bytes()).verified


def test_what_cannot_be_made_is_said(instance: Instance) -> None:
    assert "no event" in refused(instance, "urn:uuid:nobody")
    assert "no device" in refused(instance, "nobody@2026-06-20T05")
    device, index, organisation, _ = window(instance)
    assert "no sealed window" in refused(instance, f"{device}@1999-01-01T00")
    instance.alter("UPDATE organisation SET publishes = false")
    assert "does not publish" in refused(instance, f"{organisation}:{index}", public=True)
    instance.alter("UPDATE reading_store SET value = value + 1")
    assert "no evidence can be made" in refused(instance, f"{organisation}:{index}")
