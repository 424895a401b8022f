"""Whoever listens on one process is told of what is changed on another, by whatever transport."""

from tests.stack.cluster import Cluster
from tests.stack.grpc_client import Grpc
from tests.stack.mcp_client import Mcp
from tests.stack.mcp_listening import listen
from tests.stack.rest import Rest
from tests.stack.sockets import Socket


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

        async def by_a_tool(content: object) -> int:
            result = await agent.tool("resource_update", uri=uri, content=content)
            return int(result["structuredContent"]["offset"])

        async def by_a_call(client: Rest | Socket | Grpc, content: object) -> int:
            return int((await client.call("resources/write", uri=uri, content=content))["offset"])

        await rest.call("resources/write", uri=uri, content=0)
        async with listen(bob, [uri], resourcesListChanged=True) as stream:
            assert await stream.acknowledged() == {"resourceSubscriptions": [uri], "resourcesListChanged": True}
            clients: list[Rest | Socket | Grpc] = [rest, socket, grpc]
            changes = []
            for number, client in enumerate(clients):
                changes.append(await by_a_call(client, number))
                await stream.told_of(uri, changes[-1])
            changes.append(await by_a_tool("the last"))
            await stream.told_of(uri, changes[-1])
            # that it was made the first node may learn of later, and tell of, too
            assert set(stream.updates) == {uri} and stream.offsets[-4:] == changes
            assert stream.offsets == sorted(set(stream.offsets))
            await rest.call("resources/create", uri=f"{tree}b", content=0)
            await stream.told_of_list("resources")
