"""The long form: `python -m tests.chaos [fault or scenario …] [--seed N] [--rounds N] [--changes N] [--minutes N] …`.

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
from tests.chaos.report import markdown, tried_markdown
from tests.chaos.system import system
from tests.chaos.trials import TRIALS, Tried, attempt, front, row_of
from tests.stack.cluster import Cluster
from tests.stack.door import Door

LOAD = Load(writers=2, followers=5, pause=0.01, between=200)
"""Eight writers and twenty-five followers: of each transport as many."""


def main() -> int:
    """Strike as long as it is asked for, try scenarios, and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="fault or scenario", help="; ".join([*FAULTS, *TRIALS]))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--rounds", type=int, help="of each; without it, as many as docs/reliability.md says")
    parser.add_argument("--changes", type=int, default=20_000, help="at least so many, at the end without faults")
    parser.add_argument("--cuts", type=int, default=500, help="connections of followers that are broken")
    parser.add_argument("--minutes", type=float, default=60, help="begin nothing after that")
    parser.add_argument("--out", type=Path, help="a file for the report, too")
    options = parser.parse_args()
    if unknown := set(options.names) - {*FAULTS, *TRIALS}:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join([*FAULTS, *TRIALS])}")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    names = options.names or [*FAULTS, *TRIALS]
    told, is_well = [], True
    if faults := [name for name in names if name in FAULTS]:
        text, kept = _faults(faults, options)
        told.append(text)
        is_well &= kept
    if trials := [name for name in names if name in TRIALS]:
        text, kept = _trials(trials, options)
        told.append(text)
        is_well &= kept
    print("\n\n".join(told))
    if options.out is not None:
        options.out.write_text("\n\n".join(told) + "\n")
    return 0 if is_well else 1


def _faults(faults: Sequence[str], options: argparse.Namespace) -> tuple[str, bool]:
    """Strike; returns the report, and whether every promise was kept."""
    _say(f"seed {options.seed}")
    began, started = datetime.now(UTC), now()
    with system() as parts:
        run = Run(parts, options.seed, LOAD, say=_say)
        report = asyncio.run(_strike(run, _chosen(faults, options.rounds, options.seed), options, started))
        trail = parts.cluster.nodes[0].manage("audit", "verify", within=300)
    text = markdown(report, f"{began:%Y-%m-%d}", (now() - started) / 60) + f"\n\nThe audit trail: {trail.strip()}"
    return text, not report.breaches and not report.unknown


def _trials(names: Sequence[str], options: argparse.Namespace) -> tuple[str, bool]:
    """Try scenarios; returns the report, and whether every promise was kept."""
    began, started = datetime.now(UTC), now()
    with front() as (cluster, door):
        tried = asyncio.run(_try(names, options, cluster, door, started))
    text = tried_markdown(tried, f"{began:%Y-%m-%d}", (now() - started) / 60)
    return text, not any(one.breaches for one in tried)


async def _try(
    names: Sequence[str], options: argparse.Namespace, cluster: Cluster, door: Door, started: float
) -> list[Tried]:
    tried: list[Tried] = []
    until = started + options.minutes * 60
    for name in names:
        if now() > until:
            break
        scenario, often = TRIALS[name]
        _say(f"{name} …")
        tried.append(await attempt(name, scenario, options.rounds or often, cluster, door))
        _say(" · ".join(row_of(tried[-1])))
    return tried


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
