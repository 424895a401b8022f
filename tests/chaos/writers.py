"""Sessions that change and read one call after the other, and ask again under the same key until it is clear."""

import asyncio
import random
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.chaos.channels import Channel, Unanswered, may_have_been_done, now
from tests.chaos.history import Change, History, Outcome
from tests.stack.answers import Answer, Refused
from tests.stack.histories import Kind, Operation

COUNTERS = 4
GIVE_UP_SECONDS = 90.0
PAUSE_LEAST, PAUSE_MOST = 0.05, 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """What one call took: `began` and `ended` around all attempts, `unclear` those that were not answered."""

    transport: str
    began: float
    ended: float
    attempts: int
    unclear: int
    outcome: Outcome


class Writer:
    """One session over one transport. It creates, counts with compare-and-set, and reads, until it is stopped.

    `attempts` are all that it made, `misses` those that were not answered, or refused for the moment.

    `pause` is how long it rests between calls, in seconds. While it is `careful` its reads name the last offset that
    it knows, as clients have to where a node alone has lost its Redis (docs/consistency.md).
    """

    def __init__(
        self, name: str, channel: Channel, tree: str, history: History, dice: random.Random, pause: float
    ) -> None:
        self.name = name
        self.channel = channel
        self.calls: list[Call] = []
        self.attempts = 0
        self.misses = 0
        self.is_careful = False
        self.codes: set[str] = set()
        self._tree = tree
        self._history = history
        self._dice = dice
        self._pause = pause
        self._known_offset = 0
        self._created = 0
        self._stopped = False
        self._asking = ""
        self._since = 0.0
        self._lost: Exception | None = None

    def __str__(self) -> str:
        asking = f"{self._asking} for {now() - self._since:.1f} s" if self._asking else "nothing"
        return f"{self.name} asks {asking}, after {len(self.calls)} calls; its last trouble: {self._lost}"

    def stop(self) -> None:
        """Begin nothing new; `run` returns when what is under way is settled."""
        self._stopped = True

    async def make_counters(self) -> None:
        """Create what all writers count."""
        for number in range(COUNTERS):
            await self._change("resources/write", self._counter(number), content=0)

    async def run(self) -> None:
        """Call after call."""
        while not self._stopped:
            kind = self._dice.random()
            if kind < 0.55:
                await self._create()
            elif kind < 0.8:
                await self._count()
            else:
                await self._read(self._counter(self._dice.randrange(COUNTERS)))
            await asyncio.sleep(self._pause)
        await self.channel.close()

    async def _create(self) -> None:
        """Create something of its own, and sometimes look at it."""
        self._created += 1
        uri = f"{self._tree}made/{self.name}/{self._created}"
        made = await self._change("resources/write", uri, content={"n": self._created})
        if made and self._dice.random() < 0.2:
            await self._read(uri)

    async def _count(self) -> None:
        """One more, unless somebody else was faster."""
        uri = self._counter(self._dice.randrange(COUNTERS))
        version = await self._read(uri)
        if version:
            await self._change(
                "resources/write", uri, content=version, base_version=version, on_conflict="reject", base=version
            )

    def _counter(self, number: int) -> str:
        return f"{self._tree}counter/{number}"

    async def _read(self, uri: str) -> int:
        """The version; 0 where that could not be read."""
        consistency = self._dice.choice(["causal", "causal", "strong"])
        after = {"after": self._known_offset} if self.is_careful else {}
        began = now()
        answer, outcome, refused = await self._settled("resources/read", uri=uri, consistency=consistency, **after)
        if answer is None:
            assert outcome == "unknown", f"{self.name} may not read {uri}: {refused}"
            return 0
        self._remember("read", uri, began, answer, consistency=consistency)
        return int(answer["version"])

    async def _change(self, method: str, uri: str, base: int | None = None, **params: Any) -> bool:
        """Make one change; whether it was made."""
        began, key, before = now(), str(uuid4()), self.attempts
        answer, outcome, refused = await self._settled(method, uri=uri, idempotency_key=key, **params)
        change = Change(
            client=self.name,
            transport=self.channel.transport,
            method=method,
            uri=uri,
            outcome=outcome,
            began=began,
            ended=now(),
            attempts=self.attempts - before,
            version=answer["version"] if answer else 0,
            offset=answer["offset"] if answer else 0,
            base=base,
        )
        self._history.changes.append(change)
        if answer is not None:
            self._remember("write", uri, began, answer, base=base)
        elif refused is not None and refused.code == "version_conflict":
            self._remember_refused(uri, began, refused, base)
        return outcome == "ok"

    async def _settled(self, method: str, **params: Any) -> tuple[Answer | None, Outcome, Refused | None]:
        """Ask until it is answered or refused for good, or for GIVE_UP_SECONDS."""
        began, first, unclear = now(), self.attempts, 0
        self._asking, self._since = f"{method} {params['uri']}", began
        answer, refused, pause = None, None, PAUSE_LEAST
        outcome: Outcome = "unknown"
        while outcome == "unknown" and now() - began < GIVE_UP_SECONDS:
            if self.attempts > first:
                await asyncio.sleep(pause * (0.5 + self._dice.random()))
                pause = min(PAUSE_MOST, pause * 2)
            self.attempts += 1
            try:
                answer = await self.channel.call(method, **params)
                outcome = "ok"
            except Unanswered as lost:
                self._lost = lost
                unclear += 1
                self.misses += 1
                pause = max(pause, lost.retry_seconds)
            except Refused as error:
                refused = error
                self.codes.add(error.code)
                unclear += may_have_been_done(error)
                if error.data["category"] != "retryable":
                    outcome = "refused"
                else:
                    self._lost = error
                    self.misses += 1
        ended = now()
        self._asking = ""
        self.calls.append(
            Call(
                transport=self.channel.transport,
                began=began,
                ended=ended,
                attempts=self.attempts - first,
                unclear=unclear,
                outcome=outcome,
            )
        )
        return answer, outcome, refused

    def _remember(self, kind: Kind, uri: str, began: float, answer: Answer, **more: Any) -> None:
        is_repeat = answer.headers.get("idempotent-replayed") == "true" or _is_replayed(answer)
        told = 0 if is_repeat else int(answer.headers.get("log-offset", 0))
        self._known_offset = max(self._known_offset, told, answer["offset"])
        self._append(kind, uri, began, answer["version"], told, **more)

    def _remember_refused(self, uri: str, began: float, refused: Refused, base: int | None) -> None:
        told = int(refused.headers.get("log-offset", 0))
        self._known_offset = max(self._known_offset, told)
        self._append("refused", uri, began, refused.data["current_version"], told, base=base)

    def _append(self, kind: Kind, uri: str, began: float, version: int, log_offset: int, **more: Any) -> None:
        operation = Operation(
            kind=kind,
            session=self.name,
            node=0,
            uri=uri,
            version=version,
            began=began,
            ended=now(),
            log_offset=log_offset,
            **more,
        )
        self._history.operations.append(operation)


def _is_replayed(answer: Answer) -> bool:
    return bool(answer.result.get("idempotent_replayed"))
