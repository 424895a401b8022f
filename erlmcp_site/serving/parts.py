"""The processes that make up a running erlmcp, as command lines."""

import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

CELERY = ("-m", "celery", "--quiet", "--skip-checks", "--app", "erlmcp_site")
QUIETLY = ("--without-gossip", "--without-mingle", "--loglevel", "WARNING")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process of the system. `fds` stay open in it; those with `serves` are told to end before the others."""

    name: str
    command: Sequence[str]
    fds: Sequence[int] = ()
    serves: bool = False


def parts_of(listeners: Sequence[socket.socket], ready: int, *, own_beat: bool) -> list[Part]:
    """What `serve` runs: a web process for each listener, a Celery worker, and beat.

    Web processes write a byte to the file descriptor `ready` when they answer. Beat is a thread of the worker unless
    `own_beat`: the file broker has one worker only, a Redis has many.
    """
    parts = [_web(number, listener, ready) for number, listener in enumerate(listeners, 1)]
    worker = ("worker", *QUIETLY, "--pool", "threads", "--concurrency", "4")
    if own_beat:
        beat = ("beat", "--loglevel", "WARNING", "--pidfile", "")
        parts.append(Part(name="worker", command=(sys.executable, *CELERY, *worker)))
        parts.append(Part(name="beat", command=(sys.executable, *CELERY, *beat)))
    else:
        parts.append(Part(name="worker and beat", command=(sys.executable, *CELERY, *worker, "--beat")))
    return parts


def _web(number: int, listener: socket.socket, ready: int) -> Part:
    fd = listener.fileno()
    command = (sys.executable, "-m", "django", "web", "--fd", str(fd), "--ready-fd", str(ready))
    return Part(name=f"web {number}", command=command, fds=(fd, ready), serves=True)


def child_environment() -> dict[str, str]:
    """The environment of the children: this one's, with output that is not held back, and the project on the path."""
    path = os.pathsep.join(filter(None, (str(settings.BASE_DIR), os.environ.get("PYTHONPATH"))))
    return os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": path}
