"""One run: clients at work, faults one after the other, and everything that there is to judge in the end."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.channels import AgentChannel, GrpcChannel, RestChannel, SocketChannel, now
from tests.chaos.faults import FAULTS, LONELY, PARTITIONS
from tests.chaos.followers import KINDS, Follower, Recorder
from tests.chaos.history import Evidence, Followed, History
from tests.chaos.system import System
from tests.chaos.verdict import Breach, breaches_of
from tests.chaos.writers import Writer
from tests.stack.waiting import eventually

CHANNELS = (RestChannel, SocketChannel, GrpcChannel, AgentChannel)
CHANGES = frozenset({"resources/write", "resources/create"})
PATIENCE_SECONDS = 200.0
"""What clients do in moments takes longer on a machine that has other things to do."""

ATTEMPTS_A_CUT = 10
LASTING = 4
"""A partition lasts so much longer: nobody is told of it, and it has to be noticed."""

TELLING_SECONDS = 5.0
"""After it was without Redis, a node tells the others how far sessions have got: its connection has to fail first."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """How many clients there are: so many writers of each transport, and so many followers of each, half of a pattern.

    Writers rest for `pause` seconds after each call. `between` are the attempts that are made before a fault, during
    it and after it.
    """

    writers: int = 1
    followers: int = 2
    pause: float = 0.05
    between: int = 60


@dataclass(frozen=True, kw_only=True)
class Struck:
    """What a fault came to: calls that ended while it lasted and until all had caught up, and what they took.

    `away` is the longest that a client of a transport was without an answer, or without its stream, in seconds;
    `caught_up` how long after the end of the fault the last follower had everything. `figures` are the fault's own.
    """

    name: str
    seconds: float
    calls: int
    attempts: int
    unclear: int
    failed: int
    away: Mapping[str, float]
    caught_up: float
    figures: Mapping[str, float]


@dataclass(kw_only=True)
class Report:
    """A whole run. `unknown` are changes whose fate no client learnt; `codes` all refusals."""

    seed: int
    struck: list[Struck] = field(default_factory=list)
    breaches: list[Breach] = field(default_factory=list)
    changes: int = 0
    reads: int = 0
    unknown: int = 0
    events: int = 0
    followers: int = 0
    connections: int = 0
    codes: set[str] = field(default_factory=set)


class Run:
    """Clients of one run on a system, below a prefix of its own.

    `seed` decides all that is chosen; `say` is given a line when a fault begins and when its clients are well again.
    """

    def __init__(self, system: System, seed: int, load: Load, say: Callable[[str], None] = lambda line: None) -> None:
        self._say = say
        self.report = Report(seed=seed)
        self.dice = random.Random(seed)
        self.load = load
        self._system = system
        self._cluster = system.cluster
        self._tree = self._cluster.tree()
        self._history = History()
        self._writers: list[Writer] = []
        self._followers: list[Follower] = []
        self._working: list[asyncio.Task[None]] = []

    @property
    def attempts(self) -> int:
        return sum(writer.attempts for writer in self._writers)

    async def strike(
        self, names: Sequence[str], *, cuts: int = 0, changes: int = 0, is_late: Callable[[], bool] = lambda: False
    ) -> Report:
        """Start the clients, do one fault after the other, stop the clients, and judge. Raises what a client raises.

        Then break so many connections of followers, and go on until so many changes are made in all. No fault is begun
        when it is late.
        """
        try:
            await self._start()
            for name in names:
                if not is_late():
                    self._add(await self._strike(name))
            if cuts:
                self._add(await self._cut(cuts))
            if changes:
                self._add(await self._go_on(changes))
            await self._stop()
        finally:
            for task in self._working:
                task.cancel()
            await asyncio.gather(*self._working, return_exceptions=True)
        self._judge(await asyncio.to_thread(self._evidence))
        return self.report

    def _add(self, struck: Struck) -> None:
        self.report.struck.append(struck)
        told = f"{struck.calls} calls, {struck.unclear} unclear, caught up after {struck.caught_up:.1f} s"
        self._say(f"{struck.name}: {told}")

    async def _start(self) -> None:
        for number in range(self.load.writers * len(CHANNELS)):
            kind = CHANNELS[number % len(CHANNELS)]
            token = self._cluster.login("alice")["access"]
            name = f"{kind.transport}{number}"
            channel = kind(self._system.gateway, token)
            writer = Writer(
                name, channel, self._tree, self._history, random.Random(self.dice.random()), self.load.pause
            )
            self._writers.append(writer)
            self._follow(number, name, token)
        start = self._cluster.truth.head()
        for follower in self._followers:
            follower.followed.start = follower.recorder.offset = start
        await self._writers[0].make_counters()
        self._working = [asyncio.create_task(follower.run()) for follower in self._followers]
        self._working += [asyncio.create_task(writer.run()) for writer in self._writers]
        await self._more()
        await self._have("have begun", lambda: all(follower.connections for follower in self._followers))

    def _follow(self, number: int, session: str, token: str) -> None:
        """Followers of one writer's session: one of each transport for each `followers`, every other one of one URI."""
        if number >= self.load.followers:
            return
        for transport, kind in KINDS.items():
            followed = Followed(client=f"{transport} follower {number}", transport=transport, start=0)
            if number % 2 or transport == "mcp":
                followed.uri = f"{self._tree}counter/0"
            else:
                followed.prefix = self._tree
            self._history.followers.append(followed)
            recorder = Recorder(followed, self._history, session if transport == "websocket" else "")
            dice = random.Random(self.dice.random())
            self._followers.append(kind(followed, recorder, self._system.gateway, token, dice))

    async def _strike(self, name: str) -> Struck:
        """One fault, and everything until all have caught up after it."""
        await self._more()
        self._say(f"{name} …")
        began, before = now(), self.attempts
        self._be_careful(name in LONELY)
        async with FAULTS[name](self._system, self.dice) as figures:
            await self._more(LASTING if name in PARTITIONS else 1)
        return await self._struck(name, began, before, now(), figures)

    async def _cut(self, count: int) -> Struck:
        """Break connections of followers, chosen at random, while the others go on."""
        began, before = now(), self.attempts
        for _ in range(count):
            self.dice.choice(self._followers).leave()
            await self._made(self.attempts + self.dice.randrange(ATTEMPTS_A_CUT))
        return await self._struck(f"{count} times a follower cut", began, before, now(), {})

    async def _made(self, attempts: int) -> None:
        await self._have(f"have made {attempts} attempts", lambda: self.attempts >= attempts)

    async def _go_on(self, changes: int) -> Struck:
        """Go on until there are so many changes in all."""
        began, before = now(), self.attempts
        while len(self._history.changes) < changes:
            await self._more(LASTING)
        return await self._struck("nothing, until all changes are made", began, before, now(), {})

    async def _struck(
        self, name: str, began: float, before: int, healed: float, figures: Mapping[str, float]
    ) -> Struck:
        """Wait until all clients are well after a fault. Returns what it came to."""
        await self._more_answers()
        await self._have_caught_up()
        ended = now()
        while name in LONELY and now() < healed + TELLING_SECONDS:
            await self._more()
        self._be_careful(False)
        calls = [call for writer in self._writers for call in writer.calls if began <= call.ended <= ended]
        away: dict[str, float] = {}
        for call in calls:
            away[call.transport] = max(away.get(call.transport, 0.0), call.ended - call.began)
        for follower in self._followers:
            for absence in follower.absences:
                if began <= absence.back <= ended:
                    told = f"{absence.transport} stream"
                    away[told] = max(away.get(told, 0.0), absence.back - absence.lost)
        return Struck(
            name=name,
            seconds=ended - began,
            calls=len(calls),
            attempts=self.attempts - before,
            unclear=sum(call.unclear for call in calls),
            failed=sum(call.outcome == "unknown" for call in calls),
            away=away,
            caught_up=ended - healed,
            figures=figures,
        )

    def _be_careful(self, is_careful: bool) -> None:
        for writer in self._writers:
            writer.is_careful = is_careful

    async def _more(self, factor: int = 1) -> None:
        """So many further attempts, or two of each writer that failed."""
        attempts = self.attempts + self.load.between * factor
        misses = [writer.misses + 2 for writer in self._writers]

        def have() -> bool:
            is_away = all(writer.misses >= count for writer, count in zip(self._writers, misses, strict=True))
            return is_away or self.attempts >= attempts

        await self._have(f"have made {attempts} attempts", have)

    async def _more_answers(self) -> None:
        """Every writer has had another answer, to what it began from now on."""
        since = now()

        def have() -> bool:
            return all(
                any(call.began >= since and call.outcome == "ok" for call in reversed(writer.calls[-5:]))
                for writer in self._writers
            )

        await self._have("are answered again", have)

    async def _have_caught_up(self) -> None:
        """Every follower has what was in the log a moment ago, or has reached it by a bookmark."""
        log = await asyncio.to_thread(self._cluster.truth.log, self._tree)
        await self._have("have caught up", lambda: all(self._reached(f, log) for f in self._followers))

    @staticmethod
    def _reached(follower: Follower, log: Sequence[tuple[int, str, int]]) -> bool:
        due = next((offset for offset, uri, _ in reversed(log) if follower.followed.matches(uri)), 0)
        return follower.connected.is_set() and follower.recorder.offset >= due

    async def _have(self, what: str, check: Callable[[], object]) -> None:
        """Wait until clients have done something. Raises what one of them raises, and Late."""

        def done() -> bool:
            for task in self._working:
                if task.done() and not task.cancelled() and task.exception() is not None:
                    task.result()
            return bool(check())

        await eventually(done, PATIENCE_SECONDS, Telling(lambda: f"clients {what}: {self._state()}"))

    def _state(self) -> str:
        followers = [f"{f.followed.client} {f.connected.is_set()} {f.recorder.offset}" for f in self._followers]
        return "\n".join([*map(str, self._writers), *followers])

    async def _stop(self) -> None:
        for writer in self._writers:
            writer.stop()
        writing = self._working[len(self._followers) :]
        await asyncio.wait_for(asyncio.gather(*writing), PATIENCE_SECONDS)
        await self._have_caught_up()
        await eventually(self._is_moved, PATIENCE_SECONDS, "the mover empties the outbox")

    async def _is_moved(self) -> bool:
        return await asyncio.to_thread(self._cluster.truth.waiting_entries) == 0

    def _evidence(self) -> Evidence:
        truth = self._cluster.truth
        entries = []
        for entry in truth.moved_entries(self._tree):
            details = entry["details"] if isinstance(entry["details"], dict) else json.loads(entry["details"])
            is_change = entry["action"] in CHANGES and entry["outcome"] == "success"
            if is_change and not details.get("replayed"):
                entries.append((entry["resource_id"], details["version"]))
        return Evidence(
            log=truth.log(self._tree),
            offsets=truth.offsets(),
            table=truth.versions(self._tree),
            entries=entries,
        )

    def _judge(self, evidence: Evidence) -> None:
        history, report = self._history, self.report
        outcomes = Counter(change.outcome for change in history.changes)
        report.changes = outcomes["ok"]
        report.unknown = outcomes["unknown"]
        report.reads = sum(operation.kind == "read" for operation in history.operations)
        report.events = sum(seen.kind == "event" for followed in history.followers for seen in followed.seen)
        report.followers = len(self._followers)
        report.connections = sum(follower.connections for follower in self._followers)
        report.codes = set().union(*(writer.codes for writer in self._writers))
        report.breaches = breaches_of(history, evidence)


class Telling:
    """A text that is made when it is needed."""

    def __init__(self, tell: Callable[[], str]) -> None:
        self._tell = tell

    def __str__(self) -> str:
        return self._tell()
