"""EPCIS 2.0 capture over HTTP: the second door to `ledger.recording`.

A document is stored, encrypted, before it is answered, and worked off afterwards, exactly once: its events and what the job says
of them stand in one transaction. One event alone is recorded at once.

    routes.py    what is asked and answered        bodies.py    bytes off the wire, bounded
    reading.py   bytes -> events, or why not       jobs.py      the rows of jobs and of what waits
    desk.py      what all of them need             working.py   who works jobs off
    taking.py    events -> the record, and what became of each
"""
