"""The pipeline: every request of every transport walks these stages (seed §3, docs/architecture.md §1)."""

import logging
from collections.abc import Mapping

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from rest_framework.exceptions import ValidationError

from audit_app.errors import InternalError, InvalidParams, Refusal, Unavailable
from audit_app.failures import passes
from audit_app.writer import Record, writer
from erlmcp_site.pipeline.authorisation import authorise
from erlmcp_site.pipeline.errors import MethodNotFound
from erlmcp_site.pipeline.messages import Reply, Request
from erlmcp_site.pipeline.method import Method
from erlmcp_site.pipeline.passage import Passage
from erlmcp_site.pipeline.stages import Stage
from resources_app.hub.hub import hub
from sessions_app.authentication import authenticate
from sessions_app.errors import Unauthenticated
from sessions_app.limits import count_address, count_caller
from sessions_app.positions import positions
from sessions_app.sessions import session_for, touch
from telemetry_app.metrics import ERRORS, observe_request

log = logging.getLogger(__name__)


class Pipeline:
    """Runs requests by a table of methods."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        self._methods = methods

    async def run(self, request: Request) -> Reply:
        """Answer a request. Never raises a refusal: a refused request has a Reply too."""
        passage = Passage(request)
        result = refusal = None
        method = self._methods.get(request.method)
        try:
            if method is None:
                raise MethodNotFound(f"There is no method {request.method!r}.")
            result = await self._walk(passage, method)
        except Refusal as error:
            refusal = error
        except Exception as error:
            log.exception("request %s (%s) failed", request.id, request.method)
            is_passing = isinstance(error, DatabaseError | InterfaceError) and passes(error)
            refusal = Unavailable("The database does not answer.") if is_passing else InternalError()
        passage.enter(Stage.RESPONDING)
        refusal = await self._record(passage, method, refusal) or refusal
        await self._remember(passage)
        return self._reply(passage, result if refusal is None else None, refusal, method is not None)

    async def _walk(self, passage: Passage, method: Method) -> object:
        request = passage.request
        passage.enter(Stage.AUTHENTICATING)
        passage.resource_type = method.resource_type
        if method.public:
            count_address(request.source_ip)
        else:
            await self._identify(passage)
        passage.enter(Stage.AUTHORIZED)
        try:
            passage.params = params = method.params.run_validation(request.params)
        except ValidationError as error:
            raise InvalidParams(errors=error.detail) from None
        if method.resource is not None:
            passage.resource_id = str(params.get(method.resource) or "")
        if passage.caller is not None:
            authorise(passage.caller, method, params)
        passage.enter(Stage.PROCESSING)
        return await method.run(passage)

    @staticmethod
    async def _identify(passage: Passage) -> None:
        """Who is calling, and in which session; whoever may not know that, or calls too often, is refused."""
        request = passage.request
        try:
            passage.caller = caller = await authenticate(request.credentials)
        except Unauthenticated:
            count_address(request.source_ip)
            raise
        count_caller(caller.user_id)
        passage.session = session = await session_for(caller, request.session_id, request.client_id)
        touch(session)

    async def _record(self, passage: Passage, method: Method | None, refusal: Refusal | None) -> Refusal | None:
        """Leave an audit entry, unless a command has left it; the answer waits until it is durable.

        Returns the refusal of an answer whose entry could not be kept: nothing is answered unaudited.
        """
        reads = method is not None and method.reads
        if passage.recorded or (reads and refusal is None and settings.AUDIT_READS == "off"):
            return None
        try:
            await writer.submit(Record(entry=passage.entry(), refusal=refusal))
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
            session.position = passage.position
            await positions.tell(session.id, passage.position)

    def _reply(self, passage: Passage, result: object, refusal: Refusal | None, known: bool) -> Reply:
        request, session = passage.request, passage.session
        offset = hub.position if passage.offset is None else passage.offset
        outcome = "success" if refusal is None else refusal.outcome
        passage.enter(Stage.COMPLETED)
        observe_request(request.transport, request.method if known else "unknown", outcome, passage.seconds)
        if refusal is not None:
            ERRORS.labels(refusal.category, refusal.code).inc()
        return Reply(
            request_id=request.id,
            method=request.method,
            outcome=outcome,
            result=result,
            refusal=refusal,
            offset=offset,
            session_id=session.id if session else None,
            version=passage.version,
            created=passage.created,
            then=passage.then if refusal is None else None,
        )
