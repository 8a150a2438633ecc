"""`make chaos`: every scenario in full, a line each. CHAOS_ARGS="--help" shows what can be chosen."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import traceback
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tests.chaos.runner import plain_ground, play, timescale_ground
from tests.chaos.scenarios import scenarios
from tests.chaos.stage import FULL, SHORT
from tests.servers import ServerUnavailable

GROUNDS = {"plain": plain_ground, "timescale": timescale_ground}
ON_TIMESCALE = ("commit_and_puback", "twice_and_in_disorder", "poison")  # where the edition could matter


def main() -> int:
    found = scenarios()
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="SCENARIO", help=f"of: {', '.join(found)}; default: all")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(10_000), help="what chance comes from"
    )
    parser.add_argument(
        "--messages", type=int, help=f"how many each scenario publishes (default {FULL.messages:,})"
    )
    parser.add_argument(
        "--edition", choices=GROUNDS, help="one only; default: plain, and some on timescale too"
    )
    parser.add_argument("--short", action="store_true", help="as in make test")
    parser.add_argument("--logs", type=Path, help="where logs stay; default: a temporary folder, shown")
    chosen = parser.parse_args()
    if strange := set(chosen.names) - set(found):
        parser.error(f"no scenario {', '.join(sorted(strange))}")
    size = SHORT if chosen.short else FULL
    size = replace(size, messages=chosen.messages) if chosen.messages else size
    logs = chosen.logs or Path(tempfile.mkdtemp(prefix="suyuan-chaos-"))
    print(f"seed {chosen.seed}; logs in {logs}", flush=True)
    failed = 0
    for edition in [chosen.edition] if chosen.edition else list(GROUNDS):
        named = chosen.names or (list(found) if edition == (chosen.edition or "plain") else ON_TIMESCALE)
        wanted = [found[name] for name in named if edition == "plain" or not found[name].needs_server]
        failed += _on(edition, wanted, size, chosen.seed, logs)
    print(f"{failed} failed" if failed else "nothing lost, nothing doubled", flush=True)
    return 1 if failed else 0


def _on(edition: str, wanted: list, size: object, seed: int, logs: Path) -> int:
    failed = 0
    with ExitStack() as stack:
        folder = logs / edition
        folder.mkdir(parents=True, exist_ok=True)
        try:
            ground = stack.enter_context(GROUNDS[edition](folder)) if wanted else None
        except ServerUnavailable as missing:
            print(f"not run on {edition}: {missing}", flush=True)
            return 0
        for scenario in wanted:
            try:
                played = play(scenario, ground, size, seed, folder / scenario.name)
            except ServerUnavailable as missing:
                print(f"not run: {scenario.name}: {missing}", flush=True)
                continue
            except Exception as error:
                traceback.print_exc()
                print(f"FAILED {scenario.name} ({edition}, seed {seed}): {error}", flush=True)
                failed += 1
                continue
            print(played.line(), flush=True)
            for sentence in played.broken:
                print(f"  {sentence}", flush=True)
            failed += bool(played.broken)
    return failed


if __name__ == "__main__":
    sys.exit(main())
