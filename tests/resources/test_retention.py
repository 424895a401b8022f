"""The log is trimmed from its tail in small steps; where it begins never goes back."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO

import orjson
import pytest
from django.core.management import call_command
from django.db.models import F
from pytest_django import Settings

from audit_app.writer import Writer, writer
from erlmcp_site.environment import Retention
from resources_app.log.head import CHANGES, CONTROL, Bounds, bounds
from resources_app.log.retention import Divide, trim
from resources_app.log.rules import trim_by_settings
from resources_app.models import ControlEvent, Event
from tests.resources.commands import offsets, trimming, versions, write
from tests.resources.states import URI

SHORT = "resource://short.example/"
LONG = "resource://long.example/"
HOUR = timedelta(hours=1)


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
        list(threads.map(lambda stop: (other if stop % 2 else writer).run(trimming(stop)), stops))
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


@pytest.fixture
def mixed() -> None:
    """Ten rounds of one event below SHORT, one below LONG, and one of the rest: offsets 1 to 30, in turns."""
    for number in range(10):
        for uri in (f"{SHORT}a", f"{LONG}a", URI):
            writer.run(write(number, uri))


def kept_of(uri: str) -> list[int]:
    return list(Event.objects.filter(uri=uri).order_by("offset").values_list("offset", flat=True))


def test_a_prefix_is_kept_by_a_rule_of_its_own_shorter_or_longer(mixed: None, settings: Settings) -> None:
    settings.LOG_RETENTION_EVENTS = 4
    settings.LOG_RETENTION_PREFIXES = {SHORT: Retention(2, None), LONG: Retention(None, None)}
    assert trim_by_settings() == 8 + 6
    assert kept_of(f"{SHORT}a") == [25, 28]
    assert kept_of(URI) == [21, 24, 27, 30]
    assert len(kept_of(f"{LONG}a")) == 10
    assert bounds()[CHANGES] == Bounds(30, 19, {SHORT: 23, LONG: 1})
    assert trim_by_settings() == 0
    writer.run(write(1, f"{SHORT}a"))
    assert trim_by_settings() == 1
    assert kept_of(f"{SHORT}a") == [28, 31]


def test_a_rule_of_no_events_leaves_none_and_one_of_more_than_there_are_all(mixed: None, settings: Settings) -> None:
    settings.LOG_RETENTION_EVENTS = 0
    settings.LOG_RETENTION_PREFIXES = {LONG: Retention(11, None)}
    assert trim_by_settings() == 20
    assert bounds()[CHANGES] == Bounds(30, 31, {LONG: 1})


def test_what_is_older_than_its_rule_allows_goes(mixed: None, settings: Settings) -> None:
    Event.objects.filter(offset__lt=16).update(time=F("time") - 3 * HOUR)
    Event.objects.filter(offset__lt=7).update(time=F("time") - 20 * HOUR)
    settings.LOG_RETENTION_SECONDS = 2 * 3600
    settings.LOG_RETENTION_PREFIXES = {SHORT: Retention(None, 3600), LONG: Retention(1000, 10 * 3600)}
    assert trim_by_settings() == 5 + 2 + 5
    assert bounds()[CHANGES] == Bounds(30, 16, {SHORT: 16, LONG: 7})
    assert kept_of(f"{LONG}a")[0] == 8


def test_the_longest_prefix_rules(settings: Settings) -> None:
    inner = f"{SHORT}inner/"
    for number in range(5):
        for uri in (f"{SHORT}a", f"{inner}a", f"{SHORT}inner/"):
            writer.run(write(number, uri))
    settings.LOG_RETENTION_PREFIXES = {SHORT: Retention(2, None), inner: Retention(None, None)}
    assert trim_by_settings() == 8
    assert (kept_of(f"{SHORT}a"), len(kept_of(f"{inner}a")), kept_of(f"{SHORT}inner/")) == ([13], 5, [15])


def test_parts_are_trimmed_in_small_steps_and_told_of_once(
    mixed: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources_app.log.retention.STEP", 3)
    settings.LOG_RETENTION_EVENTS = 1
    settings.LOG_RETENTION_PREFIXES = {SHORT: Retention(2, None)}
    assert trim_by_settings() == 8 + 19
    assert offsets() == [25, 28, 30]
    told = [orjson.loads(event.data) for event in ControlEvent.objects.filter(kind="log.trimmed").order_by("offset")]
    assert told == [{"prefix": "", "earliest": 30}, {"prefix": SHORT, "earliest": 23}]


def test_nothing_is_trimmed_twice_by_two_who_trim_at_once(mixed: None, settings: Settings) -> None:
    settings.LOG_RETENTION_EVENTS = 4
    settings.LOG_RETENTION_PREFIXES = {SHORT: Retention(2, None), LONG: Retention(1, None)}
    with ThreadPoolExecutor(4) as threads:
        counts = [threads.submit(trim_by_settings) for _ in range(4)]
    assert sum(count.result() for count in counts) == 8 + 9 + 6
    assert bounds()[CHANGES] == Bounds(30, 19, {SHORT: 23, LONG: 27})


def test_a_new_prefix_begins_where_the_log_did(thirty: None, settings: Settings) -> None:
    trim(CHANGES, 11)
    settings.LOG_RETENTION_PREFIXES = {LONG: Retention(None, None), f"{LONG}x/": Retention(None, None)}
    assert trim_by_settings() == 0
    assert bounds()[CHANGES] == Bounds(30, 11, {LONG: 11, f"{LONG}x/": 11})


def test_a_prefix_without_a_rule_goes_back_to_the_rest_and_is_forgotten_no_sooner(
    mixed: None, settings: Settings
) -> None:
    settings.LOG_RETENTION_EVENTS = 4
    settings.LOG_RETENTION_PREFIXES = {SHORT: Retention(2, None), LONG: Retention(None, None)}
    trim_by_settings()
    settings.LOG_RETENTION_PREFIXES = {}
    assert trim_by_settings() == 6
    assert bounds()[CHANGES] == Bounds(30, 19, {SHORT: 23, LONG: 19})
    settings.LOG_RETENTION_EVENTS = 100
    trim(CHANGES, 23)
    assert trim_by_settings() == 1
    assert bounds()[CHANGES] == Bounds(30, 23, {LONG: 23})
    assert trim_by_settings() == 0
    assert bounds()[CHANGES] == Bounds(30, 23)
    assert offsets() == list(range(23, 31))


def test_a_step_that_was_chosen_before_the_log_was_divided_does_nothing(mixed: None) -> None:
    writer.run(Divide(prefixes=frozenset({LONG})))
    assert writer.run(trimming(20)) is None
    assert bounds()[CHANGES] == Bounds(30, 1, {LONG: 1})
    assert len(offsets()) == 30


def test_an_operator_sees_where_each_prefix_begins_and_may_trim_them_all(mixed: None, settings: Settings) -> None:
    settings.LOG_RETENTION_PREFIXES = {SHORT: Retention(2, None)}
    trim_by_settings()
    out = StringIO()
    call_command("log", "show", stdout=out)
    assert out.getvalue() == (
        f"changes: earliest 1, head 30\nchanges below {SHORT}: earliest 23\ncontrol: earliest 1, head 1\n"
    )
    call_command("log", "trim", "--keep=5", stdout=out)
    assert offsets() == list(range(26, 31))
    assert f"changes below {SHORT}: earliest 26" in out.getvalue()
