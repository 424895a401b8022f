"""The table of RPCs: which method of the one table each of them is, and the messages that it takes and gives."""

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from erlmcp_site.methods.results import RESULTS
from erlmcp_site.transports.grpc.generated import (
    access_pb2,
    audit_pb2,
    auth_pb2,
    completion_pb2,
    keys_pb2,
    prompts_pb2,
    resources_pb2,
    sessions_pb2,
    subscriptions_pb2,
    telemetry_pb2,
)

FILES = (
    *(auth_pb2, keys_pb2, sessions_pb2, resources_pb2, subscriptions_pb2, access_pb2, audit_pb2, telemetry_pb2),
    *(prompts_pb2, completion_pb2),
)

EVENTS = {
    "subscriptions/follow": "events/stream",
    "subscriptions/poll": "events/poll",
    "subscriptions/ack": "events/ack",
}
"""RPCs on subscriptions that are methods on events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rpc:
    """One RPC. `whole` is the field of the response that holds all of the result, where it has one."""

    path: str
    method: str
    request: type[Message]
    response: type[Message]
    streams: bool
    whole: str | None
    tells_created: bool


def _rpc(descriptor: Any) -> Rpc:
    service = descriptor.containing_service
    name = f"{service.name}/{descriptor.name}".lower()
    method = EVENTS.get(name, name)
    response = descriptor.output_type
    first = response.fields_by_number.get(1)
    is_whole = first is not None and first.message_type is not None and first.name not in RESULTS[method].names
    return Rpc(
        path=f"/{service.full_name}/{descriptor.name}",
        method=method,
        request=GetMessageClass(descriptor.input_type),
        response=GetMessageClass(response),
        streams=descriptor.server_streaming,
        whole=first.name if is_whole else None,
        tells_created="created" in response.fields_by_name,
    )


SERVICES = [service for file in FILES for service in file.DESCRIPTOR.services_by_name.values()]
RPCS: dict[str, Rpc] = {rpc.path: rpc for service in SERVICES for rpc in map(_rpc, service.methods)}
SERVICE_NAMES: tuple[str, ...] = tuple(service.full_name for service in SERVICES)
