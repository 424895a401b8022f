"""What each process of a node has, in files that the others read: all processes of one VAR_DIR are a node.

A process holds a lock on a file of its own for as long as it lives, which the system lets go of however it ends. So
whoever reads finds out who is gone, adds what those had counted to the sums of the ended, and drops their files: the
sums of a node never fall while one of its processes lives. When none does, everything begins anew.
"""

import fcntl
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import orjson
from prometheus_client.core import Exemplar

from telemetry_app.catalogue import CATALOGUE
from telemetry_app.state import Key, State, is_counted, key_of, merge, text_of

T = TypeVar("T")

ALIVE = ".alive"
STATE = ".state"
ENDED = "ended"


class Published:
    """The place of one process in the folder of its node. Not for two threads at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._number = 0
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(self._folder):
            living, _ = self._collect_dead()
            if not living:
                for file in folder.iterdir():
                    if file.name != "lock":
                        file.unlink(missing_ok=True)
            self._alive = os.open(self._path(ALIVE), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._alive, fcntl.LOCK_EX)

    def write(self, state: State) -> None:
        """Have the others see this state. Raises OSError, and they go on seeing the one before."""
        # under a name of its own each time: to replace a file would have some systems write all of it to the disk
        before, self._number = self._number, self._number + 1
        _write(self._path(f".{self._number}{STATE}"), state)
        self._path(f".{before}{STATE}").unlink(missing_ok=True)

    def read(self, own: State) -> State:
        """What the node has, with this state as that of this process. Raises OSError."""
        with _locked(self._folder):
            living, dead = self._collect_dead()
            return merge([own, *_states(self._folder, [name for name in living if name != self._name], dead)])

    def let_go(self) -> None:
        """End being one of the node. In a process that was forked, only the copy ends."""
        os.close(self._alive)

    def _collect_dead(self) -> tuple[list[str], list[str]]:
        """The names of those that live; what the others have counted is added to the sums, and their files dropped.

        On a disk that is full they cannot be: then their names are the second list.
        """
        living, dead = _names_of_processes(self._folder)
        if dead and living:
            try:
                self._add_up(dead)
            except OSError:
                return living, dead
        for name in dead:
            for file in self._folder.glob(f"{name}.*"):
                file.unlink(missing_ok=True)
        return living, []

    def _add_up(self, dead: list[str]) -> None:
        path = self._folder / ENDED
        ended = _load(path)
        names = set() if ended is None else set(_names(path))
        # those that are in the sums already: whoever added them was killed before their files were gone
        fresh = [
            _counted(state) for name in dead if name not in names and (state := _newest(self._folder, name)) is not None
        ]
        if not fresh:
            return
        _write(path, merge([*fresh, *([] if ended is None else [ended])]), dead)

    def _path(self, suffix: str) -> Path:
        return self._folder / f"{self._name}{suffix}"


def look(folder: Path) -> State | None:
    """What a node has, for who is none of its processes; None where none of them lives. Raises OSError.

    Nothing is written; whoever may not read the files of the node learns nothing.
    """
    with _locked(folder, os.O_RDONLY):
        living, dead = _names_of_processes(folder)
        return merge(_states(folder, living, dead)) if living else None


@contextmanager
def _locked(folder: Path, flags: int = os.O_WRONLY | os.O_CREAT) -> Iterator[None]:
    """Alone with the folder, but for processes that write their own states."""
    lock = os.open(folder / "lock", flags | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _names_of_processes(folder: Path) -> tuple[list[str], list[str]]:
    """Those that live, and those that have ended and are not added up yet, or have their files still."""
    living: list[str] = []
    dead: list[str] = []
    for file in folder.glob(f"*{ALIVE}"):
        (living if _is_locked(file) else dead).append(file.name.removesuffix(ALIVE))
    return living, dead


def _states(folder: Path, living: list[str], dead: list[str]) -> list[State]:
    """What these have, and what is added up of those that have ended."""
    ended = _load(folder / ENDED)
    summed = [] if ended is None else _names(folder / ENDED)
    states = [state for name in living if (state := _newest(folder, name)) is not None]
    for name in dead:
        if name not in summed and (state := _newest(folder, name)) is not None:
            states.append(_counted(state))
    return states if ended is None else [*states, ended]


def _newest(folder: Path, name: str) -> State | None:
    """The newest state of a process, or None when it has not written one."""
    for _ in range(3):
        files = sorted(folder.glob(f"{name}.*{STATE}"), key=_number)
        if files and (state := _load(files[-1])) is not None:
            return state
    return None


def _counted(state: State) -> State:
    """What stays of a process when it has ended."""
    state.samples = {key: value for key, value in state.samples.items() if is_counted(key)}
    state.rates.clear()
    state.notes.clear()
    return state


def _is_locked(file: Path) -> bool:
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _number(file: Path) -> int:
    return int(file.name.removesuffix(STATE).rpartition(".")[2])


def _write(path: Path, state: State, names: list[str] | None = None) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(encode(state, names))
        part.rename(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _load(path: Path) -> State | None:
    """The state in a file; None when it is not there, or of a version that has other metrics."""
    try:
        return decode(path.read_bytes())
    except FileNotFoundError:
        return None


def _names(path: Path) -> list[str]:
    names: list[str] = orjson.loads(path.read_bytes())["names"]
    return names


def encode(state: State, names: list[str] | None = None) -> bytes:
    """A state as bytes, with the names of the processes that it is the sum of."""
    return orjson.dumps(
        {
            "version": _version(),
            "names": names or [],
            "at": state.at,
            "since": state.since,
            "samples": _by_text(state.samples),
            "seen": _by_text(state.seen),
            "rates": _by_text(state.rates),
            "notes": state.notes,
            "exemplars": {text_of(key): tuple(exemplar) for key, exemplar in state.exemplars.items()},
        }
    )


def decode(text: bytes) -> State | None:
    """The state that `encode` wrote; None when that was a version which has other metrics."""
    told = orjson.loads(text)
    if told["version"] != _version():
        return None
    return State(
        told["at"],
        since=told["since"],
        notes=told.get("notes", []),
        samples=_by_key(told["samples"]),
        seen=_by_key(told["seen"]),
        rates=_by_key(told["rates"]),
        exemplars={key_of(text): Exemplar(*exemplar) for text, exemplar in told["exemplars"].items()},
    )


def _by_text(values: Mapping[Key, T]) -> dict[str, T]:
    return {text_of(key): value for key, value in values.items()}


def _by_key(values: Mapping[str, T]) -> dict[Key, T]:
    return {key_of(text): value for text, value in values.items()}


@cache
def _version() -> str:
    """A digest of what is counted, and how."""
    return sha256(repr(list(CATALOGUE.values())).encode()).hexdigest()[:16]
