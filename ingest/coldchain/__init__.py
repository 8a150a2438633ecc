"""The judgement of the cold chain, pure: arrays and rules in, excursions, exposure and verdict out.

No database, no clock, no network: whoever calls says what was measured, which rule was in force and
what time it is. So the same code judges a lot in the line, a carrier's leg in a dispute and a
logger's file with no server at all.
"""
