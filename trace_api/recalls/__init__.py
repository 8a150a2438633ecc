"""Recalls, as a drill or for real: asked, answered, said, told, followed.

asking.py     what is asked from, and what an order says
ordering.py   an order with all it reaches, in one transaction
answering.py  the document: lots, holders, classes, progress, from the functions of the database
shares.py     how much of a mixed lot comes of what is recalled
saying.py     the events by which an organisation says it in its own log
sealing.py    an official's order as an entry of the root log, where an authority has no log of its own
notices.py    what each holder is told
standing.py   recalls that stand, for whoever looks at goods: at once, before anything is projected
routes.py     `/api/v1/recalls`
"""
