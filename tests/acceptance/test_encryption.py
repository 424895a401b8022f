"""Content under a rule is on no disk and in no Redis, however it was written, and readable everywhere (seed §12.1)."""

import asyncio
import contextlib
import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
import redis as client_of

from tests.stack.answers import Refused
from tests.stack.cluster import KINDS, Cluster, running
from tests.stack.postgres_server import PostgresServer
from tests.stack.redis_server import RedisServer
from tests.stack.rest import Rest
from tests.stack.waiting import eventually, wait_until

TREE = "resource://vault.example/"
CANARY = "canary-of-a-sealed-resource"
CONTROL = "canary-that-nothing-hides"


@pytest.fixture(scope="module", params=KINDS)
def vault(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Nodes that encrypt one tree, and sessions, by one keyring."""
    keyring = tmp_path_factory.mktemp("keys") / "keyring.json"
    environment = {"ENCRYPT": f"{TREE}*=local, sessions=local", "ENCRYPTION_KEYRING": str(keyring)}
    if request.param == "sqlite":
        with running("sqlite", environment=environment) as cluster:
            yield cluster
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    redis: RedisServer = request.getfixturevalue("redis")
    with running("postgres+redis", postgres=postgres, redis=redis, nodes=2, environment=environment) as cluster:
        yield cluster


def files(folder: Path) -> bytes:
    """All that lies there; what goes away meanwhile is on no disk any more."""
    found = []
    for parent, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(parent, name)
            with contextlib.suppress(FileNotFoundError):
                found += [path.read_bytes()] if path.is_file() else []
    return b"\n".join(found)


def everything_kept(cluster: Cluster, request: pytest.FixtureRequest) -> bytes:
    """All files of nodes and databases, what Redis holds, and an export of the trail."""
    wait_until(lambda: cluster.truth.waiting_entries() == 0, 60, "all entries are moved")
    export = cluster.folder / "export.jsonl"
    cluster.nodes[0].manage("audit", "export", "--output", str(export))
    kept = [files(cluster.folder), cluster.nodes[0].output.encode()]
    if cluster.kind == "postgres+redis":
        with psycopg.connect(cluster.environment["DATABASE_URL"], autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        server: PostgresServer = request.getfixturevalue("postgres")
        kept.append(files(server.folder))
        with client_of.Redis.from_url(cluster.environment["REDIS_URL"]) as connected:
            kept += [connected.dump(key) or b"" for key in connected.scan_iter()]
    return b"\n".join(kept)


async def test_encrypted_content_is_on_no_disk(vault: Cluster, request: pytest.FixtureRequest) -> None:
    uri, plain = f"{TREE}secrets/1", vault.tree() + "a"
    last = len(vault.nodes) - 1
    async with (
        vault.rest("alice") as alice,
        await vault.socket("alice") as writer,
        await vault.socket("bob", last) as reader,
    ):
        followed = await reader.subscribe(f"{TREE}*")
        deltas = await reader.subscribe(f"{TREE}secrets/+", options={"delta": True})
        first = {"name": CANARY, "list": [CANARY] * 50, CANARY: 1}
        call = {"uri": uri, "content": first, "on_conflict": "merge"}
        once = await alice.call("resources/write", idempotency_key="canary-call", **call)
        again = await alice.call("resources/write", idempotency_key="canary-call", **call)
        assert again["content"] == once["content"] == first
        await writer.call("resources/patch", uri=uri, patch={CANARY: 2})
        with pytest.raises(Refused) as conflict:
            await alice.call("resources/write", uri=uri, content={**first, CANARY: 3}, base_version=1)
        assert conflict.value.data["conflicting_paths"] == [f"/{CANARY}"]
        await alice.call("resources/write", uri=f"{TREE}text", text=CANARY)
        await alice.call("resources/delete", uri=f"{TREE}text")
        await alice.call("resources/write", uri=plain, content=CONTROL)
        await followed.count(4)
        assert [event["data"].get("content") for event in followed.events[:2]] == [first, {**first, CANARY: 2}]
        await deltas.count(2)
        assert deltas.events[1]["data"]["patch"] == [{"op": "replace", "path": f"/{CANARY}", "value": 2}]
        for node in range(len(vault.nodes)):
            async with vault.rest("bob", node) as bob:
                for consistency in ("strong", "causal", "eventual"):
                    found = await bob.call("resources/read", uri=uri, consistency=consistency)
                    assert found["content"] == {**first, CANARY: 2}
                assert (await bob.call("resources/read", uri=uri, version=1))["content"] == first
        replayed = await reader.subscribe(f"{TREE}*", start=followed.events[0]["offset"] - 1)
        await replayed.count(4)
        assert replayed.events == followed.events
    kept = everything_kept(vault, request)
    assert CONTROL.encode() in kept
    assert CANARY.encode() not in kept


async def test_what_sessions_know_is_on_no_disk(vault: Cluster, request: pytest.FixtureRequest) -> None:
    notes = {"label": CANARY, "client_id": CANARY, "metadata": {CANARY: [CANARY]}}
    async with vault.rest("alice") as alice:
        made = [await alice.call("sessions/create", backend=backend, **notes) for backend in ("database", "cache")]
        await alice.call("sessions/update", session=made[0]["id"], label=f"{CANARY} of one that was changed")
        await alice.call("resources/write", uri=vault.tree() + "b", content=CONTROL)
        for node in range(len(vault.nodes)):
            async with vault.rest("admin", node) as admin:
                listed = {one["id"]: one for one in (await admin.call("sessions/list", limit=1000))["sessions"]}
                assert listed[made[0]["id"]]["label"] == f"{CANARY} of one that was changed"
                assert (await admin.call("sessions/get", session=made[1]["id"]))["metadata"] == notes["metadata"]
    kept = everything_kept(vault, request)
    assert CONTROL.encode() in kept
    assert CANARY.encode() not in kept


async def test_keys_are_rotated_and_one_destroyed_while_clients_read(vault: Cluster) -> None:
    """The Celery worker replaces the old key; not one read fails, and what was destroyed is destroyed on every node."""
    node, uris = vault.nodes[0], [f"{TREE}rotated/{number}" for number in range(10)]
    stop = asyncio.Event()
    failed: list[Refused] = []
    answered = 0

    async def keep_reading(number: int) -> None:
        nonlocal answered
        async with vault.rest("bob", number % len(vault.nodes)) as bob:
            while not stop.is_set():
                for uri in uris:
                    try:
                        await bob.call("resources/read", uri=uri, consistency="strong")
                        answered += 1
                    except Refused as refused:
                        failed.append(refused)
                    # on SQLite, every read waits for its entry with the others who write
                    await asyncio.sleep(0.05)

    async with vault.rest("alice") as alice:
        for uri in uris:
            await alice.call("resources/write", uri=uri, content={"of": uri})
        readers = [asyncio.create_task(keep_reading(number)) for number in range(4)]
        try:
            (old,) = [key["key"] for key in await status(vault) if key["state"] == "current"]
            await asyncio.to_thread(node.manage, "keys", "rotate", "--provider", "local")
            said = await asyncio.to_thread(node.manage, "keys", "reencrypt")
            assert "done" in said
            await asyncio.to_thread(node.manage, "keys", "destroy", "--provider", "local", "--key", old, "--yes")
        finally:
            stop.set()
            await asyncio.gather(*readers)
        assert failed == []
        assert answered > 0
        assert {key["key"]: key["state"] for key in await status(vault)}[old] == "destroyed"
        await asyncio.to_thread(node.manage, "keys", "destroy", "--resource", uris[0], "--yes")
        for number in range(len(vault.nodes)):
            async with vault.rest("bob", number) as bob:
                await eventually(partial(is_destroyed, bob, uris[0]), 30, "the content is destroyed on this node")
                assert (await bob.call("resources/read", uri=uris[1]))["content"] == {"of": uris[1]}


async def status(cluster: Cluster) -> list[dict[str, str]]:
    """The key-encryption keys, as `manage.py keys status` tells them."""
    output = await asyncio.to_thread(cluster.nodes[0].manage, "keys", "status", "--json")
    keys: list[dict[str, str]] = json.loads(output.strip().splitlines()[-1])["keys"]
    return keys


async def is_destroyed(rest: Rest, uri: str) -> bool:
    for params in ({"consistency": "eventual"}, {"version": 1}):
        try:
            await rest.call("resources/read", uri=uri, **params)
        except Refused as refused:
            if refused.code != "resource_not_found" or ("version" in params and not refused.data["content_destroyed"]):
                return False
        else:
            return False
    return True
