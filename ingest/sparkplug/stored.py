"""Edge nodes and their births in Postgres, so that whoever takes a group over reads on where the other stopped.

Place in the line: read before a batch is decoded, written in the batch's own transaction. Contract: rows of nodes are
locked until the transaction ends, in ascending order; what a birth said is read once under its number, which is another as
soon as it says something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from ingest.sparkplug.session import Birth, Node


class NodeKey(NamedTuple):
    """An edge node's descriptor."""

    group: str
    node: str


class KnownBirths:
    """What the births that stand said, by their number: one of a thousand metrics is not read again for every batch."""

    def __init__(self) -> None:
        self._said: dict[int | None, tuple[dict[str, int | None], dict[int, str]]] = {}

    def wanted(self, numbers: Iterable[int]) -> list[int]:
        return [number for number in numbers if number not in self._said]

    def learn(self, number: int, names: Mapping[str, int | None], aliases: Mapping[int, str]) -> None:
        self._said[number] = (dict(names), dict(aliases))

    def drop(self, number: int | None) -> None:
        """Another stands in its place, and a node may be born anew for ever."""
        self._said.pop(number, None)

    def forget(self) -> None:
        """After a failure: what was written may not stand, and its number may come to mean something else."""
        self._said.clear()

    def birth(self, number: int, online: bool, since: datetime, same_from_ms: int | None) -> Birth:
        names, aliases = self._said[number]
        return Birth(names, aliases, online, since, same_from_ms, number)


_NODES = """
SELECT id, group_id, node_id, online, since, seq, awaits_birth, bd_seq, asked_at, recent
FROM sparkplug_node
WHERE (group_id, node_id) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
ORDER BY id
"""
_BIRTHS = """
SELECT node, device_id, number, online, since, same_from_ms FROM sparkplug_birth WHERE node = ANY (%s)
"""
_SAID = "SELECT number, said FROM sparkplug_birth WHERE number = ANY (%s)"


def load(
    conn: psycopg.Connection, keys: Iterable[NodeKey], known: KnownBirths, *, lock: bool = False
) -> dict[NodeKey, Node]:
    """The nodes of `keys` that are known. `lock`: until the caller's transaction ends."""
    wanted = sorted(set(keys))
    query = _NODES + ("FOR UPDATE" if lock else "")
    rows = conn.execute(query, [[key.group for key in wanted], [key.node for key in wanted]]).fetchall()
    births = _births(conn, [row[0] for row in rows], known)
    return {
        NodeKey(row[1], row[2]): Node(
            online=row[3],
            since=row[4],
            seq=row[5],
            awaits_birth=row[6],
            bd_seq=row[7],
            births=births.get(row[0], {}),
            asked_at=row[8],
            recent=bytes(row[9]),
        )
        for row in rows
    }


def _births(conn: psycopg.Connection, nodes: list[int], known: KnownBirths) -> dict[int, dict[str, Birth]]:
    rows = conn.execute(_BIRTHS, [nodes]).fetchall() if nodes else []
    unread = known.wanted(row[2] for row in rows)
    for number, said in conn.execute(_SAID, [unread]).fetchall() if unread else ():
        known.learn(number, said["names"], {int(alias): name for alias, name in said["aliases"].items()})
    births: dict[int, dict[str, Birth]] = {}
    for node, device, number, online, since, same_from_ms in rows:
        births.setdefault(node, {})[device] = known.birth(number, online, since, same_from_ms)
    return births


_SAVE_NODE = """
INSERT INTO sparkplug_node (group_id, node_id, online, since, seq, awaits_birth, bd_seq, asked_at, recent)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (group_id, node_id) DO UPDATE SET (online, since, seq, awaits_birth, bd_seq, asked_at, recent)
  = (excluded.online, excluded.since, excluded.seq, excluded.awaits_birth, excluded.bd_seq, excluded.asked_at, excluded.recent)
RETURNING id
"""
_SAVE_BIRTH = """
INSERT INTO sparkplug_birth (node, device_id, online, since, same_from_ms, said) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (node, device_id) DO UPDATE SET number = DEFAULT,
  (online, since, same_from_ms, said) = (excluded.online, excluded.since, excluded.same_from_ms, excluded.said)
RETURNING number
"""
_SAVE_STANDING = """
UPDATE sparkplug_birth SET (online, since, same_from_ms) = (%s, %s, %s) WHERE node = %s AND device_id = %s
"""


def save(
    conn: psycopg.Connection,
    nodes: Mapping[NodeKey, Node],
    before: Mapping[NodeKey, Node],
    known: KnownBirths,
) -> None:
    """`before`: as loaded; of births only what differs from it is written."""
    for key in sorted(nodes):
        node = nodes[key]
        row = conn.execute(
            _SAVE_NODE,
            [
                *key,
                node.online,
                node.since,
                node.seq,
                node.awaits_birth,
                node.bd_seq,
                node.asked_at,
                node.recent,
            ],
        ).fetchone()
        assert row is not None
        stood = before[key].births if key in before else {}
        for device, birth in node.births.items():
            before_it = stood.get(device)
            if birth is not before_it:
                _save_birth(conn, row[0], device, birth, known)
                if before_it is not None and before_it.number != birth.number:
                    known.drop(before_it.number)


def _save_birth(conn: psycopg.Connection, node: int, device: str, birth: Birth, known: KnownBirths) -> None:
    if birth.number is not None:
        conn.execute(_SAVE_STANDING, [birth.online, birth.since, birth.same_from_ms, node, device])
        return
    said = Jsonb({"names": birth.names, "aliases": birth.aliases})
    row = conn.execute(
        _SAVE_BIRTH, [node, device, birth.online, birth.since, birth.same_from_ms, said]
    ).fetchone()
    assert row is not None
    known.learn(row[0], birth.names, birth.aliases)
