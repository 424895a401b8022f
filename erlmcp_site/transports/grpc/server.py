"""The gRPC server of a process: what it listens on, what it bounds, and how it ends."""

import time
from typing import Any

import grpc
from django.conf import settings
from grpc_reflection.v1alpha import reflection

from erlmcp_site.transports.grpc.calls import answering, missing
from erlmcp_site.transports.grpc.following import following
from erlmcp_site.transports.grpc.health import HEALTH, Health
from erlmcp_site.transports.grpc.rpcs import RPCS, SERVICE_NAMES

MAX_STREAMS = 1000
"""Calls and streams at a time on one connection."""

MESSAGE_OF_RESOURCES = 8
"""A request has at most as many bytes as so many of the largest resources, as a batch over REST."""


LEAST_SECONDS = 0.1
"""In which a server that answers nothing can stop."""


class CannotBind(Exception):
    """The address cannot be listened on."""


class Server:
    """Answers RPCs in the running event loop, once the node has started."""

    def __init__(self) -> None:
        self._server = grpc.aio.server(options=_options())
        # what is asked most often is looked up first
        self._server.add_generic_rpc_handlers((_Handlers(),))
        self._health = Health()
        self._health.join(self._server)
        reflection.enable_server_reflection((*SERVICE_NAMES, HEALTH, reflection.SERVICE_NAME), self._server)
        self._server.add_generic_rpc_handlers((_Missing(),))

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port: 0 takes a free one. Raises CannotBind."""
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound: int = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise CannotBind(f"Cannot listen on HOST {host}, GRPC_PORT {port}: {error}") from None
        await self._health.start()
        await self._server.start()
        return bound

    async def stop(self, within: float) -> bool:
        """Take no more calls, let those that run be answered within some seconds, and end the rest.

        Returns whether there was no rest. When called again, the shorter time counts.
        """
        within = max(within, LEAST_SECONDS)
        until = time.monotonic() + within
        await self._health.stop()
        await self._server.stop(within)
        return time.monotonic() < until


class _Handlers(grpc.GenericRpcHandler):
    """Finds what answers an RPC of ours by its path."""

    def __init__(self) -> None:
        self._handlers = {
            path: grpc.unary_stream_rpc_method_handler(following(rpc))
            if rpc.streams
            else grpc.unary_unary_rpc_method_handler(answering(rpc))
            for path, rpc in RPCS.items()
        }

    def service(self, handler_call_details: Any) -> Any:
        return self._handlers.get(handler_call_details.method)


class _Missing(grpc.GenericRpcHandler):
    """Takes what nothing else does: it is refused like everything, on the record."""

    def service(self, handler_call_details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(missing(handler_call_details.method))


def _options() -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", int(settings.WEB_WORKERS > 1)),
        ("grpc.max_receive_message_length", MESSAGE_OF_RESOURCES * settings.RESOURCE_MAX_BYTES),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", MAX_STREAMS),
        ("grpc.max_metadata_size", 16 * 1024),
        # a peer that is gone is noticed within a minute; one that pings more often than every 10 s is cut
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.max_ping_strikes", 3),
        ("grpc.max_connection_idle_ms", 900_000),
    ]
