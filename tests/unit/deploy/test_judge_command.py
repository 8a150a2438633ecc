"""`suyuan judge`: its exit status, its JSON, and what it says where it does not understand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from deploy.command import main
from tests.vectors import count_vectors, vector_path

HOT = {"id": "hot", "side": "above", "limit_c": 8.0, "operator": ">", "mode": "consecutive", "minutes": 45}
KEYS = [
    "verdict", "readings", "minutes_observed", "minutes_unobserved", "min_c", "max_c", "mean_c", "mean_kinetic_temperature_c", "excursions",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rules = {"limits": [HOT], "expected_interval_minutes": 15, "activation_energy_kj_per_mol": 83.144}
    (tmp_path / "rules.json").write_text(json.dumps(rules), encoding="utf-8")
    return tmp_path


def export(folder: Path, *columns: list[str], names: str = "temperature") -> Path:
    path = folder / "export.csv"
    rows = (
        f"2026-06-18 {8 + at // 4:02}:{at % 4 * 15:02},{','.join(values)}"
        for at, values in enumerate(zip(*columns, strict=True))
    )
    path.write_text(f"time,{names}\n" + "\n".join(rows), encoding="utf-8")
    return path


def run(folder: Path, *words: object) -> Result:
    return CliRunner().invoke(main, ["judge", *map(str, words)])


def as_json(result: Result) -> Any:
    return json.loads(result.stdout)


GOOD, WARM, SILENT = (
    ["5.0"] * 12,
    ["5.0"] * 4 + ["9.5"] * 4 + ["5.0"] * 4,
    ["5.0"] * 4 + ["###"] * 4 + ["5.0"] * 4,
)


@pytest.mark.parametrize(
    ("columns", "status", "verdicts"),
    [
        ([GOOD], 0, ["compliant"]),
        ([WARM], 1, ["breach"]),
        ([SILENT], 2, ["indeterminate"]),
        ([GOOD, SILENT], 2, ["compliant", "indeterminate"]),
        ([SILENT, WARM, GOOD], 1, ["indeterminate", "breach", "compliant"]),
    ],
)
def test_the_worst_column_decides(
    folder: Path, columns: list[list[str]], status: int, verdicts: list[str]
) -> None:
    names = ["a", "b", "c"][: len(columns)]
    path = export(folder, *columns, names=",".join(names))
    result = run(folder, path, "--limits", folder / "rules.json", "--json")
    assert result.exit_code == status
    said = as_json(result)
    each = [said] if len(columns) == 1 else [said[name] for name in names]
    assert [one["verdict"] for one in each] == verdicts


def test_the_json_says_all_that_was_found(folder: Path) -> None:
    said = as_json(run(folder, export(folder, WARM), "--limits", folder / "rules.json", "--json"))
    assert list(said)[: len(KEYS)] == KEYS
    assert (said["readings"], said["minutes_observed"], said["minutes_unobserved"]) == (12, 165, 0)
    assert (said["min_c"], said["max_c"], said["mean_c"]) == (5.0, 9.5, 6.5)
    assert said["excursions"] == [
        {
            "limit_id": "hot",
            "start": "2026-06-18T09:00:00",
            "trigger": "2026-06-18T09:45:00",
            "end": "2026-06-18T10:00:00",
            "minutes_at_least": 45,
            "minutes_at_most": 75,
            "extreme_c": 9.5,
            "closed_by": "recovery",
        }
    ]


def test_by_a_product(folder: Path) -> None:
    path = export(folder, ["13.5"] * 12)
    assert run(folder, path, "--product", "banana").exit_code == 0
    result = run(folder, path, "--product", "cucumber")
    assert result.exit_code == 1
    assert "not compared with its source" in result.stdout


def test_a_product_without_limits_is_said_and_nothing_applies(folder: Path) -> None:
    result = run(folder, export(folder, GOOD), "--product", "strawbery", "--json")
    assert (result.exit_code, as_json(result)["verdict"]) == (0, "not_applicable")
    assert "did you mean strawberry?" in result.stderr


def test_by_the_loggers_own_alarms() -> None:
    path = next(vector_path("coldchain/qtag").glob("*.txt"))
    result = CliRunner().invoke(main, ["judge", str(path), "--json"])
    assert result.exit_code == 1
    assert {each["limit_id"] for each in as_json(result)["excursions"]} == {
        f"alarm-{number}" for number in (1, 2, 4, 5)
    }
    count_vectors(4)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "say what to judge by"),
        (["--product", "banana", "--limits", "rules.json"], "two sets of rules"),
        (["--limits", "none.json"], "cannot read none.json"),
        (["--product", "banana", "--time-zone", "Mars/Base"], "no time zone"),
        (["--product", "banana", "--time-zone", "Europe"], "no time zone"),
        (["--product", "banana", "--column", "pressure"], "no column of numbers is called 'pressure'"),
        (["--product", "banana", "--plot", "out.doc"], "png, svg, pdf"),
        (["--product", "banana", "--plot", "nowhere/out.png"], "cannot write nowhere/out.png"),
        (["--products", "banana"], "No such option"),
    ],
)
def test_what_is_not_understood_exits_with_3(folder: Path, words: list[str], named: str) -> None:
    result = run(folder, export(folder, GOOD), *words)
    assert result.exit_code == 3
    assert named in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ("no json", "is no JSON"),
        (json.dumps({"limits": [HOT | {"operator": "<"}]}), "contradict each other"),
        (json.dumps({"limits": [HOT, HOT | {"id": "cold", "side": "below", "operator": "<", "limit_c": 9}]}), "no temperature allowed"),
        ("[" * 100_000, "is no JSON"),
        (json.dumps({"limits": [HOT | {"side": []}]}), "'side' is text"),
        (json.dumps({"limits": [HOT | {"operator": {}}]}), "'operator' is text"),
        (json.dumps({"limits": [HOT | {"mode": [1]}]}), "'mode' is text"),
        (json.dumps({"limits": [HOT | {"minutes": 1e300}]}), "at most 5,256,000"),
        (json.dumps({"limits": [HOT | {"minutes": 10**400}]}), "'minutes' is a number"),
        (json.dumps({"limits": [HOT | {"limit_c": 10**400}]}), "'limit_c' is a number"),
        (json.dumps({"limits": [HOT | {"id": "\ud800"}]}), "cannot be printed"),
        (json.dumps({"limits": [HOT], "expected_interval_minutes": 10**400}), "'expected_interval_minutes' is a number"),
        (json.dumps({"limits": [HOT], "expected_interval_minutes": 1e300}), "'expected_interval_minutes' is a number"),
        (json.dumps({"limits": [HOT], "expected_interval_minutes": 1e-9}), "0.001 or more"),
        (json.dumps({"limits": [HOT], "accuracy_c": float("nan")}), "'accuracy_c' is a number"),
    ],
    ids=[
        "text", "side", "nothing left", "deep", "side list", "operator object", "mode list", "minutes", "minutes int", "limit int", "id",
        "interval int", "interval", "interval small", "accuracy",
    ],
)  # fmt: skip
def test_limits_that_contradict_themselves_are_refused(folder: Path, limits: str, named: str) -> None:
    path = folder / "other.json"
    path.write_text(limits, encoding="utf-8")
    result = run(folder, export(folder, GOOD), "--limits", path)
    assert result.exit_code == 3
    assert named in result.stderr


@pytest.mark.parametrize("name", ["food_safety", "安全上限", "unlawful"])
def test_a_limit_has_any_name(folder: Path, name: str) -> None:
    path = folder / "other.json"
    path.write_text(json.dumps({"limits": [HOT | {"id": name}]}), encoding="utf-8")
    result = run(folder, export(folder, WARM), "--limits", path, "--json")
    assert (result.exit_code, as_json(result)["excursions"][0]["limit_id"]) == (1, name)


def test_a_file_that_is_not_there(folder: Path) -> None:
    result = run(folder, folder / "nothing.csv", "--product", "banana")
    assert result.exit_code == 3
    assert "cannot read" in result.stderr
    assert run(folder).exit_code == 3


def test_a_fridge_at_39_is_asked_about(folder: Path) -> None:
    path = export(folder, ["39.0"] * 12)
    result = run(folder, path, "--product", "medicine_2_8")
    assert result.exit_code == 3
    assert "--unit F" in result.stderr
    assert run(folder, path, "--product", "medicine_2_8", "--unit", "F").exit_code == 0
    assert run(folder, path, "--product", "medicine_2_8", "--unit", "C").exit_code == 1


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_table_the_picture_and_the_report(folder: Path, language: str) -> None:
    plot, paper = folder / "out.png", folder / "report.pdf"
    path = export(folder, WARM, SILENT, names="left,right")
    result = run(
        folder, path, "--limits", folder / "rules.json", "--plot", plot, "--pdf", paper, "--lang", language
    )
    assert result.exit_code == 1, result.stderr
    assert (
        ("超限", "无法判断") == ("超限", "无法判断") if language == "zh" else "cannot tell" in result.stdout
    )
    with Image.open(plot) as picture:
        assert picture.width > 1000
        assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 50
    document = pypdfium2.PdfDocument(paper)
    words = "".join(page.get_textpage().get_text_range() for page in document)
    assert "export.csv" in words
    assert ("读数" if language == "zh" else "09:00:00") in words
    document.close()


def test_products_are_listed() -> None:
    result = CliRunner().invoke(main, ["judge", "-", "--product", "list"])
    assert result.exit_code == 0
    assert any(line.startswith("banana") and "> 14 °C" in line for line in result.stdout.splitlines())


def test_what_is_left_of_a_storage_life_is_told_as_a_range_and_as_unverified(folder: Path) -> None:
    path = export(folder, ["0.0"] * 12)
    result = run(folder, path, "--product", "strawberry")
    assert "used 0.1, left 4.9–6.9 days; not compared with its source" in result.stdout
    said = as_json(run(folder, path, "--product", "strawberry", "--json"))
    assert said["life"]["used_days"] == [0.1146, 0.1146]
    assert as_json(run(folder, path, "--product", "banana", "--json"))["life"] is None
    silent = export(folder, ["20.0"] * 6 + ["###"] * 2 + ["0.0"] * 4)
    used = as_json(run(folder, silent, "--product", "strawberry", "--json"))["life"]["used_days"]
    # Ten times as fast at 20 °C: 75 minutes of it, 45 that nobody measured, 45 at 0 °C.
    assert used[0] == pytest.approx((75 * 10 + 45 + 45) / 1440, abs=1e-3), "as cold as it ever was"
    assert used[1] == pytest.approx((75 * 10 + 45 * 10 + 45) / 1440, abs=1e-3), "as warm as it ever was"


def test_a_file_with_a_name_that_is_no_text(folder: Path) -> None:
    odd = folder / os.fsdecode(b"\xce\xc2.csv")
    export(folder, GOOD).rename(odd)
    result = run(folder, odd, "--limits", folder / "rules.json", "--pdf", folder / "report.pdf")
    assert result.exit_code == 0, result.exception
    assert result.stdout.startswith("??.csv: compliant")
