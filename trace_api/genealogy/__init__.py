"""A trace as a picture and a page.

graph.py     what is drawn: lots, runs, units, vehicles, places, and what went from one to the next
layout.py    where each stands: columns from what came first to what came last
picture.py   the same as SVG
pages.py     `/trace/{code}`: the picture, the events in a table, the two switches
"""
