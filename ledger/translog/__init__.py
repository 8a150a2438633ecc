"""How the record is made evident: a C2SP tlog-tiles log over opaque leaves.

Nothing in this package reads or writes anything: paths, bytes, hashes and signatures go in and come out, and
the caller (`ledger.sequencer`, `ledger.reader`, a verifier on someone else's machine) does the reading and
the writing. A leaf is a string of bytes; what it says is no concern of this package.

- `merkle`: RFC 6962 hashes, the tree in memory, which nodes a proof consists of
- `tiles`: the same tree as static files of 256 hashes, grown at its right edge
- `note`, `checkpoint`: who signed which root
- `cosignature`: which witness saw that root, and when
- `sm2`: signature lines in the algorithm that an authority may ask for
- `add_checkpoint`: what a log sends to a witness
- `policy`: which logs and how many of which witnesses somebody believes
- `proof_file`: one inclusion proof with its checkpoint as a text file
- `verify`: the other side: believes nothing, raises `VerifyError` with got and want
"""
