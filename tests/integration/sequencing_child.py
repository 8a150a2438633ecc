"""Sequencers in processes of their own, which a test traces, kills, and sets against each other."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event, Thread

import psycopg

from ledger.head_store import HeadMoved
from ledger.keys import KeyStore
from ledger.sequencer import Sequencer, serve
from ledger.sequencing import Deposed


def contend(database: str, folder: Path, now: datetime, gate: Connection) -> None:
    """A sequencer that asks nobody whether it may: it takes over, works, is deposed, and takes over again."""
    gate.send(os.getpid())
    gate.recv()
    keys, reigns = KeyStore(folder / "keys", lambda count: bytes(range(count))), 0
    with psycopg.connect(database, autocommit=True) as conn:
        while not gate.poll():
            sequencer = Sequencer(conn, keys, folder, "log.example", lambda: now)
            with suppress(Deposed, HeadMoved):
                sequencer.take_over()
                reigns += 1
                while not gate.poll():
                    sequencer.step()
            if sequencer.refused:
                gate.send(f"refused: {sequencer.refused}")
                return
    gate.send(reigns)


def reign(database: str, folder: Path, now: datetime, gate: Connection) -> None:
    """Waits for a word at the gate, serves, and ends at the next one."""
    gate.send(os.getpid())
    gate.recv()
    stop = Event()

    def wait_for_the_end() -> None:
        try:
            gate.recv()
        finally:
            stop.set()

    Thread(target=wait_for_the_end, daemon=True).start()
    serve(
        lambda: psycopg.connect(database),
        KeyStore(folder / "keys", lambda count: bytes(range(count))),
        folder,
        "log.example",
        lambda: now,
        stop,
        poll_s=0.005,
        retry_s=0.005,
    )
