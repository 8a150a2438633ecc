"""What came of a demo, as `--json` prints it: measured by the doors that a user has (SQL for counts, HTTP for the page and the
proof, `suyuan verify` for the proof's outcome).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psycopg

from deploy.simulation import Played


def counts(url: str, played: Played) -> dict[str, Any]:
    """`url`: as the jobs' role. Both excursion counts stop at the same measured time, whose marks have been consumed."""
    until = played.complete_until
    simulated = played.world.truth_until(until)
    with psycopg.connect(url) as conn:
        received, stored, duplicate, conflict, quarantined = one(
            conn,
            "SELECT sum(received), sum(stored), sum(duplicate), sum(conflict), sum(quarantined) FROM account",
        )
        return {
            "readings": one(conn, "SELECT count(*) FROM reading_store")[0],
            "events": one(conn, "SELECT count(*) FROM event")[0],
            "leaves": one(conn, "SELECT count(*) FROM leaf")[0],
            "quarantined": int(quarantined),
            "excursions_detected": one(
                conn,
                "SELECT count(*) FROM excursion WHERE state IN ('open', 'closed') AND trigger_time <= %s",
                [until],
            )[0],
            "excursions_simulated": len([each for each in simulated if each.undecidable is None]),
            "excursions_undecidable": [
                each.undecidable for each in simulated if each.undecidable is not None
            ],
            "measured_until": until.isoformat(),
            "received": int(received),
            "accounted": int(stored + duplicate + conflict + quarantined),
            "windows": one(conn, "SELECT count(*) FROM sealed_window")[0],
        }


def verified_proof(url: str, data_dir: Path) -> dict[str, Any]:
    """`suyuan verify` on bytes fetched over HTTP, with the keys from our own file and no database at hand; and that the same
    bytes with one of them changed are refused."""
    status, body = get(url)
    if status != 200:
        return {"proof_verified": False, "proof_status": status}
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "evidence.json"
        file.write_bytes(body)
        verified = _verify(file, data_dir)
        file.write_bytes(_flip(body))
        flipped = _verify(file, data_dir)
    return {"proof_verified": verified, "proof_bytes": len(body), "flipped_byte_verified": flipped}


def get(url: str) -> tuple[int, bytes]:
    """Status and body; status 0 where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 - our own address
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except (urllib.error.URLError, OSError):
        return 0, b""


def one(conn: psycopg.Connection, query: str, values: list[Any] | None = None) -> tuple[Any, ...]:
    row = conn.execute(query.encode(), values).fetchone()
    assert row is not None
    return tuple(row)


def _verify(file: Path, data_dir: Path) -> bool:
    command = [sys.executable, "-m", "deploy", "verify", str(file)]
    for key in sorted((data_dir / "log").glob("*/vkey")):
        command += ["--key", str(key)]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("SUYUAN_", "PG"))
    }
    return subprocess.run(command, env=environment, capture_output=True, timeout=120).returncode == 0


def _flip(body: bytes) -> bytes:
    """One base64 character of the first entry changed: the file reads as before, what it says is another."""
    at = body.index(b'"entry":"') + len(b'"entry":"') + 40
    return body[:at] + (b"A" if body[at : at + 1] != b"A" else b"B") + body[at + 1 :]
