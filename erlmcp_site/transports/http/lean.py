"""The handler of API routes: Django's URLconf and views, without its middleware, signals and threads.

Django's stock ASGI handler costs 413 µs on an empty async view, this one a small part of that
(docs/architecture.md §1). Everything that needs sessions, CSRF or templates goes to Django's own.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.urls import Resolver404, URLPattern, URLResolver
from django.urls.resolvers import RegexPattern

from audit_app.errors import InternalError, Refusal
from erlmcp_site.pipeline.errors import InvalidRequest, MethodNotFound
from erlmcp_site.transports.http.answers import Application, Receive, Send, problem_answer
from erlmcp_site.transports.http.bodies import read_body
from erlmcp_site.transports.http.incoming import Incoming, Scope
from telemetry_app.metrics import ERRORS

log = logging.getLogger(__name__)

View = Callable[..., Awaitable[Application]]

BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
FOR_ANY_HOST = ("/health/", "/metrics")
"""Probes and scrapers come by address, whatever names are allowed."""

RESOLVED_PATHS = 16_384
RESOLVED_CHARACTERS = 256
"""Longer paths are resolved each time: nobody fills the memory with them."""


class LeanHandler:
    """An ASGI application for routes whose views take an Incoming and return an Application.

    `ensure_started` is awaited before the first requests are answered, for servers without lifespan.
    """

    def __init__(
        self, routes: Sequence[URLPattern | URLResolver], ensure_started: Callable[[], Awaitable[None]]
    ) -> None:
        resolver = URLResolver(RegexPattern(r"^/"), list(routes))
        self._ensure_started = ensure_started

        def resolve(path: str) -> tuple[View, Mapping[str, Any]]:
            match = resolver.resolve(path)
            return match.func, match.kwargs

        self._resolve_anew = resolve
        self._resolve_known = lru_cache(maxsize=RESOLVED_PATHS)(resolve)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope)
        try:
            application = await self._answer(incoming, receive)
        except Refusal as refusal:
            application = _refused(refusal, incoming)
        except Exception:
            log.exception("request %s (%s %s) failed", incoming.id, incoming.method, incoming.path)
            application = _refused(InternalError(), incoming)
        await application(scope, receive, send)

    async def _answer(self, incoming: Incoming, receive: Receive) -> Application:
        await self._ensure_started()
        if not is_allowed_host(incoming.headers.get("host", "")) and not incoming.path.startswith(FOR_ANY_HOST):
            raise InvalidRequest("The Host header names no host of this service.")
        try:
            known = len(incoming.path) <= RESOLVED_CHARACTERS
            view, path = (self._resolve_known if known else self._resolve_anew)(incoming.path)
        except Resolver404:
            raise MethodNotFound("There is nothing at this address.") from None
        if incoming.method not in BODILESS:
            limit = getattr(view, "max_body_bytes", None) or 2 * settings.RESOURCE_MAX_BYTES
            incoming.body = await read_body(incoming, receive, limit)
        return await view(incoming, **path)


def _refused(refusal: Refusal, incoming: Incoming) -> Application:
    ERRORS.labels(refusal.category, refusal.code).inc()
    return problem_answer(refusal, incoming)


@lru_cache(maxsize=256)
def is_allowed_host(host: str) -> bool:
    """Whether the setting ALLOWED_HOSTS has the host of a Host header."""
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)
