"""Loads `tests/entry-v1/make.py`: the folder is named as the format is, which no import statement can say."""

import importlib.util
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "entry-v1"


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("entry_v1_make", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = _load()
