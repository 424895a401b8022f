"""How sockets end: what happens to a session, a token or a user elsewhere, a drain, and clients that do not read."""

import asyncio
import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt
import pytest
from django.contrib.auth.models import Group, User
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from audit_app.bulk import Bulk
from audit_app.commands import Decision, Store
from audit_app.database import in_database
from audit_app.writer import writer
from erlmcp_site.node import node
from erlmcp_site.transports.websocket.registry import connections
from resources_app.hub.hub import CONTROL_LOST
from resources_app.log.control import ControlEvent
from sessions_app.sessions import forget
from tests.stack.waiting import in_time
from tests.transports.websocket_server import PASSWORD, Client, Server

pytestmark = pytest.mark.django_db(transaction=True)

BELOW = "resource://test.local/notes/*"
OWN = "resource://test.local/own/*"
CUT_SECONDS = 1.0


async def session_of(client: Client) -> str:
    return str((await client.result("sessions/list"))["sessions"][0]["id"])


async def ended(client: Client) -> tuple[list[Any], int, float]:
    """What the server says last, the code that it closes with, and in how many seconds."""
    started = time.monotonic()
    said, code = await client.rest(), await client.closed()
    return said, code, time.monotonic() - started


@pytest.mark.parametrize(("method", "state"), [("sessions/suspend", "suspended"), ("sessions/close", "terminating")])
async def test_a_session_that_is_ended_elsewhere_says_so_and_closes_with_4403(
    server: Server, method: str, state: str
) -> None:
    async def end() -> float:
        async with server.connect() as client:
            await client.result("resources/subscribe", uri=BELOW)
            await server.ask(method, {"session": await session_of(client)}, as_user="admin")
            said, code, took = await ended(client)
            assert said[-1] == {"jsonrpc": "2.0", "method": "session", "params": {"state": state}}
            assert code == 4403
            return took

    await in_time(end, CUT_SECONDS, "the socket is cut")


async def test_a_revoked_token_closes_with_4401(server: Server) -> None:
    async def revoke() -> float:
        tokens = await server.login()
        async with server.connect(tokens["access"]) as client, server.connect() as other:
            await server.ask("auth/revoke", {"refresh": tokens["refresh"]})
            _, code, took = await ended(client)
            assert code == 4401
            assert await other.result("ping") == {}
            return took

    await in_time(revoke, CUT_SECONDS, "the socket is cut")


def expiry_of(token: str) -> float:
    return float(jwt.decode(token, options={"verify_signature": False})["exp"])


async def test_an_expired_token_closes_with_4401(server: Server, settings: Any) -> None:
    lives = iter((1, 5, 20))

    async def expire() -> float:
        settings.ACCESS_TOKEN_SECONDS = next(lives)
        token = await server.token()
        try:
            async with server.connect(token) as client:
                assert await client.closed() == 4401
        except InvalidStatus:
            # so slow is this machine
            assert time.time() >= expiry_of(token)
            return math.inf
        assert time.time() >= expiry_of(token)
        return time.time() - expiry_of(token)

    await in_time(expire, CUT_SECONDS, "the socket is cut")


async def test_a_fresh_token_in_time_keeps_the_socket(server: Server, settings: Any) -> None:
    for seconds in (2, 5, 20):
        settings.ACCESS_TOKEN_SECONDS = seconds
        token = await server.token()
        settings.ACCESS_TOKEN_SECONDS = 300
        fresh = await server.token()
        try:
            async with server.connect(token) as client:
                await client.result("auth/authenticate", token=fresh)
                await asyncio.sleep(expiry_of(token) - time.time() + 0.5)
                assert await client.result("ping") == {}
                return
        except (InvalidStatus, ConnectionClosed):
            # so slow is this machine, or the fresh one was of no use
            assert time.time() >= expiry_of(token)
    raise AssertionError("the socket was closed though the fresh token is good")


@dataclass(frozen=True, kw_only=True)
class ChangeUser:
    """What the admin does when a user is edited: the user is saved, and every node is told."""

    store: "UserStore"
    user: User
    is_reader: bool = True
    entry: None = None


class UserStore(Store):
    """The users of a batch of changes."""

    def load(self, db: Bulk, commands: Sequence[ChangeUser]) -> list[ChangeUser]:
        return list(commands)

    def decide(self, state: list[ChangeUser], command: ChangeUser, at: datetime) -> Decision:
        return Decision(events=[ControlEvent(kind="user.changed", subject=str(command.user.pk))])

    def save(self, db: Bulk, state: list[ChangeUser]) -> None:
        for command in state:
            command.user.save()
            if not command.is_reader:
                command.user.groups.clear()


async def test_a_user_who_is_deactivated_is_cut_with_4401(server: Server) -> None:
    bob = await in_database(User.objects.get, username="bob")

    async def deactivate() -> float:
        bob.is_active = True
        await writer.submit(ChangeUser(store=UserStore(), user=bob))
        async with server.connect(await server.token("bob")) as client, server.connect() as other:
            await client.result("resources/subscribe", uri=BELOW)
            bob.is_active = False
            await writer.submit(ChangeUser(store=UserStore(), user=bob))
            _, code, took = await ended(client)
            assert code == 4401
            assert await other.result("ping") == {}
            return took

    await in_time(deactivate, CUT_SECONDS, "the socket is cut")


def add_viewer(username: str) -> User:
    user = User.objects.create_user(username, password=PASSWORD)
    user.groups.add(Group.objects.get(name="viewer"))
    return user


async def test_a_user_who_may_do_less_than_before_is_cut_with_4403(server: Server) -> None:
    names = map("viewer{}".format, itertools.count())

    async def take_away() -> float:
        user = await in_database(add_viewer, next(names))
        async with server.connect(await server.token(user.username)) as client:
            await client.result("resources/subscribe", uri=BELOW)
            await writer.submit(ChangeUser(store=UserStore(), user=user, is_reader=False))
            _, code, took = await ended(client)
            assert code == 4403
            return took

    await in_time(take_away, CUT_SECONDS, "the socket is cut")


def add_member() -> User:
    """carol, who has no role, and is in a group of operators' own."""
    carol = User.objects.create_user("carol", password=PASSWORD)
    carol.groups.add(Group.objects.create(name="team"))
    return carol


async def test_a_user_who_leaves_a_group_follows_no_more_what_its_rules_allowed(server: Server) -> None:
    carol = await in_database(add_member)
    whom = {"verbs": ["read", "subscribe"], "effect": "allow"}
    await server.ask("access/grant", whom | {"group": "team", "pattern": BELOW}, as_user="admin")
    await server.ask("access/grant", whom | {"user": "carol", "pattern": OWN}, as_user="admin")
    async with server.connect(await server.token("carol")) as client:
        following = await client.result("resources/subscribe", uri=BELOW)
        own = await client.result("resources/subscribe", uri=OWN)
        await writer.submit(ChangeUser(store=UserStore(), user=carol, is_reader=False))
        told = await client.notice("unsubscribed")
        assert told == {"subscription": following["subscription"], "code": "forbidden"}
        await server.ask("resources/write", {"uri": OWN.replace("*", "a"), "content": 1}, as_user="admin")
        assert (await client.notice("events"))["subscription"] == own["subscription"]


async def test_a_user_who_changes_otherwise_stays(server: Server) -> None:
    bob = await in_database(User.objects.get, username="bob")
    async with server.connect(await server.token("bob")) as client:
        bob.first_name = "Bob"
        await writer.submit(ChangeUser(store=UserStore(), user=bob))
        await client.result("resources/subscribe", uri=BELOW)
        assert await client.result("ping") == {}


async def test_a_process_that_missed_control_events_looks_at_every_socket_again(server: Server) -> None:
    bob = User.objects.filter(username="bob")

    async def miss() -> float:
        await in_database(bob.update, is_active=True)
        forget()
        async with server.connect(await server.token("bob")) as client, server.connect() as other:
            await other.result("ping")
            await in_database(bob.update, is_active=False)
            lost = ControlEvent(kind=CONTROL_LOST, subject="")
            forget()
            connections.follow_control(lost)
            _, code, took = await ended(client)
            assert code == 4401
            assert await other.result("resources/list")
            return took

    await in_time(miss, CUT_SECONDS, "the socket is cut")


async def test_a_drain_is_announced_and_running_calls_are_answered_before_1012(server: Server) -> None:
    async with server.connect() as client:
        subscription = await client.result("subscriptions/create", uri=BELOW)
        poll = {"subscription": subscription["id"], "timeout_ms": 30_000}
        await client.send({"jsonrpc": "2.0", "id": "poll", "method": "events/poll", "params": poll})
        await client.result("ping")
        draining = asyncio.create_task(node.drain(within=60))
        assert (await client.notice("drain"))["retry_ms"] > 0
        await server.ask("resources/write", {"uri": BELOW.replace("*", "a"), "content": 1}, as_user="admin")
        said = await client.rest()
        assert said[-1]["id"] == "poll" and said[-1]["result"]["events"]
        assert await client.closed() == 1012
        await draining
        with pytest.raises(InvalidStatus) as denial:
            async with connect(server.url, proxy=None):
                raise AssertionError("the handshake was accepted")
        assert denial.value.response.status_code == 503
