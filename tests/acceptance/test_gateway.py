"""Through HAProxy and through nginx, with the configuration in deploy/, everything is as on the nodes themselves."""

from collections.abc import Iterator

import pytest

from tests.stack import sse
from tests.stack.cluster import Cluster
from tests.stack.gateway import KINDS, Gateway, gateway


@pytest.fixture(scope="module", params=KINDS)
def edge(request: pytest.FixtureRequest, pair: Cluster) -> Iterator[Gateway]:
    """The gateway in front of two nodes."""
    with gateway(request.param, pair.nodes) as edge:
        yield edge


async def test_a_resource_written_through_the_gateway_is_read_through_it(edge: Gateway, pair: Cluster) -> None:
    uri = pair.tree() + "a"
    async with edge.rest(pair.token("alice")) as alice:
        written = await alice.call("resources/write", uri=uri, content={"n": 1})
        for _ in range(4):
            assert (await alice.call("resources/read", uri=uri))["version"] == written["version"]


async def test_a_socket_gets_its_events(edge: Gateway, pair: Cluster) -> None:
    tree = pair.tree()
    async with edge.rest(pair.token("alice")) as alice, await edge.socket(pair.token("alice")) as socket:
        followed = await socket.subscribe(tree + "*")
        for number in range(3):
            await alice.call("resources/write", uri=tree + "a", content=number)
        await followed.count(3)


async def test_a_stream_gets_each_event_as_it_happens(edge: Gateway, pair: Cluster) -> None:
    tree = pair.tree()
    async with edge.rest(pair.token("alice")) as alice, sse.follow(alice, uri=tree + "*") as stream:
        for number in range(1, 4):
            await alice.call("resources/write", uri=tree + "a", content=number)
            await stream.count(number)


async def test_grpc_asks_and_follows(edge: Gateway, pair: Cluster) -> None:
    tree = pair.tree()
    async with edge.grpc(pair.token("alice")) as alice, alice.follow(uri=tree + "*") as stream:
        for number in range(1, 4):
            await alice.call("resources/write", uri=tree + "a", content=number)
            await stream.followed.count(number)
        assert (await alice.call("resources/read", uri=tree + "a"))["content"] == 3
