"""The composition roots: each module makes one service out of the rooms, with its connection, keys, clock and stop signal.

Nothing else reads settings, the clock or the environment. One module each, so that a worker loads only what it uses.
"""
