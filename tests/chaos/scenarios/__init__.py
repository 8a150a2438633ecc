"""One function for each way to fail. Each takes a `Stage`, publishes, injects, and returns once all of it is published.

A scenario that a server of ours must be stopped for says so by `needs_server`: it runs on plain PostgreSQL alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.checker import Verdict
from tests.chaos.stage import Stage

Play = Callable[[Stage], Verdict]


@dataclass(frozen=True)
class Scenario:
    """`needs_server`: stops or starts the database. `small_disk`: wants a tablespace of a few megabytes, in mounts of its own."""

    name: str
    play: Play
    about: str
    needs_server: bool = False
    small_disk: bool = False
    settings: dict[str, str] = field(default_factory=dict)


def scenarios() -> dict[str, Scenario]:
    """All of them, by name, in the order in which they run."""
    from tests.chaos.scenarios import brokers, databases, messages, networks, workers

    found = [
        each for module in (workers, databases, networks, brokers, messages) for each in module.SCENARIOS
    ]
    return {each.name: each for each in found}


def scenario(play: Play, **options: bool) -> Scenario:
    """Named after its function, described by its docstring's first line."""
    about = (play.__doc__ or "").strip().splitlines()[0]
    return Scenario(play.__name__, play, about, **options)  # type: ignore[arg-type]
