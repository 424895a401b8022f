"""An empty log on the real database, and writers of its own for every test."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from django.conf import settings as configured
from pytest_django import Settings

from audit_app.writer import Writer
from resources_app.cache import ReadCache
from resources_app.hub.hub import Hub
from resources_app.models import LogHead

ON_POSTGRESQL = ["test_lost_connections.py", "test_locked_rows.py"]
ON_SQLITE = ["test_locked_files.py"]

collect_ignore = ON_POSTGRESQL if configured.ON_SQLITE else ON_SQLITE


@pytest.fixture
def heads(transactional_db: None) -> None:
    """Both streams of the log begin at offset 1."""
    LogHead.objects.all().delete()
    LogHead.objects.bulk_create([LogHead(stream=stream, head=0, earliest=1) for stream in ("changes", "control")])


@pytest.fixture
def new_writer(heads: None) -> Iterator[Callable[[], Writer]]:
    """Makes writers as other processes have them, and closes them in the end."""
    made: list[Writer] = []

    def make() -> Writer:
        made.append(Writer())
        return made[-1]

    yield make
    for writer in made:
        writer.close()


@pytest.fixture
def writer(new_writer: Callable[[], Writer]) -> Writer:
    return new_writer()


@pytest.fixture
async def hub(writer: Writer, settings: Settings) -> AsyncIterator[Hub]:
    """A hub that follows the log as this process's would, and `writer` as its own."""
    settings.LOG_POLL_SECONDS = 0.05
    hub = Hub(writer, ReadCache())
    await hub.start()
    yield hub
    await hub.stop()


@pytest.fixture
async def sleepy_hub(hub: Hub, settings: Settings) -> Hub:
    """One that looks at the log by itself once a minute."""
    await hub.stop()
    settings.LOG_POLL_SECONDS = 60
    await hub.start()
    return hub
