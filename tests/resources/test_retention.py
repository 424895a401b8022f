"""The log is trimmed from its tail in small steps; where it begins never goes back."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db.models import F
from pytest_django import Settings

from audit_app.writer import Writer, writer
from resources_app.log.head import CHANGES, CONTROL, Bounds, bounds
from resources_app.log.retention import Trim, trim, trim_by_settings
from resources_app.models import ControlEvent, Event
from tests.resources.commands import offsets, versions, write
from tests.resources.states import URI


@pytest.fixture(autouse=True)
def process_writer(heads: None) -> Iterator[None]:
    """Trimming goes through the writer of the process."""
    yield
    writer.close()


@pytest.fixture
def thirty() -> None:
    for number in range(30):
        writer.run(write(number))


def test_what_lies_below_is_deleted_and_remembered(thirty: None) -> None:
    assert trim(CHANGES, 11) == 10
    assert offsets() == list(range(11, 31))
    assert bounds()[CHANGES] == Bounds(30, 11)
    assert trim(CHANGES, 11) == trim(CHANGES, 5) == 0


def test_many_steps_do_the_same(thirty: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources_app.log.retention.STEP", 4)
    assert trim(CHANGES, 31) == 30
    assert bounds()[CHANGES] == Bounds(30, 31)
    assert ControlEvent.objects.filter(kind="log.trimmed").count() == 1


def test_the_earliest_never_goes_back(thirty: None, new_writer: Callable[[], Writer]) -> None:
    other = new_writer()
    with ThreadPoolExecutor(4) as threads:
        stops = [25, 5, 20, 10, 15, 26, 3]
        list(
            threads.map(
                lambda stop: (other if stop % 2 else writer).run(Trim(stream=CHANGES, stop=stop, is_last=True)), stops
            )
        )
    assert bounds()[CHANGES] == Bounds(30, 26)
    assert offsets() == list(range(26, 31))


def test_a_resource_goes_on_after_its_history_is_gone(thirty: None) -> None:
    trim(CHANGES, 31)
    assert writer.run(write(1))[0].version == 31
    assert versions(URI) == [31]


def test_the_settings_say_how_many_and_how_old(thirty: None, settings: Settings) -> None:
    settings.LOG_RETENTION_EVENTS, settings.LOG_RETENTION_SECONDS = 20, 3600
    assert trim_by_settings() == 10
    Event.objects.filter(offset__lt=25).update(time=F("time") - timedelta(hours=2))
    assert trim_by_settings() == 14
    assert offsets() == list(range(25, 31))
    assert trim_by_settings() == 0


def test_old_control_events_go_too(thirty: None) -> None:
    trim(CHANGES, 5)
    ControlEvent.objects.update(time=F("time") - timedelta(days=2))
    assert trim_by_settings() == 1
    assert bounds()[CONTROL].earliest == 2


@pytest.mark.parametrize(("keep", "left"), [(5, 5), (0, 0), (30, 30), (99, 30), (-1, 0)])
def test_an_operator_may_keep_the_latest(thirty: None, keep: int, left: int) -> None:
    out = StringIO()
    call_command("log", "trim", f"--keep={keep}", stdout=out)
    assert len(offsets()) == left
    assert f"changes: earliest {31 - left}, head 30" in out.getvalue()
