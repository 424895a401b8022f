"""Views of the API: DRF classes, for the schema and the tools around it, behind a thin async dispatch."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, ClassVar

from rest_framework.views import APIView

from erlmcp_site.transports.http.answers import Application
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.http.views import refuse_verb

VERBS = ("get", "post", "put", "patch", "delete")

Handler = Callable[..., Any]


class ApiView(APIView):
    """An address of the API. It has a handler a verb, named like it; `serve` makes the application that answers.

    DRF's own dispatch is sync, and its request object costs more than the pipeline: neither takes part. One instance
    serves all requests, so it keeps nothing of any.
    """

    max_body_bytes: ClassVar[int | None] = None

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        instance = cls(**initkwargs)
        handlers = {verb: getattr(instance, verb) for verb in VERBS if hasattr(instance, verb)}
        if "get" in handlers:
            handlers["head"] = handlers["get"]
        allowed = ", ".join(verb.upper() for verb in (*handlers, "options"))

        async def view(incoming: Incoming, **path: str) -> Application:
            handler = handlers.get(incoming.method.lower())
            if handler is None:
                return refuse_verb(incoming, allowed)
            return await instance.serve(incoming, handler, path)

        view.max_body_bytes = cls.max_body_bytes  # type: ignore[attr-defined]
        return update_wrapper(view, super().as_view(**initkwargs))

    async def serve(self, incoming: Incoming, handler: Handler, path: dict[str, str]) -> Application:
        """Answer with a handler; subclasses say how."""
        raise NotImplementedError
