"""An audit entry says who did what and how it ended, in the queue where it belongs."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_app.errors import InternalError, Refusal
from audit_app.trail import Entry, Queue, outbox_row, queue_of
from erlmcp_site.pipeline.messages import Request
from erlmcp_site.pipeline.passage import Passage
from resources_app.errors import ResourceNotFound
from sessions_app.callers import Caller
from sessions_app.errors import Forbidden, RateLimited, Unauthenticated

ENTRY = Entry(timestamp=1_700_000_000.25, action="resources/write", transport="rest", user="alice", user_id="7")


def row(entry: Entry = ENTRY, refusal: Refusal | None = None, details: Any = None) -> tuple[int, dict[str, Any]]:
    kept = outbox_row(entry, refusal, details)
    assert kept is not None
    queue, text = kept
    return queue, orjson.loads(text)


@pytest.mark.parametrize(
    ("action", "code", "queue"),
    [
        ("auth/login", None, Queue.SECURITY),
        ("sessions/close", None, Queue.SECURITY),
        ("access/grant", None, Queue.SECURITY),
        ("audit/list", None, Queue.SECURITY),
        ("resources/write", None, Queue.DATA),
        ("resources/write", "version_conflict", Queue.DATA),
        ("subscriptions/create", None, Queue.DATA),
        ("events/poll", None, Queue.DATA),
        ("telemetry/snapshot", None, Queue.SYSTEM),
        ("ping", None, Queue.SYSTEM),
        ("no such method", "method_not_found", Queue.SYSTEM),
    ],
)
def test_an_entry_goes_to_the_queue_of_its_family(action: str, code: str | None, queue: Queue) -> None:
    assert queue_of(action, code) is queue


@pytest.mark.parametrize("refusal", [Forbidden(), Unauthenticated(), RateLimited()])
def test_an_attempt_that_security_refused_is_for_security(refusal: Refusal) -> None:
    queue, record = row(refusal=refusal)
    assert queue == Queue.SECURITY
    assert (record["outcome"], record["code"]) == ("refused", refusal.code)


def test_an_entry_tells_how_the_work_ended() -> None:
    assert row()[1]["outcome"] == "success"
    assert row()[1]["code"] is None
    assert row(refusal=ResourceNotFound())[1]["outcome"] == "refused"
    assert row(refusal=InternalError())[1]["outcome"] == "error"
    assert row(details={"version": 3})[1]["details"] == {"version": 3}


def test_an_entry_has_its_time_and_an_id_of_its_own() -> None:
    first, second = row()[1], row()[1]
    assert first["timestamp"].startswith("2023-11-14T22:13:20.25")
    assert first["id"] != second["id"]


@given(st.text(st.characters(codec="utf-8")))
def test_no_text_breaks_out_of_its_line(text: str) -> None:
    kept = outbox_row(Entry(timestamp=0.0, action=text, transport="rest", user_agent=text), None, {text: text})
    assert kept is not None
    _, line = kept
    assert "\n" not in line and "\r" not in line and "\0" not in line
    assert orjson.loads(line)["user_agent"] == text


def test_a_passage_knows_who_asked_and_that_its_entry_was_taken() -> None:
    request = Request(id="r", method="resources/read", params={}, transport="websocket", timestamp=1.0, source_ip="::1")
    passage = Passage(request)
    passage.caller = Caller(
        user_id="7", name="alice", permissions=frozenset(), principals=frozenset(), family="f", expires_at=0.0
    )
    assert not passage.recorded
    entry = passage.entry()
    assert passage.recorded
    assert (entry.user, entry.user_id, entry.request_id, entry.source_ip) == ("alice", "7", "r", "::1")
