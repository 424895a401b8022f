"""Sessions that hop between nodes and transports, and remember what they did and saw as a history."""

import itertools
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from tests.stack.answers import Answer, Refused
from tests.stack.checker import Checker, Event
from tests.stack.cluster import Cluster
from tests.stack.histories import Kind, Operation
from tests.stack.rest import Rest
from tests.stack.sockets import Followed, Socket

HEADERS = {"consistency": "Read-Consistency"}


class Actor:
    """One session of Alice's on every node of a cluster, over REST and WebSocket, following on one node at a time.

    It writes on the first `writing_nodes` nodes: one that takes no changes itself has no reason to look for others'.
    """

    _numbers = itertools.count(1)

    def __init__(
        self, cluster: Cluster, history: list[Operation], dice: random.Random, writing_nodes: int | None = None
    ) -> None:
        self.history = history
        self.dice = dice
        self.session = ""
        self._writing_nodes = writing_nodes or len(cluster.nodes)
        self._cluster = cluster
        self._open = AsyncExitStack()
        self._rests: list[Rest] = []
        self._sockets: list[Socket] = []
        self._followed: tuple[int, Followed] | None = None

    async def __aenter__(self) -> Self:
        cluster, token = self._cluster, self._cluster.token("alice")
        async with cluster.rest("alice") as rest:
            self.session = (await rest.call("sessions/create", label=f"actor {next(self._numbers)}"))["id"]
        named = {"Session-Id": self.session}
        for node in cluster.nodes:
            self._rests.append(await self._open.enter_async_context(Rest(node.base, token, headers=named)))
            socket = await Socket.connect(node.base, token, headers=named)
            self._sockets.append(await self._open.enter_async_context(socket))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def read(self, uri: str, consistency: str) -> int:
        """Read on any node, over any transport; returns the version."""
        answer = await self._call("read", uri, "resources/read", consistency=consistency)
        return int(answer["version"])

    async def write(self, uri: str, base: int | None = None) -> bool:
        """Write on any node; with a base, only if that is the present version. Returns whether it was accepted."""
        params: dict[str, Any] = {} if base is None else {"base_version": base, "on_conflict": "reject"}
        try:
            await self._call("write", uri, "resources/write", content=self.session, **params)
        except Refused as refused:
            if refused.code != "version_conflict":
                raise
            return False
        return True

    async def increment(self, uri: str) -> None:
        """Read and compare-and-set until that succeeds."""
        while not await self.write(uri, await self.read(uri, self.dice.choice(["causal", "strong"]))):
            pass

    async def follow(self, pattern: str) -> None:
        """Follow on another node than before, or on the only one again."""
        if self._followed is not None:
            node, followed = self._followed
            await self._sockets[node].call("resources/unsubscribe", subscription=followed.id)
        node = self.dice.randrange(len(self._sockets)) if self._followed is None else (node + 1) % len(self._sockets)
        followed = await self._sockets[node].subscribe(pattern, checker=Witness(self, node))
        self._followed = node, followed

    def remember(self, kind: Kind, node: int, uri: str, began: float, **more: Any) -> None:
        ended = time.monotonic()
        operation = Operation(kind=kind, session=self.session, node=node, uri=uri, began=began, ended=ended, **more)
        self.history.append(operation)

    async def _call(self, kind: Kind, uri: str, method: str, **params: Any) -> Answer:
        node = self.dice.randrange(len(self._rests) if kind == "read" else self._writing_nodes)
        said = {"consistency": params.get("consistency", ""), "base": params.get("base_version")}
        began = time.monotonic()
        try:
            if self.dice.random() < 0.5:
                answer = await self._sockets[node].call(method, uri=uri, **params)
                log_offset = answer["offset"] if kind == "write" else 0
            else:
                headers = {HEADERS[name]: params.pop(name) for name in HEADERS.keys() & params.keys()}
                answer = await self._rests[node].call(method, headers, uri=uri, **params)
                log_offset = log_offset_of(answer.headers)
        except Refused as refused:
            if refused.code == "version_conflict":
                version = refused.data["current_version"]
                said |= {"version": version, "log_offset": log_offset_of(refused.headers)}
                self.remember("refused", node, uri, began, **said)
            raise
        self.remember(kind, node, uri, began, version=answer["version"], log_offset=log_offset, **said)
        return answer


class Witness(Checker):
    """Takes a follower's events, and remembers each as something that its session was told."""

    def __init__(self, actor: Actor, node: int) -> None:
        super().__init__(whole=False)
        self._actor = actor
        self._node = node

    def take(self, events: Sequence[Event], offset: int | None = None) -> None:
        super().take(events, offset)
        for event in events:
            at = time.monotonic()
            self._actor.remember("pushed", self._node, event["subject"], at, version=event["version"])


def log_offset_of(headers: Mapping[str, str]) -> int:
    """What an answer claims to reflect; 0 when it does not say."""
    return int(headers.get("log-offset", 0))
