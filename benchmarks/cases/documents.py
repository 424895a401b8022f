"""JSON documents of 100 KB in one process, without a server: their difference and their three-way merge."""

import copy
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jsonpatch
import orjson

from benchmarks.figures import Figure
from benchmarks.run import Run
from resources_app.diff import diff
from resources_app.merge import merge

OURS = "erlmcp, in process"
ROUNDS = 100


def wide() -> Any:
    return {f"name{n}": {"value": n, "text": "x" * 20} for n in range(2000)}


def records() -> Any:
    return [{"id": n, "name": f"n{n}", "value": n * 1.5, "tags": ["a", "b"], "text": "y" * 40} for n in range(1000)]


def deep() -> Any:
    value: Any = {"value": 1, "text": "z" * 1500}
    for n in range(60):
        value = {"below": value, "text": "z" * 1600, "n": n}
    return value


def change(value: Any, near: bool) -> Any:
    """A copy with one field changed, near the beginning or far from it, so that both merge."""
    changed = copy.deepcopy(value)
    if isinstance(value, list):
        changed[10 if near else 900]["name"] = "changed"
    elif "below" in value:
        place = changed
        while not near and "below" in place:
            place = place["below"]
        place["text"] = "changed"
    else:
        changed["name3" if near else "name1500"]["value"] = -1
    return changed


SHAPES: dict[str, Callable[[], Any]] = {"a wide object": wide, "1,000 objects": records, "60 levels": deep}


def documents(run: Run) -> None:
    """One field changed, and one on each side."""
    for shape, make in SHAPES.items():
        base = make()
        mine, theirs = change(base, True), change(base, False)
        note = f"{len(orjson.dumps(base)) // 1000} KB"
        one, two = f"diff, one field of {shape}", f"merge, two fields of {shape}"
        run.add(_figure(run, one, OURS, partial(diff, base, theirs), note))
        run.add(_figure(run, one, "jsonpatch.make_patch", partial(jsonpatch.make_patch, base, theirs), note))
        run.add(_figure(run, two, OURS, partial(merge, base, mine, theirs), note))


def _figure(run: Run, case: str, server: str, work: Callable[[], object], note: str) -> Figure:
    times = []
    for _ in range(ROUNDS // run.scale):
        started = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - started))
    quantiles = statistics.quantiles(times, n=100)
    return Figure(case=case, server=server, p50_ms=quantiles[49], p99_ms=quantiles[98], note=note)
