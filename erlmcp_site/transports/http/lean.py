"""The handler of API routes: Django's URLconf and views, without its middleware, signals and threads.

Django's stock ASGI handler costs 413 µs on an empty async view, this one a small part of that
(docs/architecture.md §1). Everything that needs sessions, CSRF or templates goes to Django's own.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.urls import Resolver404, URLPattern, URLResolver
from django.urls.resolvers import RegexPattern

from audit_app.errors import InternalError, Refusal
from erlmcp_site.pipeline.errors import InvalidRequest, MethodNotFound
from erlmcp_site.pipeline.messages import UNKNOWN, Transport
from erlmcp_site.pipeline.walks import hand_on
from erlmcp_site.transports.http.answers import Application, Header, Receive, Send, problem_answer
from erlmcp_site.transports.http.bodies import read_body
from erlmcp_site.transports.http.cors import preflight, sharing_headers
from erlmcp_site.transports.http.incoming import Incoming, Scope
from erlmcp_site.transports.http.unread import Undecodable, refuse
from telemetry_app.metrics import ERRORS

log = logging.getLogger(__name__)

View = Callable[..., Awaitable[Application]]
Refuse = Callable[[Incoming, Refusal, str, Transport], Awaitable[Refusal]]

BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
FOR_ANY_HOST = ("/health/", "/metrics")
"""Probes and scrapers come by address, whatever names are allowed."""

BEFORE_THE_START = frozenset({"/health/live", "/health/startup"})
"""What tells of a process that has not started, too."""

CONVERTER = re.compile(r"<(?:\w+:)?(\w+)>")

RESOLVED_PATHS = 16_384
RESOLVED_CHARACTERS = 256
"""Longer paths are resolved each time: nobody fills the memory with them."""


class LeanHandler:
    """An ASGI application for routes whose views take an Incoming and return an Application.

    `ensure_started` is awaited before the first requests are answered, for servers without lifespan; `refuse` puts on
    record what cannot be read.
    """

    def __init__(
        self,
        routes: Sequence[URLPattern | URLResolver],
        ensure_started: Callable[[], Awaitable[None]],
        refuse: Refuse = refuse,
    ) -> None:
        resolver = URLResolver(RegexPattern(r"^/"), list(routes))
        self._ensure_started = ensure_started
        self._refuse = refuse

        def resolve(path: str) -> tuple[View, Mapping[str, Any], str]:
            match = resolver.resolve(path)
            return match.func, match.kwargs, _template(match.route)

        self._resolve_anew = resolve
        self._resolve_known = lru_cache(maxsize=RESOLVED_PATHS)(resolve)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope)
        try:
            await self._serve(incoming, receive, send)
        finally:
            if incoming.kept:
                hand_on(incoming, None)

    async def _serve(self, incoming: Incoming, receive: Receive, send: Send) -> None:
        scope = incoming.scope
        try:
            application = await self._answer(incoming, receive)
        except Undecodable as undecodable:
            refusal = await self._refuse(incoming, undecodable.refusal, undecodable.method, undecodable.transport)
            application = problem_answer(refusal, incoming)
        except Refusal as refusal:
            application = _refused(refusal, incoming)
        except Exception:
            log.exception("request %s (%s %s) failed", incoming.id, incoming.method, incoming.path)
            application = _refused(InternalError(), incoming)
        if incoming.kept:
            # of what has yet to ask, as a long poll, nothing is kept here
            hand_on(incoming, application.status)
        await application(scope, receive, telling(incoming, send))

    async def _answer(self, incoming: Incoming, receive: Receive) -> Application:
        if incoming.path not in BEFORE_THE_START:
            await self._ensure_started()
        view, path = self._route(incoming)
        asked = preflight(incoming)
        if asked is not None:
            return asked
        if incoming.method not in BODILESS:
            limit = getattr(view, "max_body_bytes", None) or 2 * settings.RESOURCE_MAX_BYTES
            try:
                incoming.body = await read_body(incoming, receive, limit)
            except Refusal as refusal:
                raise Undecodable(refusal, *_meant(view, incoming)) from None
        return await view(incoming, **path)

    def _route(self, incoming: Incoming) -> tuple[View, Mapping[str, Any]]:
        """The view of an address and what stands in it. Raises Undecodable."""
        if not is_allowed_host(incoming.headers.get("host", "")) and not incoming.path.startswith(FOR_ANY_HOST):
            raise Undecodable(InvalidRequest("The Host header names no host of this service."), UNKNOWN, "rest")
        try:
            known = len(incoming.path) <= RESOLVED_CHARACTERS
            view, path, incoming.route = (self._resolve_known if known else self._resolve_anew)(incoming.path)
        except Resolver404:
            raise Undecodable(MethodNotFound("There is nothing at this address."), UNKNOWN, "rest") from None
        return view, path


def _template(route: str) -> str:
    """A route of the URLconf as the document of the API writes it: /api/v1/keys/{id}."""
    return "/" + CONVERTER.sub(r"{\1}", route.removeprefix("^/"))


def _meant(view: View, incoming: Incoming) -> tuple[str, Transport]:
    """The method that a request was meant for, and its transport."""
    methods: Mapping[str, str] = getattr(view, "methods", {})
    transport: Transport = getattr(view, "transport", "rest")
    return methods.get(incoming.method.lower(), UNKNOWN), transport


def _refused(refusal: Refusal, incoming: Incoming) -> Application:
    ERRORS.labels(refusal.category, refusal.code).inc()
    return problem_answer(refusal, incoming)


def telling(incoming: Incoming, send: Send) -> Send:
    """Add to an answer what browsers are told: who may read it, and that this host is reached over TLS."""
    scope = incoming.scope
    if settings.ALLOWED_ORIGINS or scope.get("scheme") == "https":
        return _adding([*sharing_headers(incoming), *_over_tls(scope)], send)
    return send


def _over_tls(scope: Scope) -> Sequence[Header]:
    """HTTP Strict Transport Security (RFC 6797), which is only told over TLS."""
    if not settings.SECURE_HSTS_SECONDS or scope.get("scheme") != "https":
        return ()
    return ((b"strict-transport-security", b"max-age=%d; includeSubDomains" % settings.SECURE_HSTS_SECONDS),)


def _adding(headers: Sequence[Header], send: Send) -> Send:
    async def send_more(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *headers]}
        await send(message)

    return send_more


@lru_cache(maxsize=256)
def is_allowed_host(host: str) -> bool:
    """Whether the setting ALLOWED_HOSTS has the host of a Host header."""
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)
