"""What a setting may hold that is more than a word."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from deploy.settings import Settings


def test_sparkplug_groups_are_names_with_commas_between() -> None:
    assert Settings(sparkplug_groups="").sparkplug_group_names == []
    assert Settings(sparkplug_groups=" plant,冷链 , plant,").sparkplug_group_names == ["plant", "冷链"]


@pytest.mark.parametrize("name", ["a/b", "+", "#", "STATE", "x" * 256, "a\0"])
def test_what_no_group_can_be_called_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="no name of a Sparkplug group"):
        Settings(sparkplug_groups=f"plant,{name}")
