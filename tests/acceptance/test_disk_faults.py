"""A node on SQLite whose folder has no room, or whose broker cannot add a file (seed §9, docs/failures.md)."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from tests.stack.cluster import Cluster, running
from tests.stack.creations import Creators
from tests.stack.load import Pursuer
from tests.stack.missing import missing
from tests.stack.small_disk import CannotMount, SmallDisk, small_disk
from tests.stack.waiting import eventually

FOLDER_MEGABYTES = 32


@pytest.fixture(scope="module")
def disk() -> Iterator[SmallDisk]:
    """Where everything of `small_node` lies."""
    with ExitStack() as mounted:
        try:
            disk = mounted.enter_context(small_disk(FOLDER_MEGABYTES))
        except CannotMount as why:
            missing(f"only root can mount a disk that may be filled: {why}")
        yield disk


@pytest.fixture(scope="module")
def small_node(disk: SmallDisk) -> Iterator[Cluster]:
    """A node that leaves no entry of reads: those need no room."""
    with running("sqlite", folder=disk.folder / "cluster", environment={"AUDIT_READS": "off"}) as cluster:
        yield cluster


async def test_a_full_disk_refuses_changes_and_answers_reads_until_there_is_room(
    small_node: Cluster, disk: SmallDisk
) -> None:
    """Nothing that was answered is lost, followers miss nothing, and nobody has to restart anything."""
    tree = small_node.tree()
    (web,) = small_node.nodes[0].web_processes()
    pursuer = Pursuer(partial(small_node.socket, "bob"), f"{tree}*")
    await pursuer.start(small_node.truth.head())
    creators = Creators(small_node, tree, 2, window=4)
    await creators.more_answers(within=30)
    async with small_node.rest("bob") as reader:
        disk.fill()
        await eventually(lambda: creators.refused, 30, creators.writers)
        for consistency in ("strong", "causal", "eventual"):
            read = await reader.call("resources/read", {"Read-Consistency": consistency}, uri=f"{tree}0/0")
            assert read["content"] == {"n": 0}
        assert (await reader.call("resources/list", prefix=tree))["resources"]
        disk.free()
    await creators.more_answers(within=30)
    await creators.stop()
    assert creators.refused == {"unavailable"}
    logged = creators.check()
    await pursuer.followed.reach(logged[-1][0], within=30)
    assert pursuer.connections == 1
    pursuer.checker.covers(logged)
    await pursuer.close()
    assert small_node.nodes[0].web_processes() == [web]
    await creators.check_moved(within=30)


async def test_a_broker_that_cannot_add_a_file_delays_the_trail_and_nothing_else(small_node: Cluster) -> None:
    """Entries wait in the outbox; they are moved when its folder is there again."""
    tree = small_node.tree()
    folder = small_node.nodes[0].folder / "celery" / "queue"
    aside = folder.with_name("aside")
    folder.rename(aside)
    folder.touch()
    creators = Creators(small_node, tree, 2)
    for _ in range(3):
        await creators.more_answers(within=30)
    await creators.stop()
    await eventually(lambda: "the broker is not available" in small_node.nodes[0].output, 30, "beat says so")
    assert creators.refused == set()
    assert small_node.truth.waiting_entries() >= 300
    creators.check()
    folder.unlink()
    aside.rename(folder)
    await creators.check_moved(within=40)
