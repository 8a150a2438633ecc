"""`/check`: what stands at the market's gate, answered in one word from four checks in legal order.

reading.py    what was scanned or typed -> a code, or a sentence that says what is wrong with it (pure)
finding.py    a code -> what it names here: goods, a vehicle with what is in it, a certificate, a bound foreign code
answering.py  that, portion by portion, the worst first
  evidence.py   what the asker may see of a portion -> its facts: facts.py (values)
    papers.py     certificates        residues.py   tests: recorded for ever, seen by who may know
checks.py     the four checks over facts -> accept, hold, reject or cannot tell, why, the cheapest way out (pure)
  rules.py      the numbers they use, as data with their source and force
aliases.py    foreign codes, bound once
board.py      what arrived today, what is held, which clocks run
offering.py   what may be done next           doing.py      the acts, each one event of the record
telling.py    the answer in words             showing.py    what stands around it
gate.py   routes.py   programs.py             the addresses, for pages and for programs
"""
