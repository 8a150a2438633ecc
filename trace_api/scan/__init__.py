"""`/scan`: what growers, cooperatives, carriers, cold stores and sellers do with goods, tapped on a phone.

In the line: a form -> `trace_api.acts` -> events -> the page that says what was recorded. Contract: every page works
without JavaScript; what was typed survives a refusal; nothing is recorded but by `acts.perform`, once a form.
"""
