"""Sparkplug B groups: what their edge nodes' births said, in which order their messages come, and who listens to them.

`session` is the order of one edge node and computes only; `stored` keeps it in Postgres; `owner` holds a group's lease and
its broker session.
"""
