"""A process's metrics over HTTP, where the settings say so."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server

from deploy.services.process import CannotStart
from deploy.settings import Settings

logger = logging.getLogger(__name__)


@contextmanager
def served(settings: Settings, registry: CollectorRegistry) -> Iterator[None]:
    """`/metrics` at `SUYUAN_METRICS_LISTEN` until the block ends; nothing where that is empty. Raises CannotStart if it is taken."""
    if not settings.metrics_listen:
        yield
        return
    host, _, port = settings.metrics_listen.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host, registry)
    except (OSError, OverflowError) as error:
        raise CannotStart(
            f"SUYUAN_METRICS_LISTEN={settings.metrics_listen}: {getattr(error, 'strerror', None) or error}; each process needs an"
            " address of its own"
        ) from error
    logger.info("metrics are served", extra={"address": settings.metrics_listen})
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
