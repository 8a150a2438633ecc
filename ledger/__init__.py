"""The permanent record: what may be said (`epcis`), how it is made evident (`translog`), and the one way in.

This room imports nothing of ours outside itself; `ingest` and `trace_api` import it.
"""
