"""Look at the sinks, pause or resume them, or have them deliver again."""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from audit_app.models import DeadLetter, Sink
from audit_app.sinks.actions import ACTION, pause, replay, resume
from audit_app.sinks.measures import lag_of
from audit_app.sinks.state import state_of
from audit_app.system import system_entry
from erlmcp_site.management.account import account

COLUMNS = ("name", "format", "where", "state", "cursor", "lag", "lag seconds", "delivered", "dead letters")


def add_arguments(parser: ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("list", help="print each sink with its state, its lag and its last error")
    for name, told in (
        ("pause", "deliver no more, after the batch that is on its way"),
        ("resume", "go on where it stopped, and at once"),
        ("replay", "deliver from an entry on, again or for the first time; the receiver drops repeats by their ids"),
    ):
        acting = what.add_parser(name, help=told)
        acting.add_argument("sink", help="the name of a sink")
        if name == "replay":
            acting.add_argument("--from", dest="first", type=int, required=True, metavar="SEQUENCE")


def run(command: BaseCommand, options: Mapping[str, Any]) -> None:
    """Raises CommandError for a sink that is not there, and what the writer refuses."""
    if options["what"] != "list":
        _act(options)
    for line in _table():
        command.stdout.write(line)


def _act(options: Mapping[str, Any]) -> None:
    name = options["sink"]
    if name not in _names():
        raise CommandError(f"There is no sink {name}: AUDIT_SINKS names none, and none has ever delivered.")
    entry = system_entry(ACTION, "sink", name)
    told = {"account": account()}
    if options["what"] == "pause":
        pause(name, entry, told)
    elif options["what"] == "resume":
        resume(name, entry, told)
    else:
        replay(name, options["first"], entry, told)


def _names() -> list[str]:
    """The sinks of the settings, and those that only have a row: of other settings, earlier or elsewhere."""
    return list(dict.fromkeys((*settings.AUDIT_SINKS, *Sink.objects.order_by("name").values_list("name", flat=True))))


def _table() -> Iterator[str]:
    rows: list[tuple[str, ...]] = [COLUMNS]
    errors = []
    for name in _names():
        target = settings.AUDIT_SINKS.get(name)
        sink = Sink.objects.filter(name=name).first() or Sink(name=name)
        lag = lag_of(sink.cursor)
        letters = DeadLetter.objects.filter(sink=name).count()
        numbers = (sink.cursor, lag.entries, round(lag.seconds, 1), sink.delivered, letters)
        form, where = (target.format, target.where) if target else ("-", "not in AUDIT_SINKS here")
        rows.append((name, form, where, state_of(sink), *map(str, numbers)))
        if sink.last_error:
            errors.append(f"{name}: last error {sink.last_error!r}")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip()
    yield from errors
