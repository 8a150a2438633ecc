"""What does not add up, for who may see it: officials of their area, organisations of their own goods. Nobody is accused.

asking.py    the filters of an address          reading.py   what the functions of 0034 and 0043 answer; the only SQL of this room
telling.py   findings in words                  filing.py    as a sheet
pages.py     `/audit/findings`                  api.py       `/api/v1/findings`
"""
