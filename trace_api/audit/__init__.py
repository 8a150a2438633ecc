"""`/audit`: temperature breaches and record duties of an official's area and department, down to the readings and their proof.

asking.py     what is asked for: the filters of an address
reading.py    rows of the definer functions of 0012, as values; the only SQL of this room
telling.py    those values in words, for pages and for files
picture.py    one breach as a chart
sheets.py     CSV and XLSX
sealing.py    the evidence file of a breach
pages.py      the pages            api.py   /api/v1/audit
"""
