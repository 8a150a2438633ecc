"""Loggers' files on a lot: what a recorder kept, sealed with the event that says so.

`files` keeps the bytes under their hash, `attaching` makes an act of a file and goods, `routes` are the addresses (docs/judge.md). The event
names the file by its hash (RFC 6920), so that whoever has the file holds it against the log; that the file says the truth of the
goods is for whoever reads it to judge: who attached it, which device, which times.
"""
