"""Windows: an hour of one device's readings under one root.

Sealing builds a `WindowTree` from the stored readings, and from it the entry's body (`ledger.window_body`);
evidence rebuilds the same tree from the same readings and hands out single readings with their paths.
Contract: the tree depends on the set of readings, the stream's secret and the window's start, and on nothing
else; salts come from a key outside the database, so that whoever steals the readings' hashes learns no
reading. A window never reopens: late readings make an amending one, which commits to the whole set as it now
stands. Bytes: `docs/entry-v1.md`.
"""

import hmac
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from ledger.errors import EntryError
from ledger.strict_json import canonical
from ledger.translog.merkle import Tree

ROW = np.dtype(
    [("series", "V16"), ("time", "i8"), ("value", "f8"), ("flags", "u2"), ("observed", "?"), ("body", "V32")]
)
"""One reading or observation: series uuid, UTC ms, value (NaN if observed), flags, and for an observation the
SHA-256 of its body."""

_READING = np.dtype(
    [("tag", "S3"), ("salt", "V32"), ("series", "V16"), ("time", ">i8"), ("value", ">f8"), ("flags", ">u2")]
)
_OBSERVATION = np.dtype(
    [("tag", "S3"), ("salt", "V32"), ("series", "V16"), ("time", ">i8"), ("body", "V32"), ("flags", ">u2")]
)
_KEY = np.dtype([("series", "V16"), ("time", ">i8")])

Rows = npt.NDArray[np.void]


def window_secret(org_key: bytes, stream: bytes, start_ms: int) -> bytes:
    """The 32 bytes that salt one window. From the organisation's key, which no database backup holds."""
    return hmac.digest(org_key, b"suyuan/window/v1\0" + stream + struct.pack(">q", start_ms), "sha256")


def reading_salt(secret: bytes, series: bytes, time_ms: int) -> bytes:
    """32 bytes; the same reading has the same salt in every version of its window."""
    return hmac.digest(secret, series + struct.pack(">q", time_ms), "sha256")


@dataclass(frozen=True, slots=True)
class WindowReading:
    """One leaf of a window, disclosed. `value` is None for an observation, `body_sha256` for a reading."""

    position: int
    series: bytes
    time_ms: int
    value: float | None
    flags: int
    salt: bytes
    body_sha256: bytes | None = None

    def leaf(self) -> bytes:
        """The leaf data: 69 bytes of a reading, 93 of an observation. EntryError if neither or both."""
        try:
            if self.value is not None and self.body_sha256 is None:
                parts = (b"rd1", self.salt, self.series, self.time_ms, self.value, self.flags)
                return struct.pack(">3s32s16sqdH", *parts)
            if self.value is None and self.body_sha256 is not None:
                body = (b"ob1", self.salt, self.series, self.time_ms, self.body_sha256, self.flags)
                return struct.pack(">3s32s16sq32sH", *body)
        except struct.error as cause:
            raise EntryError(f"reading at position {self.position}: {cause}") from cause
        raise EntryError(f"reading at position {self.position}: want either a value or the hash of a body")


@dataclass(frozen=True)
class WindowTree:
    """All readings of a window in tree order, which is (series uuid, time). `rows`: `ROW`[n]; `salts`: 32
    bytes each.
    """

    rows: Rows = field(repr=False)
    salts: tuple[bytes, ...] = field(repr=False)
    tree: Tree = field(repr=False)

    @classmethod
    def of(cls, secret: bytes, rows: Rows) -> "WindowTree":
        """`rows`: `ROW`[n] in any order. EntryError on NaN, infinities and two rows of one key."""
        rows = _in_order(rows)
        _check(rows)
        salts = _salts(secret, rows)
        return cls(rows, salts, Tree.of(_leaves(rows, salts)))

    @property
    def root_hash(self) -> bytes:
        return self.tree.root_hash

    @property
    def size(self) -> int:
        return self.tree.size

    def reading(self, position: int) -> WindowReading:
        row = self.rows[position]
        observed = bool(row["observed"])
        return WindowReading(
            position=position,
            series=row["series"].tobytes(),
            time_ms=int(row["time"]),
            value=None if observed else float(row["value"]),
            flags=int(row["flags"]),
            salt=self.salts[position],
            body_sha256=row["body"].tobytes() if observed else None,
        )

    def proof(self, position: int) -> tuple[bytes, ...]:
        return self.tree.inclusion_proof(position)

    def added_since(self, earlier: Collection[bytes]) -> tuple[int, ...]:
        """Positions whose leaf hash is not among `earlier`: what an amending window lists."""
        return tuple(i for i, value in enumerate(self.tree.leaf_hashes) if value not in earlier)


def readings(series: bytes, times_ms: npt.ArrayLike, values: npt.ArrayLike, flags: npt.ArrayLike) -> Rows:
    """`ROW`[n] of one series. `times_ms`: int64[n], UTC; `values`: float64[n]; `flags`: uint16[n]."""
    rows = _rows(series, times_ms, flags)
    rows["value"] = np.asarray(values, "f8") + 0.0  # -0 becomes 0: one value, one leaf
    return rows


def observations(
    series: bytes, times_ms: npt.ArrayLike, body_sha256: Sequence[bytes], flags: npt.ArrayLike
) -> Rows:
    """`ROW`[n] of one series of texts, data or positions; `body_sha256`: 32 bytes each."""
    rows = _rows(series, times_ms, flags)
    rows["value"] = np.nan
    rows["observed"] = True
    rows["body"] = np.frombuffer(b"".join(body_sha256), "V32")
    return rows


def body_hash(body: Any) -> bytes:
    """What an observation's leaf holds of its body: SHA-256 of the RFC 8785 bytes."""
    return sha256(canonical(body)).digest()


def _rows(series: bytes, times_ms: npt.ArrayLike, flags: npt.ArrayLike) -> Rows:
    times = np.asarray(times_ms, "i8")
    rows = np.zeros(len(times), ROW)
    rows["series"] = np.void(series)
    rows["time"] = times
    rows["flags"] = flags
    return rows


def _in_order(rows: Rows) -> Rows:
    words = np.ascontiguousarray(rows["series"]).view(">u8").reshape(-1, 2)
    return rows[np.lexsort((rows["time"], words[:, 1], words[:, 0]))]


def _check(rows: Rows) -> None:
    if not np.isfinite(rows["value"][~rows["observed"]]).all():
        raise EntryError("window: got NaN or infinity, want finite values")
    twice = (rows["series"][1:] == rows["series"][:-1]) & (rows["time"][1:] == rows["time"][:-1])
    if twice.any():
        at = int(np.flatnonzero(twice)[0])
        raise EntryError(f"window: got two readings of one series at {rows['time'][at]}, want one")


def _salts(secret: bytes, rows: Rows) -> tuple[bytes, ...]:
    keys = np.empty(len(rows), _KEY)
    keys["series"], keys["time"] = rows["series"], rows["time"]
    return tuple(hmac.digest(secret, key, "sha256") for key in _cut(keys))


def _leaves(rows: Rows, salts: Sequence[bytes]) -> list[bytes]:
    """The leaf data of all rows; the bytes are `WindowReading.leaf`'s, made a column at a time."""
    columns = np.frombuffer(b"".join(salts), "V32")
    observed = rows["observed"]
    leaves = np.empty(len(rows), object)
    for kind, tag, content, which in (
        (_READING, b"rd1", "value", ~observed), (_OBSERVATION, b"ob1", "body", observed)
    ):  # fmt: skip
        packed = np.empty(int(which.sum()), kind)
        packed["tag"], packed["salt"] = tag, columns[which]
        for name in ("series", "time", "flags", content):
            packed[name] = rows[name][which]
        for at, leaf in zip(np.flatnonzero(which), _cut(packed), strict=True):
            leaves[at] = leaf
    return list(leaves)


def _cut(packed: npt.NDArray[Any]) -> list[bytes]:
    data, size = packed.tobytes(), packed.dtype.itemsize
    return [data[i : i + size] for i in range(0, len(data), size)]
