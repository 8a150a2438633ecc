"""Readings from files, down the same line: what a logger kept, what another system exported, years that the field cannot send.

`delimited`, `parquet` and `tags` read a file into frames, `frames` says what these are, `headings` and `times` read their
words, `cells` makes readings of them, `lines` takes them to the commit, `packs` is for files of SenML, `running` goes through
a file and remembers how far it came (docs/backfill.md).
"""
