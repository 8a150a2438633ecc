"""Waiting for a server: does its port answer, does a condition hold by now.

The ports themselves come from `deploy.stack.ports`, which says why they are as low as they are.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """True if something accepts a TCP connection there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], within_s: float, every_s: float = 0.02) -> bool:
    """The condition's last answer: True as soon as it holds, False if `within_s` passed without."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(every_s)
    return True
