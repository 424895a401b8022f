"""One request on its walk: where it is, what is known about it by now, and how long each stage took."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from audit_app.once import Key, Once
from audit_app.trail import Entry
from erlmcp_site.pipeline.messages import Effect, Request
from erlmcp_site.pipeline.stages import NEXT, IllegalStage, Stage
from sessions_app.buckets import Quota
from sessions_app.callers import Caller
from sessions_app.errors import Unauthenticated
from sessions_app.positions import Ahead
from sessions_app.records import SessionRecord
from telemetry_app.tracing.context import TraceContext, continued


@dataclass(slots=True)
class Passage:
    """What the stages fill in. `enter` is the only way from one stage to the next.

    `caller` and `session` are None only before authentication and in public methods. Handlers read `params`
    (validated) and may set `version`, `created` and `then` (see Reply), and `resource_id`. `offset` begins as what this
    process had seen of the log when the request came, so that an answer never claims more than it reflects; a handler
    that knows better raises it. `position` is how far into the log the caller has written or been told: that, too, is
    the handler's to say. What a handler has begun without a command it can `undo`, should the audit entry be refused.
    A handler that submits a command gives it `entry()`, which also tells the pipeline that the audit entry is taken
    care of, and `take`s the effect that the command's result comes to. With a `key`, that effect is kept, and a repeat
    is answered by it. `quotas` is what the limits leave that the request was counted against; `ahead` is the session's
    position on other nodes, where that was asked for together with them. `details` are what the audit entry says
    besides, where no command leaves it. `forms` is for the Reply. `trace` is the request's own span, in its caller's
    trace where it has one. `began` and `entered` are of the performance counter.
    """

    request: Request
    params: Mapping[str, Any] = field(default_factory=dict)
    stage: Stage = Stage.RECEIVED
    caller: Caller | None = None
    session: SessionRecord | None = None
    resource_type: str = ""
    resource_id: str = ""
    offset: int = 0
    position: int = 0
    version: int | None = None
    created: bool = False
    then: Callable[[], None] | None = None
    undo: Callable[[], None] | None = None
    recorded: bool = False
    key: Key | None = None
    replayed: bool = False
    quotas: tuple[Quota, ...] = ()
    ahead: Ahead | None = None
    details: dict[str, Any] = field(default_factory=dict)
    forms: dict[str, bytes] | None = None
    trace: TraceContext = field(init=False)
    began: float = field(init=False)
    entered: float = field(default_factory=time.perf_counter)
    seconds: list[tuple[Stage, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        told = self.request.metadata.get
        self.trace = continued(told("traceparent"), told("tracestate"))
        self.began = self.entered

    @property
    def known_caller(self) -> Caller:
        """The caller, of a method that is not public. Raises Unauthenticated."""
        if self.caller is None:
            raise Unauthenticated()
        return self.caller

    def whose(self, permission: str) -> str | None:
        """The id of the user whose things the caller may see and change; None, everybody's, with this permission."""
        caller = self.known_caller
        return None if caller.may(permission) else caller.user_id

    def enter(self, stage: Stage) -> None:
        """Go on to a stage. Raises IllegalStage when the graph has no such edge."""
        if stage not in NEXT[self.stage]:
            raise IllegalStage(f"{self.stage} to {stage}")
        now = time.perf_counter()
        self.seconds.append((self.stage, now - self.entered))
        self.stage, self.entered = stage, now

    def entry(self, effect: Callable[[Any], Effect] | None = None) -> Entry:
        """The audit entry of this request, for the command that does its work.

        `effect` makes of the command's result what the caller is told; without one, no idempotency key is honoured.
        """
        self.recorded = True
        request, caller, session = self.request, self.caller, self.session
        once = None
        if effect is not None and self.key is not None:
            once = Once(key=self.key, answer=lambda result: effect(result).dumped())
        return Entry(
            timestamp=request.timestamp,
            action=request.method,
            transport=request.transport,
            user_id=caller.user_id if caller else "",
            user=caller.name if caller else "",
            resource_type=self.resource_type,
            resource_id=self.resource_id,
            source_ip=request.source_ip,
            user_agent=request.user_agent,
            session_id=session.id if session else "",
            request_id=request.id,
            once=once,
            client=request.client,
        )

    def take(self, effect: Effect) -> Any:
        """Tell the caller of an effect; returns its result."""
        self.version, self.created = effect.version, effect.created
        if effect.offset is not None:
            self.offset = self.position = effect.offset
        return effect.result

    def replay(self, kept: bytes) -> Any:
        """Answer as the first time."""
        self.replayed = True
        return self.take(Effect.loaded(kept))
