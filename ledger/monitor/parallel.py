"""Scanning in several processes, a bounded way ahead of who takes what they found.

Contract: results come in the order of the tasks; no more are under way than twice the processes; the processes end
with the one that started them, however it ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice

from ledger.monitor.findings import Unreachable
from ledger.monitor.scanning import Fault, Scanned, Task, scan

WORTH = 4
"""Tasks from which it pays to start processes."""


def scanned_in_order(tasks: Iterator[Task], processes: int) -> Iterator[Scanned]:
    """What each task found; raises what the first bad one found."""
    few = list(islice(tasks, WORTH))
    if processes < 2 or len(few) < WORTH:
        yield from map(_sound, map(scan, chain(few, tasks)))
        return
    yield from _pooled(chain(few, tasks), processes)


def _pooled(tasks: Iterator[Task], processes: int) -> Iterator[Scanned]:
    # Spawned, not forked: a fork copies locks that other threads hold.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _end_with_parent)
    under_way: deque[Future[Scanned | Fault]] = deque()
    try:
        for task in tasks:
            under_way.append(pool.submit(scan, task))
            if len(under_way) == 2 * processes:
                yield _sound(under_way.popleft().result())
        while under_way:
            yield _sound(under_way.popleft().result())
    except BrokenProcessPool as cause:
        raise Unreachable(
            "a process that reads the log", got="its end", want="an answer: is there memory enough"
        ) from cause
    finally:
        pool.shutdown(cancel_futures=True)


def _sound(found: Scanned | Fault) -> Scanned:
    if isinstance(found, Fault):
        raise found.error()
    return found


def _end_with_parent() -> None:
    """A killed parent closes nothing that a waiting child would notice; and a Ctrl-C is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
