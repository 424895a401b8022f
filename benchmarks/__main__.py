"""Figures beside their peers', measured in one run: `python -m benchmarks [case …] [--quick] [--long]`."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.cases import (
    access,
    audit,
    connects,
    crowd,
    documents,
    fanout,
    gateway,
    grpc,
    limits,
    listeners,
    mcp,
    requests,
    start,
    storm,
    telemetry,
    trail,
)
from benchmarks.figures import save, table
from benchmarks.load import LoadFailed
from benchmarks.native import BUILD
from benchmarks.postgresql import postgresql
from benchmarks.processes import LOAD_CORE, SERVER_CORE, NotReady
from benchmarks.run import Run

CASES: dict[str, Callable[[Run], None]] = {
    "reads": requests.reads,
    "workers": requests.workers,
    "consistency": requests.consistency,
    "writes": requests.writes,
    "spread": requests.spread,
    "history": requests.history,
    "one-uri": fanout.one_uri,
    "hundred-uris": fanout.hundred_uris,
    "large-document": fanout.large_document,
    "grpc": grpc.grpc,
    "listeners": listeners.listeners,
    "mcp": mcp.mcp,
    "gateway": gateway.gateway,
    "idle": crowd.idle,
    "reconnect": crowd.reconnect,
    "connects": connects.connects,
    "storm": storm.storm,
    "audit": audit.audit,
    "start": start.start,
    "documents": documents.documents,
    "limits": limits.limits,
    "access": access.access,
    "telemetry": telemetry.telemetry,
    "trail": trail.trail,
}


def main() -> int:
    """Measure the cases, print the table, keep it as JSON. Returns 1 when a case failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="case", help=", ".join(CASES))
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a second a measurement, crowds and logs a tenth: only to see that it works",
    )
    parser.add_argument("--long", action="store_true", help="also with a million events in the log")
    options = parser.parse_args()
    if unknown := set(options.cases) - set(CASES):
        parser.error(f"no case {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    failed = 0
    with tempfile.TemporaryDirectory(prefix="erlmcp-bench-") as name:
        folder = Path(name)
        with postgresql(folder / "postgresql") as databases:
            run = Run(folder=folder, databases=databases, quick=options.quick, long=options.long)
            for case in options.cases or CASES:
                print(f"{case} …", file=sys.stderr, flush=True)
                try:
                    CASES[case](run)
                except (LoadFailed, NotReady, OSError, subprocess.SubprocessError) as error:
                    failed += 1
                    print(f"{case} failed: {error}", file=sys.stderr, flush=True)
    save(run.figures, BUILD / f"figures-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json")
    print(f"Server on core {SERVER_CORE}; clients and PostgreSQL on core {LOAD_CORE}.\n\n{table(run.figures)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
