"""What does not add up, as findings that accuse nobody; docs/radar.md.

`balances` hangs on the projection of events. `certificates`, `harvests`, `scans` and `copies` are looked at in turn by the consumer
`radar` (`looking`). `findings` keeps what they find, `thresholds` holds their numbers, `prints` is how copies are found.
"""
