"""Views of the API: DRF classes, for the schema and the tools around it, behind a thin async dispatch."""

import logging
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, ClassVar

from rest_framework.views import APIView

from audit_app.errors import InternalError, Refusal
from erlmcp_site.pipeline.messages import UNKNOWN, Transport
from erlmcp_site.transports.http.answers import Application
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.http.unread import Undecodable, refuse
from erlmcp_site.transports.http.views import refused_verb, told_verbs, wrong_verb

log = logging.getLogger(__name__)

VERBS = ("get", "post", "put", "patch", "delete")

Handler = Callable[..., Any]


class ApiView(APIView):
    """An address of the API. It has a handler a verb, named like it; `serve` makes the application that answers.

    DRF's own dispatch is sync, and its request object costs more than the pipeline: neither takes part. One instance
    serves all requests, so it keeps nothing of any.
    """

    max_body_bytes: ClassVar[int | None] = None
    transport: ClassVar[Transport] = "rest"

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        instance = cls(**initkwargs)
        found = {verb: getattr(instance, verb) for verb in VERBS if hasattr(instance, verb)}
        if "get" in found:
            found["head"] = found["get"]
        handlers = {verb: _decoder(handler, cls.transport) for verb, handler in found.items()}
        allowed = ", ".join(verb.upper() for verb in (*handlers, "options"))

        async def view(incoming: Incoming, **path: str) -> Application:
            handler = handlers.get(incoming.method.lower())
            if handler is not None:
                return await instance.serve(incoming, handler, path)
            if incoming.method == "OPTIONS":
                return told_verbs(incoming, allowed)
            return refused_verb(incoming, await refuse(incoming, wrong_verb(allowed)), allowed)

        view.max_body_bytes = cls.max_body_bytes  # type: ignore[attr-defined]
        view.transport = cls.transport  # type: ignore[attr-defined]
        view.methods = {verb: method_of(handler) for verb, handler in found.items()}  # type: ignore[attr-defined]
        return update_wrapper(view, super().as_view(**initkwargs))

    async def serve(self, incoming: Incoming, handler: Handler, path: dict[str, str]) -> Application:
        """Answer with a handler; subclasses say how."""
        raise NotImplementedError


def method_of(handler: Handler) -> str:
    """The method of the table that a handler decodes to."""
    name: str = getattr(handler, "method", UNKNOWN)
    return name


def _decoder(handler: Handler, transport: Transport) -> Handler:
    """The handler, with Undecodable in place of what it raises."""
    method = method_of(handler)

    def decode(incoming: Incoming, **path: str) -> Any:
        try:
            return handler(incoming, **path)
        except Refusal as refusal:
            raise Undecodable(refusal, method, transport) from None
        except Exception as error:
            log.exception("request %s (%s) could not be decoded", incoming.id, method)
            raise Undecodable(InternalError(), method, transport) from error

    return decode
