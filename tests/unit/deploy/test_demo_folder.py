"""What the demo does with its folder before anything starts."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.demo import Demo, DemoError, Options
from simulators.player import Story


def demo(folder: Path) -> Demo:
    return Demo(
        Options(folder, 3, 19_000, 19_001, lan=False, mosquitto=False, exit_after=None, as_json=False)
    )


def test_a_second_demo_over_one_folder_is_refused(tmp_path: Path) -> None:
    with ExitStack() as first, ExitStack() as second:
        demo(tmp_path)._take_folder(first)
        with pytest.raises(DemoError, match="in use by a demo that runs"):
            demo(tmp_path)._take_folder(second)
    with ExitStack() as later:
        demo(tmp_path)._take_folder(later)


def test_a_folder_that_is_a_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with ExitStack() as stack, pytest.raises(DemoError, match="choose another folder"):
        demo(file)._take_folder(stack)


def test_after_an_end_out_of_order_the_world_sends_again(tmp_path: Path) -> None:
    story = Story(3, datetime(2026, 6, 18, tzinfo=UTC), sent=4000)
    story.save(tmp_path)
    (tmp_path / "drained").touch()
    demo(tmp_path)._send_again_what_a_broker_lost()
    assert Story.load(tmp_path) == story, "the last end was in order"
    demo(tmp_path)._send_again_what_a_broker_lost()
    found = Story.load(tmp_path)
    assert found is not None
    assert found.sent == 0, "the mark of an orderly end counts once"
