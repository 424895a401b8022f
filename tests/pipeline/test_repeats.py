"""A repeat under an idempotency key is answered as the first time, whatever has happened since (contract §3)."""

from typing import Any

import pytest

from erlmcp_site.pipeline.messages import Reply
from tests.pipeline.calls import ask, body, code, token_of

pytestmark = pytest.mark.usefixtures("running")

ALL = "resource://example.com/*"


async def acknowledge(token: str, subscription: str, offset: int, **metadata: str) -> Reply:
    return await ask("events/ack", {"subscription": subscription, "offset": offset}, token, metadata=metadata)


async def test_an_acknowledgement_whose_answer_was_lost_is_answered_the_same() -> None:
    alice, root = await token_of("alice"), await token_of("root")
    made = body(await ask("subscriptions/create", {"uri": ALL, "from": "earliest"}, alice))["id"]
    for number in range(5):
        await ask("resources/write", {"uri": "resource://example.com/a", "content": number}, alice)
    key = {"idempotency-key": "k"}
    told = body(await acknowledge(alice, made, 3, **key))
    assert told == {"subscription": made, "offset": 3}

    async def repeated() -> Any:
        again = await acknowledge(alice, made, 3, **key)
        assert again.replayed
        return body(again)

    assert await repeated() == told
    assert body(await acknowledge(alice, made, 5))["offset"] == 5
    assert await repeated() == told, "more was acknowledged"
    denial = {"user": "alice", "pattern": ALL, "verbs": ["read"], "effect": "deny"}
    rule = body(await ask("access/grant", denial, root))["id"]
    assert code(await acknowledge(alice, made, 3)) == "resource_not_found"
    assert await repeated() == told, "the right to follow is gone"
    body(await ask("access/revoke", {"rule": rule}, root))
    body(await ask("subscriptions/delete", {"subscription": made}, alice))
    assert code(await acknowledge(alice, made, 3)) == "resource_not_found"
    assert await repeated() == told, "the subscription is gone"


async def test_a_change_is_not_answered_again_to_whoever_may_not_make_it_any_more() -> None:
    alice, root = await token_of("alice"), await token_of("root")

    async def write() -> Reply:
        params = {"uri": "resource://example.com/a", "content": 1}
        return await ask("resources/write", params, alice, metadata={"idempotency-key": "k"})

    first = body(await write())
    denial = {"user": "alice", "pattern": ALL, "verbs": ["write"], "effect": "deny"}
    rule = body(await ask("access/grant", denial, root))["id"]
    assert code(await write()) == "forbidden"
    body(await ask("access/revoke", {"rule": rule}, root))
    again = await write()
    assert again.replayed and body(again) == first
