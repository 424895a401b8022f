"""Who may be connected no more is cut within a second, over whatever pushes, on every node (quality 16, 23)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from typing import Any

import jwt
from websockets.exceptions import InvalidStatus

from tests.stack import sse
from tests.stack.answers import Refused
from tests.stack.cluster import Cluster
from tests.stack.door import Door
from tests.stack.grpc_client import Stream
from tests.stack.refusals import refuses
from tests.stack.rest import Rest
from tests.stack.scraping import metric
from tests.stack.sockets import Closed, Followed, Socket
from tests.stack.waiting import PATIENCE, Late, eventually

CUT_SECONDS = 1.2
"""A second, and a moment for what is measured on the way."""

CONNECTIONS_MOST, SPREAD_SECONDS = 20, 0.5
"""Of each transport: after so many there is one on every node. A node may be left alone by the gateway for a moment."""

LIVES_SECONDS = (2, 10, 60)
"""How long a token is good that is to expire while its bearer is connected; the longer ones are for slow machines."""

USER = "dora"


@dataclass(frozen=True, kw_only=True)
class Said:
    """What clients are told as they are cut: the close code of sockets, the state of the session, the code of gRPC."""

    close_code: int
    state: str | None = None
    code: str


ENDINGS: Mapping[str, Said] = {
    "suspended": Said(close_code=4403, state="suspended", code="forbidden"),
    "closed": Said(close_code=4403, state="terminating", code="forbidden"),
    "logged out": Said(close_code=4401, code="unauthenticated"),
}
"""What can be done to a session while its clients are connected."""

EXPIRED = Said(close_code=4401, code="unauthenticated")


@dataclass
class Connected:
    """Whatever somebody has open: sockets with what each follows, streams of server-sent events and of gRPC."""

    sockets: list[Socket] = field(default_factory=list)
    followed: list[Followed] = field(default_factory=list)
    streams: list[sse.Stream] = field(default_factory=list)
    calls: list[Stream] = field(default_factory=list)

    @property
    def watches(self) -> list[Followed | sse.Stream]:
        return [*self.followed, *self.streams, *(call.followed for call in self.calls)]

    async def streams_end(self) -> set[str]:
        """Wait until all streams have been ended. Returns the codes of those of gRPC."""
        await asyncio.gather(*(stream.end() for stream in self.streams))
        return {refused.code for refused in await asyncio.gather(*(call.end() for call in self.calls))}

    async def all_end(self, said: Said) -> None:
        """Wait until everything has been ended, each with what has to be said."""
        codes = set(await asyncio.gather(*(socket.end() for socket in self.sockets)))
        assert codes == {said.close_code}, f"sockets were closed with {codes}"
        codes_of_grpc = await self.streams_end()
        assert codes_of_grpc == {said.code}, f"streams of gRPC ended with {codes_of_grpc}"


@asynccontextmanager
async def connected(cluster: Cluster, door: Door, token: str, pattern: str) -> AsyncIterator[Connected]:
    """Followers of a pattern over each transport, so many that there are some of each on every node."""
    made = Connected()
    async with AsyncExitStack() as opened:
        enter = opened.enter_async_context
        rest, grpc = await enter(door.rest(token)), await enter(door.grpc(token))

        async def open_socket() -> None:
            made.sockets.append(await enter(await door.socket(token)))
            made.followed.append(await made.sockets[-1].subscribe(pattern))

        async def open_stream() -> None:
            made.streams.append(await enter(sse.follow(rest, uri=pattern)))

        async def open_call() -> None:
            made.calls.append(await enter(grpc.follow(uri=pattern)))

        for open_one in (open_socket, open_stream, open_call):
            before = await followers(cluster)
            for number in range(1, CONNECTIONS_MOST + 1):
                await open_one()
                if number >= len(cluster.nodes):
                    with suppress(Late):
                        await eventually(partial(are_more, cluster, before), SPREAD_SECONDS, "some are on every node")
                        break
            else:
                raise AssertionError(f"{CONNECTIONS_MOST} followers are on one node")
        yield made


async def followers(cluster: Cluster) -> list[float]:
    """How many each node has."""
    counts = []
    for node in cluster.nodes:
        async with node.rest() as rest:
            counts.append(await metric(rest, "erlmcp_followers"))
    return counts


async def are_more(cluster: Cluster, before: Sequence[float]) -> bool:
    """Whether each node has more followers than it had."""
    return all(now > then for now, then in zip(await followers(cluster), before, strict=True))


async def nobody_follows(cluster: Cluster) -> None:
    """Wait until clients of earlier scenarios have left."""

    async def none() -> bool:
        return not any(await followers(cluster))

    await eventually(none, PATIENCE, "earlier followers leave")


async def end_a_session(cluster: Cluster, door: Door, ending: str) -> float:
    """Seconds until everything that a session has open is cut, after one of ENDINGS."""
    tree, tokens, said = cluster.tree(), cluster.login("alice"), ENDINGS[ending]
    await nobody_follows(cluster)
    async with (
        door.rest(cluster.token("admin")) as admin,
        door.rest(tokens["access"]) as alice,
        await door.socket(cluster.token("bob")) as witness,
    ):
        session = (await alice.call("resources/list")).headers["session-id"]
        async with connected(cluster, door, tokens["access"], f"{tree}*") as cut:
            began = time.monotonic()
            if ending == "suspended":
                await admin.call("sessions/suspend", session=session)
            elif ending == "closed":
                await admin.call("sessions/close", session=session)
            else:
                await admin.call("auth/revoke", refresh=tokens["refresh"])
            await cut.all_end(said)
            took = time.monotonic() - began
            if said.state is not None:
                states = {(await socket.notice("session"))["state"] for socket in cut.sockets}
                assert states == {said.state}, f"sockets were told {states}"
        assert (await witness.call("ping")).result == {}
    return took


async def expire(cluster: Cluster, door: Door) -> float:
    """Seconds until everything that the bearer of a token has open is cut, after the token has expired."""
    tree, genuine, mint = cluster.tree(), cluster.login("alice")["access"], Mint(cluster)
    await nobody_follows(cluster)
    for life in LIVES_SECONDS:
        expires_at = ceil(time.time()) + life
        token = mint.again(genuine, exp=expires_at)
        async with AsyncExitStack() as opened:
            try:
                cut = await opened.enter_async_context(connected(cluster, door, token, f"{tree}*"))
            except (Refused, InvalidStatus, Closed, AssertionError):
                if time.time() < expires_at:
                    raise
                continue
            if time.time() < expires_at:
                await cut.all_end(EXPIRED)
                lag = time.time() - expires_at
                assert lag >= 0, f"cut {-lag:.3f} s before the token expired"
                return lag
    raise AssertionError("nobody could connect in time")


async def uncover(cluster: Cluster, door: Door, ending: str) -> float:
    """Seconds until all followers of a user are cut whose rule is "revoked", or "denied" a part."""
    if USER not in cluster.passwords:
        cluster.add_users(USER)
    tree, token = cluster.tree(), cluster.token(USER)
    await nobody_follows(cluster)
    async with door.rest(cluster.token("admin")) as admin:
        whom: dict[str, Any] = {"user": USER, "effect": "allow", "verbs": ["read", "subscribe"]}
        await admin.call("access/grant", **whom, pattern=f"{tree}kept/*")
        rule = await admin.call("access/grant", **whom, pattern=f"{tree}*")
        for node in cluster.nodes:
            async with node.rest(token) as client:
                await eventually(partial(_may_follow, client, tree), PATIENCE, "every node knows of the grant")
        async with (
            connected(cluster, door, token, f"{tree}*") as going,
            connected(cluster, door, token, f"{tree}kept/*") as staying,
        ):
            if ending == "revoked":
                await admin.call("access/revoke", rule=rule["id"])
            else:
                await admin.call("access/grant", **whom | {"effect": "deny"}, pattern=f"{tree}secret")
            began = time.monotonic()
            for socket, followed in zip(going.sockets, going.followed, strict=True):
                told = await socket.notice("unsubscribed")
                assert (told["subscription"], told["code"]) == (followed.id, "forbidden"), told
            codes = await going.streams_end()
            took = time.monotonic() - began
            assert codes == {"forbidden"}, f"streams of gRPC ended with {codes}"

            await admin.call("resources/write", uri=f"{tree}secret", content=1)
            await admin.call("resources/write", uri=f"{tree}kept/a", content=1)
            for watch in staying.watches:
                await watch.count(1)
            leaks = [event for watch in going.watches for event in watch.events]
            assert not leaks, f"handed to who may not see it: {leaks}"
        for node in cluster.nodes:
            async with node.rest(token) as client:
                with refuses("resource_not_found"):
                    await client.call("resources/read", uri=f"{tree}secret")
    return took


async def _may_follow(client: Rest, tree: str) -> bool:
    try:
        await client.call("subscriptions/create", uri=f"{tree}*")
    except Refused:
        return False
    return True


class Mint:
    """Makes tokens as the nodes of a cluster do, with their key, and with other claims."""

    _keys: dict[Cluster, tuple[str, str]] = {}

    def __init__(self, cluster: Cluster) -> None:
        if cluster not in self._keys:
            told = cluster.nodes[0].manage("shell", "-c", TELL_THE_KEY)
            kid, key = json.loads(told.splitlines()[-1])
            self._keys[cluster] = kid, key
        self._kid, self._key = self._keys[cluster]

    def again(self, token: str, **claims: object) -> str:
        """The token with other claims."""
        said = jwt.decode(token, options={"verify_signature": False})
        return jwt.encode(said | claims, self._key, algorithm="RS256", headers={"kid": self._kid})


TELL_THE_KEY = """
import json
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sessions_app.keys import ring
kid, key = ring.signing()
print(json.dumps([kid, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()]))
"""
