"""Hold proposals: what hangs together with a positive test is put before people, who decide each one.

rules.py      how far the net is cast          input_uses.py  pesticides and fertilisers used on plots
proposals.py  read as who asks sees them       deciding.py    hold, ask the holder, or leave
telling.py    the same in words and as JSON    routes.py      /holds, /api/v1/holds, /api/v1/input-uses

Contract: nothing is held by itself, and nothing here is shown to the public.
"""
