"""Ports: is one free, and which one is."""

from __future__ import annotations

import random
import socket

from deploy.stack import StackError

# Outside 32768-60999: a client that retries a dead port in the kernel's ephemeral range can connect to itself.
_FIRST, _LAST = 20_000, 32_000


def require_free(port: int, what: str, option: str, host: str = "127.0.0.1") -> None:
    """Raises StackError, with the option that chooses another, where somebody listens already."""
    if not is_free(port, host):
        raise StackError(
            f"port {port} ({what}) is in use by another program: stop it, or choose another port with {option} {port + 1}"
        )


def free_port() -> int:
    for port in random.SystemRandom().sample(range(_FIRST, _LAST), 200):
        if is_free(port, "127.0.0.1"):
            return port
    raise StackError(f"found no free port between {_FIRST} and {_LAST}")


def answers(port: int) -> bool:
    """Somebody takes connections there. Asked by connecting: binding would take the port from whom we wait for."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return True
    except OSError:
        return False


def is_free(port: int, host: str) -> bool:
    with socket.socket() as probe:
        # As servers do: a port whose last connections linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
