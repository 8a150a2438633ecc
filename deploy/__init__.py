"""Composes every room into something that runs: schema, settings, processes, the command line.

Nobody imports this package; it imports all the others.
"""
