"""After a restore the log goes on where it never was: no old offset comes to mean another event, and history stays."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from audit_app.models import OutboxEntry
from audit_app.writer import writer
from resources_app.errors import Reset
from resources_app.log.head import CHANGES, Bounds, bounds
from resources_app.log.read import earliest_version
from resources_app.log.rules import trim_by_settings
from resources_app.log.skip import FAR, MOST, skip
from tests.resources.commands import offsets, versions, write
from tests.resources.states import URI


@pytest.fixture(autouse=True)
def thirty(spine: None, transactional_db: None) -> None:
    for number in range(30):
        writer.run(write(number))


def followed() -> Bounds:
    """What whoever follows everything is held to."""
    return bounds()[CHANGES].of(None)


def test_no_offset_from_before_is_one_to_follow_from_however_long_the_log_grows() -> None:
    assert skip(40) == 40
    for number in range(20):
        writer.run(write(number))
    assert offsets() == [*range(1, 31), *range(41, 61)]
    for after in (0, 29, 30, 31, 39):
        with pytest.raises(Reset) as told:
            followed().prove(after)
        assert told.value.data == {"earliest": 41, "head": 60}
    followed().prove(40)
    followed().prove(60)


def test_the_next_change_follows_the_new_head_and_the_version_goes_on() -> None:
    assert skip(None) == 30 + FAR
    writer.run(write("later"))
    assert versions(URI)[-1] == 31
    assert offsets()[-1] == 31 + FAR


def test_history_is_kept_by_the_number_of_events_not_of_offsets(settings: Settings) -> None:
    settings.LOG_RETENTION_EVENTS = 10
    skip(1000)
    for number in range(4):
        writer.run(write(number))
    assert trim_by_settings() == 24
    assert offsets() == [*range(25, 31), *range(1001, 1005)]
    assert earliest_version(URI) == 25


@pytest.mark.parametrize(
    ("keep", "left"),
    [(40, [*range(1, 31), *range(101, 105)]), (6, [29, 30, *range(101, 105)]), (2, [103, 104]), (0, [])],
)
def test_of_the_latest_as_many_stay_as_were_asked_for(keep: int, left: list[int]) -> None:
    skip(100)
    for number in range(4):
        writer.run(write(number))
    call_command("log", "trim", "--keep", str(keep))
    assert offsets() == left


@pytest.mark.parametrize("to", [0, 29, 30, MOST + 1])
def test_it_never_goes_back_or_beyond_what_an_offset_can_be(to: int) -> None:
    with pytest.raises(CommandError, match="above the head"):
        call_command("log", "skip", "--to", str(to))
    assert bounds()[CHANGES] == Bounds(30, 1)


def test_it_is_on_record_and_shown() -> None:
    output = StringIO()
    call_command("log", "skip", "--to", "90", stdout=output)
    assert "changes: earliest 1, head 90\nchanges: to be followed from 91 on\n" in output.getvalue()
    entries = [json.loads(text) for text in OutboxEntry.objects.values_list("entry", flat=True)]
    (entry,) = [entry for entry in entries if entry["action"] == "log/skip"]
    assert entry["details"] == {"from": 30, "to": 90}
