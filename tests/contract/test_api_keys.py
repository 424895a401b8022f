"""API keys on every transport and every node (contract §2, §6)."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest
from websockets.exceptions import InvalidStatus

from tests.contract.conftest import Opening
from tests.stack.cluster import Cluster
from tests.stack.refusals import refuses
from tests.stack.rest import Rest
from tests.stack.sockets import Socket
from tests.stack.sse import follow
from tests.stack.waiting import in_time


async def test_a_key_calls_on_every_transport_within_its_scopes(opened: Opening, tree: str) -> None:
    async with opened("alice") as alice:
        made = await alice.call("keys/create", label="feed", scope="resources:read")
        await alice.call("resources/write", uri=f"{tree}a", content=1)
    async with opened(token=made["key"]) as machine:
        assert (await machine.call("resources/read", uri=f"{tree}a"))["content"] == 1
        with refuses("forbidden"):
            await machine.call("resources/write", uri=f"{tree}a", content=2)
        with refuses("forbidden"):
            await machine.call("subscriptions/create", uri=f"{tree}a")
        with refuses("forbidden"):
            await machine.call("keys/create")
    async with opened("alice") as alice:
        listed = (await alice.call("keys/list", limit=1000))["keys"]
        assert made["id"] in [one["id"] for one in listed] and "key" not in listed[0]
        await alice.call("keys/revoke", id=made["id"])


async def test_a_key_may_come_as_the_first_message_of_a_socket(stack: Cluster, rest: Rest) -> None:
    made = await rest.call("keys/create")
    base = stack.nodes[0].base
    async with await Socket.connect(base, origin=base) as socket:
        assert (await socket.call("auth/authenticate", token=made["key"]))["user"] == "alice"
        assert (await socket.call("keys/list", limit=1)).result["keys"]


async def test_revoking_cuts_the_sockets_and_streams_of_a_key_on_every_node_within_a_second(
    stack: Cluster, rest: Rest, tree: str
) -> None:
    async def revoke() -> float:
        made = await rest.call("keys/create")
        async with AsyncExitStack() as opened:
            enter = opened.enter_async_context
            sockets = [await enter(await Socket.connect(node.base, made["key"])) for node in stack.nodes]
            clients = [await enter(Rest(node.base, made["key"])) for node in stack.nodes]
            streams = [await enter(follow(client, uri=f"{tree}*")) for client in clients]
            for socket in sockets:
                await socket.subscribe(f"{tree}*")
            await rest.call("keys/revoke", id=made["id"])
            at = time.monotonic()
            codes = await asyncio.gather(*(socket.end() for socket in sockets))
            await asyncio.gather(*(stream.end() for stream in streams))
            took = time.monotonic() - at
            assert codes == [4401] * len(sockets)
            for client in clients:
                with refuses("unauthenticated"):
                    await client.call("resources/list")
        with pytest.raises(InvalidStatus) as refused:
            await Socket.connect(stack.nodes[0].base, made["key"])
        assert refused.value.response.status_code == 401
        return took

    await in_time(revoke, 1, "everything is cut")
