"""Load: many devices at a rate that a real field would not send, every message known by its number.

`plan.py` says what is sent, `connection.py` speaks MQTT, `receipts.py` knows what is stored, `run.py` sends.
"""
