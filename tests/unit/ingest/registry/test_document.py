"""The registry document: what is not in its form is named by its place."""

from __future__ import annotations

import json

import pytest

from ingest.registry import RegistryError, parse_registry

DEVICE = {"id": "a", "organisation": "o", "giai": "g", "model": "m", "interval_s": 60}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "EOF"),
        ("[]", "object"),
        ('{"organisation": []}', "organisation: "),
        (
            json.dumps({"devices": [DEVICE, DEVICE | {"interval_s": "x"}]}),
            r"devices\[1\]\.interval_s: .*got 'x'",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(RegistryError, match=said) as caught:
        parse_registry(text)
    assert "pydantic" not in str(caught.value)


def test_of_many_faults_the_first_are_said() -> None:
    with pytest.raises(RegistryError) as caught:
        parse_registry(json.dumps({"devices": [DEVICE | {"interval_s": "x"}] * 100}))
    assert len(str(caught.value).splitlines()) == 21 and str(caught.value).endswith("and 80 more")
