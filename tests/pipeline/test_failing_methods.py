"""A method that fails costs its own request only, and says as much as the caller may know."""

import time
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError
from rest_framework import serializers

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
    pipeline = Pipeline({"test/fail": Method(name="test/fail", run=fail, params=params, public=True)})
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


async def test_nothing_follows_an_answer_that_was_refused() -> None:
    assert (await run(ResourceNotFound())).then is None
