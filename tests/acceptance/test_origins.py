"""Who may open a socket from where (quality 24; contract §5)."""

import math
import time

import pytest
from websockets.exceptions import InvalidStatus

from tests.conftest import HASTY_SECONDS
from tests.stack.answers import Refused
from tests.stack.cluster import Cluster
from tests.stack.sockets import Closed, Socket
from tests.stack.waiting import in_time


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "https://{host}",
        "http://{host}.evil.example",
        "http://evil.example/{host}",
        "http://{host}@evil.example",
        "http://user@{host}",
        "http://{host}/",
        "{host}",
        "",
        "file://",
    ],
)
@pytest.mark.parametrize("with_token", [True, False], ids=["token", "no token"])
async def test_a_foreign_page_is_refused_even_with_a_good_token(
    embedded: Cluster, origin: str, with_token: bool
) -> None:
    base = embedded.nodes[0].base
    token = embedded.token("alice") if with_token else None
    with pytest.raises(InvalidStatus) as refused:
        await Socket.connect(base, token, headers={"Origin": origin.format(host=base.removeprefix("http://"))})
    assert refused.value.response.status_code == 403


async def test_our_own_page_may_connect_and_then_has_to_say_who_it_is(embedded: Cluster) -> None:
    base = embedded.nodes[0].base
    async with await Socket.connect(base, embedded.token("alice"), origin=base) as socket:
        assert (await socket.call("resources/list")).result
    async with await Socket.connect(base, origin=base) as socket:
        await socket.call("auth/authenticate", token=embedded.token("alice"))
        assert (await socket.call("resources/list")).result


async def test_a_page_that_is_allowed_by_name_may_connect(hasty: Cluster) -> None:
    base = hasty.nodes[0].base

    async def connect() -> float:
        at, access = time.monotonic(), hasty.login("alice")["access"]
        try:
            async with await Socket.connect(base, access, origin="https://app.example.com") as socket:
                assert (await socket.call("ping")).result == {}
        except (InvalidStatus, Closed):
            # the token may have expired, so slow is this machine
            assert time.monotonic() - at >= HASTY_SECONDS
            return math.inf
        return 0.0

    await in_time(connect, 0, "the socket is opened before its token expires")
    access = hasty.login("alice")["access"]
    for origin in ("https://app.example.com.evil.example", "http://app.example.com", "https://example.com"):
        with pytest.raises(InvalidStatus) as refused:
            await Socket.connect(base, access, origin=origin)
        assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "headers", [{}, {"Cookie": "sessionid=abc; erlmcp_admin=abc"}, {"Authorization": "Basic eDp5"}]
)
async def test_without_an_origin_a_token_is_needed(embedded: Cluster, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await Socket.connect(embedded.nodes[0].base, headers=headers)
    assert refused.value.response.status_code == 401


async def test_without_an_origin_a_token_is_enough(embedded: Cluster) -> None:
    async with await Socket.connect(embedded.nodes[0].base, embedded.token("alice")) as socket:
        assert (await socket.call("resources/list")).result


async def test_a_bad_token_is_refused_at_the_handshake_or_closed(embedded: Cluster) -> None:
    token = embedded.token("alice")
    for bad in ("nonsense", token[:-4] + "AAAA", "a.b.c"):
        try:
            socket = await Socket.connect(embedded.nodes[0].base, bad)
        except InvalidStatus as refused:
            assert refused.response.status_code == 401
        else:
            assert await socket.end() == 4401


async def test_a_token_in_the_query_is_no_token(embedded: Cluster) -> None:
    for name in ("token", "access_token", "bearer"):
        with pytest.raises(InvalidStatus) as refused:
            await Socket.connect(embedded.nodes[0].base, path=f"/ws/v1?{name}={embedded.token('alice')}")
        assert refused.value.response.status_code == 401


async def test_who_does_not_say_who_they_are_is_closed(embedded: Cluster) -> None:
    base = embedded.nodes[0].base

    async def be_silent() -> float:
        at = time.monotonic()
        async with await Socket.connect(base, origin=base) as silent, await Socket.connect(base, origin=base) as liar:
            with pytest.raises((Refused, Closed)):
                await liar.call("auth/authenticate", token="nonsense")
            assert await liar.end() == 4401
            assert await silent.end() == 4408
            return time.monotonic() - at

    await in_time(be_silent, 6, "who says nothing is closed")


async def test_nothing_else_is_answered_before_authentication(embedded: Cluster) -> None:
    base = embedded.nodes[0].base
    async with await Socket.connect(base, origin=base) as socket:
        with pytest.raises((Refused, Closed)) as refused:
            await socket.call("resources/list")
        assert isinstance(refused.value, (Refused, Closed)) and refused.value.code in {"unauthenticated", 4401}


async def test_a_forged_forwarded_for_changes_nothing(embedded: Cluster) -> None:
    """The audit trail has the peer's own address."""
    tree = embedded.tree()
    forged = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    async with embedded.rest("alice") as alice:
        await alice.call("resources/write", forged, uri=f"{tree}a", content=1)
    told = {name.lower(): value for name, value in forged.items()}
    async with embedded.grpc("alice") as alice_over_grpc:
        await alice_over_grpc.call("resources/write", told, uri=f"{tree}a", content=2)
    assert len(embedded.truth.entries(tree)) == 2
    assert {entry["source_ip"] for entry in embedded.truth.entries(tree)} == {"127.0.0.1"}
