"""The processes that make up a running erlmcp, as command lines."""

import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings


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
    return [*webs, _upkeep("worker"), _upkeep("beat")]


def _web(number: int, listener: socket.socket, ready: int) -> Part:
    fd = listener.fileno()
    command = (sys.executable, "-m", "django", "web", "--fd", str(fd), "--ready-fd", str(ready))
    return Part(name=f"web {number}", command=command, fds=(fd, ready), serves=True)


def _upkeep(name: str) -> Part:
    return Part(name=name, command=(sys.executable, "-m", "erlmcp_site.serving.upkeep", name))


def child_environment() -> dict[str, str]:
    """The environment of the children: this one's, with output that is not held back, and the project on the path."""
    path = os.pathsep.join(filter(None, (str(settings.BASE_DIR), os.environ.get("PYTHONPATH"))))
    return os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": path}
