"""`suyuan doctor`: looks at everything an instance stands on and says, one line each, what is well and what to do.

Contract: it changes nothing (the broker gets two messages on a topic of the doctor's own); it cannot crash, since what
goes wrong inside a check is that check's failure; it ends, since every check has a time limit. `examination.py` runs
the checks; each other module holds those of one thing.
"""
