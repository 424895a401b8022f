"""The pipeline: every request of every transport walks these stages (seed §3, docs/architecture.md §1)."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from functools import partial

from django.conf import settings
from rest_framework.exceptions import ValidationError

from audit_app.commands import Record
from audit_app.database import in_database
from audit_app.deadlines import deadline
from audit_app.errors import DeadlineExceeded, InvalidParams, Refusal
from audit_app.idempotency import kept_answer
from audit_app.once import Key, Replayed
from audit_app.policy import Level, level_of
from audit_app.queues import Queue, queue_of
from audit_app.recovery import log_failure, refusal_of
from audit_app.watermark import TrailFull, admit
from audit_app.writer import NOT_DONE, UNKNOWN, writer
from encryption_app.data_keys import opened
from encryption_app.envelope import Place, Purpose
from erlmcp_site.logs.requests import Kind, Outcome, request_lines
from erlmcp_site.pipeline.authorisation import authorise
from erlmcp_site.pipeline.errors import Abandoned, MethodNotFound
from erlmcp_site.pipeline.messages import Reply, Request, Unread
from erlmcp_site.pipeline.method import Method
from erlmcp_site.pipeline.options import fingerprint, key_of, names_key, timeout_of
from erlmcp_site.pipeline.passage import Passage
from erlmcp_site.pipeline.results import Shape, hold
from erlmcp_site.pipeline.stages import Stage
from erlmcp_site.pipeline.time_limits import TimeLimit, time_limits
from erlmcp_site.pipeline.walks import keep
from resources_app.hub.hub import hub
from resources_app.patterns import Pattern
from sessions_app.authentication import authenticate
from sessions_app.callers import Caller
from sessions_app.errors import Crowded, Forbidden, RateLimited, SessionNotFound, Unauthenticated
from sessions_app.limits import count_address, count_caller
from sessions_app.positions import positions
from sessions_app.records import SessionRecord
from sessions_app.refused import refused
from sessions_app.sessions import held_session, session_for, touch
from telemetry_app.metrics import ERRORS, observe_request
from telemetry_app.tracing.context import current
from telemetry_app.under_way import UnderWay, under_way

log = logging.getLogger(__name__)

NO_RESULTS: Mapping[str, Shape] = {}
NOTHING_DECLARED = Shape(frozenset())


class Pipeline:
    """Runs requests by a table of methods, and holds what they result in to what they declare."""

    def __init__(self, methods: Mapping[str, Method], results: Mapping[str, Shape] = NO_RESULTS) -> None:
        self._methods = methods
        self._results = results

    async def run(self, request: Request) -> Reply:
        """Answer a request, by its deadline. Never raises a refusal: a refused request has a Reply too."""
        passage = Passage(request, offset=hub.position)
        method = self._methods.get(request.method)
        limits = time_limits()
        limit = limits.begin()
        outside, outer_trace = deadline.set(None), current.set(passage.trace)
        work = UnderWay(request.id, passage.trace)
        outer_work = under_way.set(work)
        try:
            result, refusal = await self._answer(passage, method, limit)
        except asyncio.CancelledError:
            if not limit.has_ended_it():
                self._abandon(passage, method)
                _note(passage, method, work, "abandoned", "abandoned")
                raise
            result, refusal = None, self._give_up(passage, method)
        finally:
            limits.drop(limit)
            deadline.reset(outside)
            current.reset(outer_trace)
            under_way.reset(outer_work)
        return self._reply(passage, result, refusal, method, work)

    async def _answer(self, passage: Passage, method: Method | None, limit: TimeLimit) -> tuple[object, Refusal | None]:
        """The result of a request, or why it is refused; either way with its audit entry."""
        request = passage.request
        result = refusal = None
        try:
            admit(request.method)
            limit.until = time.monotonic() + settings.REQUEST_TIMEOUT_SECONDS
            if method is None or request.unread is not None:
                raise await self._unread(passage, method)
            seconds = timeout_of(request) or method.seconds
            if seconds is not None:
                limit.until = time.monotonic() + seconds
            deadline.set(limit.until)
            result = await self._walk(passage, method)
            hold(result, self._results.get(method.name, NOTHING_DECLARED))
        except Refusal as error:
            refusal = error
            if error.position:
                passage.offset = passage.position = max(passage.offset, error.position)
        except Exception as error:
            log_failure(log, error, "request %s (%s) failed", request.id, request.method)
            refusal = refusal_of(error)
        passage.enter(Stage.RESPONDING)
        if isinstance(refusal, TrailFull):
            # it is refused so that the outbox does not grow
            return None, refusal
        refusal = await self._record(passage, method, refusal) or refusal
        await self._remember(passage)
        return (result, None) if refusal is None else (None, refusal)

    @staticmethod
    def _give_up(passage: Passage, method: Method | None) -> Refusal:
        """The refusal of a request whose time is over.

        A command that it has submitted may still be done, and leaves the audit entry; who asks again under the same
        idempotency key learns what became of it, and may have asked before. Otherwise nothing was done. An entry is not
        waited for: what took so long may be the database.
        """
        if passage.stage is not Stage.RESPONDING:
            passage.enter(Stage.RESPONDING)
        if passage.undo is not None:
            passage.undo()
        is_open = method is not None and not method.reads and (passage.recorded or names_key(passage.request))
        refusal = DeadlineExceeded(outcome=UNKNOWN if is_open else NOT_DONE)
        if passage.recorded:
            return refusal
        try:
            writer.submit(Record(entry=passage.entry(), refusal=refusal)).add_done_callback(_heard)
        except Refusal as unrecorded:
            return unrecorded
        return refusal

    @staticmethod
    def _abandon(passage: Passage, method: Method | None) -> None:
        """The entry of a request whose client went away before it was answered; nobody waits for it."""
        if passage.stage is not Stage.RESPONDING:
            passage.enter(Stage.RESPONDING)
        if passage.undo is not None:
            passage.undo()
        refusal = Abandoned()
        if not passage.recorded and not _may_be_left_out(method):
            writer.note(Record(entry=passage.entry(), refusal=refusal, details={"abandoned": True}))
        keep(passage, method, refusal)

    @staticmethod
    async def _unread(passage: Passage, method: Method | None) -> Refusal:
        """The refusal of a request that could not be read or names no method, on the record of whoever sent it."""
        request = passage.request
        unread = request.unread or Unread(refusal=MethodNotFound(f"There is no method {request.method!r}."))
        passage.enter(Stage.AUTHENTICATING)
        if unread.address:
            passage.resource_type, passage.resource_id = "address", unread.address
        elif method is not None:
            passage.resource_type = method.resource_type
        if isinstance(unread.refusal, Crowded):
            # to find out whose it is would cost what there are too many of
            return unread.refusal
        try:
            passage.caller = caller = await authenticate(request.credentials, request.source_ip)
        except Unauthenticated:
            passage.quotas = await count_address(request.source_ip)
            return unread.refusal
        passage.quotas = await count_caller(caller.user_id)
        if request.session_id is not None:
            # only to name it: that it is not the caller's is not what is refused here
            with contextlib.suppress(SessionNotFound, Forbidden):
                _stands_in(passage, await session_for(caller, request.session_id, request.client_id))
        return unread.refusal

    async def _walk(self, passage: Passage, method: Method) -> object:
        request = passage.request
        passage.enter(Stage.AUTHENTICATING)
        passage.resource_type = method.resource_type
        passage.resource_id = _touched(method, request.params)
        if method.public:
            passage.quotas = await count_address(request.source_ip)
        else:
            await self._identify(passage, method)
        passage.enter(Stage.AUTHORIZED)
        try:
            passage.params = params = method.params.run_validation(request.params)
        except ValidationError as error:
            raise InvalidParams(errors=error.detail) from None
        passage.resource_id = _touched(method, params)
        if passage.caller is not None:
            await authorise(passage.caller, method, params)
            if method.takes_key and (name := key_of(request)) is not None:
                passage.key = Key(
                    caller=passage.caller.user_id, name=name, fingerprint=fingerprint(method.name, params)
                )
        passage.enter(Stage.PROCESSING)
        return await self._process(passage, method)

    @staticmethod
    async def _process(passage: Passage, method: Method) -> object:
        """Run the handler; a request that was done under its key before is answered as then."""
        try:
            return await method.run(passage)
        except Replayed as replayed:
            kept = replayed.answer
        except Refusal:
            # refused before the writer could look: what the first request did may be the reason
            found = None
            if passage.key is not None and not passage.recorded:
                found = await in_database(kept_answer, passage.key)
            if found is None:
                raise
            kept = found
        key_id = passage.key.id if passage.key is not None else ""
        return passage.replay(await opened(kept.content, Place(Purpose.ANSWER, key_id), is_sealed=kept.is_sealed))

    @staticmethod
    async def _identify(passage: Passage, method: Method) -> None:
        """Who is calling, and in which session; whoever may not know that, or calls too often, is refused."""
        request = passage.request
        try:
            passage.caller = caller = await authenticate(request.credentials, request.source_ip)
        except Unauthenticated:
            passage.quotas = await count_address(request.source_ip)
            raise
        ahead = partial(_ask_ahead, passage, caller) if method.asks_position(request.params) else None
        passage.quotas = await count_caller(caller.user_id, method.counts_as, method.cost(request.params), ahead)
        session = await session_for(caller, request.session_id, request.client_id)
        _stands_in(passage, session)
        touch(session)

    async def _record(self, passage: Passage, method: Method | None, refusal: Refusal | None) -> Refusal | None:
        """Leave an audit entry, unless a command has left it; the answer waits until it is durable.

        Returns the refusal of an answer whose entry could not be kept: nothing is answered unaudited.
        """
        if passage.recorded or (refusal is None and _is_left_out(passage, method)):
            return None
        if isinstance(refusal, RateLimited) and refused.is_gathered(passage.entry(), refusal):
            return None
        try:
            details = {"replayed": True, **passage.details} if passage.replayed else passage.details
            await writer.submit(Record(entry=passage.entry(), refusal=refusal, details=details or None))
        except Refusal as unrecorded:
            if passage.undo is not None:
                passage.undo()
            return unrecorded
        return None

    @staticmethod
    async def _remember(passage: Passage) -> None:
        """How far the caller's session has got: its next causal read, on whichever node, reflects at least that."""
        session = passage.session
        if session is not None and passage.position > session.position:
            # the session is there when all nodes know it: until then, its other requests tell it too, and wait
            await positions.tell(session.id, passage.position)
            session.position = max(session.position, passage.position)

    @staticmethod
    def _reply(
        passage: Passage, result: object, refusal: Refusal | None, method: Method | None, work: UnderWay
    ) -> Reply:
        request, session, trace = passage.request, passage.session, passage.trace
        outcome = "success" if refusal is None else refusal.outcome
        passage.enter(Stage.COMPLETED)
        is_kept = keep(passage, method, refusal)
        exemplar = trace.trace_id if is_kept else ""
        observe_request(request.transport, _name(method), outcome, passage.seconds, exemplar)
        _note(passage, method, work, outcome, "ok" if refusal is None else refusal.code)
        if refusal is not None:
            ERRORS.labels(refusal.category, refusal.code).inc()
        limited = refusal.quotas if isinstance(refusal, RateLimited) else ()
        return Reply(
            request_id=request.id,
            method=request.method,
            outcome=outcome,
            result=result,
            refusal=refusal,
            offset=passage.offset,
            session_id=session.id if session else None,
            version=passage.version,
            created=passage.created,
            replayed=passage.replayed,
            quotas=limited or passage.quotas,
            then=passage.then if refusal is None else None,
            forms=passage.forms,
            traceparent=trace.traceparent if trace.parent_id else "",
        )


def _stands_in(passage: Passage, session: SessionRecord) -> None:
    """The request belongs to this session; lines that are logged meanwhile say so, too."""
    passage.session = session
    if (work := under_way.get()) is not None:
        work.session_id = session.id


def _note(passage: Passage, method: Method | None, work: UnderWay, outcome: Outcome, code: str) -> None:
    """The line of the request in the log. Methods with a time of their own are made to wait: they are never slow."""
    kind = Kind(passage.request.transport, _name(method), code)
    may_wait = method is not None and method.seconds is not None
    request_lines.note(work, kind, outcome, passage.seconds, may_wait=may_wait)


def _name(method: Method | None) -> str:
    """As metrics and lines name it: never by what a client has made up."""
    return "unknown" if method is None else method.name


def _ask_ahead(passage: Passage, caller: Caller) -> None:
    """Ask for the position of the session, too, where Redis has to be asked for the limits anyway."""
    session = held_session(caller, passage.request.session_id)
    if session is not None and passage.ahead is None:
        passage.ahead = positions.ask_ahead(session.id, passage.offset)


def _touched(method: Method, params: object) -> str:
    """What a request names as touched, also one whose parameters are not what the method takes."""
    if method.resource is None or not isinstance(params, Mapping):
        return ""
    named = params.get(method.resource) or params.get("uri")
    return str(named) if isinstance(named, str | Pattern) else ""


def _may_be_left_out(method: Method | None) -> bool:
    """Whether successful requests of a method leave no entry: AUDIT_READS, which says nothing about security."""
    if settings.AUDIT_READS != "off" or method is None or not method.reads or method.always_recorded:
        return False
    return queue_of(method.name, None) is not Queue.SECURITY


def _is_left_out(passage: Passage, method: Method | None) -> bool:
    """Whether a successful request leaves no entry, by AUDIT_READS or by the policy: it then need not wait for one."""
    return _may_be_left_out(method) or level_of(passage.request.method, passage.resource_id) is Level.OFF


def _heard(entry: asyncio.Future[object]) -> None:
    """Take note of what became of an entry that nobody waits for; the writer has logged what failed."""
    if not entry.cancelled():
        entry.exception()
