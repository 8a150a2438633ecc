"""CSV into frames: by column where it can be, and every cell in a value or in a fault."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.backfill import delimited
from ingest.backfill.frames import FileError, Form, Frame
from ingest.backfill.headings import layout

FORM = Form(device="room-1")


def frames(folder: Path, text: str, form: Form = FORM, done: int = 0) -> list[Frame]:
    path = folder / "file.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return list(delimited.read(path, form, None, done))


def test_headings_in_both_languages_with_units() -> None:
    found = layout(
        ["\ufeff时间", "设备编号", "return_air (°C)", "冷藏温度[℃]", "湿度（%RH）", "raw (adc)"],
        Form(channels={"冷藏温度": "pulp"}),
    )
    assert (found.time, found.device, found.channel) == (0, 1, None)
    assert [(each.channel, each.unit) for each in found.titles] == [
        ("return_air", "Cel"), ("pulp", "Cel"), ("湿度", "%RH"), ("raw", "adc"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("headings", "form", "said"),
    [
        ("when,ambient", FORM, "no column is the time"),
        ("time,ambient", Form(), "--device"),
        ("time", FORM, "no column holds values"),
        ("time,时间,ambient", FORM, "two columns are called"),
        ("time,ambient,ambient (°C)", FORM, "two columns are the channel"),
    ],
)
def test_what_no_heading_says_is_asked_for(headings: str, form: Form, said: str) -> None:
    with pytest.raises(FileError, match=said):
        layout(headings.split(","), form)


def test_quotes_line_breaks_and_empty_lines(tmp_path: Path) -> None:
    text = 'time,ambient,note\r\n1623974700,"2.5","a\nb"\r\n\r\n1623974760,2.6,c\r\n'
    (frame,) = frames(tmp_path, text, Form(device="x", skipped=frozenset({"note"})))
    assert frame.line.tolist() == [3, 5], "where a row ends"
    assert frame.values[0].value.tolist() == [2.5, 2.6] and frame.faults == []


def test_going_on_behind_what_is_done_gives_the_same_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "READINGS", 7)
    text = "time,ambient\n" + "".join(f"{1623974700 + n},{n}\n" for n in range(20))
    whole = frames(tmp_path, text)
    rest = frames(tmp_path, text, done=whole[0].through)
    assert [each.through for each in whole] == [7, 14, 20]
    assert [(each.line.tolist(), each.through) for each in rest] == [
        (each.line.tolist(), each.through) for each in whole[1:]
    ]


CELLS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["", "--", "nan", "inf", "1_0", "true", "1,5", "2.5 ", "x", "-0"]),
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters='\r\n",'), max_size=5),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12))
def test_every_cell_is_a_value_a_fault_or_empty(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    quoted = [[f'"{cell}"' for cell in row] for row in rows]
    text = "time,a,b\n" + "".join(f"{1623974700 + n},{','.join(row)}\n" for n, row in enumerate(quoted))
    (frame,) = frames(tmp_path, text)
    for place, values in enumerate(frame.values):
        wrong = {fault.line for fault in frame.faults if fault.column == "ab"[place]}
        for row, cells in enumerate(rows):
            empty = cells[place].strip().casefold() in delimited.EMPTY
            assert values.present[row] + (row + 2 in wrong) + empty == 1, cells
            if values.present[row]:
                assert math.isfinite(values.value[row])


def test_bytes_of_no_known_encoding_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"time,a\n1623974700,\xff\xff\xff\n")
    with pytest.raises(FileError, match="--encoding"):
        list(delimited.read(tmp_path / "x.csv", FORM, None, 0))
