"""An HTTP request as ASGI hands it over, decoded no further than somebody looks (docs/architecture.md §1)."""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

from erlmcp_site.pipeline.messages import Credentials, Request, Transport, Unread
from erlmcp_site.transports.addresses import source_address
from erlmcp_site.transports.headers import SECRET_HEADERS, bearer, request_id
from resources_app.hub.followers import Outlet

Scope = Mapping[str, Any]

MAX_QUERY_FIELDS = 100

ANSWERED_AT_ONCE = frozenset({"rest", "sse", "mcp"})
"""The transports whose answers have a status as soon as there is a reply."""

_NO_FIELDS: Mapping[str, str] = {}


class Incoming:
    """One HTTP request.

    `path` is the path as the client wrote it, percent-escapes kept; `headers` have lower-case names, values without the
    white space around them (RFC 9110 §5.5; llhttp leaves what is behind), and several headers of one name are joined by
    commas. `body` is empty until the handler has read it, `route` until the address is resolved. `audience` is whom a
    token of an outside issuer has to be for, if not whom its setting names. It is the HttpExchange of its request.
    """

    __slots__ = ("_query", "audience", "body", "headers", "id", "kept", "method", "path", "route", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path = _raw_path(scope)
        self.headers = headers = _headers(scope)
        self.body = b""
        self.audience: str | None = None
        self.route = ""
        self.kept: tuple[Any, ...] = ()
        self._query: Mapping[str, str] | None = None
        self.id = request_id(headers.get("request-id"))

    @property
    def query(self) -> Mapping[str, str]:
        """The fields of the query; of several with one name, the last. Fields beyond the first hundred do not count."""
        if self._query is None:
            text = self.scope["query_string"]
            self._query = _query(text.decode("latin-1")) if text else _NO_FIELDS
        return self._query

    @property
    def token(self) -> str | None:
        """The bearer token of the Authorization header."""
        return bearer(self.headers.get("authorization", ""))

    @property
    def credentials(self) -> Credentials | None:
        """What the client shows."""
        token = self.token
        return None if token is None else Credentials(token=token, audience=self.audience)

    def request(
        self,
        method: str,
        params: Mapping[str, Any],
        transport: Transport = "rest",
        outlet: Outlet | None = None,
        unread: Unread | None = None,
    ) -> Request:
        """This request as the pipeline takes it; the metadata hold no credentials."""
        headers = self.headers
        return Request(
            id=self.id,
            method=method,
            params=params,
            transport=transport,
            timestamp=time.time(),
            credentials=self.credentials,
            client_id=headers.get("client-id", ""),
            session_id=headers.get("session-id"),
            metadata={name: value for name, value in headers.items() if name not in SECRET_HEADERS},
            source_ip=source_address(self.scope),
            user_agent=headers.get("user-agent", ""),
            outlet=outlet,
            unread=unread,
            verb=self.method,
            http=self if transport in ANSWERED_AT_ONCE else None,
        )


def _raw_path(scope: Scope) -> str:
    raw = scope.get("raw_path")
    path: str = raw.decode("utf-8", "surrogateescape") if raw else quote(scope["path"], safe="/:@!$&'()*+,;=~-._")
    prefix: str = scope.get("root_path") or ""
    return path.removeprefix(prefix) if prefix else path


def _headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1").strip(" \t")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _query(text: str) -> dict[str, str]:
    fields = text.split("&", MAX_QUERY_FIELDS)[:MAX_QUERY_FIELDS]
    return dict(parse_qsl("&".join(fields), keep_blank_values=True))
