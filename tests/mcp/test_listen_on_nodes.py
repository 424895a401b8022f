"""Whoever listens on one process is told of what is changed on another, by whatever transport."""

from collections.abc import Awaitable, Callable

from tests.stack.cluster import Cluster
from tests.stack.mcp_client import Mcp
from tests.stack.mcp_listening import listen


async def test_changes_by_every_transport_reach_who_listens_on_another_node(pair: Cluster) -> None:
    tree = pair.tree()
    uri = f"{tree}a"
    async with (
        pair.rest("alice", 1) as rest,
        await pair.socket("alice", 1) as socket,
        pair.grpc("alice", 1) as grpc,
        Mcp(pair.nodes[1].base, pair.token("alice")) as agent,
        Mcp(pair.nodes[0].base, pair.token("bob")) as bob,
    ):

        async def tool(method: str, *, uri: str, content: object) -> int:
            result = await agent.tool("resource_update", uri=uri, content=content)
            return int(result["structuredContent"]["offset"])

        async def over(call: Callable[..., Awaitable[object]], content: object) -> int:
            written = await call("resources/write", uri=uri, content=content)
            return written if isinstance(written, int) else int(written["offset"])  # type: ignore[index]

        await rest.call("resources/write", uri=uri, content=0)
        async with listen(bob, [uri], resourcesListChanged=True) as stream:
            assert await stream.acknowledged() == {"resourceSubscriptions": [uri], "resourcesListChanged": True}
            for number, call in enumerate((rest.call, socket.call, grpc.call, tool)):
                offset = await over(call, number)
                await stream.told_of(uri, offset)
            assert stream.updates == [uri] * 4
            await rest.call("resources/create", uri=f"{tree}b", content=0)
            await stream.told_of_list("resources")
