"""A signing key is followed by another while two nodes are busy with tokens, and no request fails."""

import asyncio

import jwt

from tests.stack.cluster import Cluster
from tests.stack.rest import Rest

PAUSE = 0.02


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


async def test_no_request_fails_while_the_signing_key_changes(pair: Cluster) -> None:
    first = pair.login("alice")
    old = kid_of(first["access"])
    done = asyncio.Event()

    async def refresh_on_one_and_ask_the_other(number: int) -> str:
        """Refresh and use until the tokens of both nodes are signed with the new key; every answer is a good one."""
        one, other = (Rest(pair.nodes[(number + n) % 2].base) for n in range(2))
        tokens, found = pair.login("alice", number % 2), old
        async with one, other:
            while found == old or not done.is_set():
                tokens = (await one.call("auth/refresh", refresh=tokens["refresh"])).result
                for rest in (other, one):
                    await rest.call("resources/list", {"Authorization": f"Bearer {tokens['access']}"}, limit=1)
                one, other, found = other, one, kid_of(tokens["access"])
                await asyncio.sleep(PAUSE)
        return found

    busy = [asyncio.create_task(refresh_on_one_and_ask_the_other(number)) for number in range(4)]
    told = await asyncio.to_thread(pair.nodes[0].manage, "tokens", "rotate")
    new = told.split()[0]
    done.set()
    async with asyncio.timeout(60):
        assert set(await asyncio.gather(*busy)) == {new}
    for node in pair.nodes:
        async with Rest(node.base) as rest:
            kids = [key["kid"] for key in (await rest.http.get("/.well-known/jwks.json")).json()["keys"]]
            assert kids[-2:] == [old, new]
            await rest.call("resources/list", {"Authorization": f"Bearer {first['access']}"}, limit=1)
