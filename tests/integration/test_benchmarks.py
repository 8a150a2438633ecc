"""`make bench` runs: a small line beside its bounds, as a user asks for it. How fast it is here is no matter."""

from __future__ import annotations

import subprocess
import sys

from tests.documents import REPOSITORY


def test_the_line_beside_its_bounds() -> None:
    asked = [
        "line",
        "--messages",
        "10000",
        "--rounds",
        "1",
        "--devices",
        "10",
        "--no-peers",
        "--edition",
        "plain",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", *asked],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told = [line.strip() for line in done.stdout.splitlines()]
    for who in ("our insert line", "bare paho loop", "raw binary COPY"):
        (figures,) = [line for line in told if line.startswith(who)]
        assert "messages/s" in figures, figures
    (target,) = [line for line in told if line.startswith("target: at least 0.85 of the bare paho loop")]
    assert target.lower().endswith("met"), target
