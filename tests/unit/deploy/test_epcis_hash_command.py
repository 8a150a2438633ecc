"""`suyuan epcis hash`: what is printed, where the faults go, and the exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from deploy.command import main
from tests.vectors import count_vectors, vector_path

EVENT = {
    "type": "ObjectEvent",
    "eventTime": "2019-10-21T14:58:56+02:00",
    "eventTimeZoneOffset": "+02:00",
    "action": "OBSERVE",
    "epcList": ["urn:epc:id:sscc:5200001.0111111146"],
}


def hashed(*files: Path, data: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["epcis", "hash", *map(str, files)], input=data)


def written(folder: Path, name: str, value: Any) -> Path:
    path = folder / name
    path.write_text(json.dumps(value))
    return path


def test_the_reference_files_hash_as_published() -> None:
    """All in one run: also what a repository says is its own in them is left out."""
    root = vector_path("epcis/event-hash/examples")
    files = [path for path in sorted(root.iterdir()) if path.suffix in (".jsonld", ".xml")]
    files = [path for path in files if path.with_suffix(".hashes").exists()]
    assert len(files) == 26
    published = [line for path in files for line in path.with_suffix(".hashes").read_text().split()]
    result = hashed(*files)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.split() == published
    count_vectors(len(published))


def test_an_event_without_a_hash_is_named_and_the_others_are_hashed(tmp_path: Path) -> None:
    events = [EVENT, {**EVENT, "eventTime": "yesterday"}, {**EVENT, "readPoint": [{"id": {}}]}, 5, EVENT]
    path = written(tmp_path, "odd.json", {"type": "EPCISDocument", "epcisBody": {"eventList": events}})
    result = hashed(path)
    assert result.exit_code == 1
    assert len(result.stdout.split()) == 2
    wrong = [line.removeprefix(f"{path}: /epcisBody/eventList/") for line in result.stderr.splitlines()]
    assert [line.partition(": ")[0] for line in wrong] == ["1/eventTime", "2/readPoint/0/id", "3"]
    assert "got 'yesterday', want a date and time with its zone" in wrong[0]


def test_what_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    good = written(tmp_path, "good.json", EVENT)
    compressed = tmp_path / "events.json.gz"
    compressed.write_bytes(b"\x1f\x8b\x08")
    far = written(
        tmp_path, "far.json", {"@context": {"a": "urn:" + "n" * 5000}, "epcisBody": {"eventList": []}}
    )
    result = hashed(good, compressed, far, tmp_path / "none.json", good)
    assert result.exit_code == 3
    assert len(result.stdout.split()) == 2
    assert [line.partition(": ")[2] for line in result.stderr.splitlines()] == [
        "is compressed; unpack it first",
        "/@context/a: got 'urn:" + "n" * 92 + "..., which stands for 5004 characters; want at most 2048",
        "cannot be read: No such file or directory; name a file that is there",
    ]


def test_standard_input_is_read() -> None:
    result = hashed(Path("-"), data=b"\xef\xbb\xbf" + json.dumps([EVENT, EVENT]).encode())
    assert result.exit_code == 0
    first, second = result.stdout.split()
    assert first == second
