"""Processes that a benchmark starts: pinned to a core, watched, and ended by their id."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = CORES[0]
LOAD_CORE = CORES[-1]


class NotReady(Exception):
    """A server that ended, or did not get ready in time; the message has the end of its output."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def pinned(core: int, command: Sequence[str]) -> list[str]:
    """The command, on one core."""
    return ["taskset", "-c", str(core), *command]


def pin_tree(pid: int, core: int) -> None:
    """Move a running process and all below it to one core; what they start later stays there."""
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        for thread in process.threads():
            os.sched_setaffinity(thread.id, {core})


@contextmanager
def running(
    command: Sequence[str], *, output: Path, environment: Mapping[str, str], stop_within: float = 15.0
) -> Iterator[subprocess.Popen[bytes]]:
    """A server for as long as the block runs, writing to the file.

    It is ended by SIGTERM, and by SIGKILL when that takes longer than `stop_within` seconds.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=dict(environment), stdout=file, stderr=subprocess.STDOUT)
    tree = psutil.Process(process.pid)
    try:
        yield process
    finally:
        below = tree.children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(stop_within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for child in psutil.wait_procs(below, timeout=2)[1]:
            child.kill()


def wait_until(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], output: Path, *, within: float, every: float = 0.02
) -> float:
    """Seconds until `ready` says so.

    Raises NotReady.
    """
    began = time.monotonic()
    while not ready():
        passed = time.monotonic() - began
        if process.poll() is not None or passed > within:
            state = f"ended with {process.returncode}" if process.poll() is not None else f"not ready in {within:g} s"
            raise NotReady(f"{' '.join(process.args)}: {state}\n{output.read_text(errors='replace')[-3000:]}")
        time.sleep(every)
    return time.monotonic() - began


def listens(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0
