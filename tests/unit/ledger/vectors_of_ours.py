"""Loads `tests/entry-v1/make.py` and `make_evidence_v2.py`: the folder is named as the format is, which no import statement can say."""

import importlib.util
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "entry-v1"


def _load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"entry_v1_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = _load("make")
make_v2 = _load("make_evidence_v2")
