"""A user has a bounded number of open sockets, event streams and polls; each that ends makes room for the next."""

import asyncio
import contextlib
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from audit_app.database import in_database
from audit_app.models import OutboxEntry
from audit_app.queues import Queue
from sessions_app.connected import connected
from sessions_app.refused import refused as refused_later
from tests.transports.http_server import Site, until
from tests.transports.test_websocket_handshake import denied, own, patient
from tests.transports.websocket_server import Server

__all__ = ["patient"]

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT = 3
ALL = "resource://host/*"


@pytest.fixture(autouse=True)
def few(settings: Settings) -> None:
    settings.SOCKETS_PER_USER = LIMIT


async def user_id(username: str) -> str:
    user = await in_database(User.objects.get, username=username)
    return str(user.pk)


async def held_by(username: str) -> int:
    return connected[await user_id(username)]


async def holds(username: str, count: int) -> None:
    """Wait until a user holds so many places: each is given back a moment after its connection has gone."""
    user = await user_id(username)
    await until(lambda: connected[user] == count)


async def refusals(action: str) -> int:
    """How many refused requests of a method are on record as matters of security."""
    found = OutboxEntry.objects.filter(queue=Queue.SECURITY, entry__contains=f'"action":"{action}"').filter(
        entry__contains="rate_limited"
    )
    return await in_database(found.count)


async def test_one_socket_too_many_is_refused_at_the_handshake_until_another_ends(server: Server) -> None:
    token = await server.token()
    async with server.connect(token), server.connect(token) as last:
        async with server.connect(token):
            status, _, problem = await denied(server.url, Authorization=f"Bearer {token}")
            assert (status, problem["code"], problem["limit"], problem["category"]) == (
                *(429, "rate_limited"),
                *(LIMIT, "retryable"),
            )
            assert await refusals("auth/authenticate") == 1
            async with server.connect(await server.token("bob")):
                pass
        await holds("alice", 2)
        async with server.connect(token):
            assert await last.result("ping") == {}
    await holds("alice", 0)
    await holds("bob", 0)


@pytest.mark.usefixtures("patient")
async def test_a_page_that_authenticates_one_socket_too_many_is_closed_with_4429(server: Server) -> None:
    token = await server.token()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(LIMIT):
            await stack.enter_async_context(server.connect(token))
        page = await stack.enter_async_context(server.connect("", headers=own(server)))
        answer = await page.call("auth/authenticate", token=token)
        assert (answer["error"]["code"], answer["error"]["data"]["limit"]) == (-32029, LIMIT)
        assert await page.closed() == 4429
    await holds("alice", 0)


async def test_authenticating_again_takes_no_further_place(server: Server) -> None:
    token = await server.token()
    async with server.connect(token) as first, server.connect(token), server.connect(token):
        for _ in range(3):
            await first.result("auth/authenticate", token=await server.token())
        assert await held_by("alice") == LIMIT


async def test_of_200_sockets_at_once_as_many_open_as_are_allowed(server: Server) -> None:
    token = await server.token()
    opened: list[Any] = []
    waiting = [server.connect(token, open_timeout=120) for _ in range(200)]
    outcomes = await asyncio.gather(*(one.__aenter__() for one in waiting), return_exceptions=True)
    opened = [one for one, outcome in zip(waiting, outcomes, strict=True) if not isinstance(outcome, BaseException)]
    assert len(opened) == LIMIT
    for one in opened:
        await one.__aexit__(None, None, None)
    await holds("alice", 0)


async def test_streams_and_polls_count_alike(site: Site) -> None:
    token = (await site.log_in("alice"))["access"]
    created = await site.ask("POST", "subscriptions", json={"uri": ALL})
    poll = f"events?subscription={created.json()['id']}&timeout_ms=60000"
    async with site.stream(token, ALL) as one, site.stream(token, ALL):
        await one.named("bookmark")
        waiting = asyncio.create_task(site.ask("GET", poll))
        user = await user_id("alice")
        await until(lambda: connected[user] == LIMIT)
        for path in (poll, f"events/stream?uri={ALL}"):
            refused = await site.ask("GET", path)
            assert (refused.status_code, refused.json()["code"], refused.json()["limit"]) == (
                429,
                "rate_limited",
                LIMIT,
            )
        await refused_later.tell_all()
        assert (await refusals("events/poll"), await refusals("limits/refused")) == (1, 1)
        await site.write("host/a", 1)
        assert (await waiting).status_code == 200
        await holds("alice", LIMIT - 1)
        assert (await site.ask("GET", f"events/stream?uri={ALL}&after=99999")).status_code == 200
        missing: httpx.Response = await site.ask("GET", "events/stream?uri=resource://host/none")
        assert missing.status_code == 404
        await holds("alice", LIMIT - 1)
        async with site.stream(token, ALL) as third:
            await third.named("bookmark")
    await holds("alice", 0)
