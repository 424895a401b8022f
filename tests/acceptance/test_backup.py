"""A backup that is taken while changes go on is, restored, a whole system as it was at one moment."""

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.stack.answers import Refused
from tests.stack.cluster import Cluster
from tests.stack.database import Database, Truth
from tests.stack.node import ROOT, Node
from tests.stack.postgres_server import PostgresServer
from tests.stack.processes import Process, free_port
from tests.stack.redis_server import DATABASES
from tests.stack.rest import Rest
from tests.stack.waiting import eventually, wait_until

RESOURCES = 5


@dataclass(slots=True)
class Place:
    """Where backups of a system are made and restored: with the tools and the settings of its first node."""

    stack: Cluster
    folder: Path
    environment: dict[str, str]
    server: PostgresServer | None

    def back_up(self) -> Path:
        """What `manage.py backup` makes."""
        folder = self.folder / "backup"
        run([sys.executable, "manage.py", "backup", str(folder)], self.environment)
        return folder

    def restored(self, backup: Path, name: str) -> tuple[Node, Truth]:
        """A node on fresh databases with what is in the backup, not started yet."""
        folder = self.folder / name
        folder.mkdir()
        environment = {**self.environment, "GRPC_PORT": "", "VAR_DIR": str(folder)}
        for path in backup.glob("checkpoints.jsonl*"):
            shutil.copy(path, folder)
        if self.server is None:
            for made, place in (("main", "erlmcp"), ("audit", "audit")):
                shutil.copy(backup / f"{made}.sqlite3", folder / f"{place}.sqlite3")
            shutil.copy(Path(self.environment["VAR_DIR"]) / "secret_key", folder)
            urls = [f"sqlite:///{folder / 'erlmcp.sqlite3'}", f"sqlite:///{folder / 'audit.sqlite3'}"]
        else:
            urls = [self.server.create(f"{name}_{made}") for made in ("main", "audit")]
            for made, url in zip(("main", "audit"), urls, strict=True):
                run(
                    ["pg_restore", "--no-owner", "--exit-on-error", f"--dbname={url}", f"{backup / made}.dump"],
                    environment,
                )
            environment |= {"DATABASE_URL": urls[0], "AUDIT_DATABASE_URL": urls[1]}
            # a Redis of before the restore knows of what is not there any more
            environment["REDIS_URL"] = environment["REDIS_URL"].rpartition("/")[0] + f"/{DATABASES - 1}"
        return Node(folder, environment), Truth(Database(urls[0]), Database(urls[1]))


def run(command: list[str], environment: dict[str, str]) -> None:
    process = Process(command, folder=ROOT, environment=environment)
    assert process.wait(120) == 0, process.output


@pytest.fixture
def place(stack: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    server = request.getfixturevalue("postgres") if stack.kind == "postgres+redis" else None
    environment = dict(stack.nodes[0].environment)
    if server is not None:
        environment["PATH"] = os.pathsep.join((str(server.programs), environment["PATH"]))
    yield Place(stack, tmp_path, environment, server)


async def keep_writing(alice: Rest, tree: str) -> None:
    number = 0
    while True:
        number += 1
        await alice.call("resources/write", uri=f"{tree}{number % RESOURCES}", content=number)


async def test_what_is_restored_is_whole_and_says_that_it_is_not_what_followers_knew(place: Place) -> None:
    stack = place.stack
    tree = stack.tree()

    def written() -> int:
        return len(stack.truth.log(tree))

    async with stack.rest("alice") as alice:
        writing = asyncio.create_task(keep_writing(alice, tree))
        await eventually(lambda: written() > 50, 60, "some changes")
        backup = await asyncio.to_thread(place.back_up)
        after = written()
        await eventually(lambda: written() > after + 20, 60, "changes that the backup does not have")
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
    known = stack.truth.head()

    node, truth = place.restored(backup, f"restored{free_port()}")
    head = truth.head()
    assert 50 < len(truth.log(tree)) < written()
    assert truth.log(tree) == [event for event in stack.truth.log(tree) if event[0] <= head]
    assert truth.versions(tree) == {uri: version for _, uri, version in truth.log(tree)}

    skipped = node.manage("log", "skip")
    assert f"changes: to be followed from {truth.head() + 1} on" in skipped
    node.start()
    try:
        wait_until(lambda: not waits(truth, tree), 60, "what waited in the backup is in the trail")
        assert "entries in order" in node.manage("audit", "verify")
        # a change has one entry; those of changes that the backup does not have tell that there were some
        told = [(entry["resource_id"], entry["details"]["version"]) for entry in truth.moved_entries(tree)]
        assert len(told) == len(set(told))
        assert {(uri, version) for _, uri, version in truth.log(tree)} <= set(told)
        async with Rest(node.base, stack.token("alice")) as alice:
            for uri, version in truth.versions(tree).items():
                assert (await alice.call("resources/read", uri=uri))["version"] == version
            subscription = (await alice.call("subscriptions/create", uri=f"{tree}*"))["id"]
            changed = await alice.call("resources/write", uri=f"{tree}0", content="after")
            for offset in (head, known):
                with pytest.raises(Refused) as refused:
                    await alice.call("events/poll", subscription=subscription, after=offset, timeout_ms=0)
                assert refused.value.code == "reset"
            polled = await alice.call("events/poll", subscription=subscription, timeout_ms=0)
            assert [event["offset"] for event in polled["events"]] == [changed["offset"]]
    finally:
        node.stop()


def waits(truth: Truth, tree: str) -> list[Any]:
    return list(truth.main.rows("SELECT id FROM audit_app_outboxentry WHERE entry LIKE %s", f"%{tree}%"))


async def test_in_the_other_order_entries_would_be_lost_and_verifying_says_so(
    embedded: Cluster, tmp_path: Path
) -> None:
    tree = embedded.tree()
    copy(embedded.truth.audit, tmp_path / "audit.sqlite3")
    async with embedded.rest("alice") as alice:
        await alice.call("resources/write", uri=f"{tree}a", content=1)
    await eventually(
        lambda: embedded.truth.moved_entries(tree) and not waits(embedded.truth, tree), 60, "the entry is in the trail"
    )
    copy(embedded.truth.main, tmp_path / "erlmcp.sqlite3")
    node = Node(tmp_path, {**embedded.environment, "SECRET_KEY": "of no use to whoever only verifies"})
    assert "BENT" in node.manage("audit", "verify", status=1)


def copy(database: Database, path: Path) -> None:
    """Copy a database of SQLite as it is now."""
    database.rows("VACUUM INTO %s", str(path))
