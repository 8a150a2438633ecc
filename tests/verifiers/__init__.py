"""Verifiers that others wrote, for logs that our sequencer wrote.

`sumdb/`: a program of ours over Go's `golang.org/x/mod/sumdb`; `sigstore/`: one over npm's `@sigstore/verify`;
`installed.py`: where these, OpenSSL and two Python packages come from. Why these: docs/decisions/0035.
"""
