"""`/check`: what stands at the market's gate, answered in one word from four checks in legal order.

reading.py    what was scanned or typed -> a code, or a sentence that says what is wrong with it (pure)
checks.py     the four checks over facts -> accept, hold, reject or cannot tell, why, and the cheapest way out (pure)
rules.py      the numbers the checks use, as data with their source and force
finding.py    a code -> what it names here: goods, a vehicle with what is in it, a certificate, a bound foreign code
evidence.py   what the asker may see of those goods -> facts
tests.py      residue tests: recorded for ever, seen by who may see the lot
aliases.py    foreign codes, bound once
board.py      what arrived today, what is held, which clocks run
doing.py      the acts at the gate, each one event of the record
telling.py    all of it in the words of the page
routes.py     the addresses
"""
