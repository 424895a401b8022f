"""The processes that make up a running erlmcp, as command lines."""

import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

CELERY = ("-m", "celery", "--quiet", "--skip-checks", "--app", "erlmcp_site")
ALONE = ("--without-gossip", "--without-mingle")
NO_PID_FILE = ("--pidfile", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process of the system. `fds` stay open in it; those with `serves` are told to end before the others."""

    name: str
    command: Sequence[str]
    fds: Sequence[int] = ()
    serves: bool = False


def parts_of(listeners: Sequence[socket.socket], ready: int) -> list[Part]:
    """What `serve` runs: a web process for each listener, a Celery worker, and beat.

    Web processes write a byte to the file descriptor `ready` when they answer. Beat is a process of its own: embedded
    in the worker it would be a child of it, which lives on when the worker is killed.
    """
    webs = [_web(number, listener, ready) for number, listener in enumerate(listeners, 1)]
    # a sink whose receiver hangs holds one thread, which the others must not miss
    threads = 4 + len(settings.AUDIT_SINKS)
    worker = _celery("worker", *ALONE, "--pool", "threads", "--concurrency", str(threads))
    return [*webs, worker, _celery("beat", *NO_PID_FILE)]


def _web(number: int, listener: socket.socket, ready: int) -> Part:
    fd = listener.fileno()
    command = (sys.executable, "-m", "django", "web", "--fd", str(fd), "--ready-fd", str(ready))
    return Part(name=f"web {number}", command=command, fds=(fd, ready), serves=True)


def _celery(name: str, *options: str) -> Part:
    return Part(name=name, command=(sys.executable, *CELERY, name, "--loglevel", "WARNING", *options))


def child_environment() -> dict[str, str]:
    """The environment of the children: this one's, with output that is not held back, and the project on the path."""
    path = os.pathsep.join(filter(None, (str(settings.BASE_DIR), os.environ.get("PYTHONPATH"))))
    return os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": path}
