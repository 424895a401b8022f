"""A trail of a million entries: what an auditor's questions cost, on each database."""

import json
import os
import subprocess
import sys
from typing import Any

from benchmarks.figures import Figure
from benchmarks.processes import LOAD_CORE, pinned
from benchmarks.run import POSTGRESQL, Run

ENTRIES = 1_000_000
ROUNDS = 20


def trail(run: Run) -> None:
    """The first page of each question, and the slowest of its rounds."""
    count = ENTRIES // run.scale
    for store in run.stores:
        for line in _answers(run, store, count):
            if "question" in line:
                case = f"{count:,} audit entries: {line['question']}"
                figure = {"p50_ms": line["p50_ms"], "also": {"max ms": line["max_ms"], "found": line["found"]}}
            else:
                case = f"{count:,} audit entries inserted with their indexes"
                figure = {"per_s": line["entries"] / line["seconds"]}
            run.add(Figure(case=case, server=f"erlmcp, in process, {store}", **figure))


def _answers(run: Run, store: str, count: int) -> list[dict[str, Any]]:
    folder = run.fresh_folder("trail")
    environment = os.environ | {"VAR_DIR": str(folder / "var"), "SECRET_KEY": "only for figures", "LOG_LEVEL": "ERROR"}
    environment |= {"DATABASE_URL": run.databases.fresh()} if store == POSTGRESQL else {}
    command = [sys.executable, "-m", "benchmarks.trail", str(count), str(ROUNDS)]
    done = subprocess.run(pinned(LOAD_CORE, command), env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]
