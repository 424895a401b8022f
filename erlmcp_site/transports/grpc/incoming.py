"""One RPC as it comes in: its metadata, read as the headers of HTTP are."""

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from django.conf import settings

from erlmcp_site.pipeline.messages import Credentials, Request, Unread
from erlmcp_site.pipeline.options import MAX_TIMEOUT_SECONDS
from erlmcp_site.transports.addresses import client_behind
from erlmcp_site.transports.headers import SECRET_HEADERS, bearer, request_id
from resources_app.hub.followers import Outlet

LEAST_SECONDS = 0.001

Context = Any
"""A grpc.aio.ServicerContext, which has no types."""


class Incoming:
    """An RPC. `metadata` have lower-case names, several of one name are joined by commas; binary ones are left out."""

    __slots__ = ("context", "id", "metadata")

    def __init__(self, context: Context) -> None:
        self.context = context
        self.metadata = metadata = _metadata(context.invocation_metadata())
        self.id = request_id(metadata.get("request-id"))

    def request(
        self,
        method: str,
        params: Mapping[str, Any],
        outlet: Outlet | None = None,
        unread: Unread | None = None,
    ) -> Request:
        """This RPC as the pipeline takes it, with its deadline as the time that its caller waits."""
        metadata = self.metadata
        token = bearer(metadata.get("authorization", ""))
        told = {name: value for name, value in metadata.items() if name not in SECRET_HEADERS}
        seconds = self.context.time_remaining()
        if seconds is not None and "request-timeout" not in told:
            told["request-timeout"] = f"{min(max(seconds, LEAST_SECONDS), MAX_TIMEOUT_SECONDS):.3f}"
        return Request(
            id=self.id,
            method=method,
            params=params,
            transport="grpc",
            timestamp=time.time(),
            credentials=None if token is None else Credentials(token=token),
            client_id=metadata.get("client-id", ""),
            session_id=metadata.get("session-id"),
            metadata=told,
            source_ip=self._source(),
            user_agent=metadata.get("user-agent", ""),
            outlet=outlet,
            unread=unread,
        )

    def _source(self) -> str:
        address = address_of(self.context.peer())
        trusted = settings.TRUSTED_PROXIES
        if not (address and trusted):
            return address
        return client_behind(address, [self.metadata.get("x-forwarded-for", "")], trusted)


@lru_cache(maxsize=1024)
def address_of(peer: str) -> str:
    """The address in the name that gRPC has for a peer ("ipv4:127.0.0.1:4711"); empty where it is a Unix socket."""
    kind, _, place = unquote(peer).partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return ""
    return place.rpartition(":")[0].strip("[]")


def _metadata(pairs: Any) -> dict[str, str]:
    metadata: dict[str, str] = {}
    for name, value in pairs or ():
        if isinstance(value, str):
            metadata[name] = f"{metadata[name]},{value}" if name in metadata else value
    return metadata
