"""The long form: `python -m tests.chaos [fault …] [--seed N] [--rounds N] [--changes N] [--minutes N] [--out FILE]`.

Prints what happens on standard error and the report on standard output. Ends with 1 when a promise was broken.
"""

import argparse
import asyncio
import logging
import random
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.chaos.channels import now
from tests.chaos.engine import Load, Report, Run
from tests.chaos.faults import CLOCK, FAKETIME, FAULTS, QUALITY
from tests.chaos.report import markdown
from tests.chaos.system import system

LOAD = Load(writers=2, followers=5, pause=0.01, between=200)
"""Six writers and twenty followers."""


def main() -> int:
    """Strike as long as it is asked for, and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="fault", help="; ".join(FAULTS))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--rounds", type=int, help="of each fault; without it, as many as docs/reliability.md says")
    parser.add_argument("--changes", type=int, default=20_000, help="at least so many, at the end without faults")
    parser.add_argument("--cuts", type=int, default=500, help="connections of followers that are broken")
    parser.add_argument("--minutes", type=float, default=60, help="begin no fault after that")
    parser.add_argument("--out", type=Path, help="a file for the report, too")
    options = parser.parse_args()
    if unknown := set(options.faults) - set(FAULTS):
        parser.error(f"no fault {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    _say(f"seed {options.seed}")
    began, started = datetime.now(UTC), now()
    with system() as parts:
        names = _chosen(options.faults or list(FAULTS), options.rounds, options.seed)
        run = Run(parts, options.seed, LOAD, say=_say)
        report = asyncio.run(_strike(run, names, options, started))
        trail = parts.cluster.nodes[0].manage("audit", "verify", within=300)
    text = markdown(report, f"{began:%Y-%m-%d}", (now() - started) / 60) + f"\n\nThe audit trail: {trail.strip()}\n"
    print(text)
    if options.out is not None:
        options.out.write_text(text)
    return 1 if report.breaches or report.unknown else 0


async def _strike(run: Run, names: Sequence[str], options: argparse.Namespace, started: float) -> Report:
    until = started + options.minutes * 60
    return await run.strike(names, changes=options.changes, cuts=options.cuts, is_late=lambda: now() > until)


def _chosen(faults: Sequence[str], rounds: int | None, seed: int) -> list[str]:
    """Each fault as often as asked for, in an order that the seed decides."""
    faults = [fault for fault in faults if fault != CLOCK or FAKETIME is not None]
    names = [fault for fault in faults for _ in range(rounds or QUALITY.get(fault, 2))]
    random.Random(seed).shuffle(names)
    return names


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
