"""Logging in, refreshing and revoking (contract §2, §7)."""

import asyncio
import time

import pytest

from tests.contract.conftest import Opening
from tests.stack.answers import Refused
from tests.stack.cluster import Cluster
from tests.stack.refusals import refuses
from tests.stack.rest import Rest
from tests.stack.waiting import PATIENCE, eventually, in_time


async def test_a_login_gives_a_pair_of_tokens(stack: Cluster) -> None:
    async with stack.rest() as rest:
        pair = (await rest.call("auth/login", username="alice", password=stack.passwords["alice"])).result
    assert pair.keys() == {"access", "refresh", "expires_in"}
    assert isinstance(pair["expires_in"], int) and pair["expires_in"] > 0
    async with stack.rest(token=pair["access"]) as rest:
        assert (await rest.call("resources/list")).status == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"username": "alice", "password": "wrong"}, "unauthenticated"),
        ({"username": "nobody-here", "password": "wrong"}, "unauthenticated"),
        ({"username": "alice"}, "invalid_params"),
        ({"username": ["alice"], "password": {}}, "invalid_params"),
        ({"username": "a\u0000", "password": "x"}, "invalid_params"),
        ({}, "invalid_params"),
    ],
)
async def test_a_login_that_fails(stack: Cluster, body: dict, code: str) -> None:
    async with stack.rest() as rest:
        with refuses(code):
            await rest.call("auth/login", **body)


async def test_a_refresh_token_works_once(stack: Cluster) -> None:
    pair = stack.login("alice")
    async with stack.rest() as rest:
        fresh = (await rest.call("auth/refresh", refresh=pair["refresh"])).result
        assert fresh["access"] != pair["access"] and fresh["refresh"] != pair["refresh"]
        with refuses("refresh_reused"):
            await rest.call("auth/refresh", refresh=pair["refresh"])
        assert (await rest.call("auth/refresh", refresh=fresh["refresh"])).status == 200


async def test_of_parallel_refreshes_exactly_one_succeeds(stack: Cluster) -> None:
    pair = stack.login("alice")
    clients = [stack.rest(node=n % len(stack.nodes)) for n in range(4)]
    answers = await asyncio.gather(
        *(clients[n % 4].call("auth/refresh", refresh=pair["refresh"]) for n in range(24)), return_exceptions=True
    )
    await asyncio.gather(*(client.http.aclose() for client in clients))
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    assert len(refused) == 23 and {answer.code for answer in refused} == {"refresh_reused"}


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c"])
async def test_nonsense_is_not_refreshed(stack: Cluster, token: str) -> None:
    async with stack.rest() as rest:
        with pytest.raises(Refused) as refused:
            await rest.call("auth/refresh", refresh=token)
        assert refused.value.code == ("unauthenticated" if token else "invalid_params")


async def test_an_access_token_is_no_refresh_token_nor_the_reverse(stack: Cluster) -> None:
    pair = stack.login("alice")
    async with stack.rest(token=pair["refresh"]) as rest:
        with refuses("unauthenticated"):
            await rest.call("resources/list")
        with refuses("unauthenticated"):
            await rest.call("auth/refresh", refresh=pair["access"])


async def test_revoking_ends_the_family_on_every_node_within_a_second(stack: Cluster) -> None:
    async def revoke() -> float:
        pair = stack.login("alice")
        clients = [Rest(node.base, pair["access"]) for node in stack.nodes]
        for client in clients:
            await client.call("resources/list")
        await clients[0].call("auth/revoke", refresh=pair["refresh"])
        at = time.monotonic()

        async def all_refuse() -> bool:
            answers = [await client.request("GET", "resources") for client in clients]
            return {answer.status_code for answer in answers} == {401}

        await eventually(all_refuse, PATIENCE, "the access token is refused")
        took = time.monotonic() - at
        with refuses("unauthenticated"):
            await clients[0].call("auth/refresh", refresh=pair["refresh"])
        await clients[0].call("auth/revoke", refresh=pair["refresh"])
        await asyncio.gather(*(client.http.aclose() for client in clients))
        return took

    await in_time(revoke, 1, "the family has ended on every node")


async def test_reuse_after_the_grace_ends_the_family(hasty: Cluster) -> None:
    pair = hasty.login("alice")
    async with hasty.rest() as rest:
        fresh = (await rest.call("auth/refresh", refresh=pair["refresh"])).result
        with refuses("refresh_reused"):
            await rest.call("auth/refresh", refresh=pair["refresh"])
        with refuses("unauthenticated"):
            await rest.call("auth/refresh", refresh=fresh["refresh"])


async def test_auth_works_on_an_open_connection_too(opened: Opening, stack: Cluster) -> None:
    async with opened("alice") as client:
        pair = await client.call("auth/login", username="bob", password=stack.passwords["bob"])
        await client.call("auth/revoke", refresh=pair["refresh"])


async def test_the_signing_keys_are_public(stack: Cluster) -> None:
    sets = []
    for node in stack.nodes:
        async with Rest(node.base) as rest:
            sets.append((await rest.http.get("/.well-known/jwks.json")).json())
    assert all(found == sets[0] for found in sets)
    assert sets[0]["keys"] and all(key["alg"] == "RS256" and "d" not in key for key in sets[0]["keys"])


async def test_nodes_accept_each_others_tokens(stack: Cluster) -> None:
    for issuer in range(len(stack.nodes)):
        pair = stack.login("bob", issuer)
        for node in stack.nodes:
            async with Rest(node.base, pair["access"]) as rest:
                assert (await rest.call("resources/list")).status == 200
