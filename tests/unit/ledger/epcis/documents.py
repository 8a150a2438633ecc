"""The published EPCIS documents in JSON, and what their publishers or the official schema say of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.vectors import count_vectors, vector_path

GS1 = "epcis/gs1/JSON"
OPENEPCIS = "epcis/openepcis/2.0"


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def events_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The events as written, whatever the envelope."""
    body = document.get("epcisBody")
    if body is None:
        return [document]
    return list((body if "eventList" in body else body["queryResults"]["resultsBody"])["eventList"])


def published() -> Iterator[tuple[str, Path, bool]]:
    """Name, file, and whether the official schema with format checks takes it: every EPCIS document of the
    GS1 examples and of openepcis, counted when its turn is over. Query requests are no documents."""
    verdicts = schema_verdicts()
    for folder, suffix, source in (
        (GS1, "*.jsonld", "gs1-EPCIS/JSON"),
        (OPENEPCIS, "*.json", "openepcis-test-resources/core/src/main/resources/2.0"),
    ):
        root = vector_path(folder)
        for path in sorted(root.rglob(suffix)):
            if "Queries" not in path.parts:
                name = f"{source}/{path.relative_to(root).as_posix()}"
                yield name, path, verdicts[name]
                count_vectors()


def schema_verdicts() -> dict[str, bool]:
    """File -> valid by the official schema with format checks, as another validator found it."""
    baseline = read(vector_path("epcis/oracles/schema_validation_baseline.json"))
    return {row["file"]: row.get("schema_valid_with_format_checker", False) for row in baseline["rows"]}
