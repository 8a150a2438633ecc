"""Anybody's watch over a log: reads all of it, believes none of it, and remembers what it saw.

Place in the line: beside it, on somebody else's machine; it needs a log's public files and its key, and no part of
Suyuan's database. Contract: a checkpoint is kept only after every entry under it was read and checked; what fails is one
`VerifyError`, of a kind that says what it means (`findings`); an interrupted pass leaves the memory as if it had not been.

- `sources`, `http_source`: where a log's files come from, each answer bounded in size and time
- `forms`: what of an entry the chains need, at the speed of a log of millions
- `scanning`: some bundles against their tiles, in a process of its own
- `memory`: what is remembered, in SQLite: the checkpoint, the edge of the tree, the end of every stream
- `chains`: what the entries say, one after the other
- `watching`: one pass, from the checkpoint shown to the checkpoint kept
- `anchoring`: what a root log says of other logs, asked of those logs
"""
