"""An HTTP service that ends when its process is told to, whoever listens: the API and the witness."""

from __future__ import annotations

import threading

import uvicorn


def serve(configuration: uvicorn.Config, stop: threading.Event) -> None:
    """Until `stop` is set; sets it where the server ends by itself."""
    server = _Server(configuration)
    threading.Thread(target=_stop_with, args=(server, stop), daemon=True).start()
    server.run()
    stop.set()


class _Server(uvicorn.Server):
    """Leaves the signals to the process, which has its own stop."""

    def install_signal_handlers(self) -> None:
        return


def _stop_with(server: uvicorn.Server, stop: threading.Event) -> None:
    stop.wait()
    server.should_exit = True
