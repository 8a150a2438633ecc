"""The fault suite: known messages, real processes, a fault, and then every message must be found exactly once.

Place in the line: around it. Nothing here imports the line; it is met as its neighbours meet it, by MQTT, by SQL and by
signals. `docs/chaos.md` says how to run it and how to read what it prints.

`known.py` what is published; `gateway.py` who publishes; `proxy.py` the wire that fails; `worker.py` the process under
test; `stage.py` all of them together; `checker.py` the verdict; `scenarios/` one function for each way to fail.
"""
