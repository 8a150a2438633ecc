"""Alerts for who must act on them: an organisation's own, acknowledged by a person; and the channels that an administrator sets.

reading.py   what there is; the only SQL of this room        telling.py   an alert in words, for the pages and for messages
api.py       `/api/v1/alerts`, acknowledging                  pages.py     `/alerts`, `/channels`
"""
