"""An empty log on the real database, and writers of its own for every test."""

from collections.abc import Callable, Iterator

import pytest
from django.conf import settings

from audit_app.writer import Writer
from resources_app.models import LogHead

collect_ignore = ["test_locked_files.py"] if not settings.ON_SQLITE else ["test_lost_connections.py"]


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
