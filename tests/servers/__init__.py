"""The real servers that the tests run against: PostgreSQL, TimescaleDB, Mosquitto, Chromium.

Place in the line: beside it. `tests/conftest.py` asks each module here for its server the first time a test
needs it, and stops it at the end of the session.

Contract: a server listens on loopback alone, below port 32768 (`deploy/stack/ports.py` says why); everything
it writes lies in a folder made for the session and is gone afterwards; it dies with the session, even when
the session is killed. A server that this machine cannot have raises `ServerUnavailable`, which skips the
tests that need it, and the run says so in one line. A server that this machine should have and that does not
start is a failure, never a skip.

- `plain.py` PostgreSQL from the embedded wheel; any machine, root or not.
- `timescale.py`, `mosquitto.py` out of a Debian 13 root (`debian_root.py`, run by `namespace.py`) where we
  are root on Debian; elsewhere what `SUYUAN_TEST_DATABASE_URL` and `SUYUAN_TEST_MQTT_URL` name.
- `community.py` TimescaleDB's community edition as a WASM build from npm; any machine with Node.
- `named.py` which edition `SUYUAN_TEST_DATABASE_URL` names; that server takes the place of ours.
- `chromium.py` the machine's Chromium, driven by Playwright.
"""

from __future__ import annotations


class ServerError(RuntimeError):
    """A test server did not come up, or did not stop. The message names the server and where its log is."""


class ServerUnavailable(ServerError):
    """This machine cannot have the server. The message says what to set or install to have it."""
