"""The suite's own instruments: the wire that fails, and what a gateway may forget."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.multirange import Int8Multirange
from psycopg.types.range import Int8Range

from ingest.sequences import receipt
from tests.chaos.gateway import is_held
from tests.chaos.proxy import Mode, Proxy
from tests.servers.waiting import wait_until


@contextmanager
def wired() -> Iterator[tuple[Proxy, socket.socket, socket.socket]]:
    """A proxy, a client's end and the server's end of one connection through it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = Proxy(listener.getsockname()[1])
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client:
            server, _ = listener.accept()
            server.settimeout(5)
            with server:
                yield proxy, client, server
        proxy.close()


def test_what_is_held_comes_later_and_in_order() -> None:
    with wired() as (proxy, client, server):
        proxy.set(up=Mode.HOLD)
        client.sendall(b"one ")
        assert wait_until(lambda: proxy.held_up() == b"one ", 5)
        server.sendall(b"down")
        assert client.recv(10) == b"down", "the other direction goes on"
        client.sendall(b"two")
        assert wait_until(lambda: proxy.held_up() == b"one two", 5)
        proxy.set()
        assert server.recv(10) == b"one two"


def test_what_is_swallowed_is_gone_and_so_is_its_end() -> None:
    with wired() as (proxy, client, server):
        proxy.set(Mode.SWALLOW, Mode.SWALLOW)
        client.sendall(b"gone")
        client.close()
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.recv(10)
        assert proxy.cut_silent() == 1
        server.settimeout(5)
        assert wait_until(lambda: ended(server), 5)


def test_a_cut_throws_away_what_was_held() -> None:
    with wired() as (proxy, client, server):
        proxy.set(up=Mode.HOLD)
        client.sendall(b"never")
        assert wait_until(lambda: proxy.held_up() == b"never", 5)
        assert proxy.cut() == 1
        assert ended(server)
        assert ended(client)


def ended(end: socket.socket) -> bool:
    try:
        return end.recv(10) == b""
    except ConnectionResetError:
        return True


@given(st.sets(st.integers(1, 40)), st.integers(1, 45))
def test_a_gateway_forgets_only_what_is_held(held: set[int], seq: int) -> None:
    told = receipt(1, 1, Int8Multirange(merged(held)))
    assert not is_held(seq, told.through, told.gaps) or seq in held
    assert all(is_held(number, told.through, told.gaps) for number in held if number <= told.through)


def merged(numbers: set[int]) -> list[Int8Range]:
    """As PostgreSQL joins neighbours."""
    parts: list[Int8Range] = []
    for number in sorted(numbers):
        if parts and parts[-1].upper == number:
            parts[-1] = Int8Range(parts[-1].lower, number + 1)
        else:
            parts.append(Int8Range(number, number + 1))
    return parts
