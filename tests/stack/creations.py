"""Writers whose every call creates a URI of its own, so that each call can be found again and counted."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

from tests.stack.cluster import Cluster
from tests.stack.database import Entry
from tests.stack.load import Call, Writer
from tests.stack.waiting import eventually


class Creators:
    """Writers on the nodes of a cluster, one after the other, that create until they are told to stop."""

    def __init__(self, cluster: Cluster, tree: str, count: int, window: int = 16) -> None:
        self._cluster = cluster
        self._tree = tree
        self._start = cluster.truth.head()
        self.writers = [
            Writer(partial(cluster.socket, "alice", n % len(cluster.nodes)), window=window) for n in range(count)
        ]
        self._writing = [asyncio.create_task(writer.run(_creations(tree, n))) for n, writer in enumerate(self.writers)]

    @property
    def last_offset(self) -> int:
        return max(writer.last_offset for writer in self.writers)

    @property
    def refused(self) -> set[str]:
        """The codes of all refusals."""
        return {refused.code for writer in self.writers for _, refused in writer.refused}

    async def more_answers(self, within: float) -> None:
        """Wait until every writer has 50 more answers."""
        wanted = [len(writer.answered) + 50 for writer in self.writers]

        def have() -> bool:
            return all(len(writer.answered) >= count for writer, count in zip(self.writers, wanted, strict=True))

        await eventually(have, within, self.writers)

    async def stop(self) -> None:
        """Make no further calls, and wait until those under way are settled."""
        for writer in self.writers:
            writer.stop()
        await asyncio.gather(*self._writing)

    def check(self) -> Sequence[tuple[int, str, int]]:
        """What was answered is in the table, the log and the trail, once, and what is in one of them is in all.

        Returns what is in the log. Raises AssertionError.
        """
        truth = self._cluster.truth
        answered = {call[1]["uri"]: result for writer in self.writers for call, result in writer.answered}
        versions = truth.versions(self._tree)
        logged = truth.log(self._tree, self._start)
        at = {uri: offset for offset, uri, _ in logged}
        missing = [uri for uri in answered if versions.get(uri) != 1]
        assert not missing, f"{len(missing)} of {len(answered)} answered are not in the table: {missing[:5]}"
        moved = [uri for uri, result in answered.items() if at.get(uri) != result["offset"]]
        assert not moved, f"{len(moved)} are not in the log where the answer said: {moved[:5]}"
        assert max(Counter(uri for _, uri, _ in logged).values()) == 1, "a change was made twice"
        assert versions.keys() == at.keys(), "the table and the log differ"
        offsets = truth.offsets()
        assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))
        assert _counted(truth.entries(self._tree)) == dict.fromkeys(versions, 1), "the trail differs from the table"
        return logged

    async def check_moved(self, within: float) -> None:
        """Wait until the outbox is empty; the audit database then has every creation once."""
        truth = self._cluster.truth
        await eventually(lambda: truth.waiting_entries() == 0, within, "the mover empties the outbox")
        created = dict.fromkeys(truth.versions(self._tree), 1)
        assert _counted(truth.moved_entries(self._tree)) == created, "the audit database differs from the table"


def _creations(tree: str, writer: int) -> Iterator[Call]:
    for n in range(1_000_000):
        yield "resources/create", {"uri": f"{tree}{writer}/{n}", "content": {"n": n}}


def _counted(entries: list[Entry]) -> Counter[str]:
    """How many entries tell of a creation, by URI."""
    return Counter(
        entry["resource_id"]
        for entry in entries
        if entry["action"] == "resources/create" and entry["outcome"] == "success"
    )
