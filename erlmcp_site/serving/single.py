"""One server a folder: what is held in memory or in files there is not shared between two."""

import fcntl
import os
from pathlib import Path
from typing import IO


class AlreadyRunning(Exception):
    """Another server runs on this folder; the message says which."""


def hold(folder: Path) -> IO[str]:
    """Hold the folder for as long as the returned file is open; the system lets go of it when this process ends.

    Raises AlreadyRunning.
    """
    file = (folder / "serve.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        pid = file.read().strip()
        file.close()
        raise AlreadyRunning(
            f"erlmcp runs on VAR_DIR {folder} already (pid {pid}). "
            "End it, give this one another VAR_DIR, or share a PostgreSQL and a Redis (DATABASE_URL, REDIS_URL)."
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
