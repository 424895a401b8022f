"""`kill -9` at chosen points of a commit: what was answered is there exactly once, everywhere (quality 7)."""

from collections import Counter

from django.db import connection

from resources_app.models import Event, Resource
from tests.resources.commands import offsets
from tests.stack.beside import run_beside
from tests.stack.outbox import entries

ROUNDS = 5


def test_twenty_writers_that_die_keep_every_promise_and_leave_no_half_of_anything(heads: None) -> None:
    """Before the rows are written, before the COMMIT, after it and before anybody hears of it, and after an answer."""
    lines = run_beside("tests.resources.mortal_writers", str(ROUNDS))
    deaths = Counter(line for line in lines if not line.startswith("resource:"))
    assert deaths == {f"killed {point}": ROUNDS for point in ("decided", "saved", "committed", "answered")}
    answered = [line for line in lines if line.startswith("resource:")]
    assert len(answered) > 20 * ROUNDS

    connection.close()
    table = dict(Resource.objects.values_list("uri", "version"))
    logged = Counter(Event.objects.values_list("uri", flat=True))
    told = Counter(entry["resource_id"] for entry in entries())
    assert set(answered) <= table.keys()
    assert set(table.values()) == {1}
    assert logged == dict.fromkeys(table, 1)
    assert told == dict.fromkeys(table, 1)
    assert offsets() == list(range(1, len(table) + 1))
    unheard = table.keys() - set(answered)
    assert any("/committed/" in uri for uri in unheard), "nobody died between a commit and its answers"
