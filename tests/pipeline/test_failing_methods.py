"""A method that fails costs its own request only, and says as much as the caller may know."""

import time
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError
from rest_framework import serializers

from audit_app.breaker import PartAway
from audit_app.errors import Refusal
from erlmcp_site.pipeline.messages import Reply, Request
from erlmcp_site.pipeline.method import Method
from erlmcp_site.pipeline.passage import Passage
from erlmcp_site.pipeline.runner import Pipeline
from resources_app.errors import ResourceNotFound
from tests.pipeline.calls import entries_of

pytestmark = pytest.mark.usefixtures("running")


async def run(error: Exception) -> Reply:
    async def fail(passage: Passage) -> Any:
        passage.then = lambda: None
        raise error

    params: serializers.Serializer[Any] = serializers.Serializer()
    pipeline = Pipeline({"test/fail": Method(name="test/fail", run=fail, params=params, needs=None, public=True)})
    return await pipeline.run(
        Request(id="request-of-a-failure", method="test/fail", params={}, transport="rest", timestamp=time.time())
    )


@pytest.mark.parametrize(
    ("error", "code", "outcome"),
    [
        (RuntimeError("the secret is 42"), "internal_error", "error"),
        (RecursionError(), "internal_error", "error"),
        (DatabaseError("value too long for the secret 42"), "internal_error", "error"),
        (OperationalError("server closed the connection unexpectedly"), "unavailable", "error"),
        (ResourceNotFound(), "resource_not_found", "refused"),
    ],
)
async def test_its_failure_has_a_code_and_an_entry_and_tells_no_secret(
    error: Exception, code: str, outcome: str
) -> None:
    reply = await run(error)
    assert reply.refusal is not None
    assert (reply.refusal.code, reply.outcome, reply.result) == (code, outcome, None)
    assert "42" not in f"{reply.refusal.message} {reply.refusal.data}"
    (entry,) = await entries_of(reply)
    assert (entry["outcome"], entry["code"]) == (outcome, code)


@pytest.mark.parametrize(
    ("error", "traced"),
    [
        (RuntimeError("broken"), True),
        (DatabaseError("value too long"), True),
        (OperationalError("server closed the connection unexpectedly"), False),
    ],
)
async def test_a_failure_is_logged_once_under_its_request_with_a_traceback_only_if_it_is_ours(
    error: Exception, traced: bool, caplog: pytest.LogCaptureFixture
) -> None:
    reply = await run(error)
    records = [record for record in caplog.records if reply.request_id in record.getMessage()]
    assert [record.exc_info is not None for record in records] == [traced]
    assert not [record for record in caplog.records if record not in records and record.exc_info]


@pytest.mark.parametrize("error", [PartAway("The database is not available."), ResourceNotFound()])
async def test_a_refusal_is_no_failure_and_leaves_no_line(error: Refusal, caplog: pytest.LogCaptureFixture) -> None:
    reply = await run(error)
    assert reply.refusal is error
    assert not [record for record in caplog.records if reply.request_id in record.getMessage()]


async def test_nothing_follows_an_answer_that_was_refused() -> None:
    assert (await run(ResourceNotFound())).then is None
