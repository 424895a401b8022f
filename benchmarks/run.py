"""One run of the benchmarks: where it keeps its files, how long it measures, what it has found."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.postgresql import Databases
from benchmarks.redis import redis
from benchmarks.server import Server, erlmcp

POSTGRESQL, SQLITE, WITH_REDIS = "PostgreSQL", "SQLite", "PostgreSQL + Redis"


@dataclass(slots=True, kw_only=True)
class Run:
    """What a case gets. `seconds` is the length of one measurement; `scale` divides sizes in a quick run."""

    folder: Path
    databases: Databases
    quick: bool = False
    long: bool = False
    stores: Sequence[str] = (POSTGRESQL, SQLITE)
    figures: list[Figure] = field(default_factory=list)
    _folders: Iterator[int] = field(default_factory=itertools.count)

    @property
    def seconds(self) -> float:
        return 1.0 if self.quick else 5.0

    @property
    def scale(self) -> int:
        return 10 if self.quick else 1

    def add(self, figure: Figure) -> None:
        self.figures.append(figure)

    def fresh_folder(self, name: str) -> Path:
        folder = self.folder / f"{next(self._folders)}-{name}"
        folder.mkdir(parents=True)
        return folder

    @contextmanager
    def erlmcp(self, store: str, variables: Mapping[str, str] | None = None) -> Iterator[Server]:
        """Our server on an empty store, with these settings besides."""
        database = None if store == SQLITE else self.databases.fresh()
        with ExitStack() as parts:
            folder = self.fresh_folder("erlmcp")
            told = dict(variables or {})
            if store == WITH_REDIS:
                told["REDIS_URL"] = parts.enter_context(redis(folder))
            server = erlmcp(folder, database=database, below=self.databases.watched, variables=told)
            yield parts.enter_context(server)
