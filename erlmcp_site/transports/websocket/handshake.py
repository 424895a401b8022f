"""The opening handshake: who may open a socket, from which page, and what it tells of the client (contract §5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from erlmcp_site.pipeline.errors import InvalidRequest
from erlmcp_site.transports.addresses import scheme_of, source_address
from erlmcp_site.transports.origins import is_allowed, is_ours
from sessions_app.errors import Forbidden, Unauthenticated

SUBPROTOCOL = "erlmcp.v1"

Scope = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What the handshake tells of the client; `session_id` is the session that it asks for."""

    source_ip: str
    user_agent: str
    session_id: str | None
    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """An opening handshake that may go on: with a token to check, or (from an allowed page) without one yet."""

    client: Client
    token: str | None
    subprotocol: str | None


def read(scope: Scope) -> Handshake:
    """The handshake of an ASGI scope.

    Raises InvalidRequest for a Host that is not ours, Forbidden for a page of another origin (whatever token it has),
    Unauthenticated when there is neither an origin nor a token. A token in the query does not count as one.
    """
    headers = _Headers(scope["headers"])
    host = headers.one(b"host")
    if not validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS):
        raise InvalidRequest("This host is not served here.")
    origins = headers.all(b"origin")
    if origins and not (len(origins) == 1 and _may_connect(origins[0], scope, host)):
        raise Forbidden("Pages of this origin may not connect.")
    token = _bearer(headers.one(b"authorization"))
    if token is None and not origins:
        raise Unauthenticated()
    offered: Sequence[str] = scope.get("subprotocols") or ()
    subprotocol = SUBPROTOCOL if SUBPROTOCOL in offered else None
    return Handshake(client=client_of(scope), token=token, subprotocol=subprotocol)


def client_of(scope: Scope) -> Client:
    """What the handshake tells of the client, also where it may not go on."""
    headers = _Headers(scope["headers"])
    return Client(
        source_ip=source_address(scope),
        user_agent=headers.one(b"user-agent"),
        session_id=headers.one(b"session-id") or None,
        client_id=headers.one(b"client-id"),
    )


def token_of(scope: Scope) -> str | None:
    """The bearer token of the Authorization header."""
    return _bearer(_Headers(scope["headers"]).one(b"authorization"))


def _may_connect(origin: str, scope: Scope, host: str) -> bool:
    return is_ours(origin, scheme_of(scope), host) or is_allowed(origin)


def _bearer(authorization: str) -> str | None:
    scheme, _, token = authorization.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


class _Headers:
    """Headers by lower-case name."""

    def __init__(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        self._pairs = pairs

    def all(self, name: bytes) -> list[str]:
        return [value.decode("latin-1") for key, value in self._pairs if key.lower() == name]

    def one(self, name: bytes) -> str:
        """The first header of this name; empty when there is none."""
        return next(iter(self.all(name)), "")
